use super::super::parts::front;
use super::*;
use std::boxed::Box;

#[test]
fn a_texts_front_ends_between_characters() {
    for (text, most, expected) in [
        ("abc", 2, "ab"),
        ("abc", 9, "abc"),
        ("aä", 2, "a"),
        ("aä", 3, "aä"),
        ("€uro", 2, ""),
    ] {
        assert_eq!(front(text, most), expected, "{text} {most}");
    }
}

#[test]
fn other_arrangements_of_places_are_told_apart() {
    fn layout<const N: usize, const L: usize>(change: impl Fn(&mut crate::Config)) -> u16 {
        let mut rack = Box::new(Rack::<N, L, 4>::new());
        rack.config = crate::Config::default();
        change(&mut rack.config);
        rack.layout()
    }
    let all = [
        layout::<2, 4>(|_| {}),
        layout::<3, 4>(|_| {}),
        layout::<2, 5>(|_| {}),
        layout::<2, 4>(|config| config.pool_len = 7),
        layout::<2, 4>(|config| config.pool_first = [172, 22, 0, 21].into()),
        layout::<2, 4>(|config| config.pool_first = [10, 0, 0, 21].into()),
    ];
    // They are in journals: a sweep that was begun goes on after an update.
    assert_eq!(all[0], layout::<2, 4>(|_| {}));
    for (place, layout) in all.iter().enumerate() {
        assert!(!all[..place].contains(layout), "{place}");
    }
}
