//! A writer of cpio archives in the "newc" format, the form of an initramfs
//! (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! It supports folders, regular files and device nodes, owned by root and without
//! times, so that equal content gives equal bytes.

/// Type bits of a file mode, as in `stat`.
const FOLDER: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const REGULAR: u32 = 0o100_000;

/// An archive in construction.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
    /// Folders in the archive, without a leading slash.
    folders: std::collections::BTreeSet<String>,
}

impl Archive {
    /// Creates an empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a folder and its parents. Paths have no leading slash.
    pub fn folder(&mut self, path: &str) {
        if path.is_empty() || self.folders.contains(path) {
            return;
        }
        self.parents_of(path);
        self.folders.insert(path.to_owned());
        self.entry(path, FOLDER | 0o755, (0, 0), &[]);
    }

    /// Adds a file of at most 4 GiB with the permission bits `mode`, and its parent
    /// folders.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.parents_of(path);
        self.entry(path, REGULAR | mode, (0, 0), content);
    }

    /// Adds a character device with its major and minor number.
    pub fn character_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.parents_of(path);
        self.entry(path, CHARACTER_DEVICE | mode, (major, minor), &[]);
    }

    /// Ends the archive. Its length is a multiple of 512 bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.header("TRAILER!!!", 0, (0, 0), 0);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }

    fn parents_of(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        // A longer file does not fit the memory of an initramfs.
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        self.header(path, mode, device, length);
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn header(&mut self, path: &str, mode: u32, device: (u32, u32), length: u32) {
        // The length includes the NUL of the name.
        let name_length = path.len() as u32 + 1;
        let fields = [
            self.inode,
            mode,
            0, // owner
            0, // group
            1, // links
            0, // time
            length,
            0, // major number of the disk that it was on
            0, // minor
            device.0,
            device.1,
            name_length,
            0, // checksum, unused in "newc"
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
    }

    /// Pads to a multiple of four bytes, where headers and contents start.
    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_as_the_kernel_reads_it() {
        let mut archive = Archive::new();
        archive.file("etc/farrier/key", 0o644, b"abcde");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 512, 0);
        let text = String::from_utf8_lossy(&bytes);
        let entries: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        // Two folders, the file, the trailer; each aligned.
        assert_eq!(entries.len(), 4);
        assert!(entries.iter().all(|at| at % 4 == 0));
        let file = &text[entries[2]..];
        assert_eq!(&file[14..22], "000081A4");
        assert_eq!(&file[54..62], "00000005");
        assert_eq!(&file[94..102], "00000010");
        assert_eq!(&file[110..126], "etc/farrier/key\0");
        // 110 + 16 is rounded up to 128.
        assert_eq!(&file[128..133], "abcde");
    }

    #[test]
    fn a_folder_is_written_once() {
        let mut archive = Archive::new();
        archive.folder("dev");
        archive.character_device("dev/console", 0o600, 5, 1);
        archive.file("dev/note", 0o644, b"");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("dev\0").count(), 1);
        assert_eq!(text.matches("070701").count(), 4);
    }
}
