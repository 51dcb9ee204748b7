//! What operators ask of the rack.

use super::{
    BootChoice, GroupMode, KeyValues, Network, NewLogin, NewNode, NewOptions, NodePatch,
    PowerAction, Relay, Requirements, Role, Seen, Steps, SwitchAddress, Verifier,
};
use core::net::Ipv4Addr;
use farrier_asset_store::DrivePlace;
use farrier_lifecycle::Verb;
use farrier_protocol::message::{ConfigDriveFormat, EraseMethod, Mac, NodeId};

/// A flag that operators set, with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminFlag {
    /// [`Flags::MAINTENANCE`].
    Maintenance,
    /// [`Flags::PROTECTED`].
    Protected,
    /// [`Flags::RETIRED`].
    Retired,
}

impl AdminFlag {
    /// All flags, in the order of their numbers.
    pub const ALL: [AdminFlag; 3] = [
        AdminFlag::Maintenance,
        AdminFlag::Protected,
        AdminFlag::Retired,
    ];

    /// The flag's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            AdminFlag::Maintenance => "maintenance",
            AdminFlag::Protected => "protected",
            AdminFlag::Retired => "retired",
        }
    }
}

/// What an operator says of an interface of a node; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InterfacePatch<'a> {
    /// Whether the machine may boot by it from the network.
    pub pxe: Option<bool>,
    /// What the operator calls the network that its cable leads to; empty for none.
    pub physical_network: Option<&'a str>,
}

/// A request to change something, checked and carried out as a whole.
#[derive(Debug, Clone)]
pub enum Command<'a> {
    /// Bring the node into another state.
    Provision {
        /// The node.
        node: NodeId,
        /// The verb.
        verb: Verb,
        /// The config drive that came with it, sealed and stored already.
        config_drive: Option<StoredConfigDrive>,
    },
    /// Bring the node into another state, by these steps.
    ProvisionSteps {
        /// The node.
        node: NodeId,
        /// The verb.
        verb: Verb,
        /// The steps in their order. For a deployment, writing the image is
        /// one of them.
        steps: Steps,
        /// The config drive that came with it, sealed and stored already.
        config_drive: Option<StoredConfigDrive>,
    },
    /// Say what the node's machine boots from, by its BMC.
    SetBootDevice {
        /// The node.
        node: NodeId,
        /// What it boots from.
        choice: BootChoice,
    },
    /// Interrupt the node's machine (NMI), by its BMC.
    InjectNmi {
        /// The node.
        node: NodeId,
    },
    /// Switch the node's power.
    SetPower {
        /// The node.
        node: NodeId,
        /// What its power shall do.
        action: PowerAction,
    },
    /// Learn the node's identity anew: another machine is this node from now on.
    Rebind {
        /// The node.
        node: NodeId,
    },
    /// Offer the node although a device of its machine is not proven empty, or no
    /// longer do so.
    Waive {
        /// The node.
        node: NodeId,
        /// The device as the inspection names it: its serial number, or `@` and
        /// its path.
        device: &'a str,
        /// What the inspection says of it: the waiver holds for that alone.
        /// `None` ends the waiver.
        seen: Option<Seen<'a>>,
    },
    /// Set the weakest method by which the node's disks may be erased.
    SetLeastErase {
        /// The node.
        node: NodeId,
        /// The method; `None` for that of the rack.
        least: Option<EraseMethod>,
    },
    /// Enrol a node of which nothing was seen yet.
    CreateNode(NewNode<'a>),
    /// Change several fields of the node at once, all or none.
    PatchNode {
        /// The node.
        node: NodeId,
        /// The new values.
        patch: NodePatch<'a>,
    },
    /// Replace all traits of the node.
    SetTraits {
        /// The node.
        node: NodeId,
        /// Its `traits`.
        traits: KeyValues<'a>,
    },
    /// Delete the node.
    DeleteNode {
        /// The node.
        node: NodeId,
    },
    /// Give the node an interface.
    CreatePort {
        /// The node.
        node: NodeId,
        /// The interface's address.
        mac: Mac,
        /// The switch that it is in, by name; empty for none that is known.
        switch: &'a str,
        /// The port, as the switch calls it.
        port: &'a str,
        /// What else is said of it.
        patch: InterfacePatch<'a>,
        /// The address of the port group that it is one of.
        group: Option<Mac>,
    },
    /// Say more of an interface.
    PatchInterface {
        /// The interface.
        mac: Mac,
        /// What differs.
        patch: InterfacePatch<'a>,
    },
    /// Take an interface from its node.
    DeletePort {
        /// Its address.
        mac: Mac,
    },
    /// Give the node a trait, or take it away.
    SetTrait {
        /// The node.
        node: NodeId,
        /// The trait; an empty one that is taken away is all of them.
        name: &'a str,
        /// Whether it is given.
        on: bool,
    },
    /// Find a node and claim it.
    Allocate(Allocate<'a>),
    /// Give a claimed node back.
    Deallocate {
        /// The allocation.
        allocation: NodeId,
    },
    /// Define a flavor.
    PutFlavor {
        /// Its name.
        name: &'a str,
        /// What it asks for, without resource class and traits.
        need: Requirements,
        /// Its resource class; empty for none.
        class: &'a str,
        /// Its `traits`.
        lists: KeyValues<'a>,
    },
    /// Define a tenants' network.
    PutNetwork {
        /// Its name.
        name: &'a str,
        /// What it is; its place does not matter.
        network: Network,
    },
    /// Forget a tenants' network.
    DeleteNetwork {
        /// Its name.
        name: &'a str,
    },
    /// Say who gives addresses to servers that boot.
    SetBootDhcp {
        /// The server that does; `None` for the appliance itself.
        server: Option<Ipv4Addr>,
    },
    /// Serve the machines behind a relay agent.
    PutRelay {
        /// The network that it passes DHCP on from.
        relay: Relay,
    },
    /// Serve them no more.
    DeleteRelay {
        /// The relay's address there.
        giaddr: Ipv4Addr,
    },
    /// Define a switch, or change how it is reached.
    PutSwitch {
        /// Its name.
        name: &'a str,
        /// How it is reached.
        address: SwitchAddress,
        /// How a driver logs in.
        login: NewLogin<'a>,
        /// How it is treated.
        options: NewOptions<'a>,
    },
    /// Forget a switch.
    DeleteSwitch {
        /// Its name.
        name: &'a str,
    },
    /// Say which port of which switch an interface is in.
    LinkPort {
        /// The interface.
        mac: Mac,
        /// The switch's name; empty where it is in none that is known.
        switch: &'a str,
        /// The port, as the switch calls it.
        port: &'a str,
    },
    /// Make interfaces of a node usable as one.
    CreatePortGroup {
        /// The node.
        node: NodeId,
        /// The address that the group sends under: one of the node's interfaces'.
        address: Mac,
        /// How its interfaces share their frames.
        mode: GroupMode,
        /// Its name; empty for none.
        name: &'a str,
    },
    /// Change a port group.
    PatchPortGroup {
        /// Its address.
        address: Mac,
        /// How its interfaces share their frames; `None` leaves it as it is.
        mode: Option<GroupMode>,
        /// Its name, empty for none; `None` leaves it as it is.
        name: Option<&'a str>,
    },
    /// Delete a port group.
    DeletePortGroup {
        /// Its address.
        address: Mac,
    },
    /// Put an interface into a port group of its node.
    GroupPort {
        /// The interface.
        mac: Mac,
        /// The group's address; `None` to take it out of its group.
        group: Option<Mac>,
    },
    /// Say which tenants' network the first free interface of a node is for.
    AttachVif {
        /// The node.
        node: NodeId,
        /// The network's name.
        network: &'a str,
    },
    /// Take an interface of a node from a tenants' network.
    DetachVif {
        /// The node.
        node: NodeId,
        /// The network's name.
        network: &'a str,
    },
    /// Give an interface an address of its own.
    ReserveAddress {
        /// The network's name.
        network: &'a str,
        /// The interface.
        mac: Mac,
        /// The address; `None` for one out of the network's pool.
        address: Option<Ipv4Addr>,
    },
    /// Take an interface's own address back.
    ReleaseAddress {
        /// The network's name.
        network: &'a str,
        /// The interface.
        mac: Mac,
    },
    /// Forget a flavor.
    DeleteFlavor {
        /// Its name.
        name: &'a str,
    },
    /// Say which is the least version of an image that is deployed.
    SetLeastVersion {
        /// The image's name.
        name: &'a str,
        /// The version; 0 for any.
        version: u64,
    },
    /// Deploy no image of a public key any more.
    RevokeKey {
        /// The key, ed25519.
        key: [u8; 32],
    },
    /// Make an account of an operator, or change one.
    PutAccount {
        /// Its name.
        name: &'a str,
        /// What it may do; `None` leaves it as it is.
        role: Option<Role>,
        /// Checks its password; `None` leaves it as it is.
        verifier: Option<Verifier>,
    },
    /// Delete an account of an operator.
    DeleteAccount {
        /// Its name.
        name: &'a str,
    },
}

/// What an allocation asks for.
#[derive(Debug, Clone, Copy)]
pub struct Allocate<'a> {
    /// The allocation's identity.
    pub id: NodeId,
    /// Its name; empty for none.
    pub name: &'a str,
    /// A flavor, or a resource class.
    pub class: &'a str,
    /// The only node that would do, where there is one.
    pub node: Option<NodeId>,
    /// Only nodes that this account owns or leases would do; empty for all.
    pub account: &'a str,
    /// `traits` that the node must have, and `candidate_nodes`, by UUID or
    /// name, that it must be one of where there are any.
    pub lists: KeyValues<'a>,
}

/// A config drive that lies sealed in its node's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredConfigDrive {
    /// Length of the plain text in bytes.
    pub length: u32,
    /// The key that seals it.
    pub key: [u8; 32],
    /// What the plain text is.
    pub format: ConfigDriveFormat,
    /// Which place of the slot it lies in.
    pub place: DrivePlace,
}

impl StoredConfigDrive {
    /// Where a new one is to be written, beside the present one.
    pub fn free_place(present: Option<&Self>) -> DrivePlace {
        present.map_or(DrivePlace::First, |drive| drive.place.other())
    }
}
