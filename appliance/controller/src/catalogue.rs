//! What start-up does with the asset store, sans-IO: finding configuration
//! and the operator's key, verifying manifests, finding each
//! image's data. [`Survey`] and [`Catalogue`] say which entry of the table or
//! which bytes they need next; the glue reads them from the block device.

use farrier_asset_store::{AssetKind, Entry, NAME_LEN};
use farrier_core::interface::Image;
use farrier_image::manifest::{
    HEADER_LEN, Header, ManifestError, PublicKey, SIGNED_LEN, manifest_root,
};
use heapless::String;
use serde::de::DeserializeOwned;

/// Where an asset lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its first byte on the device.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
}

impl Extent {
    fn of(entry: &Entry) -> Self {
        Extent {
            offset: entry.offset,
            len: entry.len,
        }
    }
}

/// An asset that the appliance does not start without is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetError {
    /// The asset store has no asset of this kind.
    Missing(AssetKind),
    /// The asset of this kind does not decode.
    Damaged(AssetKind),
}

impl core::fmt::Display for AssetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            AssetError::Missing(kind) => write!(
                f,
                "the asset store has no {kind:?}: make a store with `cargo xtask dist`"
            ),
            AssetError::Damaged(kind) => write!(
                f,
                "the asset store's {kind:?} does not decode: make the store again with \
                 `cargo xtask dist`"
            ),
        }
    }
}

impl core::error::Error for AssetError {}

/// The appliance's own assets, found by one pass over the table: the first
/// of each kind counts.
#[derive(Debug, Clone)]
pub struct Survey {
    entries: u32,
    next: u32,
    config: Option<Extent>,
    key: Option<Extent>,
}

impl Survey {
    /// A pass over a table of so many entries.
    #[must_use]
    pub const fn new(entries: u32) -> Self {
        Survey {
            entries,
            next: 0,
            config: None,
            key: None,
        }
    }

    /// The place of the entry that [`entry`](Self::entry) is to be given
    /// next; `None` at the end of the table.
    #[must_use]
    pub fn wants(&self) -> Option<u32> {
        (self.next < self.entries).then_some(self.next)
    }

    /// Takes the entry that [`wants`](Self::wants) has named.
    pub fn entry(&mut self, entry: &Entry) {
        self.next += 1;
        let place = match entry.kind {
            AssetKind::Config => &mut self.config,
            AssetKind::OperatorKey => &mut self.key,
            AssetKind::Public | AssetKind::Manifest | AssetKind::ImageData => return,
        };
        place.get_or_insert(Extent::of(entry));
    }

    /// Where the configuration lies.
    ///
    /// # Errors
    /// [`AssetError::Missing`].
    pub fn config(&self) -> Result<Extent, AssetError> {
        self.config.ok_or(AssetError::Missing(AssetKind::Config))
    }

    /// Where the operator's key lies, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<Extent> {
        self.key
    }
}

/// Decodes an asset of this kind.
///
/// # Errors
/// [`AssetError::Damaged`].
pub fn decode<T: DeserializeOwned>(kind: AssetKind, bytes: &[u8]) -> Result<T, AssetError> {
    postcard::from_bytes(bytes).map_err(|_| AssetError::Damaged(kind))
}

/// Why an image can't be deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageError {
    /// The asset store has no operator's key that could verify it.
    NoKey,
    /// The operator's key is shorter than 32 bytes.
    ShortKey,
    /// The manifest's signature does not hold, or its header is unreadable.
    Manifest(ManifestError),
    /// The asset store has no image data of the manifest's stem.
    NoData,
    /// Its paths are too long.
    LongPath,
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ImageError::NoKey => f.write_str("no operator key in the asset store could verify it"),
            ImageError::ShortKey => f.write_str("the operator key has fewer than 32 bytes"),
            ImageError::Manifest(ManifestError::Signature) => f.write_str(
                "the manifest's signature does not hold: sign it with this operator key",
            ),
            ImageError::Manifest(error) => write!(f, "the manifest is unreadable: {error:?}"),
            ImageError::NoData => f.write_str("the asset store has no data of the same name"),
            ImageError::LongPath => f.write_str("its name is too long for a path"),
        }
    }
}

impl core::error::Error for ImageError {}

/// What a [`Catalogue`] needs or has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// [`Catalogue::entry`] is to be given the table's entry at this place.
    Entry(u32),
    /// [`Catalogue::bytes`] is to be given what lies here. At most
    /// [`MOST_BYTES`].
    Bytes(Extent),
    /// An image that can be deployed: [`farrier_core::Input::Image`].
    Image(&'a Image),
    /// The manifest of this name describes no image that can be deployed;
    /// others still can.
    Refused(&'a str, ImageError),
    /// There are no more.
    Done,
}

/// Most bytes that are asked for at once.
pub const MOST_BYTES: usize = SIGNED_LEN;

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Reads the operator's key.
    Key(Extent),
    /// Looks for the next manifest.
    Manifests,
    /// Reads the one that was found.
    Header(Extent),
    /// Looks for its data at this place.
    Data(u32),
    /// Has found both, or not.
    Found(Result<(), ImageError>),
}

/// The images of the asset store: every manifest verified and matched with
/// its data.
#[derive(Debug, Clone)]
pub struct Catalogue {
    entries: u32,
    /// The place of the table behind the last manifest.
    next: u32,
    key: Result<PublicKey, ImageError>,
    stage: Stage,
    /// Name of the last manifest.
    manifest: String<NAME_LEN>,
    /// What is known of its image.
    image: Image,
}

impl Catalogue {
    /// The images in a table of so many entries, by the operator's key.
    #[must_use]
    pub fn new(entries: u32, key: Option<Extent>) -> Self {
        Catalogue {
            entries,
            next: 0,
            key: Err(ImageError::NoKey),
            stage: key.map_or(Stage::Manifests, Stage::Key),
            manifest: String::new(),
            image: Image {
                name: String::new(),
                version: 0,
                raw_size: 0,
                root: [0; 32],
                manifest_path: String::new(),
                data_path: String::new(),
            },
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Need<'_> {
        match self.stage {
            Stage::Key(Extent { offset, len }) => Need::Bytes(Extent {
                offset,
                len: len.min(32),
            }),
            Stage::Manifests if self.next < self.entries => Need::Entry(self.next),
            Stage::Manifests => Need::Done,
            Stage::Header(Extent { offset, len }) => Need::Bytes(Extent {
                offset,
                len: len.min(SIGNED_LEN as u64),
            }),
            Stage::Data(place) => Need::Entry(place),
            Stage::Found(found) => {
                self.stage = Stage::Manifests;
                match found {
                    Ok(()) => Need::Image(&self.image),
                    Err(why) => Need::Refused(&self.manifest, why),
                }
            }
        }
    }

    /// Takes the entry that [`Need::Entry`] has named.
    pub fn entry(&mut self, entry: &Entry) {
        match self.stage {
            Stage::Manifests => {
                self.next += 1;
                if entry.kind == AssetKind::Manifest {
                    // As long as any name.
                    self.manifest = String::try_from(entry.name()).unwrap_or_default();
                    self.stage = match self.key {
                        Ok(_) => Stage::Header(Extent::of(entry)),
                        Err(why) => Stage::Found(Err(why)),
                    };
                }
            }
            Stage::Data(_)
                if entry.kind == AssetKind::ImageData
                    && stem(entry.name()) == stem(&self.manifest) =>
            {
                self.stage = Stage::Found(self.paths(entry.name()));
            }
            Stage::Data(place) if place + 1 < self.entries => self.stage = Stage::Data(place + 1),
            Stage::Data(_) => self.stage = Stage::Found(Err(ImageError::NoData)),
            Stage::Key(_) | Stage::Header(_) | Stage::Found(_) => {}
        }
    }

    /// Takes the bytes that [`Need::Bytes`] has named.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match self.stage {
            Stage::Key(_) => {
                self.key = bytes
                    .first_chunk()
                    .map(|key| PublicKey(*key))
                    .ok_or(ImageError::ShortKey);
                self.stage = Stage::Manifests;
            }
            Stage::Header(_) => {
                let verified = self
                    .key
                    .and_then(|key| self.verify(&key, bytes).map_err(ImageError::Manifest));
                self.stage = match verified {
                    Ok(()) => Stage::Data(0),
                    Err(why) => Stage::Found(Err(why)),
                };
            }
            Stage::Manifests | Stage::Data(_) | Stage::Found(_) => {}
        }
    }

    /// Reads a manifest whose signature holds. Apart, so that the stack
    /// which the verification takes is free again afterwards.
    #[inline(never)]
    fn verify(&mut self, key: &PublicKey, manifest: &[u8]) -> Result<(), ManifestError> {
        let header = Header::verify(key, None, manifest)?;
        let signed = manifest.get(..HEADER_LEN).ok_or(ManifestError::TooShort)?;
        self.image.name = header.name;
        self.image.version = header.version;
        self.image.raw_size = header.raw_size;
        self.image.root = manifest_root(signed);
        Ok(())
    }

    fn paths(&mut self, data: &str) -> Result<(), ImageError> {
        self.image.manifest_path = path(&self.manifest)?;
        self.image.data_path = path(data)?;
        Ok(())
    }
}

/// A name without what follows its last dot.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn path<const P: usize>(name: &str) -> Result<String<P>, ImageError> {
    let mut path = String::new();
    path.push('/')
        .and_then(|()| path.push_str(name))
        .map_err(|_| ImageError::LongPath)?;
    Ok(path)
}

#[cfg(test)]
mod tests;
