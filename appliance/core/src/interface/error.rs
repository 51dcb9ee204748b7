//! Why a command is refused. The texts for people are in
//! `api::error`.

use super::Setting;
use farrier_lifecycle::{ProvisionState, Verb};

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// There is no such node.
    NoSuchNode,
    /// The state has no such verb.
    Verb {
        /// The node's state.
        state: ProvisionState,
        /// The verb.
        verb: Verb,
    },
    /// This needs a driver, or an ability of the agent, that is not here.
    NotSupported,
    /// `instance_info/image_source` is not set.
    NoImage,
    /// No image of that name is in the asset store.
    UnknownImage,
    /// The node's last inspection found no disk, or there was none.
    NoDisks,
    /// No disk of the node is large enough for the image.
    ImageTooLarge,
    /// Another node has that name.
    NameTaken,
    /// A name has characters other than letters, digits, `-`, `.`, `_`, or
    /// reads as a UUID.
    BadName,
    /// A value is longer than its field.
    TooLong,
    /// A device's name is empty, longer than 40 bytes, or not printable ASCII.
    BadDevice,
    /// As many devices of the node are waived as there is room for.
    TooManyWaivers,
    /// That device is not waived.
    NoSuchWaiver,
    /// No room for another key of `driver_info`.
    TooManyKeys,
    /// The value can't be one of this setting of a driver.
    BadSetting(Setting),
    /// The node's driver can't say what the machine boots from, and can't interrupt it.
    NoManagement,
    /// The settings of the node's driver are not complete.
    DriverInfoIncomplete,
    /// What was to be changed is in use: the node is deployed or at work.
    InUse(ProvisionState),
    /// The appliance itself is at work on the node: commands wait.
    Locked(ProvisionState),
    /// The node is protected.
    Protected,
    /// The node is in maintenance.
    Maintenance,
    /// The node is retired.
    Retired,
    /// The config drive was written to the place of the present one.
    DrivePlaceTaken,
    /// The verb needs steps, and none were named.
    NoSteps,
    /// That step does not exist for that verb.
    BadStep,
    /// Only nodes that are deployed can be protected.
    NotDeployed(ProvisionState),
    /// Nodes that are offered can't be retired.
    NodeAvailable,
    /// All room for texts of operators is taken.
    StringsFull,
    /// The table of nodes is full.
    NodesFull,
    /// There is a node with that UUID.
    IdTaken,
    /// Another node has an interface with that address.
    MacTaken,
    /// The node has as many interfaces as there is room for.
    TooManyPorts,
    /// No node has an interface with that address.
    NoSuchPort,
    /// The node can't be deleted in that state.
    NotDeletable(ProvisionState),
    /// The node belongs to an instance or an allocation.
    Associated,
    /// Another node has that instance.
    InstanceTaken,
    /// There are too many different traits and resource classes.
    TraitsFull,
    /// A trait or a resource class has characters that it can't have.
    BadTrait,
    /// The node does not have that trait.
    NoSuchTrait,
    /// The appliance needs the node's power for its own work.
    PowerInUse(ProvisionState),
    /// There is no such allocation.
    NoSuchAllocation,
    /// No available node is what the allocation asks for.
    NoMatchingNode,
    /// There is no room for another flavor.
    FlavorsFull,
    /// There is no such flavor.
    NoSuchFlavor,
    /// There is no room for another network.
    NetworksFull,
    /// There is no such network.
    NoSuchNetwork,
    /// The network can't be where it was said to be, or is in use.
    BadNetwork,
    /// The network meets another one.
    NetworkOverlaps,
    /// Addresses of the network are given away, or ports are on it.
    NetworkInUse,
    /// There is no such port group, or it is another node's.
    NoSuchPortGroup,
    /// There is no room for another port group.
    PortGroupsFull,
    /// There is a port group with that address.
    PortGroupTaken,
    /// The port group has interfaces, or the node's interfaces have VIFs.
    PortGroupInUse,
    /// There is no such switch.
    NoSuchSwitch,
    /// The board has no key to seal a secret under.
    NoBoardKey,
    /// There is no room for another switch.
    SwitchesFull,
    /// There is no room for another port of a switch.
    SwitchPortsFull,
    /// Interfaces are in ports of the switch.
    SwitchInUse,
    /// Another interface is in that port of the switch.
    PortTaken,
    /// The interface is in no known port of a switch.
    NoSwitchPort,
    /// An interface of the node would have no network.
    NoVif,
    /// Every interface of the node has a network already.
    NoFreePort,
    /// No interface of the node is on that network.
    NoSuchVif,
    /// The interface has no address on that network.
    NoSuchAddress,
    /// The address lies outside of the network, or belongs to another interface.
    AddressTaken,
    /// All addresses of the network, or all reservations, are
    /// taken.
    AddressesFull,
    /// A newer version of the image was deployed before; this is the least
    /// one.
    ImageOlder(u64),
    /// The key that signed the image was revoked.
    ImageKeyRevoked,
    /// The store has no image of that name, and it has no least version.
    NoSuchImage,
    /// There is no room to remember the version of another image.
    ImageFloorsFull,
    /// There is no room for another revoked key.
    RevokedKeysFull,
    /// There is no such account.
    NoSuchAccount,
    /// There is no room for another account.
    AccountsFull,
    /// The name of an account has other characters than letters, digits, `-`,
    /// `.` and `_`, or too many.
    BadAccountName,
    /// A new account needs a role and a password.
    IncompleteAccount,
    /// Without this account nobody could make another one.
    LastAdmin,
    /// A port of the node was shut on an alarm.
    PortShut,
}
