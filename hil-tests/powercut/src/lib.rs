//! Power cuts: a rack's workload over simulated NOR flash, in which every
//! word that is programmed and every sector that is erased is cut, and what
//! a fresh rack restores afterwards is compared with what was promised.
//!
//! The controller is the shipping one; machines, clients, agents and
//! operators drive it as they do in a rack. All that is durable is compared,
//! place by place: after a cut in a step's records the rack is what it was
//! before the step or what it is after it, and nothing in between; after any
//! other cut it is what it is. What outsiders were told - leases, used
//! tickets - is checked by asking again.
//!
//! | module | what |
//! |---|---|
//! | [`workload`] | what happens in a rack |
//! | [`checker`] | cuts and comparisons |
//! | [`durable`] | what is compared |
//! | [`promises`] | what outsiders were told, and the figures |
//! | [`store`] | the journal, and stores that are broken on purpose |

pub mod checker;
pub mod durable;
pub mod promises;
pub mod store;
pub mod workload;

use farrier_controller::Controller;
use farrier_core::Rack;
use farrier_testkit::Random;
pub use promises::Tally;
use store::Sound;

/// A rack that is small enough for every path to be taken often.
pub type TestRack = Rack<6, 24, 24>;
/// Its controller, over a store.
pub type TestController<S> = Controller<Box<TestRack>, S, Random>;

/// Runs workloads of consecutive seeds until so many cuts were checked. Words
/// are of 4, 8 and 32 bytes in turn.
pub fn run(seed: u64, points: u64, mut progress: impl FnMut(&Tally)) -> Tally {
    /// Steps of one workload: enough to write the chip many times over.
    const STEPS: u64 = 3000;
    let mut total = Tally::default();
    let mut seed = seed;
    while total.cut_points < points {
        let most = (points - total.cut_points).min(20_000);
        total.add(match seed % 3 {
            0 => workload::run::<4, Sound<4>>(seed, most, STEPS),
            1 => workload::run::<8, Sound<8>>(seed, most, STEPS),
            _ => workload::run::<32, Sound<32>>(seed, most, STEPS),
        });
        progress(&total);
        seed = seed.wrapping_add(1);
    }
    total
}
