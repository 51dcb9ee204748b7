//! A rack in virtual time, with fault injection.
//!
//! The controller is the shipping one, and so are the agents' client, DHCP
//! client, erase ladder, image stream and partition table, the boot messages'
//! code, and all cryptography. Simulated are servers (firmware, ROM, disks),
//! BMCs, the switch, the network, and operators. Everything follows from a
//! seed: a run is repeated bit by bit from it, and a digest over all events
//! proves that.
//!
//! | module | what |
//! |---|---|
//! | [`simulation`] | time, and the queue of events |
//! | `dispatch` | what happens at each event |
//! | `network` | what becomes of datagrams on their way |
//! | [`switch`] | the ports of a rack with one network, and where addresses were seen |
//! | [`managed`] | switches whose ports the appliance moves, and the VLANs that machines are on |
//! | `bmc` | the power drivers |
//! | `boot`, `ramdisk` | what servers do until a system runs, and then |
//! | [`agent_model`], `imaging` | the shipping engines of an agent in virtual time |
//! | [`machine`], [`disk`] | a server, and disks that take no memory |
//! | [`image`], [`drive`] | what is deployed, and the config drives that come with it |
//! | [`appliance`], `records` | the controller over its journal, and what is compared over a restart |
//! | `operator`, `tenant` | commands |
//! | [`faults`], `fault_injection` | the kinds of faults with their counts, and those at random times |
//! | [`invariants`] | what must hold after every step |
//! | [`scenario`] | faults of the field, each with an end that is known |
//! | [`digest`] | the proof of a replay |
//! | [`events`] | what counts as an event |
//! | [`run`], [`report`] | many seeds, shrinking, the report |

pub mod agent_model;
pub mod appliance;
pub mod digest;
pub mod disk;
pub mod drive;
pub mod events;
pub mod faults;
pub mod hostile;
pub mod image;
pub mod invariants;
pub mod machine;
pub mod managed;
pub mod report;
pub mod run;
pub mod scenario;
pub mod simulation;
pub mod switch;

mod bmc;
mod boot;
mod dispatch;
mod fault_injection;
mod imaging;
mod network;
mod operator;
mod ramdisk;
mod records;
mod tenant;
