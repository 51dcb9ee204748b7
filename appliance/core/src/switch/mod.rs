//! Where the ports of a node's machine should be, where they were proven to be,
//! and what the drivers of switches are asked for in between.
//!
//! [`Rack::desired_vlan`] follows from durable state. A move is durable before the
//! switch is asked for it, and it is one until it was proven: the machine's own
//! frames were seen on the new network, or the machine is off and the port, read
//! back, is there. What is not proven in time is taken back. A restart reads a port
//! before it does anything else with it.

mod drivers;
mod evidence;
mod reconcile;
mod shut;

use crate::interface::{Effects, Instant, Network, PowerState, Uses};
use crate::node::{Node, agent_phase};
use crate::persist::record::Record;
use crate::ports::{Sources, SwitchPort};
use crate::rack::{Rack, edit};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::Mac;

pub use evidence::Doubt;
pub use reconcile::{MOVE_MILLIS, OPERATION_MILLIS};

/// What became of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortOutcome {
    /// A port of this node was proven to be where it should be.
    Settled(usize),
    /// A move that this node's work needs was taken back.
    Failed(usize),
}

/// The network that a node's ports should be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Where they are.
    Stay,
    /// The network of this use.
    Boot(Uses),
    /// The tenant's.
    Tenant,
}

/// What a node's state wants of its ports.
fn wanted(node: &Node) -> Wanted {
    let boots_disk = node.boot.imaged && node.boot.left;
    match node.state {
        ProvisionState::Manageable if cfg!(farrier_bug = "unerased-attached") => Wanted::Tenant,
        _ if node.is_vacant() || node.flags.contains(crate::node::flags::Flags::RECORDS_LOST) => {
            Wanted::Stay
        }
        ProvisionState::Enroll
        | ProvisionState::Verifying
        | ProvisionState::Manageable
        | ProvisionState::Available => Wanted::Boot(Uses::IDLE),
        ProvisionState::Inspecting
        | ProvisionState::InspectWait
        | ProvisionState::InspectFailed => Wanted::Boot(Uses::INSPECTION),
        ProvisionState::Cleaning
        | ProvisionState::CleanWait
        | ProvisionState::CleanHold
        | ProvisionState::CleanFailed
        | ProvisionState::Deleting => Wanted::Boot(Uses::CLEANING),
        // Erased, written, proven, and the agent has left for the disk.
        ProvisionState::Deploying
        | ProvisionState::WaitCallBack
        | ProvisionState::Servicing
        | ProvisionState::ServiceWait
            if boots_disk =>
        {
            Wanted::Tenant
        }
        ProvisionState::Deploying
        | ProvisionState::WaitCallBack
        | ProvisionState::DeployHold
        | ProvisionState::DeployFailed => Wanted::Boot(Uses::PROVISIONING),
        ProvisionState::Servicing
        | ProvisionState::ServiceWait
        | ProvisionState::ServiceHold
        | ProvisionState::ServiceFailed => Wanted::Boot(Uses::SERVICING),
        ProvisionState::Active | ProvisionState::Adopting | ProvisionState::Unrescuing => {
            Wanted::Tenant
        }
        ProvisionState::Rescuing
        | ProvisionState::RescueWait
        | ProvisionState::Rescue
        | ProvisionState::RescueFailed => Wanted::Boot(Uses::RESCUING),
        ProvisionState::AdoptFailed | ProvisionState::UnrescueFailed | ProvisionState::Error => {
            Wanted::Stay
        }
    }
}

/// Whether a state's own work takes a tenant's machine off its network. In others a
/// machine on a tenant's network is left alone: it may be one that nobody has
/// adopted yet.
fn takes_off(state: ProvisionState) -> bool {
    agent_phase(state).is_some() || state == ProvisionState::Deleting
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The VLAN that a port of a node should be on; `None` where it stays.
    pub fn desired_vlan(&self, index: usize, port: &SwitchPort) -> Option<u16> {
        let node = self.nodes.get(index)?;
        let networks = self.ipam.networks();
        let with = |uses| networks.iter().find(|network| network.uses.contains(uses));
        if port.sources.contains(Sources::SHUT) {
            return self.shut_vlan(index);
        }
        match wanted(node) {
            Wanted::Stay => None,
            Wanted::Boot(uses) => self.boot_vlan(index, uses),
            Wanted::Tenant if port.vif == 0 => with(Uses::UNUSED).map(|network| network.vlan),
            Wanted::Tenant => networks
                .iter()
                .find(|network| network.place == port.vif)
                .map(|network| network.vlan)
                .filter(|vlan| *vlan != 0),
        }
    }

    /// The VLAN of a node for a work: that of the work's network, else where servers
    /// are deployed, else where they boot at all. A tenant's system that is rescued
    /// has no business there.
    fn boot_vlan(&self, index: usize, uses: Uses) -> Option<u16> {
        let networks = self.ipam.networks().iter();
        let rank = |network: &Network| match network.uses {
            of if of.contains(uses) => Some(0),
            _ if uses == Uses::RESCUING => None,
            of if of.contains(Uses::PROVISIONING) => Some(1),
            of if of.intersects(Uses::BOOT) => Some(2),
            _ => None,
        };
        // The order of the table is another one after a restart.
        let ranked = networks.filter_map(|network| {
            let vlan = network.vlan_of_node(index)?;
            Some(((rank(network)?, network.place), vlan))
        });
        ranked.min().map(|(_, vlan)| vlan)
    }

    /// Whether a tenant's machine may be on this VLAN.
    pub fn is_tenants_vlan(&self, vlan: u16) -> bool {
        let tenants = Uses::TENANT.union(Uses::UNUSED);
        let mut networks = self.ipam.networks().iter();
        vlan != 0 && networks.any(|n| n.uses.intersects(tenants) && n.vlan == vlan)
    }

    /// Whether every port of a node was proven to be where it should be. True for a
    /// node whose ports are in no known switch.
    pub(crate) fn ports_are_settled(&self, index: usize) -> bool {
        self.ports_of(index).all(|port| {
            let desired = self.desired_vlan(index, port);
            !port.is_moving()
                && desired.is_none_or(|desired| port.at == desired)
                && !port.sources.intersects(Sources::STOPS)
        })
    }

    /// Whether a port of a node would have no network while a tenant uses it, or
    /// none to come back to.
    pub(crate) fn lacks_network(&self, index: usize) -> bool {
        let mut networks = self.ipam.networks().iter();
        let unused = networks.any(|network| network.uses == Uses::UNUSED);
        let boots = self.boot_vlan(index, Uses::CLEANING).is_some();
        let mut ports = self.ports_of(index).peekable();
        let any = ports.peek().is_some();
        let (mut with, mut without) = (false, false);
        for port in ports {
            with |= port.vif != 0;
            without |= port.vif == 0;
        }
        any && (!boots || !with || without && !unused)
    }

    /// The ports of a node.
    pub fn ports_of(&self, index: usize) -> impl Iterator<Item = &SwitchPort> {
        let macs = self.nodes.get(index).map(|node| &node.macs);
        let ports = self.ports.all().iter();
        ports.filter(move |port| macs.is_some_and(|macs| macs.contains(&port.mac)))
    }

    /// Whether DHCP of an interface is answered on a VLAN (0 for the appliance's
    /// untagged network): not where its port was proven to be on another one. There
    /// somebody asks under its address, or its cable is in another port.
    pub fn may_ask_on(&self, mac: Mac, vlan: u16) -> bool {
        let Some(port) = self.ports.of(mac).filter(|port| port.at != 0) else {
            return true;
        };
        // Where it is being taken away it gets no address any more: a system that
        // starts sooner than its port moves would keep that for minutes.
        let here = match port.is_moving() && !port.control.undo {
            true => port.to,
            false => port.at,
        };
        match vlan {
            // The switch has a number for the untagged network, and it is none of
            // the others'.
            0 => !self.has_vlan(here),
            vlan => vlan == here,
        }
    }

    /// Whether a frame of an interface on a VLAN would prove something: a move of its
    /// port, or that it is where an operator says.
    pub fn awaits_frame(&self, mac: Mac, vlan: u16) -> bool {
        let Some(port) = self.ports.of(mac).filter(|_| vlan != 0) else {
            return false;
        };
        let node = self
            .find_by_mac(mac)
            .and_then(|index| self.nodes.get(index));
        let off = node.is_some_and(|node| node.power == PowerState::Off);
        // Somebody may have switched a tenant's machine on again.
        if off && self.is_tenants_vlan(vlan) {
            return true;
        }
        let control = &port.control;
        match port.is_moving() {
            true => {
                let since = control.applied.filter(|_| port.to == vlan);
                let seen = control.seen.filter(|(known, _)| *known == vlan);
                since.is_some_and(|since| seen.is_none_or(|(_, at)| at < since))
            }
            false => port.at == vlan && !control.is_seen_on(vlan),
        }
    }

    /// Whether a network beside the untagged one has a VLAN.
    fn has_vlan(&self, vlan: u16) -> bool {
        let mut networks = self.ipam.networks().iter();
        vlan != 0 && networks.any(|network| network.has_vlan(vlan))
    }

    /// A frame of an interface came by this VLAN.
    pub(crate) fn port_seen(&mut self, now: Instant, mac: Mac, vlan: u16) {
        if self.is_tenants_vlan(vlan)
            && let Some(index) = self.find_by_mac(mac)
            && let Some(node) = edit!(self, index)
            && node.power == PowerState::Off
        {
            // Somebody has switched it on: its ports stay where they are.
            node.see_power(now, PowerState::On);
        }
        let by_hand = self
            .ports
            .of(mac)
            .is_some_and(|port| self.ports.is_by_hand(port.switch));
        if let Some(port) = self.ports.of_mut(mac) {
            let is_new = !port.control.is_seen_on(vlan);
            port.control.seen = Some((vlan, now));
            let astray =
                !port.is_moving() && port.at != 0 && vlan != port.at && !port.control.unread;
            if astray {
                // Somebody has moved it, or the switch has lost what it was told.
                port.control.unread = true;
                port.control.retry_at = now;
            } else if by_hand && vlan == port.at {
                // No driver reads such a port.
                port.control.unread = false;
            }
            let is_due = astray || is_new && vlan == port.at || port.is_moving();
            // It may prove the moves of other ports of its machine as well.
            let proves = |index| self.ports_of(index).any(SwitchPort::is_moving);
            if is_due || self.find_by_mac(mac).is_some_and(proves) {
                self.ports_due = now;
            }
            if astray && by_hand {
                self.say_astray(mac, vlan);
            }
        }
    }

    /// Says that a machine was seen elsewhere than a person has put its port.
    fn say_astray(&mut self, mac: Mac, vlan: u16) {
        let Some(port) = self.ports.of(mac) else {
            return;
        };
        let (name, at) = (port.name.clone(), port.at);
        if let Some(index) = self.find_by_mac(mac)
            && let Some(node) = edit!(self, index)
        {
            node.set_error(format_args!(
                "its machine was seen on VLAN {vlan}, and port {name} should be on {at}: put it \
                 back there"
            ));
        }
    }

    /// Writes a port's record.
    pub(crate) fn write_port(&self, mac: Mac, out: &mut Effects) {
        if let Some(port) = self.ports.of(mac) {
            Record::of_switch_port(port).emit(out);
        }
    }
}
