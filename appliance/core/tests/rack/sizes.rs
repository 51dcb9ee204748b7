//! What an entry of the rack's tables costs in memory: printed, and bounded. On
//! the microcontroller, words are half as long as here, and every byte of a
//! node counts as often as `board.toml` has nodes. How many entries there are
//! is the board's choice.

use farrier_core::allocation::Flavor;
use farrier_core::ipam::Entry;
use farrier_core::node::{Boot, HistoryEntry, Node, Timeline};

#[test]
fn entries_stay_small() {
    for (name, size, bound) in [
        ("Node", size_of::<Node>(), 968),
        ("Boot", size_of::<Boot>(), 272),
        ("Timeline", size_of::<Timeline>(), 40),
        ("HistoryEntry", size_of::<HistoryEntry>(), 40),
        ("Entry", size_of::<Entry>(), 24),
        ("Flavor", size_of::<Flavor>(), 24),
    ] {
        println!("{name}: {size} bytes");
        assert!(size <= bound, "{name} has grown to {size} bytes");
    }
}
