//! The archive that tells the ramdisk which keys to trust: a cpio archive in
//! the "newc" format, as Linux takes it behind a ramdisk. The appliance makes
//! it when it serves it, since nobody else knows its keys.

use super::Text;
use crate::interface::TrustedKeys;
use core::fmt::{self, Write};

/// The kernel reads a ramdisk in whole sectors.
const SECTOR: usize = 512;
const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_444;

/// Writes the archive: `/etc/farrier/appliance.x25519`, `appliance.ed25519`
/// and `operator.ed25519`, 32 bytes each. Returns its length.
pub(super) fn archive(keys: &TrustedKeys, room: &mut [u8]) -> Option<usize> {
    let mut text = Text::new(room);
    write(keys, &mut text).ok()?;
    let end = text.len.next_multiple_of(SECTOR);
    text.room.get_mut(text.len..end)?.fill(0);
    Some(end)
}

fn write(keys: &TrustedKeys, out: &mut Text<'_>) -> fmt::Result {
    let mut inode = 0;
    for (path, mode, content) in [
        ("etc", FOLDER, &[][..]),
        ("etc/farrier", FOLDER, &[]),
        ("etc/farrier/appliance.x25519", FILE, &keys.session),
        ("etc/farrier/appliance.ed25519", FILE, &keys.orders),
        ("etc/farrier/operator.ed25519", FILE, &keys.images),
    ] {
        inode += 1;
        entry(path, mode, inode, content, out)?;
    }
    entry("TRAILER!!!", 0, 0, &[], out)
}

fn entry(path: &str, mode: u32, inode: u32, content: &[u8], out: &mut Text<'_>) -> fmt::Result {
    // Inode, mode, owner, group, links, time, length, major and minor number
    // of the disk and of the device, length of the name with its end,
    // checksum.
    let length = content.len() as u32;
    let name = path.len() as u32 + 1;
    out.write_str("070701")?;
    for field in [inode, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name, 0] {
        write!(out, "{field:08X}")?;
    }
    out.write_str(path)?;
    out.bytes(&[0])?;
    out.align()?;
    out.bytes(content)?;
    out.align()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_one_that_a_kernel_reads() {
        let keys = TrustedKeys {
            session: [b'a'; 32],
            orders: [b'b'; 32],
            images: [b'c'; 32],
        };
        let mut room = [0xff; 1500];
        let length = archive(&keys, &mut room).unwrap();
        assert_eq!(length % SECTOR, 0);
        let text = core::str::from_utf8(&room[..length]).unwrap();
        let at: std::vec::Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(at.len(), 6);
        assert!(at.iter().all(|at| at % 4 == 0));
        let file = &text[at[3]..];
        assert_eq!(&file[14..22], "00008124", "a file that all may read");
        assert_eq!(&file[54..62], "00000020", "of 32 bytes");
        assert_eq!(&file[94..102], "0000001E");
        assert_eq!(&file[110..140], "etc/farrier/appliance.ed25519\0");
        assert_eq!(&file[140..172], "b".repeat(32));
        assert!(text[at[5]..].contains("TRAILER!!!\0"));
        assert_eq!(archive(&keys, &mut room[..1000]), None, "no room");
    }
}
