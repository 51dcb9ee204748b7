//! Parses the SMBIOS tables (DMTF DSP0134): manufacturer, product, serial number,
//! UUID, firmware, memory.
//!
//! The crate has its own parser because firmware has malformed tables and the
//! published decoder panics on a structure that is shorter than its header. A
//! truncated table gives the values before its end.

/// The values; empty or zero if the tables lack them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smbios {
    /// Type 1: manufacturer.
    pub vendor: String,
    /// Type 1: product name.
    pub product: String,
    /// Type 1: serial number.
    pub serial: String,
    /// Type 1: UUID, big-endian as printed.
    pub uuid: [u8; 16],
    /// Type 0: vendor and version of the firmware.
    pub firmware: String,
    /// Type 17: sum of the memory devices in MiB.
    pub memory_mib: u64,
}

/// Structure types (DSP0134, section 7).
mod kind {
    pub const BIOS: u8 = 0;
    pub const SYSTEM: u8 = 1;
    pub const MEMORY_DEVICE: u8 = 17;
    pub const END: u8 = 127;
}

/// Length of a structure's header in bytes.
const HEADER: usize = 4;

impl Smbios {
    /// Parses `/sys/firmware/dmi/tables/smbios_entry_point` and `…/DMI`. Empty
    /// slices, as on a server without SMBIOS, give the default.
    pub fn parse(entry_point: &[u8], table: &[u8]) -> Self {
        let mut values = Self::default();
        for structure in (Structures { rest: table }) {
            match structure.kind() {
                kind::BIOS => {
                    values.firmware = format!("{} {}", structure.text(4), structure.text(5))
                        .trim()
                        .into();
                }
                kind::SYSTEM => {
                    values.vendor = structure.text(4);
                    values.product = structure.text(5);
                    values.serial = structure.text(7);
                    if let Some(raw) = structure.bytes::<16>(8) {
                        values.uuid = uuid(raw, version(entry_point));
                    }
                }
                kind::MEMORY_DEVICE => values.memory_mib += memory_device_mib(&structure),
                _ => {}
            }
        }
        values
    }
}

/// Returns the version of the specification in the entry point of either kind
/// (sections 5.2.1 and 5.2.2); the newest if it can't be read.
fn version(entry_point: &[u8]) -> (u8, u8) {
    let at = match entry_point {
        [b'_', b'S', b'M', b'3', b'_', ..] => 7,
        [b'_', b'S', b'M', b'_', ..] => 6,
        _ => return (3, 0),
    };
    match entry_point.get(at..at + 2) {
        Some(&[major, minor]) => (major, minor),
        _ => (3, 0),
    }
}

/// Converts a UUID from the table's byte order to the printed order: since
/// version 2.6 the first three fields are little-endian (section 7.2.1). All ones
/// and all zeroes mean that there is no UUID.
fn uuid(raw: [u8; 16], version: (u8, u8)) -> [u8; 16] {
    if raw == [0xff; 16] {
        return [0; 16];
    }
    let mut uuid = raw;
    if version >= (2, 6) {
        uuid[0..4].reverse();
        uuid[4..6].reverse();
        uuid[6..8].reverse();
    }
    uuid
}

/// Returns the size of a memory device in MiB (section 7.18): a word in MiB or
/// KiB, or, for larger sizes, a double word in MiB.
fn memory_device_mib(structure: &Structure<'_>) -> u64 {
    match structure.bytes::<2>(0x0c).map(u16::from_le_bytes) {
        None | Some(0 | 0xffff) => 0,
        Some(0x7fff) => structure
            .bytes::<4>(0x1c)
            .map_or(0, |raw| u64::from(u32::from_le_bytes(raw) & 0x7fff_ffff)),
        Some(kib) if kib & 0x8000 != 0 => u64::from(kib & 0x7fff) / 1024,
        Some(mib) => u64::from(mib),
    }
}

struct Structure<'a> {
    formatted: &'a [u8],
    strings: &'a [u8],
}

impl Structure<'_> {
    fn kind(&self) -> u8 {
        self.formatted.first().copied().unwrap_or(kind::END)
    }

    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.formatted
            .get(offset..offset + N)
            .and_then(|bytes| bytes.try_into().ok())
    }

    /// Returns the string whose number is at `offset`. Numbers start at 1.
    fn text(&self, offset: usize) -> String {
        let number = usize::from(self.formatted.get(offset).copied().unwrap_or(0));
        let bytes = match number.checked_sub(1) {
            Some(index) => self.strings.split(|&byte| byte == 0).nth(index),
            None => None,
        };
        String::from_utf8_lossy(bytes.unwrap_or_default())
            .trim()
            .into()
    }
}

/// Iterates over the structures up to the end-of-table structure or the first
/// malformed structure.
struct Structures<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Structures<'a> {
    type Item = Structure<'a>;

    fn next(&mut self) -> Option<Structure<'a>> {
        let length = usize::from(*self.rest.get(1)?);
        if length < HEADER {
            return None;
        }
        let (formatted, tail) = self.rest.split_at_checked(length)?;
        // An empty string ends the strings. A structure without strings has
        // two zeroes.
        let strings = tail.windows(2).position(|pair| pair == [0, 0])?;
        self.rest = tail.get(strings + 2..)?;
        let structure = Structure {
            formatted,
            strings: tail.get(..strings)?,
        };
        (structure.kind() != kind::END).then_some(structure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn structure(kind: u8, body: &[u8], strings: &[&str]) -> Vec<u8> {
        let mut bytes = vec![kind, (HEADER + body.len()) as u8, 0, 1];
        bytes.extend_from_slice(body);
        for text in strings {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
        if strings.is_empty() {
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    fn table() -> Vec<u8> {
        let mut system = vec![1, 2, 0, 3];
        system.extend(1..=16_u8);
        system.push(6);
        let mut memory = vec![0; 0x1c];
        memory[8..10].copy_from_slice(&0x7fff_u16.to_le_bytes());
        memory[0x18..0x1c].copy_from_slice(&65536_u32.to_le_bytes());
        let mut small = vec![0; 0x10];
        small[8..10].copy_from_slice(&1024_u16.to_le_bytes());
        [
            structure(0, &[1, 2, 0, 0, 0], &["SeaBIOS", "1.16"]),
            structure(1, &system, &["QEMU", " Standard PC ", "SER-1"]),
            structure(17, &memory, &[]),
            structure(17, &small, &["DIMM"]),
            structure(127, &[], &[]),
            structure(17, &small, &["behind the end"]),
        ]
        .concat()
    }

    #[test]
    fn table_gives_its_values() {
        let mut expected = Smbios {
            vendor: "QEMU".into(),
            product: "Standard PC".into(),
            serial: "SER-1".into(),
            uuid: [4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16],
            firmware: "SeaBIOS 1.16".into(),
            memory_mib: 65536 + 1024,
        };
        assert_eq!(Smbios::parse(b"_SM3_\0\0\x03\x02", &table()), expected);
        expected.uuid = core::array::from_fn(|i| i as u8 + 1);
        assert_eq!(Smbios::parse(b"_SM_\0\0\x02\x05", &table()), expected);
    }

    #[test]
    fn truncated_table_gives_the_values_before_its_end() {
        let table = table();
        for length in 0..table.len() {
            Smbios::parse(b"", &table[..length]);
        }
        let broken = [&[1, 3, 0, 0, 0, 0][..], &table].concat();
        assert_eq!(Smbios::parse(b"", &broken), Smbios::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(entry in any::<Vec<u8>>(), table in any::<Vec<u8>>()) {
            Smbios::parse(&entry, &table);
        }
    }
}
