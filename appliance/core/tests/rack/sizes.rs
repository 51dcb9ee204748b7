//! What the rack costs in memory: printed, and bounded. On the
//! microcontroller, words are half as long as here, and every byte of a node
//! counts 48 times.

use farrier_core::allocation::Flavor;
use farrier_core::ipam::Ipam;
use farrier_core::node::{Boot, Node, Timeline};
use farrier_core::strings::StringPool;
use farrier_core::{Effects, Rack};

#[test]
fn the_rack_stays_small() {
    for (name, size, bound) in [
        ("Node", size_of::<Node>(), 968),
        ("Boot", size_of::<Boot>(), 272),
        ("Timeline", size_of::<Timeline>(), 40),
        ("StringPool", size_of::<StringPool>(), 4104),
        ("Ipam", size_of::<Ipam>(), 1088),
        ("Flavor", size_of::<Flavor>(), 24),
        ("Effects", size_of::<Effects>(), 3584),
        ("Rack", size_of::<Rack<48, 96, 96>>(), 80_000),
    ] {
        println!("{name}: {size} bytes");
        assert!(size <= bound, "{name} has grown to {size} bytes");
    }
}
