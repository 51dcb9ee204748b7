//! What goes wrong with switches, cables and the appliance's trunk, and who puts it
//! right again.

use farrier_core::interface::{SwitchAction, SwitchKind};
use farrier_netconf::model::{Fault as Netconf, OPERATIONS};
use farrier_netconf::xml::name::Name;
use farrier_ovsdb::model::Fault as Ovsdb;

use super::device::Server;
use super::{CLEANING, IDLE, INSPECTION, PROVISIONING, TENANTS};
use crate::faults::Fault;
use crate::simulation::{Act, Event, Simulation};

/// What strikes a switch by itself.
const SUDDEN: [Fault; 16] = [
    Fault::SwitchRefuses,
    Fault::SwitchHangs,
    Fault::SwitchDrops,
    Fault::SwitchLocked,
    Fault::SwitchPower,
    Fault::SwitchHalf,
    Fault::SwitchLies,
    Fault::SwitchForgets,
    Fault::SwitchBomb,
    Fault::SwitchKey,
    Fault::CableMoved,
    Fault::CablesSwapped,
    Fault::MacTwice,
    Fault::TrunkLacks,
    Fault::ConfirmRunsOut,
    Fault::RestartBehindMove,
];

/// Longer than a switch waits for a confirmation.
const LONG_DARK: u64 = 26 * 60_000;

/// One of two.
fn one_of<T>(second: bool, [one, other]: [T; 2]) -> T {
    if second { other } else { one }
}

impl Simulation {
    /// Something goes wrong with a switch, and the next thing is not far.
    pub(crate) fn strike_switch(&mut self) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        let random = &mut managed.random;
        let (least, most) = match self.options.busy {
            true => (10_000, 180_000),
            false => (30_000, 900_000),
        };
        let (pause, fault) = (random.between(least, most), random.pick(&SUDDEN));
        let (device, word) = (random.below(super::SWITCHES as u64) as usize, random.word());
        if self.faults.may(fault) {
            self.afflict_switch(fault, device, word);
        }
        if self.options.operators {
            self.at(pause, Event::StrikeSwitch);
        }
    }

    /// A fault strikes a switch now; `word` makes it differ from others of its kind.
    pub fn afflict_switch(&mut self, fault: Fault, place: usize, word: u64) {
        let now = self.now;
        let Some(managed) = &mut self.managed else {
            return;
        };
        let machines = self.machines.len() as u64;
        let Some(device) = managed.devices.get_mut(place) else {
            return;
        };
        let lasts = match self.options.busy {
            true => 5_000 + word % 240_000,
            false => 20_000 + word % 1_200_000,
        };
        let (any, others) = ((word >> 24) as usize, (word >> 32) as u8 % 3);
        let operation = OPERATIONS[any % OPERATIONS.len()];
        let late = (word >> 20) & 1 == 1;
        let commit = (Name::Commit, 0);
        let (ovsdb, netconf) = match fault {
            Fault::SwitchRefuses => (
                Some(Ovsdb::Refuses),
                Some((
                    (operation, others),
                    one_of(late, [Netconf::Refuses, Netconf::RefusesAfter]),
                )),
            ),
            Fault::SwitchHangs => (
                Some(one_of(late, [Ovsdb::Hangs, Ovsdb::HangsAfterCommit])),
                Some((
                    commit,
                    one_of(late, [Netconf::HangsBefore, Netconf::HangsAfter]),
                )),
            ),
            // Behind the lock, mostly.
            Fault::SwitchDrops => (
                Some(one_of(late, [Ovsdb::Drops, Ovsdb::DropsAfterCommit])),
                Some((
                    (operation, others),
                    one_of(late, [Netconf::DropsBefore, Netconf::DropsAfter]),
                )),
            ),
            Fault::SwitchLocked => (None, Some(((Name::Lock, others), Netconf::Locked(7)))),
            Fault::SwitchHalf => (
                Some(one_of(late, [Ovsdb::Half, Ovsdb::NeverApplies])),
                Some((commit, Netconf::AppliesHalf)),
            ),
            Fault::SwitchLies => (
                Some(one_of(late, [Ovsdb::Lies, Ovsdb::LiesInDataPath])),
                Some(match late {
                    true => ((Name::GetConfig, others), Netconf::WrongData),
                    false => ((operation, others), Netconf::Lies),
                }),
            ),
            Fault::SwitchBomb if matches!(device.server, Server::Ovsdb(_)) => {
                device.nonsense = Some(word >> 24);
                (None, None)
            }
            Fault::SwitchBomb => (
                None,
                Some((
                    (operation, others),
                    one_of(late, [Netconf::Bomb, Netconf::Garbage]),
                )),
            ),
            _ => (None, None),
        };
        match (&mut device.server, ovsdb, netconf) {
            (Server::Ovsdb(switch), Some(fault), _) => {
                switch.set_fault(fault);
                self.at(lasts, Event::SwitchWell(place));
            }
            (Server::Netconf(model), _, Some(((operation, others), fault))) => {
                model.faults.next = Some((operation, others, fault));
            }
            _ if ovsdb.is_some() || netconf.is_some() => return,
            _ => match fault {
                Fault::SwitchBomb if device.nonsense.is_some() => {}
                Fault::SwitchPower => {
                    device.power_off(now + lasts);
                    self.at(lasts, Event::SwitchWell(place));
                }
                Fault::SwitchForgets => {
                    device.forget();
                    self.not_by_the_appliance(place);
                    // Somebody notices, and configures it again.
                    for index in 0..self.machines.len() {
                        let walk = lasts + 60_000;
                        self.at(walk, Event::PutPortRight(index));
                    }
                }
                Fault::SwitchKey if device.address.kind == SwitchKind::Netconf => {
                    device.other_key_until = now + lasts;
                    // Counted where a driver meets it.
                    return;
                }
                Fault::CableMoved => {
                    let index = (word >> 40) % machines;
                    self.move_cable(index as usize, lasts);
                    return;
                }
                Fault::CablesSwapped => {
                    let (index, other) = ((word >> 40) % machines, (word >> 48) % machines);
                    self.swap_cables(index as usize, other as usize, lasts);
                    return;
                }
                Fault::MacTwice => {
                    let known = [IDLE, INSPECTION, CLEANING, PROVISIONING, super::SERVICING];
                    let known = known.into_iter().chain(TENANTS.map(|(vlan, _)| vlan));
                    let known: Vec<u16> = known.collect();
                    let index = ((word >> 40) % machines) as usize;
                    let vlan = known[any % known.len()];
                    self.trace(|| format!("machine {index}: another one has its address"));
                    self.at(0, Event::Twin(index, vlan, now + lasts));
                    // Counted for every frame.
                    return;
                }
                Fault::TrunkLacks => {
                    if managed.trunk_lacks.is_some() {
                        return;
                    }
                    let known = [IDLE, INSPECTION, CLEANING, PROVISIONING];
                    let known = known.into_iter().chain(TENANTS.map(|(vlan, _)| vlan));
                    let known: Vec<u16> = known.collect();
                    managed.trunk_lacks = Some(known[any % known.len()]);
                    self.at(lasts * 2, Event::TrunkWell);
                }
                Fault::ConfirmRunsOut => {
                    managed.cut = Some(LONG_DARK + word % 600_000);
                    // Counted where a switch takes a move back.
                    return;
                }
                Fault::RestartBehindMove => {
                    managed.cut = Some(2_000 + word % 120_000);
                    // Counted when it happens.
                    return;
                }
                _ => return,
            },
        }
        self.trace(|| format!("switch {place}: {}", fault.name()));
        self.faults.count(fault);
        // Of an answer that is wrong once, an operation that fails says when it was.
        let (all, until) = match fault {
            Fault::TrunkLacks => (None, now + lasts * 2),
            Fault::SwitchForgets => (Some(place), now + lasts + 60_000),
            _ => (Some(place), now + lasts),
        };
        self.struck(all, until);
        self.ports_changed();
        self.watch_switches();
    }

    /// A fault strikes the ports of a switch, or of all, until then.
    pub(super) fn struck(&mut self, place: Option<usize>, until: u64) {
        let Some(managed) = &self.managed else {
            return;
        };
        for (index, cable) in managed.cables.iter().enumerate() {
            if place.is_none_or(|place| place == cable.switch) {
                self.invariants.ports.struck(index, until);
            }
        }
    }

    /// The trunk carries every tag again.
    pub(crate) fn trunk_well(&mut self) {
        if let Some(managed) = &mut self.managed {
            managed.trunk_lacks = None;
        }
    }

    /// A switch has power again and does what it is told.
    pub(crate) fn switch_well(&mut self, place: usize) {
        let now = self.now;
        let Some(managed) = &mut self.managed else {
            return;
        };
        let Some(device) = managed.devices.get_mut(place) else {
            return;
        };
        if device.off_until <= now {
            device.off_until = 0;
        }
        if let Server::Ovsdb(switch) = &mut device.server {
            let lied =
                switch.fault() == Ovsdb::LiesInDataPath || switch.fault() == Ovsdb::NeverApplies;
            switch.set_fault(Ovsdb::None);
            if lied {
                switch.apply();
                self.not_by_the_appliance(place);
            }
        }
        self.ports_changed();
    }

    /// A move is done and the appliance loses power, for so long.
    pub(super) fn cut_behind_move(&mut self, dark: u64) {
        if self.appliance.is_down() {
            return;
        }
        if dark < LONG_DARK {
            self.faults.count(Fault::RestartBehindMove);
        }
        if let Some(managed) = &mut self.managed {
            managed.dark = Some(dark);
        }
        self.appliance.lose_power(self.now);
        self.power_lost();
    }

    /// For how long the appliance has no power, where that is known.
    pub(crate) fn dark(&mut self) -> Option<u64> {
        self.managed.as_mut()?.dark.take()
    }

    /// The ports of a switch are moved by something else.
    pub(super) fn not_by_the_appliance(&mut self, place: usize) {
        let machines = self.machines.len();
        let Some(managed) = &self.managed else {
            return;
        };
        for index in 0..machines {
            let here = managed.cables.get(index).is_some_and(|c| c.switch == place);
            if here {
                self.invariants.ports.not_by_the_appliance(index);
            }
        }
    }

    /// A person is asked by the console to move a port, and goes.
    pub(super) fn person_is_asked(&mut self, device: usize, port: &str, action: SwitchAction) {
        let vlan = match action {
            SwitchAction::Move { to, .. } => to,
            SwitchAction::Undo { from, .. } => from,
            SwitchAction::Read | SwitchAction::Keep { .. } => return,
        };
        let Some(managed) = &mut self.managed else {
            return;
        };
        let Some(index) = managed.machine_in(device, port) else {
            return;
        };
        let walk = managed.random.between(5_000, 240_000);
        // Where it was is not known: there is nothing to put back.
        if vlan != 0 {
            managed.asked.insert(index, vlan);
            self.at(walk, Event::Carry(index, vlan));
        }
    }

    /// A person comes to a switch, and does what was asked for last.
    pub(crate) fn comes(&mut self, index: usize, vlan: u16) {
        let asked = self.managed.as_ref().map(|m| m.asked.get(&index));
        if asked.is_some_and(|asked| asked.is_none_or(|asked| *asked == vlan)) {
            self.carry(index, vlan);
        }
    }

    /// A person puts a machine's port onto a VLAN.
    pub(crate) fn carry(&mut self, index: usize, vlan: u16) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        let (switch, port) = managed.port_of(index);
        if let Some(device) = managed.devices.get_mut(switch) {
            if device.is_waiting() {
                self.at(5 * 60_000, Event::Carry(index, vlan));
                return;
            }
            device.put(&port, vlan);
        }
        managed.asked.remove(&index);
        self.trace(|| format!("machine {index}: a person puts its port onto VLAN {vlan}"));
        self.invariants.ports.not_by_the_appliance(index);
        self.invariants.ports.struck(index, self.now);
        self.ports_changed();
    }

    /// A person puts a port where the rack says that it is.
    pub(crate) fn put_port_right(&mut self, index: usize) {
        if self.appliance.is_down() {
            // Nobody can ask it.
            self.at(5 * 60_000, Event::PutPortRight(index));
            return;
        }
        let (Some(managed), Some(machine)) = (&self.managed, self.machines.get(index)) else {
            return;
        };
        let port = self.appliance.rack().ports().of(machine.macs[0]);
        let (at, to) = port.map_or((IDLE, 0), |port| {
            let [at, to] = port.vlans();
            (at, to)
        });
        let vlan = managed.vlan(index);
        if at != 0 && vlan != at && (to == 0 || vlan != to) {
            self.carry(index, at);
        }
    }

    /// Nothing goes wrong with switches any more, and everything is put right.
    pub(crate) fn switches_well(&mut self) {
        let machines = self.machines.len();
        if self.managed.is_none() {
            return;
        }
        for place in 0..super::SWITCHES {
            if let Some(managed) = &mut self.managed
                && let Some(device) = managed.devices.get_mut(place)
            {
                device.off_until = 0;
                device.other_key_until = 0;
                device.nonsense = None;
                if let Server::Netconf(model) = &mut device.server {
                    model.faults.next = None;
                }
            }
            self.switch_well(place);
        }
        if let Some(managed) = &mut self.managed {
            managed.trunk_lacks = None;
            managed.cut = None;
        }
        self.struck(None, self.now + 10 * 60_000);
        for index in 0..machines {
            self.cable_back(index);
            // Once the appliance is there again.
            self.at(10 * 60_000, Event::PutPortRight(index));
        }
    }

    /// The node of a machine is gone: a person switches it off, puts its port where
    /// new machines are, and switches it on again.
    pub(crate) fn reclaim(&mut self, index: usize) {
        if self.managed.is_none() {
            return;
        }
        self.switch(index, Act::Off, false);
        self.carry(index, IDLE);
        self.at(60_000, Event::Power(index, Act::On, false));
    }
}
