//! Power cuts: lives of a rack over simulated NOR flash, in which every
//! word that is programmed and every sector that is erased is cut, and what
//! a fresh brain finds afterwards is compared with what was promised.
//!
//! The brain and the journal are the shipping ones; machines, clients,
//! agents and operators speak to them as they do in a rack. What is compared
//! is all that is durable, place by place: after a cut in a step's records
//! the rack is what it was before the step or what it is after it, and
//! nothing in between; after any other cut it is what it is. Besides, a
//! ledger of what outsiders were told - leases, used tickets - is checked by
//! asking again.
//!
//! | module | what |
//! |---|---|
//! | [`life`] | what happens in a rack |
//! | [`judge`] | cuts and comparisons |
//! | [`store`] | the journal, and stores that are broken on purpose |
//! | [`agent`] | deploy agents |
//! | [`random`] | the same life for the same seed |

pub mod agent;
pub mod judge;
pub mod life;
pub mod random;
pub mod store;

pub use judge::Tally;
use store::Sound;

/// Lives lives of consecutive seeds until so many cuts were judged. Words
/// are of 4, 8 and 32 bytes in turn.
pub fn run(seed: u64, points: u64, mut progress: impl FnMut(&Tally)) -> Tally {
    /// Steps of one life: enough for the chip to be written many times over.
    const STEPS: u64 = 3000;
    let mut total = Tally::default();
    let mut seed = seed;
    while total.cut_points < points {
        let most = (points - total.cut_points).min(20_000);
        total.add(match seed % 3 {
            0 => life::live::<4, Sound<4>>(seed, most, STEPS),
            1 => life::live::<8, Sound<8>>(seed, most, STEPS),
            _ => life::live::<32, Sound<32>>(seed, most, STEPS),
        });
        progress(&total);
        seed = seed.wrapping_add(1);
    }
    total
}
