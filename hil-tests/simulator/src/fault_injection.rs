//! Faults that are injected at random times.

use farrier_journal::sim::Cut;

use crate::faults::Fault;
use crate::machine::Stage;
use crate::simulation::{Act, Event, Simulation};
use crate::switch::{Network, Port};

/// What strikes by itself. The others strike where they belong: a datagram
/// on its way, an order that is begun.
const SUDDEN: [Fault; 13] = [
    Fault::Partition,
    Fault::PortAstray,
    Fault::MacAstray,
    Fault::AppliancePower,
    Fault::ServerPower,
    Fault::FlashWear,
    Fault::BitRot,
    Fault::AgentRestart,
    Fault::AgentTwice,
    Fault::DiskFails,
    Fault::DiskLies,
    Fault::ClockJump,
    Fault::AllAtOnce,
];

impl Simulation {
    /// Something goes wrong, and the next thing is not far.
    pub(crate) fn strike(&mut self) {
        let pause = self.random.between(10_000, 400_000);
        let fault = self.random.pick(&SUDDEN);
        let index = self.random.below(self.machines.len() as u64) as usize;
        let word = self.random.word();
        if self.faults.may(fault) {
            self.afflict(fault, index, word);
        }
        if self.options.operators {
            self.at(pause, Event::Strike);
        }
    }

    /// A fault strikes a machine now; `word` makes it differ from others of
    /// its kind.
    pub fn afflict(&mut self, fault: Fault, index: usize, word: u64) {
        let now = self.now;
        let machine = &mut self.machines[index];
        let place = (word % machine.disks.len() as u64) as usize;
        match fault {
            Fault::Partition => machine.cut_until = now + 1_000 + word % 1_200_000,
            Fault::PortAstray => {
                // Rarely: until somebody looks after it, or for a while.
                if !word.is_multiple_of(4) {
                    return;
                }
                let port = Port::Server(machine.mac());
                self.switch.put(port, Network::Other);
                self.trace(|| format!("machine {index}: its port is in another network"));
                self.at(60_000 + word % 3_600_000, Event::PutRight(port));
                // Counted for every datagram that it costs.
                return;
            }
            Fault::MacAstray => {
                let mac = machine.mac();
                let until = now + 5_000 + word % 25_000;
                self.trace(|| format!("machine {index}: its address is seen at another port"));
                self.at(0, Event::Impostor(mac, until));
                return;
            }
            Fault::AppliancePower => {
                if self.appliance.is_down() {
                    return;
                }
                self.appliance.plan_cut(now, word % 40, cut(word >> 16));
                // Counted when it happens.
                return;
            }
            Fault::ServerPower => {
                let off = word.is_multiple_of(4);
                self.switch(index, if off { Act::Off } else { Act::Cycle }, false);
                if off {
                    let later = 60_000 + word % 3_600_000;
                    self.at(later, Event::Power(index, Act::On, false));
                }
            }
            Fault::AgentRestart => {
                if !matches!(machine.stage, Stage::Ramdisk(_)) {
                    return;
                }
                self.give_up(index);
            }
            Fault::AgentTwice => {
                // Counted where it does so.
                machine.twice = !machine.twice;
                return;
            }
            Fault::DiskFails => {
                // Most disks are replaced before the next one fails.
                let fail = word.is_multiple_of(2);
                machine.disks[place].damage(|damage| {
                    damage.dies_after = fail.then_some(word % (96 << 20));
                });
                if !fail {
                    return;
                }
            }
            Fault::DiskLies => machine.disks[place].damage(|damage| {
                damage.ignores_discard = word & 1 != 0;
                damage.ignores_zeroes = word & 2 != 0;
            }),
            Fault::FlashWear => {
                // Rarely: what is worn out stays so.
                if !word.is_multiple_of(4) || !self.appliance.wear(word >> 8) {
                    return;
                }
            }
            Fault::BitRot => {
                // Rarely: where a restart finds it, all nodes need a person.
                if !word.is_multiple_of(32) || !self.appliance.rot(word >> 8) {
                    return;
                }
            }
            Fault::ClockJump => {
                // Rarely: it ends every lease and every wait at once.
                if !word.is_multiple_of(8) {
                    return;
                }
                let millis = 1_000 + word % 1_800_000;
                self.invariants.clock_jumped(now, millis);
                self.appliance.jump(now, millis);
                self.schedule_tick();
                self.trace(|| format!("the appliance's clock jumps by {millis} ms"));
            }
            Fault::AllAtOnce => {
                if !word.is_multiple_of(16) {
                    return;
                }
                for index in 0..self.machines.len() {
                    self.at(0, Event::Power(index, Act::Cycle, false));
                }
            }
            _ => return,
        }
        self.faults.count(fault);
    }

    /// The appliance's power is gone; it comes back.
    pub(crate) fn power_lost(&mut self) {
        if self.restarting {
            return;
        }
        self.restarting = true;
        self.faults.count(Fault::AppliancePower);
        self.trace(|| "the appliance loses power".into());
        let pause = self.random.between(2_000, 200_000);
        let pause = self.dark().unwrap_or(pause);
        self.switch_task_lost();
        self.at(pause, Event::Restart);
    }

    /// The appliance starts, and may lose power while it does.
    pub(crate) fn restart(&mut self) {
        self.restarting = false;
        let stumbles = self.random.below(3);
        for _ in 0..stumbles {
            let (operations, word) = (self.random.below(40), self.random.word());
            if self.faults.may(Fault::AppliancePower) {
                self.faults.count(Fault::AppliancePower);
                self.appliance.stumble(operations, cut(word));
            }
        }
        self.trace(|| "the appliance starts again".into());
        self.invariants.restarted(self.now);
        match self.appliance.start(self.now) {
            Err(why) => {
                self.invariants.violation.get_or_insert((self.now, why));
                return;
            }
            Ok(0) => {}
            Ok(lost) => {
                self.trace(|| format!("{lost} steps' records are lost"));
                self.invariants.records_lost();
            }
        }
        self.invariants.answered(self.now, &self.appliance);
        self.carry_out(Vec::new());
    }
}

/// How a cut meets the word that is being written.
fn cut(word: u64) -> Cut {
    match word % 3 {
        0 => Cut::Clean,
        1 => Cut::Torn(word),
        _ => Cut::Weak(word),
    }
}
