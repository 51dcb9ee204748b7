//! Switches, the ports of theirs that nodes' interfaces are in, and what is known
//! of each. The rules are in `switch`.

use crate::interface::{
    GroupMode, HostKey, Instant, Learned, OperationId, PortName, SWITCH_PASSWORD_LEN,
    SWITCH_USER_LEN, String, SwitchAction, SwitchAddress,
};
use bitflags::bitflags;
use farrier_protocol::message::Mac;
use heapless::Vec;

/// Most switches.
pub const MAX_SWITCHES: usize = farrier_sizes::SWITCHES;
/// Most ports of theirs.
pub const MAX_SWITCH_PORTS: usize = farrier_sizes::SWITCH_PORTS;

/// Most port groups.
pub const MAX_PORT_GROUPS: usize = 32;

/// Interfaces of one node that a tenant's system uses as one. Its name is among the
/// texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortGroup {
    /// Its place, from 1.
    pub place: u8,
    /// The address that it sends under: that of one of the node's interfaces.
    pub address: Mac,
    /// How its interfaces share their frames.
    pub mode: GroupMode,
}

/// A switch. Its name is among the texts. What is not said to be forgotten survives
/// a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Its place, from 0.
    pub place: u8,
    /// How it is reached.
    pub address: SwitchAddress,
    /// The user that a driver logs in as; empty for no login.
    pub user: String<SWITCH_USER_LEN>,
    /// The user's password; empty where the user is known by the appliance's key.
    pub(crate) password: Password,
    /// The host key that an admin has pinned.
    pub host_key: Option<HostKey>,
    /// Whether the appliance makes the VLANs that it needs there, and removes those
    /// that it made.
    pub makes_vlans: bool,
    /// The port that leads to the appliance, whose VLANs the appliance keeps; empty
    /// where it carries all of them.
    pub trunk_port: PortName,
    /// The host key that a driver met last where it is not the pinned one. A restart
    /// of the appliance forgets it.
    pub host_key_met: Option<HostKey>,
}

impl Switch {
    pub(crate) fn new(place: u8, address: SwitchAddress) -> Self {
        Switch {
            place,
            address,
            user: String::new(),
            password: Password::default(),
            host_key: None,
            makes_vlans: false,
            trunk_port: PortName::new(),
            host_key_met: None,
        }
    }

    /// Whether the user is known by a password.
    pub fn has_password(&self) -> bool {
        !self.password.0.is_empty()
    }
}

/// A password of a switch or a BMC.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Password(pub(crate) String<SWITCH_PASSWORD_LEN>);

impl core::fmt::Debug for Password {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Password {
    /// The password, filled up with zeros: it has none itself.
    pub(crate) fn to_bytes(&self) -> [[u8; 32]; 2] {
        let mut bytes = [[0; 32]; 2];
        let places = bytes.as_flattened_mut().iter_mut();
        for (place, byte) in places.zip(self.0.bytes()) {
            *place = byte;
        }
        bytes
    }

    /// The password of these bytes; none where they are no text.
    pub(crate) fn from_bytes(bytes: &[[u8; 32]; 2]) -> Self {
        let bytes = bytes.as_flattened();
        let end = bytes.iter().position(|byte| *byte == 0);
        let text = bytes.get(..end.unwrap_or(SWITCH_PASSWORD_LEN));
        let text = text.and_then(|text| core::str::from_utf8(text).ok());
        Password(
            text.and_then(|text| text.try_into().ok())
                .unwrap_or_default(),
        )
    }
}

const _: () = assert!(SWITCH_PASSWORD_LEN == 64, "as much as is sealed at once");

bitflags! {
    /// Who says that an interface is in its port.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Sources: u8 {
        /// An operator.
        const OPERATOR = 1;
        /// The operator, again, after the appliance had asked.
        const OPERATOR_AGAIN = 2;
        /// The switch, by LLDP that the machine's agent has heard.
        const LLDP = 4;
        /// The machine: a move of the port brought it onto the new VLAN.
        const MOVED = 8;
        /// The switch: its table of hardware addresses has the interface on the port.
        const TABLE = 16;
        /// Not a source: the port was shut on an alarm. It stays so until an operator
        /// has said anew where the interface is.
        const SHUT = 64;
        /// Not a source: the switch says another port by LLDP. Nothing is done with
        /// this one until an operator has said anew where the interface is.
        const CONTRADICTED = 128;
    }
}

impl Sources {
    /// What stops all work with a machine until an operator has looked after it.
    pub(crate) const STOPS: Sources = Sources::SHUT.union(Sources::CONTRADICTED);
    /// The sources with their names.
    pub const NAMED: [(Sources, &'static str); 5] = [
        (Self::OPERATOR, "operator"),
        (Self::OPERATOR_AGAIN, "operator-again"),
        (Self::LLDP, "lldp"),
        (Self::MOVED, "moved"),
        (Self::TABLE, "switch-table"),
    ];
}

/// The port of a switch that an interface of a node is in. What is not said to be
/// forgotten survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchPort {
    /// Its slot for as long as it exists.
    pub(crate) slot: u16,
    /// The interface.
    pub mac: Mac,
    /// The place of the switch.
    pub switch: u8,
    /// The port, as the switch calls it.
    pub name: PortName,
    /// The place of the tenants' network that the interface is for; 0 for none.
    pub vif: u8,
    /// The VLAN that it was proven to be on last; 0 for none.
    pub at: u16,
    /// The VLAN that it is being moved to; 0 for none.
    pub to: u16,
    /// Names the present move to the switch: random.
    pub(crate) token: u64,
    /// Who says that the interface is in it.
    pub sources: Sources,
    /// What LLDP said last on the interface's cable, chassis and port: hashes, 0 for
    /// nothing.
    pub(crate) heard: [u32; 2],
    /// The place of the port group that it is one of, from 1; 0 for none.
    pub group: u8,
    /// What is being done about it.
    pub(crate) control: PortControl,
}

impl SwitchPort {
    /// Where the switch had learned the interface's address when it was asked last.
    pub fn learned(&self) -> Learned {
        self.control.learned
    }

    /// Whether it is on its way.
    pub fn is_moving(&self) -> bool {
        self.to != 0
    }

    fn has_operation(&self, id: OperationId) -> bool {
        let operation = self.control.operation;
        operation.is_some_and(|(known, ..)| known == id)
    }

    /// The VLANs that frames of the interface may come by now.
    pub fn vlans(&self) -> [u16; 2] {
        [self.at, self.to]
    }
}

/// What is known of a port and what is being done about it. A restart of the
/// appliance forgets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PortControl {
    pub(crate) operation: Option<(OperationId, SwitchAction, Instant)>,
    /// Not before this time.
    pub(crate) retry_at: Instant,
    /// When the present move began, or was found by a restart.
    pub(crate) begun: Instant,
    /// When the switch had carried it out.
    pub(crate) applied: Option<Instant>,
    pub(crate) failures: u8,
    /// The move is to be taken back.
    pub(crate) undo: bool,
    /// The port is to be read: the switch may have it elsewhere.
    pub(crate) unread: bool,
    /// The VLAN that a frame of the interface came by last, and when.
    pub(crate) seen: Option<(u16, Instant)>,
    /// Since when the switch says that the port has no link.
    pub(crate) down: Option<Instant>,
    /// The node's error says why the port is not moved.
    pub(crate) told: bool,
    /// Where the switch has learned the interface's address.
    pub(crate) learned: Learned,
    /// The switch's table was asked since it carried the present move out, and has
    /// nothing against it.
    pub(crate) looked: bool,
}

impl PortControl {
    /// What a restart knows: nothing. The port is read before it is moved.
    pub(crate) fn restored(now: Instant) -> Self {
        PortControl {
            begun: now,
            unread: true,
            ..Self::default()
        }
    }
}

/// The switches and the ports.
#[derive(Debug, Default)]
pub struct Ports {
    pub(crate) switches: Vec<Switch, MAX_SWITCHES, u8>,
    pub(crate) ports: Vec<SwitchPort, MAX_SWITCH_PORTS, u8>,
    pub(crate) groups: Vec<PortGroup, MAX_PORT_GROUPS, u8>,
}

impl Ports {
    /// None.
    pub const fn new() -> Self {
        Ports {
            switches: Vec::new(),
            ports: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// All switches, in no order.
    pub fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// All ports, in no order.
    pub fn all(&self) -> &[SwitchPort] {
        &self.ports
    }

    /// All groups, in no order.
    pub fn groups(&self) -> &[PortGroup] {
        &self.groups
    }

    /// The group that sends under an address.
    pub fn group_of(&self, address: Mac) -> Option<&PortGroup> {
        self.groups.iter().find(|group| group.address == address)
    }

    /// The group in a place, from 1.
    pub fn group(&self, place: u8) -> Option<&PortGroup> {
        self.groups.iter().find(|group| group.place == place)
    }

    /// The address under which a tenant's system uses a port: its group's, or its own.
    pub(crate) fn tenants_address(&self, port: &SwitchPort) -> Mac {
        let group = self.group(port.group);
        group.map_or(port.mac, |group| group.address)
    }

    /// The switch in a place.
    pub fn switch(&self, place: u8) -> Option<&Switch> {
        self.switches.iter().find(|switch| switch.place == place)
    }

    pub(crate) fn switch_mut(&mut self, place: u8) -> Option<&mut Switch> {
        self.switches
            .iter_mut()
            .find(|switch| switch.place == place)
    }

    /// The port that an interface is in.
    pub fn of(&self, mac: Mac) -> Option<&SwitchPort> {
        self.ports.iter().find(|port| port.mac == mac)
    }

    /// Whether the port of one of these interfaces was shut on an alarm.
    pub(crate) fn has_shut(&self, macs: &[Mac]) -> bool {
        let mut ports = self.ports.iter();
        ports.any(|port| port.sources.contains(Sources::SHUT) && macs.contains(&port.mac))
    }

    /// Whether there is no room for another port.
    pub(crate) fn is_full(&self) -> bool {
        self.ports.is_full()
    }

    /// Whether the end of this operation is waited for.
    pub(crate) fn awaits(&self, id: OperationId) -> bool {
        self.ports.iter().any(|port| port.has_operation(id))
    }

    /// The port that an operation is on.
    pub(crate) fn in_operation_mut(&mut self, id: OperationId) -> Option<&mut SwitchPort> {
        self.ports.iter_mut().find(|port| port.has_operation(id))
    }

    pub(crate) fn of_mut(&mut self, mac: Mac) -> Option<&mut SwitchPort> {
        self.ports.iter_mut().find(|port| port.mac == mac)
    }

    /// The port in a slot.
    pub(crate) fn in_slot(&self, slot: usize) -> Option<&SwitchPort> {
        self.ports
            .iter()
            .find(|port| usize::from(port.slot) == slot)
    }

    /// Puts an interface into a port; `None` where there is no room.
    pub(crate) fn put(&mut self, mac: Mac, switch: u8, name: PortName) -> Option<&mut SwitchPort> {
        match self.ports.iter().position(|port| port.mac == mac) {
            Some(place) => {
                let port = self.ports.get_mut(place)?;
                if port.switch != switch || port.name != name {
                    *port = SwitchPort {
                        switch,
                        name,
                        at: 0,
                        to: 0,
                        sources: Sources::empty(),
                        control: PortControl {
                            seen: port.control.seen,
                            ..PortControl::default()
                        },
                        ..port.clone()
                    };
                }
                Some(port)
            }
            None => {
                let taken = |slot: u16| self.ports.iter().any(|port| port.slot == slot);
                let slot = (0..MAX_SWITCH_PORTS as u16).find(|slot| !taken(*slot))?;
                let port = SwitchPort {
                    slot,
                    mac,
                    switch,
                    name,
                    vif: 0,
                    at: 0,
                    to: 0,
                    token: 0,
                    sources: Sources::empty(),
                    heard: [0; 2],
                    group: 0,
                    control: PortControl::default(),
                };
                self.ports.push(port).ok()?;
                self.ports.last_mut()
            }
        }
    }

    /// Takes a port up as a record has it.
    pub(crate) fn restore(&mut self, port: SwitchPort) {
        self.ports
            .retain(|known| known.slot != port.slot && known.mac != port.mac);
        // As many as fitted when it was written.
        let _fits = self.ports.push(port);
    }
}
