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
//! | [`sim`] | time, and the queue of events |
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

pub mod agent_model;
pub mod appliance;
pub mod digest;
pub mod disk;
pub mod drive;
pub mod faults;
pub mod image;
pub mod invariants;
pub mod machine;
pub mod run;
pub mod scenario;
pub mod simulation;
pub mod switch;

mod bmc;
mod boot;
mod fault_injection;
mod imaging;
mod network;
mod operator;
mod owners;
mod ramdisk;
mod records;
mod tenant;
