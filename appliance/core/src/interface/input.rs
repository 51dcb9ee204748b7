//! Inputs of the rack: what the glue saw.

use super::{
    Actor, BootChoice, Command, HostKey, Learned, OperationError, OperationId, PowerState,
    Sighting, SwitchAddress, Uplink, Verifier,
};
use core::net::Ipv4Addr;
use farrier_ethernet::NetworkId;
use farrier_protocol::message::{Mac, NodeId};
use heapless::String;

/// A UDP peer, down to its Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The network that it talks on.
    pub network: NetworkId,
    /// Ethernet address.
    pub mac: Mac,
    /// IPv4 address.
    pub ip: Ipv4Addr,
    /// UDP port.
    pub port: u16,
}

/// The protocol that a file was asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TFTP.
    Tftp,
    /// HTTP.
    Http,
}

/// An image of the asset store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Name, as operators give it in `image_source`.
    pub name: String<64>,
    /// Version of the image, from its manifest.
    pub version: u64,
    /// Bytes of the image as it lies on a disk.
    pub raw_size: u64,
    /// The manifest's root: pins everything.
    pub root: [u8; 32],
    /// HTTP path of the manifest, with its leading `/`.
    pub manifest_path: String<96>,
    /// HTTP path of the chunk data, with its leading `/`.
    pub data_path: String<96>,
}

/// One input of [`crate::Rack::step`].
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// Time has passed.
    Tick,
    /// The restore is complete, and this is the operator's public key for
    /// images, if there is one. An appliance without keys of its own makes
    /// them.
    Start {
        /// ed25519.
        images: Option<[u8; 32]>,
    },
    /// The asset store has this first account, in [`crate::Config`]. To be
    /// given behind the restore.
    FirstAccount(Verifier),
    /// The asset store has this image.
    Image(&'a Image),
    /// A DHCP message came in: the UDP payload.
    Dhcp {
        /// The network that it came by.
        network: NetworkId,
        /// Ethernet source address of the frame.
        from: Mac,
        /// BOOTP header and options.
        payload: &'a [u8],
    },
    /// A message to the proxyDHCP service came in, UDP port 4011: the UDP payload.
    PxeRequest {
        /// The network that it came by.
        network: NetworkId,
        /// Ethernet source address of the frame.
        from: Mac,
        /// Its IPv4 source address.
        source: Ipv4Addr,
        /// BOOTP header and options.
        payload: &'a [u8],
    },
    /// A datagram of the agent protocol came in.
    Agent {
        /// Who sent it.
        from: Endpoint,
        /// Its payload.
        datagram: &'a [u8],
    },
    /// A frame of an interface came by this VLAN: evidence of where its port is.
    /// Comes behind the frame's own input, and for a datagram of an agent only where
    /// its session has proven whose it is.
    Seen {
        /// The interface.
        mac: Mac,
        /// The 802.1Q tag.
        vlan: u16,
    },
    /// Something was seen on a network that should perhaps not be there.
    Sighting(Sighting),
    /// The switch says by LLDP in which port the appliance's own cable is.
    Uplink(&'a Uplink),
    /// A peer asks for a file. The step has one [`crate::Serve`] as answer.
    Open {
        /// The protocol that it asks by.
        transport: Transport,
        /// The network that it asks on.
        network: NetworkId,
        /// Its address.
        peer: Ipv4Addr,
        /// The file, without a leading `/` and without a query.
        path: &'a str,
    },
    /// A transfer of a file or of a part of it has ended.
    Sent {
        /// The network that it went out on.
        network: NetworkId,
        /// The peer's address.
        peer: Ipv4Addr,
        /// The file's path, as in [`Input::Open`].
        path: &'a str,
        /// Bytes that were sent.
        bytes: u64,
        /// Whether all that was asked for was sent.
        complete: bool,
    },
    /// An operator gives a command. The step has one
    /// [`crate::Effect::Answer`].
    Command {
        /// Who gives the command.
        actor: Actor<'a>,
        /// What is to be done.
        command: Command<'a>,
    },
    /// A driver has ended an operation that an effect asked it for.
    OperationDone {
        /// The operation, from the effect.
        id: OperationId,
        /// Whether the driver carried it out. What became of the machine is
        /// [observed](Input::Observed).
        result: Result<(), OperationError>,
    },
    /// The driver of a switch read a port in this operation. Comes in front of
    /// [`Input::OperationDone`].
    PortRead {
        /// The operation, from the effect.
        id: OperationId,
        /// The VLAN whose frames the port carries without a tag, 0 for a port that
        /// carries none; `None` where the port carries something else: tagged
        /// VLANs, several, or what the driver does not understand.
        vlan: Option<u16>,
        /// Whether the port has a link; `None` where the switch does not say.
        link: Option<bool>,
        /// Where the switch has learned the address that was asked for.
        learned: Learned,
    },
    /// A switch that is reached by SSH has a host key that is not the one pinned.
    /// Nothing was sent to it. Comes in front of [`Input::OperationDone`].
    HostKey {
        /// The switch.
        switch: SwitchAddress,
        /// The key that it has.
        key: HostKey,
    },
    /// A driver saw a machine's power state.
    Observed {
        /// The node.
        node: NodeId,
        /// What the driver saw.
        power: PowerState,
    },
    /// A machine's BMC said what the machine boots from.
    BootObserved {
        /// The node.
        node: NodeId,
        /// `None` where nothing is set, or something that the rack never sets.
        boot: Option<BootChoice>,
    },
    /// A machine's BMC or outlet took a login: the one that is set now, or the one
    /// before.
    LoginWorked {
        /// The node.
        node: NodeId,
        /// Whether it was the former one.
        former: bool,
    },
}
