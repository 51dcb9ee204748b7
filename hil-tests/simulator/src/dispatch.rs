//! What happens at each event.

use farrier_core::Input;

use crate::events::is_of_the_world;
use crate::simulation::{Event, Simulation};
use crate::switch::Network;

impl Simulation {
    /// An event is due.
    pub(crate) fn happens(&mut self, event: Event) {
        // Void wake-ups are no events.
        match &event {
            Event::Wake(index, number) if self.machines[*index].wake != *number => return,
            Event::Tick if self.tick_at != self.now => return,
            Event::Wire(number) if !self.wire_counts(*number) => return,
            _ => {}
        }
        self.digest.add(self.now);
        self.events.world += u64::from(is_of_the_world(&event));
        match event {
            Event::Up(mac, packet) => {
                self.digest.add(1);
                self.up(mac, &packet);
            }
            Event::Down(index, packet) => {
                self.digest.add(2 | (index as u64) << 8);
                self.down(index, &packet);
                self.check_machine(index);
            }
            Event::Wake(index, _) => {
                self.digest.add(3 | (index as u64) << 8);
                self.wake(index);
                self.check_machine(index);
            }
            Event::Tick => {
                self.digest.add(4);
                self.tick_at = u64::MAX;
                self.step(Input::Tick);
            }
            Event::Operator(slot) => {
                self.digest.add(5 | (slot as u64) << 8);
                self.operator(slot);
            }
            Event::Tenancy => {
                self.digest.add(11);
                self.found_tenancy();
            }
            Event::Enrol(index) => {
                self.digest.add(12 | (index as u64) << 8);
                self.enrol(index);
            }
            Event::OperationDone(answer) => {
                self.digest.add(13 | u64::from(answer.id.0) << 8);
                self.operation_done(answer);
            }
            Event::ObservePower(index, node) => {
                self.digest.add(14 | (index as u64) << 8);
                self.observe_power(index, node);
            }
            Event::Power(index, act, from_disk) => {
                self.digest.add(6 | (index as u64) << 8);
                self.switch(index, act, from_disk);
                self.check_machine(index);
            }
            Event::PutRight(port) => {
                self.digest.add(9);
                self.switch.put(port, Network::Provisioning);
            }
            Event::Impostor(mac, until) => {
                self.digest.add(10);
                self.impostor(mac, until);
            }
            Event::Hostile => {
                self.digest.add(15);
                self.hostile();
            }
            Event::Strike => {
                self.digest.add(7);
                self.strike();
            }
            Event::Restart => {
                self.digest.add(8);
                self.restart();
            }
            Event::Wire(_) => {
                self.digest.add(16);
                self.wire();
            }
            Event::SwitchClock(place) => {
                self.digest.add(17 | (place as u64) << 8);
                self.switch_clock(place);
            }
            Event::SwitchWell(place) => {
                self.digest.add(18 | (place as u64) << 8);
                self.switch_well(place);
            }
            Event::StrikeSwitch => {
                self.digest.add(19);
                self.strike_switch();
            }
            Event::TrunkWell => {
                self.digest.add(20);
                self.trunk_well();
            }
            Event::CableBack(index) => {
                self.digest.add(21 | (index as u64) << 8);
                self.cable_back(index);
            }
            Event::Carry(index, vlan) => {
                self.digest
                    .add(22 | (index as u64) << 8 | u64::from(vlan) << 16);
                self.comes(index, vlan);
            }
            Event::PutPortRight(index) => {
                self.digest.add(23 | (index as u64) << 8);
                self.put_port_right(index);
            }
            Event::Twin(index, vlan, until) => {
                self.digest
                    .add(25 | (index as u64) << 8 | u64::from(vlan) << 16);
                self.twin(index, vlan, until);
            }
            Event::LooksForLost(index) => {
                self.digest.add(24 | (index as u64) << 8);
                self.looks_for_lost(index);
            }
        }
    }
}
