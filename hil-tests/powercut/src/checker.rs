//! The checker: cuts the power at an operation, restores a fresh rack from
//! what is left of the flash, and compares it with what was promised.

use std::net::Ipv4Addr;

use farrier_controller::testing::ready;
use farrier_controller::{Controller, RecordStore};
use farrier_core::interface::{Image, NetworkId};
use farrier_core::node::flags::Flags;
use farrier_core::node::{AGENT_SILENT_MILLIS, Node};
use farrier_core::power::GRACE_MILLIS;
use farrier_core::{Config, Effect, Endpoint, Input, Instant, Rack};
use farrier_dhcp::wire::{MessageType, Reply};
use farrier_journal::sim::{Cut, Operation};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::handler::RunnerPoll;
use farrier_protocol::message::{BootMode, Inspection, NodeId};
use farrier_testkit::agent::{Agent, ScriptedAgent};
use farrier_testkit::machine::{dhcp_message, disk, inspection, mac_of, text};
use farrier_testkit::{GIB, IDENTITY, Random};

use crate::TestController;
use crate::durable::Durable;
use crate::promises::{Promises, Tally};
use crate::store::{Chip, ChipStore, Flash};

/// A controller whose rack was restored from a chip, and what was durable
/// there. `None` where the store does not open.
pub fn start<const WORD: usize, S: ChipStore<WORD>>(
    chip: Chip<WORD>,
    now: Instant,
    random: &mut Random,
) -> Option<(TestController<S>, Durable)> {
    let entropy = Random::new(random.word(), 1);
    let mut controller = Controller::new(Box::new(Rack::new()), S::on(chip), entropy);
    let config = Config {
        pool_len: 24,
        ..Config::default()
    };
    let configured = controller.configure(config, Some(&IDENTITY));
    assert_eq!(configured, Ok(()), "the configuration is sound");
    let opened = ready(controller.mount(now)).ok()?;
    let found = Durable::of(controller.rack(), now);
    controller.restored(now, opened);
    ready(controller.maintain_keys(now)).ok()?;
    Some((controller, found))
}

/// Tells the rack its image, as start-up does.
pub fn learn_image<const WORD: usize, S: ChipStore<WORD>>(
    controller: &mut TestController<S>,
    now: Instant,
) {
    let image = Image {
        name: text("debian12"),
        version: 1,
        raw_size: GIB,
        root: [9; 32],
        manifest_path: text("/m"),
        data_path: text("/d"),
    };
    // The image has no record; the first step after a start may have others.
    let taken = ready(controller.step(now, Input::Image(&image)));
    assert_eq!(taken, Ok(()), "the chip has power");
}

/// The agent that a boot script starts on a machine with one to three disks;
/// `None` where the script starts none.
pub fn agent(machine: u8, address: Ipv4Addr, script: &str, salt: u8) -> Option<Agent> {
    let mut uuid = [machine; 16];
    uuid[0] = 7;
    let disks: Vec<_> = (0..1 + machine % 3)
        .map(|n| disk(&format!("S{machine}-{n}"), (8 + u64::from(n)) * GIB))
        .collect();
    let mut scripted = ScriptedAgent::with_disks(&[])
        .with_uuid(uuid)
        .with_boot_mode(BootMode::Uefi);
    scripted.engine.inspection = Inspection {
        serial: text(&format!("M{machine}")),
        system_uuid: uuid,
        boot_mode: BootMode::Uefi,
        ..inspection(&disks)
    };
    Agent::new(machine, address, script, salt, scripted)
}

/// Cuts every operation of a list: clean, torn, or so that words read
/// differently each time; and once more in the recovery.
pub struct Checker<'a> {
    /// What the flash was before the operations.
    pub before: &'a Durable,
    /// What it is with all of them.
    pub after: &'a Durable,
    /// What was promised before them.
    pub promises: &'a Promises,
    /// The time.
    pub now: u64,
    /// Most cut points of the run.
    pub most: u64,
}

impl std::fmt::Debug for Checker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").finish_non_exhaustive()
    }
}

impl Checker<'_> {
    /// Cuts every operation.
    pub fn cut_all<const WORD: usize, S: ChipStore<WORD>>(
        &self,
        mut flash: Flash<WORD>,
        operations: &[Operation],
        random: &mut Random,
        tally: &mut Tally,
    ) {
        for (place, operation) in operations.iter().enumerate() {
            let seed = random.word();
            let cuts = [
                Cut::Clean,
                match seed % 4 {
                    0 => Cut::Weak(seed),
                    _ => Cut::Torn(seed),
                },
            ];
            for cut in cuts {
                if tally.cut_points >= self.most {
                    return;
                }
                let mut left = flash.clone();
                left.apply(operation, Some(cut));
                let what = || format!("operation {place} of {}: {cut:?}", operations.len());
                self.check::<WORD, S>(left, random, tally, &what);
            }
            flash.apply(operation, None);
        }
    }

    fn check<const WORD: usize, S: ChipStore<WORD>>(
        &self,
        mut flash: Flash<WORD>,
        random: &mut Random,
        tally: &mut Tally,
        what: &dyn Fn() -> String,
    ) {
        tally.cut_points += 1;
        let now = Instant::START;
        // Every third recovery is cut as well.
        if random.below(3) == 0 {
            tally.cut_points += 1;
            tally.second_cuts += 1;
            let seed = random.word();
            let cut = match seed % 3 {
                0 => Cut::Clean,
                1 => Cut::Torn(seed),
                _ => Cut::Weak(seed),
            };
            flash.cut_after(random.below(24), cut);
            let chip = Chip::new(flash);
            if let Some((mut controller, found)) = start::<WORD, S>(chip.clone(), now, random) {
                self.compare(&found, tally, &|| format!("{}, then {cut:?}", what()));
                // What a mount has found may not change any more, cut or not.
                let _cut_or_not = ready(controller.maintain(now));
            }
            chip.with(Flash::power_on);
            flash = chip.with(|flash| flash.clone());
        }
        let Some((mut controller, found)) = start::<WORD, S>(Chip::new(flash), now, random) else {
            tally.find(|| format!("no start after {}", what()));
            return;
        };
        self.compare(&found, tally, what);
        match random.below(16) {
            0 | 1 => self.ask(&mut controller, tally, what),
            2 => power_is_asked_for(&mut controller, tally, what),
            _ => {}
        }
    }

    fn compare(&self, found: &Durable, tally: &mut Tally, what: &dyn Fn() -> String) {
        let ended = &self.promises.ended;
        if found.agrees(self.after, ended) || found.agrees(self.before, ended) {
            return;
        }
        tally.find(|| {
            let missing = |wanted: &Durable| {
                format!(
                    "{} is missing, {} is there",
                    wanted.without(found),
                    found.without(wanted)
                )
            };
            format!(
                "{}: of what was before, {}; of what came after, {}",
                what(),
                missing(self.before),
                missing(self.after)
            )
        });
    }

    /// Asks the restored rack again for what was promised, on behalf of
    /// others than those who were promised it.
    fn ask<const WORD: usize, S: ChipStore<WORD>>(
        &self,
        controller: &mut TestController<S>,
        tally: &mut Tally,
        what: &dyn Fn() -> String,
    ) {
        let now = Instant::START;
        learn_image(controller, now);
        let leases = self.promises.leases.iter();
        for (address, (owner, _)) in leases.filter(|(_, (_, until))| *until > self.now) {
            if request(controller, now, 0xee, *address) {
                tally.find(|| format!("{address} was given away after {}", what()));
            }
            if !request(controller, now, *owner, *address) {
                tally.find(|| format!("{address} was taken away after {}", what()));
            }
        }
        if let Some((machine, address, script)) = self.promises.used.last()
            && let Some(mut thief) = agent(*machine, *address, script, THIEF)
            && let RunnerPoll::Transmit(datagram) = thief.driver.poll(0)
        {
            // From another place, and with the machine's own addresses. A node
            // that an operator has deleted has used no ticket.
            let own = thief.endpoint.mac;
            let known = controller.rack().find_by_mac(own).is_some();
            for mac in [mac_of(0xee), own] {
                if mac == own && !known {
                    continue;
                }
                let from = Endpoint {
                    mac,
                    ..thief.endpoint
                };
                let sessions = controller.rack().counters().sessions;
                controller.decide(now, Input::Agent { from, datagram });
                if controller.rack().counters().sessions != sessions {
                    tally.find(|| format!("a ticket was used twice after {}", what()));
                }
            }
        }
    }
}

/// Whether the power driver of a node should be asked for something, by what
/// survives a restart.
fn needs_power(node: &Node) -> bool {
    if node.is_vacant() || node.flags.contains(Flags::RECORDS_LOST) {
        return false;
    }
    let waits = matches!(
        node.state,
        ProvisionState::InspectWait
            | ProvisionState::CleanWait
            | ProvisionState::WaitCallBack
            | ProvisionState::ServiceWait
    );
    waits && !node.boot.imaged || node.power_request.is_some()
}

/// Ticks a restored rack until its grace is over, and that of an agent whose
/// session was restored. By then it has asked for
/// every power operation that follows from its state.
fn power_is_asked_for<S: RecordStore>(
    controller: &mut TestController<S>,
    tally: &mut Tally,
    what: &dyn Fn() -> String,
) {
    /// And behind that the jitter of a node, and a tick for each.
    const BOUND: Instant = Instant::from_millis(GRACE_MILLIS + AGENT_SILENT_MILLIS + 10_000);
    let nodes = controller.rack().nodes().iter();
    let mut open: Vec<NodeId> = nodes
        .filter(|node| needs_power(node))
        .map(|node| node.id)
        .collect();
    tally.power_checks += open.len() as u64;
    let mut now = Instant::START;
    while !open.is_empty() && now <= BOUND {
        if ready(controller.step(now, Input::Tick)).is_err() {
            tally.find(|| format!("no records are taken after {}", what()));
            return;
        }
        for effect in controller.effects() {
            if let Effect::Power { node, .. } = effect {
                open.retain(|waiting| *waiting != node);
            }
        }
        // What ended meanwhile needs nothing any more.
        let rack = controller.rack();
        open.retain(|id| {
            let slot = rack.find(*id);
            slot.is_some_and(|slot| needs_power(&rack.nodes()[slot]))
        });
        now = controller.wake_at(now).max(now.plus_millis(1));
    }
    for id in open {
        tally.find(|| format!("the power of {id:?} was not asked for after {}", what()));
    }
}

/// The salt of an agent that no machine of the workload has.
pub const THIEF: u8 = 0x55;

/// Whether a client's request for an address is acknowledged.
fn request<S: RecordStore>(
    controller: &mut TestController<S>,
    now: Instant,
    machine: u8,
    address: Ipv4Addr,
) -> bool {
    let from = mac_of(machine);
    let payload = dhcp_message(MessageType::Request, from, |request| {
        request.requested_ip = Some(address);
    });
    let input = Input::Dhcp {
        network: NetworkId::PROVISIONING,
        from,
        payload: &payload,
    };
    if ready(controller.step(now, input)).is_err() {
        return false;
    }
    controller.effects().any(|effect| match effect {
        Effect::Dhcp { payload, .. } => {
            Reply::parse(payload).is_ok_and(|reply| reply.message_type == MessageType::Ack)
        }
        _ => false,
    })
}
