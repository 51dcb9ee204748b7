//! What the brain writes down before it has effects.
//!
//! A record is `postcard` of an append-only enum: variants and fields are
//! never reordered. The glue hands it to a store behind a trait and makes
//! it durable before it carries out what follows in the same step.

use crate::allocation::Requirements;
use crate::interface::Effects;
use crate::ipam::Network;
use core::net::Ipv4Addr;
use farrier_protocol::message::{BootId, Mac, NodeId};
use serde::{Deserialize, Serialize};

/// Longest encoded record in bytes.
pub const MAX_RECORD: usize = 128;
/// Bytes of a node's last error that outlive a restart.
pub const ERROR_KEPT: usize = 108;

/// One thing that happened and must not be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// A machine was discovered and became a node.
    Enrolled {
        /// The new node.
        node: NodeId,
        /// The interface that it was seen by.
        mac: Mac,
    },
    /// A node has another name.
    Named {
        /// The node.
        node: NodeId,
        /// Its new name; empty for none.
        name: &'a str,
    },
    /// A node is in another state.
    State {
        /// The node.
        node: NodeId,
        /// The state's number in `farrier_lifecycle::State`.
        state: u8,
        /// Why, in words.
        reason: &'a str,
    },
    /// An address was given out or prolonged.
    Lease {
        /// To whom.
        mac: Mac,
        /// Which.
        address: Ipv4Addr,
        /// For how many seconds.
        seconds: u32,
    },
    /// A node was given the ramdisk: all earlier boots of it are over.
    Boot {
        /// The node.
        node: NodeId,
        /// The new boot.
        boot: BootId,
    },
    /// An order was signed.
    Ordered {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
        /// The order's counter.
        counter: u32,
        /// Hash of the signed order's body.
        digest: [u8; 32],
    },
    /// A signed statement was accepted.
    Stated {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
        /// The statement's counter.
        counter: u32,
        /// Hash of the statement as signed.
        digest: [u8; 32],
    },
    /// What a node's next deployment shall bring.
    Instance {
        /// The node.
        node: NodeId,
        /// The image's name.
        image: &'a str,
    },
    /// A node has other flags.
    Flags {
        /// The node.
        node: NodeId,
        /// All of them: the bits of [`crate::node::flags::Flags`].
        flags: u16,
    },
    /// A text of a node is another one.
    Text {
        /// The node.
        node: NodeId,
        /// Which: the number of [`crate::strings::Kind`].
        kind: u8,
        /// The text; empty for none.
        text: &'a str,
    },
    /// A key of a node's driver info has another value.
    DriverInfo {
        /// The node.
        node: NodeId,
        /// The key.
        key: &'a str,
        /// The value; empty where the key is gone.
        value: &'a str,
    },
    /// A node's work has these steps still to come.
    Steps {
        /// The node.
        node: NodeId,
        /// The bits of [`crate::provisioning::steps::Steps`].
        steps: u32,
    },
    /// A word of the vocabulary has a place.
    Word {
        /// The place.
        place: u8,
        /// The word; empty where the place is free again.
        word: &'a str,
    },
    /// A node is of another kind.
    Kind {
        /// The node.
        node: NodeId,
        /// Its traits, by places in the vocabulary.
        traits: u32,
        /// Its resource class, by its place plus 1.
        class: u8,
    },
    /// A flavor was defined.
    Flavor {
        /// Its place.
        place: u8,
        /// Its name.
        name: &'a str,
        /// What it asks for.
        need: Requirements,
    },
    /// A flavor is gone.
    FlavorGone {
        /// Its place.
        place: u8,
    },
    /// An allocation has a node.
    Allocated {
        /// The node.
        node: NodeId,
        /// The allocation: the node's instance from now on.
        allocation: NodeId,
        /// The traits that were asked for.
        wanted: u32,
        /// The allocation's name; empty for none.
        name: &'a str,
        /// The resource class or flavor that was asked for.
        class: &'a str,
    },
    /// No allocation has the node any more.
    Deallocated {
        /// The node.
        node: NodeId,
    },
    /// An operator has enrolled a node.
    Created {
        /// The node.
        node: NodeId,
        /// Fingerprint of its serial number; 0 where none was told.
        serial: u32,
    },
    /// What tells the machine of a node from others.
    Identity {
        /// The node.
        node: NodeId,
        /// SMBIOS UUID; zero for none.
        uuid: [u8; 16],
        /// Fingerprint of the serial number; 0 for none.
        serial: u32,
    },
    /// A node has these interfaces, and no others.
    Ports {
        /// The node.
        node: NodeId,
        /// Their addresses, one behind the other.
        #[serde(borrow)]
        macs: &'a [u8],
    },
    /// A node is gone.
    Deleted {
        /// The node.
        node: NodeId,
    },
    /// A tenants' network was defined.
    Network {
        /// What it is.
        network: Network,
        /// Its name.
        name: &'a str,
    },
    /// A tenants' network is gone.
    NetworkGone {
        /// Its place.
        place: u8,
    },
    /// An interface has an address of the book. Of older firmware, which had
    /// no slots.
    Address {
        /// The network's place; 0 for the provisioning network.
        network: u8,
        /// The interface.
        mac: Mac,
        /// The address.
        address: Ipv4Addr,
        /// Whether it was named, and not picked out of the pool.
        named: bool,
    },
    /// An interface has no address of the book any more on that network.
    AddressGone {
        /// The network's place.
        network: u8,
        /// The interface.
        mac: Mac,
    },
    /// A tenant is gone, and with it what the node's interfaces were given
    /// out of tenants' pools.
    TenantGone {
        /// The node.
        node: NodeId,
    },
    /// A place of the table of nodes has this node.
    Place {
        /// The place: the node's slot in the asset store.
        place: u16,
        /// The node.
        node: NodeId,
    },
    /// A node's last error is another one.
    Error {
        /// The node.
        node: NodeId,
        /// The error, cut to what fits; empty for none.
        text: &'a str,
    },
    /// A node was given the ramdisk, with a ticket: all earlier boots of it
    /// are over.
    Booted {
        /// The node.
        node: NodeId,
        /// The new boot.
        boot: BootId,
        /// Identity and secret of its ticket.
        ticket: [u8; 32],
    },
    /// The agent of a boot has shown itself.
    Agent {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
        /// Verifies its statements.
        boot_key: [u8; 32],
        /// Tells its handshake from another one.
        digest: [u8; 16],
        /// How the firmware started it: 0 for BIOS, 1 for UEFI.
        mode: u8,
    },
    /// The session of that agent.
    Session {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
        /// The session's name.
        session: u32,
        /// Opens requests.
        requests: [u8; 32],
        /// Seals replies.
        replies: [u8; 32],
    },
    /// How far the present boot has come.
    Work {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
        /// Counter and number of the order that is being carried out.
        order: Option<(u32, u8)>,
        /// Counter of the last order.
        last_order: u32,
        /// Counter of the last statement that was accepted.
        last_statement: u32,
        /// Counter of the last request, at least; 0 for none.
        heard: u64,
        /// Disks that were certified as erased.
        erased: u16,
        /// Boots since the work began.
        attempts: u8,
        /// Bits: inspected, imaged, left, has a ticket, has a session.
        flags: u8,
    },
    /// What a node's hardware is.
    Hardware {
        /// The node.
        node: NodeId,
        /// Logical processors.
        cpus: u16,
        /// Memory in MiB.
        memory_mib: u32,
        /// Size of the largest disk in GiB.
        local_gib: u32,
        /// Number of the architecture.
        architecture: u8,
        /// Speed of the fastest interface.
        link: u16,
        /// What else there is.
        parts: u8,
        /// Bytes of the inspection statement in the node's slot.
        statement_len: u16,
    },
    /// A disk of a node's last inspection; of no bytes where there is none.
    Disk {
        /// The node.
        node: NodeId,
        /// Its place in the inspection.
        place: u8,
        /// Its serial number.
        serial: &'a str,
        /// Its size in bytes.
        size: u64,
    },
    /// How a node's instance is called.
    InstanceName {
        /// The node.
        node: NodeId,
        /// For people; empty for none.
        name: &'a str,
        /// Its UUID.
        uuid: Option<NodeId>,
    },
    /// The config drive of a node's deployment: length, key and the number
    /// of its format.
    ConfigDrive {
        /// The node.
        node: NodeId,
        /// `None` where the key is forgotten.
        drive: Option<(u32, [u8; 32], u8)>,
    },
    /// What was proven of a node's deployment: bytes of the image, bytes
    /// fetched, chunks fetched again, the agent's memory in KiB.
    Written {
        /// The node.
        node: NodeId,
        /// `None` where nothing was.
        written: Option<(u64, u64, u32, u32)>,
    },
    /// Traits that a node's allocation asked for.
    Wanted {
        /// The node.
        node: NodeId,
        /// By places in the vocabulary.
        wanted: u32,
    },
    /// An address was given to a client or prolonged.
    Bound {
        /// The client's hardware address.
        mac: Mac,
        /// Fingerprint of the client's whole identity.
        key: [u8; 8],
        /// The address.
        address: Ipv4Addr,
        /// For how many seconds.
        seconds: u32,
    },
    /// An address of the book is nobody's, and may not be given to anybody
    /// for a while. Of older firmware, which had no slots.
    Rests {
        /// The network's place.
        network: u8,
        /// The interface that had it.
        mac: Mac,
        /// The address.
        address: Ipv4Addr,
    },
    /// An address is not bound any more.
    Unbound {
        /// The address.
        address: Ipv4Addr,
        /// Its client found a stranger there: nobody may have it for a while.
        declined: bool,
    },
    /// A slot of the address book has this address, and no other one.
    Booked {
        /// The slot.
        slot: u8,
        /// The network's place; 0 for the provisioning network.
        network: u8,
        /// The interface that has it, or had it.
        mac: Mac,
        /// The address.
        address: Ipv4Addr,
        /// Whether it was named, and not picked out of the pool.
        named: bool,
        /// It is nobody's, and may not be given to anybody for a while.
        rests: bool,
    },
    /// What an operator wants of a machine's power: the number of
    /// [`crate::interface::PowerAction`].
    Power {
        /// The node.
        node: NodeId,
        /// `None` where nothing is wanted, or it was seen to be so.
        request: Option<u8>,
    },
}

impl Record<'_> {
    /// Writes the record into the outputs.
    pub(crate) fn emit(&self, out: &mut Effects) {
        let mut room = [0; MAX_RECORD];
        match postcard::to_slice(self, &mut room) {
            Ok(record) => out.record(record),
            Err(_) => debug_assert!(false, "records are at most MAX_RECORD long"),
        }
    }
}

#[cfg(test)]
mod tests;
