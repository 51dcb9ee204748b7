//! Records: what the rack makes durable before it has effects.
//!
//! A record is `postcard` of an append-only enum: variants and fields are
//! never reordered. The glue hands it to a store behind a trait and makes
//! it durable before it carries out what follows in the same step.

use super::seal::Sealed;
use crate::interface::Effects;
use crate::interface::{Account, Network, Relay, Requirements, Verifier};
use crate::ipam::Entry;
use crate::node::Reason;
use crate::ports::{Switch, SwitchPort};
use core::net::Ipv4Addr;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::{BootId, Mac, NodeId};
use serde::{Deserialize, Serialize};

/// Longest encoded record in bytes.
pub const MAX_RECORD: usize = 128;
/// Bytes of a node's last error that outlive a restart.
pub const ERROR_KEPT: usize = 108;

/// One thing that happened and must not be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// A node has another name.
    Name {
        /// The node.
        node: NodeId,
        /// Its new name; empty for none.
        name: &'a str,
    },
    /// A node is in another state.
    State {
        /// The node.
        node: NodeId,
        /// The state's number in `farrier_lifecycle::ProvisionState`.
        state: u8,
        /// The number of [`crate::node::Reason`].
        reason: u8,
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
    /// A trait or a resource class has a number.
    Trait {
        /// The place.
        place: u8,
        /// The trait; empty where the number is free again.
        name: &'a str,
    },
    /// A node is of another kind.
    Traits {
        /// The node.
        node: NodeId,
        /// Its traits, a bit each.
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
    FlavorDeleted {
        /// Its place.
        place: u8,
    },
    /// What identifies the machine of a node.
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
    NetworkDeleted {
        /// Its place.
        place: u8,
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
    /// A node's agent has used up a ticket: all earlier boots of it
    /// are over.
    Boot {
        /// The node.
        node: NodeId,
        /// The new boot.
        boot: BootId,
        /// The ticket: its identifier, and the interface, address and network
        /// that it was given to.
        ticket: Option<([u8; 8], Mac, [u8; 4], u8)>,
    },
    /// The agent of a boot has shown itself.
    Agent {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
        /// Verifies its statements.
        boot_key: [u8; 32],
        /// Distinguishes its handshake from another one.
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
        /// The key that opens requests, and the one that seals replies.
        keys: Sealed,
    },
    /// How far the present boot has come.
    Work {
        /// The node.
        node: NodeId,
        /// The boot.
        boot: BootId,
        /// Counter and number of the order that is being carried out. The four
        /// high bits of the number are its batch.
        order: Option<(u32, u8)>,
        /// Counter of the last order.
        last_order: u32,
        /// Counter of the last statement that was accepted.
        last_statement: u32,
        /// Counter of the last request, at least; 0 for none.
        heard: u64,
        /// Disks that were certified as erased.
        erased: u64,
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
        /// Devices that are not proven empty and not waived.
        unproven: u16,
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
    /// The config drive of a node's deployment: length, key, and the numbers
    /// of its format and of its place.
    ConfigDrive {
        /// The node.
        node: NodeId,
        /// `None` where the key is forgotten.
        drive: Option<(u32, Sealed, u8, u8)>,
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
    RequestedTraits {
        /// The node.
        node: NodeId,
        /// A bit each.
        wanted: u32,
    },
    /// An address was given to a client or prolonged.
    Lease {
        /// The client's hardware address.
        mac: Mac,
        /// Fingerprint of the client's whole identity.
        key: [u8; 8],
        /// The address.
        address: Ipv4Addr,
        /// For how many seconds.
        seconds: u32,
    },
    /// An address is not bound any more.
    LeaseEnded {
        /// The address.
        address: Ipv4Addr,
        /// Its client declined it: it is quarantined for a while.
        declined: bool,
    },
    /// A slot of the reservations has this address, and no other one.
    Reservation {
        /// The slot.
        slot: u16,
        /// The network's place; 0 for the provisioning network.
        network: u8,
        /// The interface that has it, or had it.
        mac: Mac,
        /// The address.
        address: Ipv4Addr,
        /// Whether it was named, and not picked out of the pool.
        named: bool,
        /// It was released, and is given to no other interface for a while.
        quarantined: bool,
    },
    /// What an operator wants of a machine's power: the number of
    /// [`crate::interface::PowerAction`].
    Power {
        /// The node.
        node: NodeId,
        /// `None` where nothing is wanted, or it was seen to be so.
        request: Option<u8>,
    },
    /// Something happened to a node.
    History {
        /// The node.
        node: NodeId,
        /// The number of the entry among the node's.
        sequence: u32,
        /// The start of the appliance.
        run: u32,
        /// Seconds since then.
        seconds: u32,
        /// The number of [`crate::interface::ActorKind`].
        actor: u8,
        /// The account; empty for others.
        account: &'a str,
        /// The number of [`crate::node::Happening`].
        what: u8,
        /// The numbers of the states before and after.
        states: (u8, u8),
        /// The number of [`crate::node::Reason`].
        reason: u8,
    },
    /// An account of an operator.
    Account {
        /// Its place.
        place: u8,
        /// Its name.
        name: &'a str,
        /// The number of [`crate::interface::Role`].
        role: u8,
        /// Checks its password.
        verifier: Verifier,
    },
    /// An account is gone.
    AccountDeleted {
        /// Its place.
        place: u8,
    },
    /// The appliance has made its keys.
    Keys {
        /// X25519 secret of the session handshake, and the ed25519 seed that
        /// signs orders.
        keys: Sealed,
    },
    /// An image has another least version; 0 for none.
    ImageFloor {
        /// The image's name.
        name: &'a str,
        /// The version.
        version: u64,
    },
    /// A public key for images was revoked.
    KeyRevoked {
        /// The key.
        key: [u8; 32],
    },
    /// The first account of the asset store was taken.
    StoreAccount {
        /// The salt of its password.
        salt: [u8; 16],
    },
    /// A sample of a node's erased disks is to be read again.
    Erasure {
        /// The node.
        node: NodeId,
        /// The boot that erased them; 0 where nothing is to be read.
        boot: BootId,
    },
    /// An operator has waived a device of a node, or no longer does.
    Waiver {
        /// The node.
        node: NodeId,
        /// The device.
        device: &'a str,
        /// See [`crate::provisioning::waivers`]; empty where it is forgotten.
        kept: &'a str,
    },
    /// Secrets are sealed under this key of the board; see [`super::seal`].
    SealingKey {
        /// Counts the keys, from 1.
        epoch: u32,
        /// Tells whether the board has the key.
        check: [u8; 8],
        /// Whether records under the key before may still be needed.
        old: bool,
    },
    /// A switch was defined.
    Switch {
        /// Its place.
        place: u8,
        /// Its name; empty where it is gone.
        name: &'a str,
        /// The number of [`crate::interface::SwitchKind`].
        kind: u8,
        /// Its address.
        address: Ipv4Addr,
        /// Its TCP port.
        port: u16,
    },
    /// A slot of the switches' ports has this one, and no other one.
    SwitchPort {
        /// The slot.
        slot: u16,
        /// The interface in it.
        mac: Mac,
        /// The place of the switch.
        switch: u8,
        /// What the switch calls it; empty where the slot is free.
        name: &'a str,
        /// The place of the tenants' network.
        vif: u8,
        /// The VLAN that it was proven to be on.
        at: u16,
        /// The VLAN that it is being moved to.
        to: u16,
        /// Names that move to the switch.
        token: u64,
        /// The bits of [`crate::ports::Sources`].
        sources: u8,
        /// Hashes of what LLDP said on its cable.
        heard: [u32; 2],
        /// The place of its port group, from 1; 0 for none.
        group: u8,
    },
    /// How a driver logs in to a switch.
    SwitchLogin {
        /// The switch's place.
        place: u8,
        /// The user; empty for no login.
        user: &'a str,
        /// The password, filled up with zeros.
        password: Sealed,
    },
    /// The host key of a switch that an admin has pinned.
    SwitchHostKey {
        /// The switch's place.
        place: u8,
        /// Its SHA-256.
        pinned: Option<[u8; 32]>,
    },
    /// Who gives addresses to servers that boot.
    BootDhcp {
        /// The server that was there before; unspecified for the appliance itself.
        server: Ipv4Addr,
    },
    /// A network behind a relay.
    Relay {
        /// Its place.
        place: u8,
        /// What it is; without a pool where it is gone.
        relay: Relay,
    },
    /// A port group was made.
    PortGroup {
        /// Its place, from 1.
        place: u8,
        /// Its address; zero where it is gone.
        address: Mac,
        /// The number of [`crate::interface::GroupMode`].
        mode: u8,
        /// Its name; empty for none.
        name: &'a str,
    },
    /// How a switch is treated is another way.
    SwitchOptions {
        /// The switch's place.
        place: u8,
        /// Whether the appliance makes and removes VLANs.
        makes_vlans: bool,
        /// The port that leads to the appliance; empty for none.
        trunk: &'a str,
    },
    /// An operator says something of an interface.
    Interface {
        /// Its node.
        node: NodeId,
        /// The interface.
        mac: Mac,
        /// Whether the machine may boot by it from the network.
        pxe: bool,
        /// The network that its cable leads to; empty for none.
        physical_network: &'a str,
    },
    /// Something else switches a node's machine.
    Driver {
        /// The node.
        node: NodeId,
        /// The number of [`crate::interface::DriverKind`].
        driver: u8,
    },
    /// What a driver logs in with, or what else of its settings is secret.
    BmcSecret {
        /// The node.
        node: NodeId,
        /// The number of [`crate::interface::Setting`].
        setting: u8,
        /// Whether it is the one before, which is tried second.
        former: bool,
        /// Filled up with zeros; `None` where it is gone.
        secret: Option<Sealed>,
    },
}

impl Record<'_> {
    /// The record of a reservation.
    pub(crate) fn of_reservation(entry: &Entry) -> Record<'static> {
        Record::Reservation {
            slot: entry.slot(),
            network: entry.network,
            mac: entry.mac,
            address: entry.address,
            named: entry.is_named(),
            quarantined: !entry.is_held(),
        }
    }

    /// The record of a port of a switch.
    pub(crate) fn of_switch_port(port: &SwitchPort) -> Record<'_> {
        Record::SwitchPort {
            slot: port.slot,
            mac: port.mac,
            switch: port.switch,
            name: &port.name,
            vif: port.vif,
            at: port.at,
            to: port.to,
            token: port.token,
            sources: port.sources.bits(),
            heard: port.heard,
            group: port.group,
        }
    }

    /// The record of how a switch is treated.
    pub(crate) fn of_switch_options(switch: &Switch) -> Record<'_> {
        Record::SwitchOptions {
            place: switch.place,
            makes_vlans: switch.makes_vlans,
            trunk: &switch.trunk_port,
        }
    }

    /// The record of an account.
    pub(crate) fn of_account(account: &Account) -> Record<'_> {
        Record::Account {
            place: account.place,
            name: account.name.as_str(),
            role: account.role as u8,
            verifier: account.verifier,
        }
    }

    /// Whether a node that was just restored is like this already.
    pub(crate) fn is_empty(&self) -> bool {
        match *self {
            Record::Name { name: text, .. }
            | Record::Instance { image: text, .. }
            | Record::Text { text, .. }
            | Record::Error { text, .. } => text.is_empty(),
            Record::State { state, reason, .. } => {
                state == ProvisionState::Enroll as u8 && reason == Reason::Enrolled as u8
            }
            Record::Flags { flags, .. } => flags == 0,
            Record::Steps { steps, .. } => steps == 0,
            Record::Traits { traits, class, .. } => traits == 0 && class == 0,
            Record::Identity { uuid, serial, .. } => uuid == [0; 16] && serial == 0,
            Record::Ports { macs, .. } => macs.is_empty(),
            Record::Boot { boot, .. } | Record::Work { boot, .. } => boot == BootId(0),
            Record::Hardware { statement_len, .. } => statement_len == 0,
            Record::Disk { size, .. } => size == 0,
            Record::InstanceName { name, uuid, .. } => name.is_empty() && uuid.is_none(),
            Record::ConfigDrive { drive, .. } => drive.is_none(),
            Record::Written { written, .. } => written.is_none(),
            Record::RequestedTraits { wanted, .. } => wanted == 0,
            Record::Power { request, .. } => request.is_none(),
            Record::Erasure { boot, .. } => boot == BootId(0),
            Record::Driver { driver, .. } => driver == 0,
            Record::BmcSecret { .. }
            | Record::DriverInfo { .. }
            | Record::Trait { .. }
            | Record::Flavor { .. }
            | Record::FlavorDeleted { .. }
            | Record::Deleted { .. }
            | Record::Network { .. }
            | Record::NetworkDeleted { .. }
            | Record::Place { .. }
            | Record::Agent { .. }
            | Record::Session { .. }
            | Record::Lease { .. }
            | Record::LeaseEnded { .. }
            | Record::Reservation { .. }
            | Record::History { .. }
            | Record::Waiver { .. }
            | Record::Interface { .. }
            | Record::Account { .. }
            | Record::AccountDeleted { .. }
            | Record::Keys { .. }
            | Record::ImageFloor { .. }
            | Record::KeyRevoked { .. }
            | Record::StoreAccount { .. }
            | Record::Switch { .. }
            | Record::SwitchPort { .. }
            | Record::SwitchLogin { .. }
            | Record::SwitchHostKey { .. }
            | Record::SwitchOptions { .. }
            | Record::BootDhcp { .. }
            | Record::Relay { .. }
            | Record::PortGroup { .. }
            | Record::SealingKey { .. } => false,
        }
    }

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
