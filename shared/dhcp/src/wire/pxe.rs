//! Options 60, 77, 93 and 175, which describe a PXE, UEFI HTTP Boot or iPXE client.
//! The module does not choose the boot file.

use super::option::SubOptions;

/// A client system architecture (option 93; IANA "Processor Architecture
/// Types"). Constants name the known numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Arch(pub u16);

impl Arch {
    /// x86 BIOS.
    pub const BIOS: Self = Self(0);
    /// IA32 UEFI.
    pub const IA32_UEFI: Self = Self(6);
    /// x86-64 UEFI.
    pub const X64_UEFI: Self = Self(7);
    /// Registered for EFI byte code, sent by x86-64 UEFI in practice: RFC 4578
    /// swapped the two numbers (erratum 4625).
    pub const X64_UEFI_BC: Self = Self(9);
    /// 32-bit ARM UEFI.
    pub const ARM32_UEFI: Self = Self(10);
    /// 64-bit ARM UEFI.
    pub const ARM64_UEFI: Self = Self(11);
    /// IA32 UEFI, HTTP Boot.
    pub const IA32_HTTP: Self = Self(15);
    /// x86-64 UEFI, HTTP Boot.
    pub const X64_HTTP: Self = Self(16);
    /// 32-bit ARM UEFI, HTTP Boot.
    pub const ARM32_HTTP: Self = Self(18);
    /// 64-bit ARM UEFI, HTTP Boot.
    pub const ARM64_HTTP: Self = Self(19);
    /// x86 BIOS, HTTP boot.
    pub const BIOS_HTTP: Self = Self(20);

    /// Returns the processor and firmware of a matching boot file.
    #[must_use]
    pub const fn platform(self) -> Platform {
        match self {
            Self::BIOS | Self::BIOS_HTTP => Platform::Bios,
            Self::IA32_UEFI | Self::IA32_HTTP => Platform::Ia32,
            Self::X64_UEFI | Self::X64_UEFI_BC | Self::X64_HTTP => Platform::X64,
            Self::ARM32_UEFI | Self::ARM32_HTTP => Platform::Arm32,
            Self::ARM64_UEFI | Self::ARM64_HTTP => Platform::Arm64,
            Self(_) => Platform::Other,
        }
    }

    /// Returns whether the client boots by HTTP. Its boot file is a URL then.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(
            self,
            Self::IA32_HTTP
                | Self::X64_HTTP
                | Self::ARM32_HTTP
                | Self::ARM64_HTTP
                | Self::BIOS_HTTP
        )
    }
}

/// Processor and firmware of a boot file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Platform {
    /// x86 BIOS.
    Bios,
    /// IA32 UEFI.
    Ia32,
    /// x86-64 UEFI.
    X64,
    /// 32-bit ARM UEFI.
    Arm32,
    /// 64-bit ARM UEFI.
    Arm64,
    /// A platform without a boot file in Farrier.
    Other,
}

/// Option 93: architectures in the client's order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArchList<'a>(pub &'a [u8]);

impl<'a> ArchList<'a> {
    /// Iterates over the architectures. Ignores an odd last byte.
    pub fn iter(self) -> impl Iterator<Item = Arch> + use<'a> {
        self.0
            .as_chunks()
            .0
            .iter()
            .map(|pair| Arch(u16::from_be_bytes(*pair)))
    }

    /// Returns the preferred architecture.
    #[must_use]
    pub fn first(self) -> Option<Arch> {
        self.iter().next()
    }
}

/// The UNDI version inside a class identifier, `UNDI:yyyzzz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undi {
    /// `yyy`, 0 to 999.
    pub major: u16,
    /// `zzz`, 0 to 999.
    pub minor: u16,
}

/// The name of the client class in option 60, without what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassName {
    /// A PXE client, iPXE included.
    Pxe,
    /// A UEFI HTTP Boot client.
    Http,
    /// No option 60, or another class.
    Other,
}

impl ClassName {
    /// Reads the name at the beginning of the value of option 60.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let is = |name: &[u8]| {
            value.strip_prefix(name).is_some_and(|rest| {
                // Some ROMs end the class with NUL.
                let rest = rest.strip_prefix(b"\0").unwrap_or(rest);
                rest.first().is_none_or(|byte| *byte == b':')
            })
        };
        if is(b"PXEClient") {
            Self::Pxe
        } else if is(b"HTTPClient") {
            Self::Http
        } else {
            Self::Other
        }
    }
}

/// The client class in option 60.
///
/// The forms are `PXEClient:Arch:xxxxx:UNDI:yyyzzz` (PXE 2.1 §2.2) and
/// `HTTPClient:Arch:xxxxx:UNDI:yyyzzz` (UEFI 2.10 §24.7.3.1). Either can end after
/// its first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientClass {
    /// A PXE client, iPXE included.
    Pxe {
        /// Architecture, if present.
        arch: Option<Arch>,
        /// UNDI version, if present.
        undi: Option<Undi>,
    },
    /// A UEFI HTTP Boot client.
    Http {
        /// Architecture, if present.
        arch: Option<Arch>,
    },
    /// No option 60, or another class.
    Other,
}

impl ClientClass {
    /// Parses the value of option 60.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let mut words = value.split(|b| *b == b':');
        let _name = words.next();
        let mut arch = None;
        let mut undi = None;
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            match key {
                b"Arch" => arch = decimal(value).and_then(|n| u16::try_from(n).ok()).map(Arch),
                b"UNDI" => {
                    undi = value.split_at_checked(3).and_then(|(major, minor)| {
                        let minor = minor.strip_suffix(b"\0").unwrap_or(minor);
                        Some(Undi {
                            major: u16::try_from(decimal(major)?).ok()?,
                            minor: u16::try_from(decimal(minor)?).ok().filter(|n| *n < 1000)?,
                        })
                    });
                }
                _ => {}
            }
        }
        match ClassName::parse(value) {
            ClassName::Pxe => Self::Pxe { arch, undi },
            ClassName::Http => Self::Http { arch },
            ClassName::Other => Self::Other,
        }
    }

    /// Returns the architecture, if the class has one.
    #[must_use]
    pub const fn arch(self) -> Option<Arch> {
        match self {
            Self::Pxe { arch, .. } | Self::Http { arch } => arch,
            Self::Other => None,
        }
    }
}

/// Parses a decimal number of at most 9 digits, which can't overflow.
fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + u32::from(digit - b'0'))
    })
}

/// Returns whether option 77 is that of iPXE: the raw string that iPXE sends, or an
/// entry of RFC 3004's list.
#[must_use]
pub fn is_ipxe_user_class(value: &[u8]) -> bool {
    const NAME: &[u8] = b"iPXE";
    if value == NAME {
        return true;
    }
    let mut rest = value;
    while let [len, tail @ ..] = rest {
        let Some((entry, tail)) = tail.split_at_checked(usize::from(*len)) else {
            return false;
        };
        if entry == NAME {
            return true;
        }
        rest = tail;
    }
    false
}

/// Code of the first and last feature sub-option of option 175.
const FEATURE_CODES: core::ops::RangeInclusive<u8> = 0x10..=0x2f;

/// Returns the bit of a feature sub-option.
const fn feature(code: u8) -> u32 {
    1 << (code - 0x10)
}

bitflags::bitflags! {
    /// The features of an iPXE build (iPXE `src/include/ipxe/features.h`). Features
    /// without a constant keep their bit.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct IpxeFeatures: u32 {
        /// PXE API extensions.
        const PXE_EXT = feature(0x10);
        /// iSCSI.
        const ISCSI = feature(0x11);
        /// ATA over Ethernet.
        const AOE = feature(0x12);
        /// HTTP.
        const HTTP = feature(0x13);
        /// HTTPS.
        const HTTPS = feature(0x14);
        /// TFTP.
        const TFTP = feature(0x15);
        /// FTP.
        const FTP = feature(0x16);
        /// Name resolution.
        const DNS = feature(0x17);
        /// Linux kernel images.
        const BZIMAGE = feature(0x18);
        /// Multiboot images.
        const MULTIBOOT = feature(0x19);
        /// PXE boot images.
        const PXE = feature(0x21);
        /// ELF images.
        const ELF = feature(0x22);
        /// COMBOOT images.
        const COMBOOT = feature(0x23);
        /// UEFI images.
        const EFI = feature(0x24);
        /// Fibre Channel over Ethernet.
        const FCOE = feature(0x25);
        /// VLANs.
        const VLAN = feature(0x26);
        /// Menus.
        const MENU = feature(0x27);
        /// NFS.
        const NFS = feature(0x29);
    }
}

/// The contents of option 175 (iPXE `src/include/ipxe/dhcp.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpxeOptions {
    /// The features. A feature sub-option has its version; version 0 counts as
    /// absent.
    pub features: IpxeFeatures,
    /// iPXE's version, sub-option 0xeb: major, minor, patch.
    pub version: Option<[u8; 3]>,
    /// The NIC's bus and numbers, sub-option 0xb1: type (1 is PCI), vendor,
    /// device.
    pub bus_id: Option<(u8, u16, u16)>,
}

impl IpxeOptions {
    /// Parses the value of option 175.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let mut options = Self::default();
        for sub in SubOptions::encapsulated(value) {
            match (sub.code, sub.data) {
                (code, [1..=255, ..]) if FEATURE_CODES.contains(&code) => {
                    options.features |= IpxeFeatures::from_bits_retain(feature(code));
                }
                (0xeb, [major, minor, patch]) => options.version = Some([*major, *minor, *patch]),
                (0xb1, [bus, v0, v1, d0, d1]) => {
                    let vendor = u16::from_be_bytes([*v0, *v1]);
                    options.bus_id = Some((*bus, vendor, u16::from_be_bytes([*d0, *d1])));
                }
                _ => {}
            }
        }
        options
    }

    /// Returns whether this build can boot the ramdisk: it supports HTTP and a Linux
    /// kernel or UEFI images. Otherwise Farrier chainloads its own iPXE.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let images = IpxeFeatures::BZIMAGE | IpxeFeatures::EFI;
        self.features.contains(IpxeFeatures::HTTP) && self.features.intersects(images)
    }
}
