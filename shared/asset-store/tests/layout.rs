//! Tests that a planned store parses equal and that damage fails.

use farrier_asset_store::{
    ALIGN, AssetKind, ENTRY_LEN, Entry, Error, NAME_LEN, SECTOR, SLOT_LEN, Superblock, lay_out,
};
use proptest::prelude::*;

fn entry(name: &str, len: u64) -> Entry {
    Entry::new(name, AssetKind::Public, 0, len, [7; 32]).unwrap()
}

#[test]
fn assets_do_not_overlap_and_are_sorted_by_name() {
    let mut entries = [
        entry("vmlinuz", 8_000_001),
        entry("initrd", 1),
        entry("empty", 0),
    ];
    let superblock = lay_out(&mut entries, 48).unwrap();
    let names: Vec<_> = entries.iter().map(Entry::name).collect();
    assert_eq!(names, ["empty", "initrd", "vmlinuz"]);
    for pair in entries.windows(2) {
        assert!(pair[0].offset + pair[0].len <= pair[1].offset);
        assert_eq!(pair[1].offset % ALIGN, 0);
    }
    let last = entries[2];
    assert!(last.offset + last.len <= superblock.scratch_offset);
    assert_eq!(
        superblock.total_len,
        superblock.scratch_offset + 48 * SLOT_LEN
    );
    assert_eq!(
        superblock.slot_offset(47),
        Some(superblock.scratch_offset + 47 * SLOT_LEN)
    );
    assert_eq!(superblock.slot_offset(48), None);
}

#[test]
fn duplicate_names_fail() {
    let mut entries = [entry("a", 1), entry("b", 1), entry("a", 2)];
    assert_eq!(lay_out(&mut entries, 0), Err(Error::Entries));
}

#[test]
fn invalid_names_fail() {
    for bad in ["", "with blank", "ümlaut", &"x".repeat(NAME_LEN + 1)] {
        assert_eq!(
            Entry::new(bad, AssetKind::Public, 0, 0, [0; 32]),
            Err(Error::Name),
            "{bad:?}"
        );
    }
}

#[test]
fn private_kinds_are_not_served() {
    assert!(
        AssetKind::Public.is_served()
            && AssetKind::Manifest.is_served()
            && AssetKind::ImageData.is_served()
    );
    assert!(!AssetKind::OperatorKey.is_served() && !AssetKind::Config.is_served());
}

proptest! {
    #[test]
    fn entry_parses_equal(name in "[!-~]{1,63}", sector in 0u64..1 << 40, len: u32, hash: [u8; 32]) {
        let e = Entry::new(&name, AssetKind::Manifest, sector * SECTOR as u64, u64::from(len), hash).unwrap();
        prop_assert_eq!(Entry::parse(&e.emit()), Ok(e));
        prop_assert_eq!(e.name(), name);
    }

    #[test]
    fn superblock_parses_equal_and_any_flipped_bit_fails(
        entries in 0u32..8, slots in 0u32..64, table_hash: [u8; 32], bit in 0usize..SECTOR * 8,
    ) {
        let s = Superblock {
            total_len: 1 << 40, table_offset: 512, entries, table_hash,
            scratch_offset: 1 << 30, slots,
        };
        let mut sector = s.emit();
        prop_assert_eq!(Superblock::parse(&sector), Ok(s));
        sector[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Superblock::parse(&sector).is_err());
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(sector in proptest::collection::vec(any::<u8>(), SECTOR), bytes in proptest::collection::vec(any::<u8>(), ENTRY_LEN)) {
        let mut s = [0; SECTOR];
        s.copy_from_slice(&sector);
        prop_assert!(Superblock::parse(&s).is_err());
        let mut e = [0; ENTRY_LEN];
        e.copy_from_slice(&bytes);
        let _parsed = Entry::parse(&e);
    }
}
