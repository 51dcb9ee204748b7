//! Cables in other ports, and machines that have another one's address.

use farrier_core::Input;
use farrier_dhcp::wire::{MessageType, Request};

use super::{Managed, Plug, SWITCHES};
use crate::faults::Fault;
use crate::simulation::{Event, Simulation};

impl Simulation {
    /// A machine's cable is in another port of its switch, for a while.
    pub(super) fn move_cable(&mut self, index: usize, lasts: u64) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        let Some(cable) = managed.cables.get(index).copied() else {
            return;
        };
        let mut all = managed.cables.iter();
        let taken = all.any(|other| other.switch == cable.switch && other.plug == Plug::Spare);
        if taken || cable.plug != Plug::Own {
            return;
        }
        managed.cables[index].plug = Plug::Spare;
        self.trace(|| format!("machine {index}: its cable is in another port"));
        self.faults.count(Fault::CableMoved);
        self.invariants.ports.not_by_the_appliance(index);
        self.invariants.ports.struck(index, self.now + lasts * 2);
        self.at(lasts * 2, Event::CableBack(index));
        self.ports_changed();
    }

    /// The cables of two machines in one switch are in each other's port, for a while.
    pub(super) fn swap_cables(&mut self, index: usize, other: usize, lasts: u64) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        let other = other - other % SWITCHES + index % SWITCHES;
        let own = |index: usize| {
            let cable = managed.cables.get(index);
            cable.is_some_and(|cable| cable.plug == Plug::Own)
        };
        if other == index || !own(index) || !own(other) {
            return;
        }
        managed.cables[index].plug = Plug::Of(other);
        managed.cables[other].plug = Plug::Of(index);
        self.trace(|| format!("machines {index} and {other}: their cables are swapped"));
        self.faults.count(Fault::CablesSwapped);
        for index in [index, other] {
            self.invariants.ports.not_by_the_appliance(index);
            self.invariants.ports.struck(index, self.now + lasts * 2);
        }
        self.at(lasts * 2, Event::CableBack(index));
        self.ports_changed();
    }

    /// Another machine with this one's address sends DHCP on a VLAN, and again until
    /// then. What is answered there is its own.
    pub(crate) fn twin(&mut self, index: usize, vlan: u16, until: u64) {
        if self.now >= until || !self.faults.may(Fault::MacTwice) {
            return;
        }
        let pause = self.random.between(500, 20_000);
        self.at(pause, Event::Twin(index, vlan, until));
        self.invariants.ports.struck(index, self.now);
        let managed = self.managed.as_ref();
        let place = managed.and_then(|managed| self.network_of(managed, vlan));
        let Some((network, tag)) = place.filter(|_| !self.appliance.is_down()) else {
            return;
        };
        let mac = self.machines[index].macs[0];
        let mut request = Request::new(MessageType::Discover, self.random.word() as u32, mac.0);
        if self.random.below(2) == 0 {
            request.user_class = Some(b"iPXE");
            request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
        }
        let mut buffer = [0; 600];
        let length = request.emit(&mut buffer).unwrap_or(0);
        self.faults.count(Fault::MacTwice);
        self.answers_by(tag);
        let payload = &buffer[..length];
        let from = mac;
        self.step(Input::Dhcp {
            network,
            from,
            payload,
        });
        self.answers_by(0);
        if !self.appliance.is_down() {
            self.step(Input::Seen { mac, vlan: tag });
        }
    }

    /// A cable is where it should be.
    pub(crate) fn cable_back(&mut self, index: usize) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        let plug = |managed: &mut Managed, index: usize| {
            let cable = managed.cables.get_mut(index);
            cable.map(|cable| std::mem::replace(&mut cable.plug, Plug::Own))
        };
        let Some(was) = plug(managed, index).filter(|was| *was != Plug::Own) else {
            return;
        };
        self.invariants.ports.not_by_the_appliance(index);
        if let Plug::Of(other) = was {
            plug(managed, other);
            self.invariants.ports.not_by_the_appliance(other);
        }
        self.ports_changed();
    }
}
