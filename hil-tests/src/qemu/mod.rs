//! The machines of the rack, in QEMU: blank x86-64 [`Server`]s, and the
//! [`Appliance`] on its board or as a host process.
//!
//! A machine that is off is a machine without a process. A reboot by the
//! guest stays in its process; a power-off by the guest ends it. The rig
//! presses the buttons.

mod appliance;
mod arguments;
mod debugger;
mod defmt;
mod events;
mod qmp;
mod server;
mod spec;
mod uefi_variables;

pub use appliance::{Appliance, ApplianceSpec};
pub use debugger::Debugger;
pub use events::{Event, EventLog};
pub use server::Server;
pub use spec::{
    Boot, DiskBus, DiskSpec, Firmware, Identity, NicModel, NicSpec, Peculiarity, ServerSpec,
};
