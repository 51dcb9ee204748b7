use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::string::{String, ToString};

/// Fills what is free, except for so many bytes, with reasons of owners
/// from `owner` on.
pub(crate) fn fill(texts: &mut StringPool, mut owner: usize, leave: usize) {
    let text = "x".repeat(TEXT_MAX);
    while texts.free() > leave {
        let rest = texts.free() - leave;
        // What is left after this one has to be room for one more.
        let cost = match rest {
            rest if rest <= StringPool::cost(TEXT_MAX) => rest,
            rest => StringPool::cost(TEXT_MAX).min(rest - StringPool::cost(1)),
        };
        let text = &text[..cost - StringPool::cost(0)];
        texts.set(owner, Kind::MaintenanceReason, text).unwrap();
        owner += 1;
    }
    assert_eq!(texts.free(), leave);
}

#[test]
fn a_text_has_a_longest_length() {
    let mut texts = StringPool::new();
    let text = "y".repeat(TEXT_MAX + 1);
    assert_eq!(texts.set(1, Kind::DriverInfo, &text), Err(Full));
    assert_eq!(texts.set(1, Kind::DriverInfo, &text[1..]), Ok(()));
    assert_eq!(texts.get(1, Kind::DriverInfo), &text[1..]);
}

#[test]
fn a_full_arena_refuses_and_stays_as_it_is() {
    let kind = Kind::ProtectedReason;
    let mut texts = StringPool::new();
    texts.set(0, Kind::RetiredReason, "first").unwrap();
    texts.set(1, kind, "twelve bytes").unwrap();
    fill(&mut texts, 2, 0);
    for (owner, text) in [(0, "x"), (1, "thirteenbytes")] {
        assert_eq!(texts.set(owner, kind, text), Err(Full));
        assert_eq!(texts.free(), 0);
        assert_eq!(texts.get(1, kind), "twelve bytes");
    }
    // What is not there may be removed all the same.
    assert_eq!(texts.set(0, kind, ""), Ok(()));
    assert_eq!(texts.set(1, kind, "other twelve"), Ok(()));
    assert_eq!(texts.get(1, kind), "other twelve");
    assert_eq!(texts.set(1, kind, "twelve less3"), Ok(()));
    assert_eq!(texts.set(1, kind, "nine left"), Ok(()));
    // Room for a head, and for nothing behind it.
    assert_eq!(texts.free(), 3);
    assert_eq!(texts.set(0, kind, "x"), Err(Full));
    assert_eq!(texts.free(), 3);
    assert_eq!(texts.get(0, Kind::RetiredReason), "first");
}

#[test]
fn pairs_are_replaced_by_key() {
    let mut texts = StringPool::new();
    let kind = Kind::DriverInfo;
    texts.set_pair(3, kind, "a", "1").unwrap();
    texts.set_pair(3, kind, "ab", "2").unwrap();
    texts.set_pair(4, kind, "a", "3").unwrap();
    texts.set_pair(3, kind, "a", "4").unwrap();
    let pairs: std::vec::Vec<_> = texts.pairs(3, kind).collect();
    assert_eq!(pairs, [("ab", "2"), ("a", "4")]);
    texts.set_pair(3, kind, "ab", "").unwrap();
    assert_eq!(texts.pairs(3, kind).count(), 1);
    texts.forget(3);
    assert_eq!(texts.pairs(3, kind).count(), 0);
    assert_eq!(texts.pairs(4, kind).next(), Some(("a", "3")));
}

#[test]
fn numbers_of_kinds_do_not_meet() {
    let mut all: std::vec::Vec<u8> = (0..32)
        .flat_map(|n| [Kind::Trait(n), Kind::Flavor(n), Kind::Network(n)])
        .chain([
            Kind::MaintenanceReason,
            Kind::ProtectedReason,
            Kind::RetiredReason,
            Kind::DriverInfo,
            Kind::AllocationName,
            Kind::AllocationClass,
        ])
        .map(Kind::number)
        .collect();
    // They stand in records: if this fails, do not change the test.
    let some = [
        (Kind::Trait(0), 64),
        (Kind::Trait(31), 95),
        (Kind::Flavor(3), 131),
        (Kind::Network(3), 163),
        (Kind::AllocationClass, 5),
        (Kind::Setting(Setting::IpmiAddress), 16),
        (Kind::Setting(Setting::SnmpDriver), 31),
        (Kind::Former(Setting::IpmiAddress), 32),
        (Kind::Former(Setting::SnmpDriver), 47),
        (Kind::Owner, 6),
        (Kind::Lessee, 7),
    ];
    for (kind, number) in some {
        assert_eq!(kind.number(), number);
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

proptest! {
    /// Against a map: what was accepted is there, whole; what was
    /// refused changed nothing; and a full arena has room again once
    /// something left.
    #[test]
    fn like_a_map(steps in proptest::collection::vec(
        (0usize..8, 0u8..3, 0usize..120, any::<bool>()), 1..300)
    ) {
        let mut texts = StringPool::new();
        let mut map: HashMap<(usize, u8), String> = HashMap::new();
        for (owner, word, len, forget) in steps {
            if forget && len < 10 {
                texts.forget(owner);
                map.retain(|(o, _), _| *o != owner);
                continue;
            }
            let text = "ä".repeat(len / 2);
            let kind = Kind::Trait(word);
            let old = map.get(&(owner, word)).cloned().unwrap_or_default();
            match texts.set(owner, kind, &text) {
                Ok(()) => {
                    map.insert((owner, word), text);
                    let used: usize = map.values().filter(|t| !t.is_empty())
                        .map(|t| StringPool::cost(t.len())).sum();
                    prop_assert_eq!(texts.free(), STRING_POOL_LEN - used);
                }
                Err(Full) => {
                    let used: usize = map.values().filter(|t| !t.is_empty())
                        .map(|t| StringPool::cost(t.len())).sum();
                    prop_assert!(text.len() > TEXT_MAX
                        || used - old.len() + text.len() + 3 > STRING_POOL_LEN);
                }
            }
            for ((owner, word), text) in &map {
                prop_assert_eq!(texts.get(*owner, Kind::Trait(*word)).to_string(), text.clone());
            }
        }
    }
}
