use super::*;
use farrier_image::maker::{Options, SecretKey, make};
use std::string::{String, ToString};
use std::vec::Vec;

/// An asset store in memory: every asset at a multiple of 4 KiB.
#[derive(Default)]
struct Assets(Vec<(String, AssetKind, Vec<u8>)>);

impl Assets {
    fn with(mut self, name: &str, kind: AssetKind, bytes: &[u8]) -> Self {
        self.0.push((name.to_string(), kind, bytes.to_vec()));
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
        self
    }

    fn key(self, key: &SecretKey) -> Self {
        self.with("key", AssetKind::OperatorKey, &key.public().0)
    }

    fn image(self, name: &str, version: u64, key: &SecretKey) -> Self {
        let mut options = Options::new(name, version);
        options.level = None;
        let mut data = Vec::new();
        let made = make(&[1; 512][..], &mut data, &options, key, |_| {}).unwrap();
        let manifest = std::format!("images/{name}.manifest");
        self.with(&manifest, AssetKind::Manifest, &made.manifest)
            .with(
                &std::format!("images/{name}.data"),
                AssetKind::ImageData,
                &data,
            )
    }

    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn entry(&self, place: u32) -> Entry {
        let (name, kind, bytes) = &self.0[place as usize];
        let offset = u64::from(place) * 4096;
        Entry::new(name, *kind, offset, bytes.len() as u64, [0; 32]).unwrap()
    }

    fn read(&self, extent: Extent) -> &[u8] {
        let bytes = &self.0[extent.offset as usize / 4096].2;
        &bytes[..extent.len as usize]
    }

    fn survey(&self) -> Survey {
        let mut survey = Survey::new(self.len());
        while let Some(place) = survey.wants() {
            survey.entry(&self.entry(place));
        }
        survey
    }

    /// Images, and names that were refused with the reasons.
    fn images(&self) -> (Vec<Image>, Vec<(String, ImageError)>) {
        let (mut images, mut refused) = (Vec::new(), Vec::new());
        let mut catalogue = Catalogue::new(self.len(), self.survey().key());
        for _ in 0..1000 {
            match catalogue.poll() {
                Need::Entry(place) => catalogue.entry(&self.entry(place)),
                Need::Bytes(extent) => {
                    assert!(extent.len <= MOST_BYTES as u64);
                    catalogue.bytes(self.read(extent));
                }
                Need::Image(image) => images.push(image.clone()),
                Need::Refused(name, why) => refused.push((name.to_string(), why)),
                Need::Done => return (images, refused),
            }
        }
        panic!("the catalogue has no end");
    }
}

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32])
}

#[test]
fn signed_image_with_data_is_found() {
    let (images, refused) = Assets::default()
        .key(&key(1))
        .image("debian12", 3, &key(1))
        .images();
    assert_eq!(refused, []);
    let [image] = &images[..] else {
        panic!("{images:?}");
    };
    assert_eq!((image.name.as_str(), image.version), ("debian12", 3));
    assert_eq!(image.raw_size, 512);
    assert_eq!(image.manifest_path, "/images/debian12.manifest");
    assert_eq!(image.data_path, "/images/debian12.data");
}

#[test]
fn image_of_another_key_is_refused_and_the_others_are_not() {
    let (images, refused) = Assets::default()
        .key(&key(1))
        .image("a", 1, &key(1))
        .image("b", 1, &key(2))
        .image("c", 1, &key(1))
        .images();
    let names: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    let why = ImageError::Manifest(ManifestError::Signature);
    assert_eq!(refused, [("images/b.manifest".to_string(), why)]);
}

#[test]
fn no_image_is_deployed_without_an_operator_key() {
    let assets = Assets::default().image("a", 1, &key(1));
    let (images, refused) = assets.images();
    assert_eq!((images.len(), refused.len()), (0, 1));
    assert_eq!(refused[0].1, ImageError::NoKey);

    let short = assets.with("key", AssetKind::OperatorKey, &[1; 31]);
    assert_eq!(short.images().1[0].1, ImageError::ShortKey);
}

#[test]
fn manifest_without_data_is_refused() {
    let mut assets = Assets::default().key(&key(1)).image("a", 1, &key(1));
    assets
        .0
        .retain(|(_, kind, _)| *kind != AssetKind::ImageData);
    // Data of another stem, and another kind of the same one.
    let assets = assets
        .with("images/a2.data", AssetKind::ImageData, &[1])
        .with("images/a.data", AssetKind::Public, &[1]);
    let (images, refused) = assets.images();
    assert_eq!((images.len(), refused[0].1), (0, ImageError::NoData));
}

#[test]
fn damaged_manifest_is_refused() {
    let mut assets = Assets::default().key(&key(1)).image("a", 1, &key(1));
    for (_, kind, bytes) in &mut assets.0 {
        if *kind == AssetKind::Manifest {
            bytes.truncate(100);
        }
    }
    let why = assets.images().1[0].1;
    assert_eq!(why, ImageError::Manifest(ManifestError::TooShort));
}

#[test]
fn empty_store_has_nothing() {
    let assets = Assets::default();
    assert_eq!(assets.images(), (Vec::new(), Vec::new()));
    let survey = assets.survey();
    assert_eq!(survey.config(), Err(AssetError::Missing(AssetKind::Config)));
    assert_eq!(survey.key(), None);
}

#[test]
fn first_asset_of_a_kind_counts() {
    let survey = Assets::default()
        .with("a", AssetKind::Public, &[0])
        .with("b", AssetKind::Config, &[1, 2])
        .with("c", AssetKind::Config, &[1, 2, 3])
        .survey();
    let (offset, len) = (4096, 2);
    assert_eq!(survey.config(), Ok(Extent { offset, len }));
}

#[test]
fn damaged_configuration_is_named() {
    let decoded = decode::<farrier_core::Config>(AssetKind::Config, &[0xff; 3]);
    assert_eq!(decoded.unwrap_err(), AssetError::Damaged(AssetKind::Config));
}
