//! A rack in virtual time, to find out what the brain does on its worst
//! days.
//!
//! The brain is the shipping one, and so are the agents' conversation, DHCP
//! client, erase ladder, image stream and partition table, the boot
//! messages' code, and all cryptography. Simulated are servers (firmware,
//! ROM, disks), BMCs, the switch, the network, and operators.
//! Everything follows from a seed: a run is repeated bit by bit from it, and
//! a digest over all events proves that.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | time, and the queue of events |
//! | `network` | what becomes of datagrams on their way |
//! | [`switch`] | the ports, their networks, and who was seen where |
//! | `bmc` | whoever switches machines on and off for the brain |
//! | `boot`, `ramdisk` | what servers do until a system runs, and then |
//! | [`hands`], `imaging` | an agent's hands: the shipping engines in virtual time |
//! | [`machine`], [`disk`] | a server, and disks that take no memory |
//! | [`image`], [`drive`] | what is deployed, and what operators hand over with it |
//! | [`appliance`] | the brain |
//! | `operator`, `tenant`, `trouble` | people, what they want, and what goes wrong by itself |
//! | [`faults`] | all kinds of faults, with their counts |
//! | [`watch`], `owners` | what must never be |
//! | [`scenario`] | field faults, each told as a story |
//! | [`run`] | many seeds, shrinking, the report |

pub mod appliance;
pub mod disk;
pub mod drive;
pub mod faults;
pub mod hands;
pub mod image;
pub mod machine;
pub mod random;
pub mod run;
pub mod scenario;
pub mod switch;
pub mod watch;
pub mod world;

mod bmc;
mod boot;
mod imaging;
mod network;
mod operator;
mod owners;
mod ramdisk;
mod tenant;
mod trouble;
