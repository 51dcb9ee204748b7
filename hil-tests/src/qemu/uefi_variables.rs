//! Boot variables written into OVMF's variable store before its first start.
//!
//! OVMF makes boot options of its own for each card, PXE before HTTP, and
//! nothing from outside but the store changes that order. Here lives just
//! enough of the store's format (edk2 `AuthenticatedVariableFormat.h`) and of
//! the load option's (UEFI 2.10, 3.1.3 and 10.3) to put one option in front.

use anyhow::{Context, Result, ensure};

use crate::switch::Mac;

/// Where variables begin in the 4 MB build's store: behind the firmware
/// volume's header (72 bytes) and the store's own (28).
const FIRST: usize = 72 + 28;
/// `EFI_GLOBAL_VARIABLE`, 8be4df61-93ca-11d2-aa0d-00e098032b8c.
const GLOBAL: [u8; 16] = [
    0x61, 0xDF, 0xE4, 0x8B, 0xCA, 0x93, 0xD2, 0x11, 0xAA, 0x0D, 0x00, 0xE0, 0x98, 0x03, 0x2B, 0x8C,
];
/// `gEfiAuthenticatedVariableGuid`, aaf32c78-947b-439a-a180-2e144ec37792.
const AUTHENTICATED: [u8; 16] = [
    0x78, 0x2C, 0xF3, 0xAA, 0x7B, 0x94, 0x9A, 0x43, 0xA1, 0x80, 0x2E, 0x14, 0x4E, 0xC3, 0x77, 0x92,
];
/// StatementRef over resets; visible to boot services and to the system.
const ATTRIBUTES: u32 = 0x7;

/// Writes into an empty store the option to boot by HTTP over IPv4 from the
/// card at PCI address 00:`slot`.0, as the first in the boot order.
///
/// # Errors
/// The store is not an empty one of the kind that OVMF's 4 MB build uses.
pub(super) fn put_http_boot_first(store: &mut [u8], slot: u8, mac: Mac) -> Result<()> {
    ensure!(
        store.get(72..88) == Some(&AUTHENTICATED[..]),
        "not an OVMF variable store"
    );
    let mut variables = variable("Boot0000", &load_option("HTTP boot", &http_path(slot, mac)));
    variables.extend(variable("BootOrder", &[0, 0]));
    let room = store
        .get_mut(FIRST..FIRST + variables.len())
        .context("the variable store is too short")?;
    ensure!(
        room.iter().all(|byte| *byte == 0xFF),
        "the variable store is not empty"
    );
    room.copy_from_slice(&variables);
    Ok(())
}

/// One variable as it lies in the store, padded to 4 bytes.
fn variable(name: &str, data: &[u8]) -> Vec<u8> {
    let name = utf16(name);
    let mut bytes = vec![0xAA, 0x55, 0x3F, 0];
    bytes.extend(ATTRIBUTES.to_le_bytes());
    // Monotonic count, time stamp, public key: unauthenticated, all zero.
    bytes.extend([0; 8 + 16 + 4]);
    bytes.extend((name.len() as u32).to_le_bytes());
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(GLOBAL);
    bytes.extend(name);
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0xFF);
    bytes
}

/// `EFI_LOAD_OPTION`, active.
fn load_option(description: &str, path: &[u8]) -> Vec<u8> {
    let mut bytes = 1_u32.to_le_bytes().to_vec();
    bytes.extend((path.len() as u16).to_le_bytes());
    bytes.extend(utf16(description));
    bytes.extend(path);
    bytes
}

/// `PciRoot(0)/Pci(slot,0)/MAC(mac,1)/IPv4(0.0.0.0)/Uri()`: boot by HTTP with
/// the address and the URL from DHCP.
fn http_path(slot: u8, mac: Mac) -> Vec<u8> {
    let mut path = Vec::new();
    let mut node = |kind: u8, subtype: u8, data: &[u8]| {
        path.extend([kind, subtype]);
        path.extend((data.len() as u16 + 4).to_le_bytes());
        path.extend(data);
    };
    // ACPI: PNP0A03, unit 0.
    node(0x02, 0x01, &[0xD0, 0x41, 0x03, 0x0A, 0, 0, 0, 0]);
    // PCI: function, device.
    node(0x01, 0x01, &[0, slot]);
    // MAC address in a field of 32 bytes, and its interface type, Ethernet.
    let mut card = [0; 33];
    card[..6].copy_from_slice(&mac.0);
    card[32] = 1;
    node(0x03, 0x0B, &card);
    // IPv4: everything unknown, not static.
    node(0x03, 0x0C, &[0; 23]);
    // URI: empty.
    node(0x03, 0x18, &[]);
    // The end of the whole path.
    node(0x7F, 0xFF, &[]);
    path
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store as OVMF's template has it: headers, then nothing.
    fn blank() -> Vec<u8> {
        let mut store = vec![0; FIRST];
        store[72..88].copy_from_slice(&AUTHENTICATED);
        store.resize(4_096, 0xFF);
        store
    }

    #[test]
    fn variables_lie_where_the_firmware_looks_for_the_next() {
        let mut store = blank();
        put_http_boot_first(&mut store, 0x10, Mac([2, 0, 0, 0, 0, 1])).unwrap();
        let mut at = FIRST;
        let mut names = Vec::new();
        while store[at..at + 2] == [0xAA, 0x55] {
            let word =
                |place: usize| u32::from_le_bytes(store[place..place + 4].try_into().unwrap());
            let (name, data) = (word(at + 36) as usize, word(at + 40) as usize);
            let units = store[at + 60..at + 60 + name]
                .chunks(2)
                .map(|unit| u16::from(unit[0]));
            names.push(String::from_utf16(&units.collect::<Vec<_>>()).unwrap());
            at = (at + 60 + name + data).next_multiple_of(4);
        }
        assert_eq!(names, ["Boot0000\0", "BootOrder\0"]);
        assert!(store[at..].iter().all(|byte| *byte == 0xFF));
    }

    #[test]
    fn only_an_empty_store_of_the_right_kind_is_written() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let mut store = blank();
        put_http_boot_first(&mut store, 0x10, mac).unwrap();
        assert!(
            put_http_boot_first(&mut store, 0x10, mac).is_err(),
            "not empty any more"
        );
        assert!(
            put_http_boot_first(&mut vec![0; 4_096], 0x10, mac).is_err(),
            "another kind"
        );
        assert!(
            put_http_boot_first(&mut blank()[..200], 0x10, mac).is_err(),
            "too short"
        );
    }
}
