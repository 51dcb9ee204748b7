//! What the tests of the rack share: core's tests, the power cuts, the DHCP
//! bench and the simulator.
//!
//! | module | what |
//! |---|---|
//! | [`random`] | the one random source: everything follows from a seed |
//! | [`agent`] | the one scripted agent: the real protocol, and a behaviour |
//! | [`machine`] | the hardware that it reports, and the DHCP messages of its boot ROM |
//! | [`outcome`] | effects of a step as owned values |
//! | [`lab`] | a rack whose records, snapshot and sweeps are compared after every test |

pub mod agent;
pub mod lab;
pub mod machine;
pub mod outcome;
pub mod random;

pub use random::Random;

use farrier_core::Identity;

/// The appliance's keys in every test. They guard nothing.
pub const IDENTITY: Identity = Identity {
    noise: [3; 32],
    signing: [4; 32],
};

/// A binary gigabyte.
pub const GIB: u64 = 1 << 30;
