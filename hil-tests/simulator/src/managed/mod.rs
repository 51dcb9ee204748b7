//! Racks whose ports are moved: switches with their servers, the cables, and the
//! VLANs that machines are really on.
//!
//! Some racks have them, by their seed. The rack's operations are carried out by
//! the shipping drivers' state machines over a byte stream with delays, one after
//! the other as in the firmware. The servers are the models of `farrier_ovsdb` and
//! `farrier_netconf`. Of SSH only its ends are modelled: a session, none, or a host
//! key that is not the pinned one.
//!
//! What a machine is on is asked of the switch's model and of nobody else.

mod cables;
mod device;
mod driver;
mod faults;
mod operators;

use std::collections::{BTreeMap, VecDeque};

use farrier_core::interface::{Mac, NetworkId, Services, SwitchAddress, SwitchKind};
use farrier_testkit::Random;

use self::device::Device;
use self::driver::{Request, Running};
use crate::simulation::{Options, Simulation};

/// VLANs of these racks.
pub(crate) const IDLE: u16 = 10;
const INSPECTION: u16 = 11;
const CLEANING: u16 = 12;
const PROVISIONING: u16 = 13;
const SERVICING: u16 = 14;
pub(crate) const UNUSED: u16 = 99;
/// Where each node has a VLAN of its own: the first ones.
const CLEANING_RANGE: u16 = 200;
const PROVISIONING_RANGE: u16 = 300;
/// VLANs of tenants, with their networks' names.
pub(crate) const TENANTS: [(u16, &str); 2] = [(101, "tenants"), (102, "storage")];

/// Switches of a rack, as many as the appliance can know.
const SWITCHES: usize = 4;
/// A port of each switch that no machine is in.
const SPARE: &str = "xe-0/0/15";

/// Which networks there are beside the tenants'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// One for every kind of work.
    Separate,
    /// One for all of them.
    Single,
    /// One for every kind of work; cleaning and deployment have a VLAN for each
    /// node.
    Isolated,
}

/// The machine's end of a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cable {
    switch: usize,
    plug: Plug,
}

/// The port of its switch that a cable is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plug {
    /// Where it is said to be.
    Own,
    /// One that no machine is in.
    Spare,
    /// That of this machine, whose cable is in its own.
    Of(usize),
}

/// See the module.
#[derive(Debug)]
pub struct Managed {
    plan: Plan,
    devices: Vec<Device>,
    cables: Vec<Cable>,
    /// The port that each machine is said to be in, as its switch calls it.
    names: Vec<String>,
    /// The links of machines that are off stay up: they wait to be woken.
    standby: Vec<bool>,
    /// What each machine's own port was told of its link last.
    links: Vec<Option<bool>>,
    /// The VLAN that each machine's frames are on; 0 for none.
    vlans: Vec<u16>,
    /// Whether what happens to each machine's port is nothing of the appliance's.
    beyond: Vec<bool>,
    /// The tag that the appliance's trunk lacks.
    trunk_lacks: Option<u16>,
    /// Where the hostile machine is.
    pub(crate) hostile: u16,
    /// The tag of the frame that is being answered.
    pub(crate) answering: Option<u16>,
    /// Its own source: racks without switches stay as they are.
    random: Random,
    queue: VecDeque<Request>,
    running: Option<Running>,
    /// Number of the wake-up that counts.
    wire: u64,
    /// The appliance loses power once a move is done, for so long.
    cut: Option<u64>,
    /// For how long it has none, where that is known.
    dark: Option<u64>,
    /// What a person was asked for last, of each machine's port.
    asked: BTreeMap<usize, u16>,
    /// Operations that ended, and those that failed.
    pub done: u64,
    /// See above.
    pub failed: u64,
    /// Moves that were kept, and those that were taken back.
    pub kept: u64,
    /// See above.
    pub undone: u64,
}

/// Whether a rack of this seed has switches.
pub fn has_switches(options: &Options) -> bool {
    options.switches.unwrap_or(options.seed % 5 == 1)
}

/// Whether machines boot for the appliance's work on this VLAN.
pub(crate) const fn is_boot(vlan: u16) -> bool {
    matches!(vlan, IDLE..=SERVICING | CLEANING_RANGE..=399)
}

/// Whether it is a tenants' network.
pub(crate) fn is_tenants(vlan: u16) -> bool {
    TENANTS.iter().any(|(known, _)| *known == vlan)
}

impl Managed {
    /// The switches of a rack; `None` where it has none.
    pub(crate) fn new(options: &Options) -> Option<Box<Self>> {
        if !has_switches(options) {
            return None;
        }
        let mut random = Random::new(options.seed, 9);
        let plan = random.pick(&[Plan::Separate, Plan::Separate, Plan::Single, Plan::Isolated]);
        let devices: Vec<_> = (0..SWITCHES)
            .map(|number| {
                let kind = match random.below(8) {
                    0 => SwitchKind::ByHand,
                    1..=4 => SwitchKind::Netconf,
                    _ => SwitchKind::Ovsdb,
                };
                // It has no room for a VLAN for each node.
                let makes_vlans = plan == Plan::Isolated || number.is_multiple_of(2);
                let makes_vlans = kind == SwitchKind::Netconf && makes_vlans;
                Device::new(number, kind, makes_vlans, &mut random)
            })
            .collect();
        let machines = options.nodes;
        let mut managed = Managed {
            plan,
            devices,
            cables: (0..machines)
                .map(|index| Cable {
                    switch: index % SWITCHES,
                    plug: Plug::Own,
                })
                .collect(),
            names: (0..machines)
                .map(|index| format!("xe-0/0/{}", index / SWITCHES))
                .collect(),
            standby: (0..machines).map(|_| random.below(4) == 0).collect(),
            links: vec![None; machines],
            vlans: vec![0; machines],
            beyond: vec![false; machines],
            trunk_lacks: None,
            hostile: random.pick(&[IDLE, CLEANING, PROVISIONING]),
            answering: None,
            random,
            queue: VecDeque::new(),
            running: None,
            wire: 0,
            cut: None,
            dark: None,
            asked: BTreeMap::new(),
            done: 0,
            failed: 0,
            kept: 0,
            undone: 0,
        };
        managed.look();
        Some(Box::new(managed))
    }

    /// The port that a machine is said to be in: its switch, and its name there.
    pub(crate) fn port_of(&self, index: usize) -> (usize, String) {
        let name = self.names.get(index).cloned().unwrap_or_default();
        (index % SWITCHES, name)
    }

    /// Whether its first switch is of this kind, keeps moves until they are
    /// confirmed where its kind can, and every work has one network.
    pub(crate) fn is_plain(&self, kind: SwitchKind) -> bool {
        let first = self.devices.first();
        self.plan == Plan::Separate
            && first.is_some_and(|first| first.address.kind == kind && first.waits())
    }

    /// The appliance's trunk lacks this tag.
    pub(crate) fn lack(&mut self, vlan: u16) {
        self.trunk_lacks = Some(vlan);
    }

    /// The machine that is said to be in a port.
    pub(crate) fn machine_in(&self, switch: usize, port: &str) -> Option<usize> {
        let number: usize = port.strip_prefix("xe-0/0/")?.parse().ok()?;
        let index = number * SWITCHES + switch;
        (index < self.cables.len()).then_some(index)
    }

    /// The switch of that address.
    fn device_at(&self, address: SwitchAddress) -> Option<usize> {
        let mut devices = self.devices.iter();
        devices.position(|device| device.address.address == address.address)
    }

    /// The VLAN that a machine's frames are on; 0 for none.
    pub(crate) fn vlan(&self, index: usize) -> u16 {
        self.vlans.get(index).copied().unwrap_or(0)
    }

    /// The switch of a machine sees a frame of its.
    pub(crate) fn learn(&mut self, index: usize, mac: Mac) {
        let vlan = self.vlan(index);
        let Some(cable) = self.cables.get(index).filter(|_| vlan != 0) else {
            return;
        };
        let port = plugged(&self.names, index, cable.plug);
        if let Some(device) = self.devices.get_mut(cable.switch) {
            device.learn(port, mac, vlan);
        }
    }

    /// Asks the switches where every machine is.
    fn look(&mut self) {
        (0..self.devices.len()).for_each(|switch| self.look_at(switch));
    }

    /// Asks a switch where its machines are.
    fn look_at(&mut self, switch: usize) {
        let Some(device) = self.devices.get(switch) else {
            return;
        };
        for (index, vlan) in self.vlans.iter_mut().enumerate() {
            let cable = self.cables.get(index).filter(|c| c.switch == switch);
            if let Some(cable) = cable {
                let port = plugged(&self.names, index, cable.plug);
                *vlan = device.vlan(port);
                self.beyond[index] = cable.plug != Plug::Own || device.is_beyond(port);
            }
        }
    }

    /// The machine whose cable is in a machine's own port.
    fn in_port_of(&self, index: usize) -> Option<usize> {
        match self.cables.get(index)?.plug {
            Plug::Own => Some(index),
            Plug::Of(other) => Some(other),
            Plug::Spare => None,
        }
    }

    /// Whether a machine's port has a person for a driver, or its switch's frames
    /// do not follow what it says: nothing that happens to it is the appliance's.
    pub(crate) fn is_beyond(&self, index: usize) -> bool {
        self.beyond.get(index).is_some_and(|beyond| *beyond)
    }
}

/// The port that a machine's cable is in.
fn plugged(names: &[String], index: usize, plug: Plug) -> &str {
    let of = match plug {
        Plug::Own => index,
        Plug::Of(other) => other,
        Plug::Spare => return SPARE,
    };
    names.get(of).map_or("", String::as_str)
}

impl Simulation {
    /// The network and the tag by which frames on a VLAN reach the appliance.
    fn network_of(&self, managed: &Managed, vlan: u16) -> Option<(NetworkId, u16)> {
        if vlan == 0 || managed.trunk_lacks == Some(vlan) {
            return None;
        }
        let mut links = self.appliance.rack().links();
        links
            .find(|link| link.has_vlan(vlan) && link.services.contains(Services::DHCP))
            .map(|link| (link.network, vlan))
    }

    /// The network and the tag by which a machine's frames reach the appliance
    /// now; `None` where they do not.
    pub(crate) fn place_of(&self, index: usize) -> Option<(NetworkId, u16)> {
        match &self.managed {
            None => Some((NetworkId::PROVISIONING, 0)),
            Some(managed) => self.network_of(managed, managed.vlan(index)),
        }
    }

    /// The same for devices that are no servers of the rack.
    pub(crate) fn place_of_others(&self) -> Option<(NetworkId, u16)> {
        match &self.managed {
            None => Some((NetworkId::PROVISIONING, 0)),
            Some(managed) => self.network_of(managed, managed.hostile),
        }
    }

    /// Whether the appliance's answer reaches a machine: it goes out where the
    /// question came in.
    pub(crate) fn is_answered(&self, index: usize) -> bool {
        let Some(managed) = &self.managed else {
            return true;
        };
        let place = self.place_of(index).map(|(_, vlan)| vlan);
        place.is_some() && managed.answering.is_none_or(|vlan| Some(vlan) == place)
    }
}
