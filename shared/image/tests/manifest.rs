//! Creates, parses and modifies manifests.

mod common;

use common::*;
use farrier_image::{
    Compression, Header, Leaf, LeafKind, ManifestError, PublicKey,
    maker::{MakerError, Options, inspect, make},
    manifest::{HEADER_LEN, LEAF_LEN, SIGNED_LEN},
};
use proptest::{collection::vec, prelude::*};

#[test]
fn image_is_described_and_extracts_equal() {
    let (made, data) = made();
    let inspection = inspect(&made.manifest, Some(&public())).unwrap();
    assert_eq!(inspection.header, made.header);
    assert_eq!(inspection.root, made.root);
    let kinds: Vec<_> = inspection.leaves.iter().map(|leaf| leaf.kind).collect();
    assert_eq!(
        kinds,
        [
            LeafKind::Zstd,
            LeafKind::Hole,
            LeafKind::Raw,
            LeafKind::Zstd
        ]
    );
    assert_eq!(made.holes, 1);
    assert_eq!(made.header.data_len, data.len() as u64);
    assert_eq!(made.header.name, "test");
    let mut raw = Vec::new();
    inspection.extract(&data[..], &mut raw).unwrap();
    assert_eq!(raw, image());
    let shown = inspection.to_string();
    assert!(
        shown.contains("4 of 64 KiB: 2 zstd, 1 raw, 1 holes"),
        "{shown}"
    );
}

#[test]
fn image_does_not_depend_on_threads() {
    let (first, data) = made();
    for threads in 1..5 {
        let options = Options {
            threads: std::num::NonZero::new(threads),
            ..options()
        };
        let (again, same) = made_of(&image(), &options);
        assert_eq!(first.manifest, again.manifest);
        assert_eq!(data, same);
    }
}

#[test]
fn partial_sector_is_padded() {
    let (made, data) = made_of(&noise(CHUNK + 3, 1), &options());
    assert_eq!(made.header.raw_size, CHUNK as u64 + 512);
    let mut raw = Vec::new();
    let inspection = inspect(&made.manifest, None).unwrap();
    inspection.extract(&data[..], &mut raw).unwrap();
    assert_eq!(raw[CHUNK + 3..], [0; 509]);
}

#[test]
fn without_compression_chunks_are_raw() {
    let options = Options {
        level: None,
        ..options()
    };
    let (made, data) = made_of(&image(), &options);
    assert_eq!(made.header.compression, Compression::None);
    assert_eq!(data.len(), 2 * CHUNK + 1024);
}

#[test]
fn invalid_options_and_empty_images_fail() {
    let none = |_| ();
    let empty = make(&[][..], Vec::new(), &options(), &key(), none);
    assert!(matches!(empty, Err(MakerError::Empty)));
    let long = "x".repeat(65);
    for (name, shift) in [
        ("", SHIFT),
        ("x\n", SHIFT),
        (&long, SHIFT),
        ("x", 15),
        ("x", 25),
    ] {
        let options = Options {
            chunk_shift: shift,
            ..Options::new(name, 1)
        };
        assert!(
            make(&[1; 512][..], Vec::new(), &options, &key(), none).is_err(),
            "{name:?} {shift}"
        );
    }
}

#[test]
fn another_key_or_root_fails() {
    let (made, _) = made();
    let verify =
        |key: &PublicKey, root: Option<&[u8; 32]>| Header::verify(key, root, &made.manifest);
    assert!(verify(&public(), None).is_ok());
    assert!(verify(&public(), Some(&made.root)).is_ok());
    assert_eq!(
        verify(&public(), Some(&[0; 32])),
        Err(ManifestError::OtherManifest)
    );
    let other = farrier_image::maker::SecretKey::from_bytes(&[1; 32]).public();
    assert_eq!(verify(&other, None), Err(ManifestError::Signature));
    // A key of small order, which verifies anything without a strict check.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert!(verify(&PublicKey(neutral), None).is_err());
}

#[test]
fn every_flipped_bit_of_the_manifest_fails() {
    let (made, _) = made();
    for bit in 0..made.manifest.len() * 8 {
        let mut forged = made.manifest.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        // Hashes verify the tree, so a test of its bits needs no signature.
        let key = public();
        let key = (bit < SIGNED_LEN * 8).then_some(&key);
        assert!(inspect(&forged, key).is_err(), "bit {bit}");
    }
}

#[test]
fn every_truncated_manifest_fails() {
    let (made, _) = made();
    for len in 0..made.manifest.len() {
        assert!(inspect(&made.manifest[..len], None).is_err(), "{len}");
    }
    let mut longer = made.manifest.clone();
    longer.push(0);
    assert!(inspect(&longer, None).is_err());
}

#[test]
fn modified_chunk_is_not_extracted() {
    let (made, data) = made();
    let inspection = inspect(&made.manifest, None).unwrap();
    for at in [0, data.len() / 2, data.len() - 1] {
        let mut forged = data.clone();
        forged[at] ^= 1;
        let extracted = inspection.extract(&forged[..], Vec::new());
        assert!(matches!(extracted, Err(MakerError::Chunk(_))), "{at}");
    }
}

#[test]
fn leaves_that_contradict_the_header_fail() {
    let (made, _) = made();
    let good = |chunk: u32| {
        let inspection = inspect(&made.manifest, None).unwrap();
        inspection.leaves[chunk as usize]
    };
    let header = &made.header;
    for chunk in 0..4 {
        assert_eq!(
            Leaf::parse(header, chunk, &good(chunk).emit()),
            Ok(good(chunk))
        );
    }
    let (zstd, hole, raw) = (good(0), good(1), good(2));
    // Chunk, offset, wire length, kind.
    let (full, end) = (CHUNK as u32, header.data_len);
    for (chunk, offset, wire_len, kind) in [
        (4, zstd.offset, zstd.wire_len, zstd.kind),
        (0, end, zstd.wire_len, zstd.kind),
        (0, u64::MAX, zstd.wire_len, zstd.kind),
        (0, 0, 0, LeafKind::Zstd),
        (0, 0, full, LeafKind::Zstd),
        (0, 0, zstd.wire_len, LeafKind::Raw),
        (0, 0, zstd.wire_len, LeafKind::Hole),
    ] {
        let leaf = Leaf {
            offset,
            wire_len,
            kind,
            ..zstd
        };
        let parsed = Leaf::parse(header, chunk, &leaf.emit());
        assert_eq!(parsed, Err(ManifestError::Malformed), "{chunk} {leaf:?}");
    }
    let mut two_hashes = raw;
    two_hashes.raw_hash = [0; 32];
    assert!(Leaf::parse(header, 2, &two_hashes.emit()).is_err());
    let mut somewhere = hole;
    somewhere.offset = 1;
    assert!(Leaf::parse(header, 1, &somewhere.emit()).is_err());
    let mut bytes = zstd.emit();
    bytes[15] = 1;
    assert!(Leaf::parse(header, 0, &bytes).is_err());
    bytes[15] = 0;
    bytes[12] = 3;
    assert!(Leaf::parse(header, 0, &bytes).is_err());
    assert!(Leaf::parse(header, 0, &bytes[..LEAF_LEN - 1]).is_err());
}

/// If this fails after a release, do not change the test: released images are signed
/// with these bytes.
#[test]
fn golden_bytes_of_format_1() {
    let options = Options {
        chunk_shift: SHIFT,
        level: None,
        ..Options::new("golden", 0x0102_0304_0506_0708)
    };
    let mut raw = vec![0; CHUNK];
    raw.extend([0xa5; 512]);
    let (made, data) = made_of(&raw, &options);
    assert_eq!(data, [0xa5; 512]);
    let hex: String = made.manifest.iter().map(|b| format!("{b:02x}")).collect();
    let golden = include_str!("golden_manifest_v1.txt").replace('\n', "");
    assert_eq!(hex, golden);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_header_round_trips(
        name in "[a-z0-9.-]{1,64}",
        version in any::<u64>(),
        sectors in 1..(1u64 << 30),
        shift in 16..=24u8,
        zstd in any::<bool>(),
        tree_root in any::<[u8; 32]>(),
    ) {
        let raw_size = sectors * 512;
        let chunks = raw_size.div_ceil(1 << shift);
        prop_assume!(chunks <= 64u64.pow(4));
        let header = Header {
            name: name.as_str().try_into().unwrap(),
            version,
            raw_size,
            chunk_shift: shift,
            chunks: chunks as u32,
            data_len: raw_size / 3,
            compression: if zstd { Compression::Zstd } else { Compression::None },
            tree_root,
        };
        let bytes = header.emit().unwrap();
        prop_assert_eq!(Header::parse(&bytes), Ok(header));
    }

    #[test]
    fn made_up_manifests_are_harmless(mut bytes in vec(any::<u8>(), 0..600), begin in 0..3) {
        let good = made().0.manifest;
        let keep = [0, 12, 48][begin as usize].min(bytes.len());
        bytes[..keep].copy_from_slice(&good[..keep]);
        let _read_or_not = Header::parse(&bytes);
        prop_assert!(Header::verify(&public(), None, &bytes).is_err());
        prop_assert!(inspect(&bytes, Some(&public())).is_err());
        if bytes.len() >= HEADER_LEN {
            let _read_or_not = Leaf::parse(&made().0.header, 0, &bytes[..LEAF_LEN]);
        }
    }
}
