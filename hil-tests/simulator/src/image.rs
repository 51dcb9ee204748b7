//! The image that simulated racks deploy: small, but cut, compressed, hashed
//! and signed as any other. Made once for all racks of a process.

use std::sync::OnceLock;

use farrier_core::interface::Image;
use farrier_core::rack::Entropy;
use farrier_image::maker::{Options, SecretKey, make};
use farrier_image::manifest::PublicKey;
use farrier_testkit::machine::text;

/// The image's name.
pub const NAME: &str = "debian12";
/// Path of the manifest, as orders name it.
pub const MANIFEST: &str = "/images/debian12/manifest";
/// Path of the data.
pub const DATA: &str = "/images/debian12/data";

/// An image, as it is served and as it lies on a disk.
#[derive(Debug)]
pub struct Catalogue {
    /// The entry of the asset store.
    pub entry: Image,
    /// The operator's public key, which agents are built with.
    pub key: PublicKey,
    /// Bytes of the manifest file.
    pub manifest: Vec<u8>,
    /// Bytes of the data file.
    pub data: Vec<u8>,
    /// Bytes on the disk.
    pub raw: Vec<u8>,
}

/// A boot sector with a partition, text that compresses, a hole, and noise.
fn raw() -> Vec<u8> {
    let mut raw = vec![0; 2 * 65536 + 2048];
    raw[446 + 4] = 0x83;
    raw[446 + 8..446 + 12].copy_from_slice(&128_u32.to_le_bytes());
    raw[446 + 12..446 + 16].copy_from_slice(&256_u32.to_le_bytes());
    raw[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (at, byte) in raw.iter_mut().enumerate().take(65536).skip(512) {
        *byte = b"the tenant's system "[at % 20];
    }
    // The second chunk stays a hole.
    // What follows does not compress, so it is kept as it is.
    farrier_testkit::Random::new(1, 2).fill(&mut raw[2 * 65536..]);
    raw
}

fn build() -> Catalogue {
    let raw = raw();
    let secret = SecretKey::from_bytes(&[42; 32]);
    let options = Options {
        chunk_shift: 16,
        threads: std::num::NonZero::new(1),
        ..Options::new(NAME, 1)
    };
    let mut data = Vec::new();
    let made = make(&raw[..], &mut data, &options, &secret, |_| {})
        .unwrap_or_else(|error| panic!("the image can't be made: {error}"));
    Catalogue {
        entry: Image {
            name: text(NAME),
            version: 1,
            raw_size: made.header.raw_size,
            root: made.root,
            manifest_path: text(MANIFEST),
            data_path: text(DATA),
        },
        key: secret.public(),
        manifest: made.manifest,
        data,
        raw,
    }
}

impl Catalogue {
    /// The asset of that name.
    pub fn asset(&self, name: &str) -> Option<&[u8]> {
        let files = [(MANIFEST, &self.manifest), (DATA, &self.data)];
        let found = files
            .into_iter()
            .find(|(path, _)| path.strip_prefix('/') == Some(name));
        found.map(|(_, bytes)| &bytes[..])
    }

    /// Whether these are the image's bytes: all but the first free entry of
    /// its partition table, where a config drive's partition goes.
    pub fn is_on(&self, bytes: &[u8]) -> bool {
        const FREE: std::ops::Range<usize> = 462..478;
        bytes.len() == self.raw.len()
            && bytes[..FREE.start] == self.raw[..FREE.start]
            && bytes[FREE.end..] == self.raw[FREE.end..]
    }
}

/// The image.
pub fn catalogue() -> &'static Catalogue {
    static MADE: OnceLock<Catalogue> = OnceLock::new();
    MADE.get_or_init(build)
}
