//! Rules and formats without I/O: module load order, hardware inventory, erase
//! ladder, partition tables, config drives. The modules use no clock, files or
//! sockets, so that tests and the simulator run the same code as a server.

pub mod cmdline;
pub mod config_drive;
pub mod devices;
pub mod erase;
pub mod fat;
pub mod gzip_base64;
pub mod inventory;
pub mod lldp;
pub mod modules;
pub mod partitions;
pub mod reported;
pub mod settle;
pub mod smbios;
pub mod zero;
