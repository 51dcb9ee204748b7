//! Builds the FAT file system of a config drive in memory. Only pages with
//! content take space.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions, format_volume};

use super::config_drive::{FOLDER, File, LABEL};

/// Size of a page in bytes.
pub const PAGE: usize = 4096;
/// Smallest partition in bytes: every kernel reads FAT of this size.
const MIN_SIZE: u64 = 8 << 20;
/// Largest partition in bytes, the limit of OpenStack.
const MAX_SIZE: u64 = 64 << 20;
/// Partitions are multiples of this many bytes.
const STEP: u64 = 1 << 20;

/// An image whose bytes are zero until they are written.
pub struct SparseImage {
    size: u64,
    position: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl std::fmt::Debug for SparseImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SparseImage")
            .field("size", &self.size)
            .field("pages", &self.pages.len())
            .finish_non_exhaustive()
    }
}

impl SparseImage {
    fn new(size: u64) -> Self {
        Self {
            size,
            position: 0,
            pages: BTreeMap::new(),
        }
    }

    /// Size in bytes, zeroes included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Moves `.` and `..` to the front of every folder. The library puts long
    /// names before them, which file-system checkers reject. Only for an image
    /// without files: the function does not distinguish files from folders.
    fn straighten_folders(&mut self) {
        const ENTRY: usize = 32;
        const LONG_NAME: u8 = 0x0f;
        const DELETED: u8 = 0xe5;
        for page in self.pages.values_mut() {
            // A folder starts at a block.
            for start in (0..PAGE).step_by(512) {
                let head = &mut page[start..start + 4 * ENTRY];
                if head[11] == LONG_NAME
                    && head[ENTRY..].starts_with(b".          ")
                    && head[2 * ENTRY + 11] == LONG_NAME
                    && head[3 * ENTRY..].starts_with(b"..         ")
                {
                    head.copy_within(ENTRY..2 * ENTRY, 0);
                    head.copy_within(3 * ENTRY..4 * ENTRY, ENTRY);
                    head[2 * ENTRY] = DELETED;
                    head[3 * ENTRY] = DELETED;
                }
            }
        }
    }

    /// Returns the bytes between the position and the end of its page or of the
    /// image.
    fn span(&self, wanted: usize) -> (u64, usize, usize) {
        let page = self.position / PAGE as u64;
        let start = (self.position % PAGE as u64) as usize;
        let left = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        (page, start, wanted.min(PAGE - start).min(left))
    }
}

impl Read for SparseImage {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (page, start, count) = self.span(buffer.len());
        match self.pages.get(&page) {
            Some(page) => buffer[..count].copy_from_slice(&page[start..start + count]),
            None => buffer[..count].fill(0),
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for SparseImage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (page, start, count) = self.span(bytes.len());
        if count > 0 && (self.pages.contains_key(&page) || !super::zero::is_zero(&bytes[..count])) {
            self.pages
                .entry(page)
                .or_insert_with(|| Box::new([0; PAGE]))[start..start + count]
                .copy_from_slice(&bytes[..count]);
        }
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SparseImage {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Builds a file system with the label [`LABEL`] and `files` in [`FOLDER`], for a
/// disk with blocks of `block_size` bytes. The image is at its first byte.
///
/// # Errors
/// The files exceed the 64 MiB of a config drive.
pub fn build(files: &[File], block_size: u32) -> io::Result<SparseImage> {
    let content: u64 = files.iter().map(|file| file.content.len() as u64).sum();
    // Room for the tables, the folders and a partial cluster per file.
    let size = (content + content / 16 + STEP)
        .next_multiple_of(STEP)
        .max(MIN_SIZE);
    if size > MAX_SIZE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the config drive is larger than 64 MiB",
        ));
    }
    let mut label = [b' '; 11];
    label[..LABEL.len()].copy_from_slice(LABEL.as_bytes());
    let block = u16::try_from(block_size).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut image = SparseImage::new(size);
    format_volume(
        &mut image,
        FormatVolumeOptions::new()
            .bytes_per_sector(block)
            .volume_label(label)
            // "conf". A constant, so that equal files give equal bytes.
            .volume_id(0x636f_6e66),
    )?;
    {
        image.rewind()?;
        let file_system = FileSystem::new(&mut image, FsOptions::new())?;
        let mut folder = file_system.root_dir();
        for part in FOLDER.split('/') {
            folder = folder.create_dir(part)?;
        }
        drop(folder);
        file_system.unmount()?;
    }
    image.straighten_folders();
    {
        image.rewind()?;
        let file_system = FileSystem::new(&mut image, FsOptions::new())?;
        let folder = file_system.root_dir().open_dir(FOLDER)?;
        for file in files {
            folder.create_file(file.name)?.write_all(&file.content)?;
        }
        drop(folder);
        file_system.unmount()?;
    }
    image.rewind()?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &'static str, length: usize) -> File {
        File {
            name,
            content: (0..length).map(|i| (i % 251) as u8).collect(),
        }
    }

    #[test]
    fn files_are_found_by_name() {
        for block in [512, 4096] {
            let files = [
                file("meta_data.json", 100),
                file("user_data", 300_000),
                file("network_data.json", 0),
            ];
            let mut image = build(&files, block).unwrap();
            assert_eq!(image.size() % STEP, 0);
            let file_system = FileSystem::new(&mut image, FsOptions::new()).unwrap();
            assert_eq!(file_system.volume_label(), LABEL);
            assert_eq!(
                file_system
                    .read_volume_label_from_root_dir()
                    .unwrap()
                    .as_deref(),
                Some(LABEL)
            );
            for file in &files {
                let mut content = Vec::new();
                file_system
                    .root_dir()
                    .open_file(&format!("{FOLDER}/{}", file.name))
                    .unwrap()
                    .read_to_end(&mut content)
                    .unwrap();
                assert_eq!(content, file.content, "{}", file.name);
            }
        }
    }

    #[test]
    fn folders_begin_with_dot_and_dot_dot() {
        let mut image = build(&[file("user_data", 10)], 512).unwrap();
        let mut bytes = Vec::new();
        image.read_to_end(&mut bytes).unwrap();
        let folders = bytes
            .chunks(512)
            .filter(|block| block.starts_with(b".          "))
            .inspect(|block| assert!(block[32..].starts_with(b"..         ")))
            .count();
        assert_eq!(folders, FOLDER.split('/').count());
    }

    #[test]
    fn image_takes_memory_for_content_only() {
        let image = build(&[file("user_data", 10_000)], 512).unwrap();
        assert!(image.pages.len() < 40, "{}", image.pages.len());
    }

    #[test]
    fn files_above_64_mib_fail() {
        assert!(build(&[file("user_data", 64 << 20)], 512).is_err());
        build(&[file("user_data", 50 << 20)], 512).unwrap();
    }
}
