//! The controller's task: the only one that changes the rack. It takes
//! inputs from bounded queues, one after the other: raw UDP datagrams in
//! place, questions about files, commands of the API, answers of drivers,
//! ticks. A step is never dropped half-way, since only this task waits inside
//! of it; whoever asked may stop waiting at any time.
//!
//! No effect of a step waits for anybody: datagrams, statements and power
//! operations go to bounded queues.

use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::task::Poll;

use embassy_futures::select::select;
use embassy_futures::yield_now;
use embassy_time::{Instant, Timer};
use farrier_api::{JournalState, Need, View};
use farrier_asset_store::SlotPart;
use farrier_controller::{Health, RecordStore as _, Usage};
use farrier_core::interface::{Link, OperationError, PortName, StatementRef};
use farrier_core::rack::TICK_MILLIS;
use farrier_core::{Effect, Input, Rack, Serve, Transport};
use farrier_protocol::message::Mac;
use heapless::{String, Vec};

use crate::api::ApiSlot;
use crate::datagrams::{Sender, bound, input, is_dhcp, send_agent, send_dhcp};
use crate::fmt::{Text, error, warning};
use crate::net::{LINKS, RawUdpError, RawUdpReceiver, RawUdpSender};
use crate::power::PowerRequest;
pub use crate::queues::Served;
use crate::queues::{DriverEvent, FileCell, Job, Question, bump};
use crate::shared::FirmwareController;
use crate::statements::StatementSender;
use crate::switch::SwitchRequest;
use crate::{Board, Context};

/// The time as core counts it.
#[must_use]
pub fn now() -> farrier_core::Instant {
    farrier_core::Instant::from_millis(Instant::now().as_millis())
}

/// What the controller's task owns.
pub struct ControllerParts<B: Board, const N: usize, const L: usize, const D: usize> {
    pub(crate) controller: &'static mut FirmwareController<B, N, L, D>,
    pub(crate) dhcp: RawUdpReceiver,
    pub(crate) agents: RawUdpReceiver,
    pub(crate) sender: RawUdpSender,
    pub(crate) statements: StatementSender,
    pub(crate) agent_port: u16,
}

impl<B: Board, const N: usize, const L: usize, const D: usize> core::fmt::Debug
    for ControllerParts<B, N, L, D>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ControllerParts").finish_non_exhaustive()
    }
}

/// The controller and the queues that effects go to.
struct Stepper<'c, B: Board, const N: usize, const L: usize, const D: usize> {
    context: &'c Context<B, N, L, D>,
    controller: &'static mut FirmwareController<B, N, L, D>,
    sender: RawUdpSender,
    statements: StatementSender,
    agent_port: u16,
    /// When the clock comes by.
    wake: farrier_core::Instant,
    /// The journal's, when it was looked at last.
    health: Health,
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Stepper<'_, B, N, L, D> {
    /// Takes an input and carries out what follows from it, but for what
    /// concerns the asker alone: that is in the controller's effects.
    async fn step(&mut self, input: Input<'_>, from: Option<Sender>) {
        let now = now();
        let looks = matches!(input, Input::Dhcp { .. } | Input::Sighting(_));
        let records = self.controller.decide(now, input);
        self.finish(now, records, from).await;
        if looks {
            self.raise_alarms(now);
        }
    }

    /// Says what the step at this time found wrong on the networks, where that is
    /// news.
    fn raise_alarms(&self, at: farrier_core::Instant) {
        let news = |rack: &Rack<N, L, D>| rack.alarms().news(at).copied();
        if let Some(alarm) = self.context.shared.look(news) {
            let seen = alarm.sighting;
            let [a, b, c, d, e, f] = seen.mac.0;
            warning!(
                "network {}, VLAN {}: {}: {} at {:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x},                  seen {} times",
                seen.network.0,
                seen.vlan,
                seen.kind.as_str(),
                Text(seen.address),
                a,
                b,
                c,
                d,
                e,
                f,
                alarm.count
            );
        }
    }

    /// Makes the records of a step durable and carries out its effects. A step
    /// has datagrams only where its input was one, `from` somebody: they go
    /// back by the same tag.
    async fn finish(&mut self, now: farrier_core::Instant, records: bool, from: Option<Sender>) {
        let shared = self.context.shared;
        if records {
            shared.pending();
            let durable = self.controller.append().await.is_ok();
            shared.settled(durable);
            if !durable {
                error!(
                    "journal: a record could not be written. Nothing is answered until the \
                     appliance restarts"
                );
                self.publish();
            }
        }
        let counters = &self.context.queues.counters;
        for effect in self.controller.effects() {
            match effect {
                Effect::Dhcp { route, payload } => {
                    let Some(from) = from else {
                        continue;
                    };
                    if let Some((mac, address)) = bound(from, payload) {
                        self.context.network.bind(from.segment, mac, address);
                    }
                    let sent = send_dhcp(&mut self.sender, from, route, payload);
                    note(self.context, "DHCP", sent);
                }
                Effect::Agent { to, datagram } => {
                    let Some(from) = from else {
                        continue;
                    };
                    let to = (from, to);
                    let sent = send_agent(&mut self.sender, self.agent_port, to, datagram);
                    note(self.context, "agent protocol", sent);
                }
                Effect::StoreStatement {
                    slot,
                    part,
                    statement,
                } => queue_statement(self.context, &mut self.statements, slot, part, statement),
                Effect::Power {
                    id,
                    node,
                    operation,
                    deadline,
                } => {
                    let queues = self.context.queues;
                    let request = PowerRequest {
                        id,
                        node,
                        operation,
                        deadline: Instant::from_millis(deadline.millis()),
                    };
                    if queues.power.try_send(request).is_err() {
                        bump(&counters.power_full);
                        // Where the events are full too, the deadline ends it.
                        let busy = DriverEvent::Done(id, Err(OperationError::Busy));
                        let _full = queues.events.try_send(busy);
                    }
                }
                Effect::Switch {
                    id,
                    switch,
                    port,
                    action,
                    token,
                    details,
                    deadline,
                } => {
                    let queues = self.context.queues;
                    let names = (PortName::try_from(port), PortName::try_from(details.trunk));
                    let names = match names {
                        (Ok(port), Ok(trunk)) => Some((port, trunk)),
                        _ => None,
                    };
                    let queued = names.is_some_and(|(port, trunk)| {
                        let request = SwitchRequest {
                            id,
                            switch,
                            port,
                            action,
                            token,
                            make_vlan: details.make_vlan,
                            remove_vlan: details.remove_vlan,
                            at_once: details.at_once,
                            trunk,
                            mac: details.mac,
                            deadline,
                        };
                        queues.switch.try_send(request).is_ok()
                    });
                    if !queued {
                        bump(&counters.switch_full);
                        // Where the events are full too, the deadline ends it.
                        let busy = DriverEvent::Done(id, Err(OperationError::Busy));
                        let _full = queues.events.try_send(busy);
                    }
                }
                Effect::Record(_) | Effect::Serve(_) | Effect::Answer(_) => {}
            }
        }
        // A deadline may have come closer: the clock asks within a second.
        let soon = now.plus_millis(TICK_MILLIS);
        if self.wake > soon {
            self.wake_at(soon);
        }
    }

    /// Says where an interface was seen, once its agent's session has proven whose
    /// the datagram was; a DHCP message proves it as well as anything can that it
    /// is there.
    async fn saw(&mut self, from: Sender, agent: Option<Ipv4Addr>) {
        let (vlan, mac) = (from.segment.vlan, Mac(from.mac));
        if vlan == 0 {
            return;
        }
        if let Some(address) = agent {
            if !self
                .context
                .shared
                .look(|rack| rack.agent_spoke(mac, address))
            {
                return;
            }
            self.context.network.bind(from.segment, from.mac, address);
        }
        self.step(Input::Seen { mac, vlan }, None).await;
    }

    /// Tells the multiplexer which networks there are.
    fn publish_links(&self) {
        let look = |rack: &Rack<N, L, D>| rack.links().collect::<Vec<Link, LINKS>>();
        let links = self.context.shared.look(look);
        let network = &self.context.network;
        network.set_links(&links);
        let shared = self.context.shared;
        shared.look(|rack| network.set_relays(rack.ipam().relays().map(|(_, relay)| relay)));
    }

    /// Lets the store of records do what is due.
    async fn maintain(&mut self) {
        if self.controller.maintain(now()).await.is_err() && !self.controller.is_broken() {
            error!("journal: the sweep failed. Restart the appliance");
            self.publish();
        }
    }

    /// Takes a tick, and asks for the next one.
    async fn tick(&mut self) {
        if self.controller.is_broken() {
            error!(
                "journal: nothing is durable, so nobody is answered. Restart the appliance, and \
                 replace the journal's flash if this comes again"
            );
        }
        self.step(Input::Tick, None).await;
        self.maintain().await;
        let now = now();
        let at = self.controller.wake_at(now);
        // Other tasks run for at least a millisecond, whatever the rack asks for.
        self.wake_at(at.max(now.plus_millis(1)));
        self.publish();
    }

    fn wake_at(&mut self, at: farrier_core::Instant) {
        self.wake = at;
        let at = Instant::from_millis(at.millis());
        self.context.queues.clock.set(at);
    }

    /// Answers a question about a file.
    async fn file(&mut self, place: usize) {
        let context = self.context;
        let files = &context.queues.files;
        let Some(cell) = files.cell(place) else {
            return;
        };
        let records = {
            let ask = cell.ask.borrow();
            let (peer, path) = (ask.peer, ask.path.as_str());
            let (network, _) = context.network.network_of(peer);
            let input = match ask.question {
                Question::Open(transport) => Input::Open {
                    transport,
                    network,
                    peer,
                    path,
                },
                Question::Sent { bytes, complete } => Input::Sent {
                    network,
                    peer,
                    path,
                    bytes,
                    complete,
                },
            };
            self.controller.decide(now(), input)
        };
        self.finish(now(), records, None).await;
        self.serve(cell, place);
        files.answered(cell);
        self.maintain().await;
    }

    /// Puts what is to be served into a cell.
    fn serve(&self, cell: &FileCell, place: usize) {
        let serve = self.controller.effects().find_map(|effect| match effect {
            Effect::Serve(serve) => Some(serve),
            _ => None,
        });
        let served = match serve {
            Some(Serve::NotFound) => Served::NotFound,
            // Without an effect the step is not durable.
            None | Some(Serve::Busy) => Served::Busy,
            Some(Serve::Asset(name)) => {
                String::try_from(name).map_or(Served::NotFound, Served::Asset)
            }
            Some(Serve::Slot { slot, part, len }) => self
                .context
                .store
                .slot(slot, part)
                .map_or(Served::NotFound, |at| Served::Slot(at, u64::from(len))),
            Some(Serve::Text(bytes)) => {
                let text = self.context.texts.get(place);
                let mut text = text.map(|text| text.borrow_mut());
                match text.as_mut().and_then(|text| text.get_mut(..bytes.len())) {
                    Some(room) => {
                        room.copy_from_slice(bytes);
                        Served::Text(bytes.len())
                    }
                    None => Served::NotFound,
                }
            }
        };
        cell.served.replace(served);
    }

    /// Carries out what a request of the API commands.
    async fn command(&mut self, slot: &ApiSlot) {
        let shared = self.context.shared;
        let records = slot.with(|exchange| {
            let who = exchange.who();
            let need = shared.look(|rack| exchange.need(&View::of(rack, now())));
            let Need::Command(command) = need else {
                return None;
            };
            let input = Input::Command {
                actor: who.actor(),
                command,
            };
            Some(self.controller.decide(now(), input))
        });
        if let Some(records) = records.flatten() {
            self.finish(now(), records, None).await;
            self.publish_links();
            let answer = self.controller.effects().find_map(|effect| match effect {
                Effect::Answer(answer) => Some(answer),
                _ => None,
            });
            slot.with(|exchange| match answer {
                Some(answer) => {
                    shared.look(|rack| exchange.answered(answer, &View::of(rack, now())));
                }
                None => exchange.not_durable(),
            });
        }
        slot.done();
        self.maintain().await;
    }

    /// Copies the controller's counters and the journal's state to where the
    /// status report reads them, and says when the journal has become worse.
    fn publish(&mut self) {
        self.context.controller.set(*self.controller.counters());
        let usage = self.controller.store().usage();
        let health = usage.health();
        if health > self.health {
            report_health(health);
        }
        self.health = health;
        let before = self.context.journal.get();
        if before.sectors > 0 {
            self.context.journal.set(journal_state(before.start, usage));
        }
    }
}

/// The journal's state, for the status report.
pub(crate) fn journal_state(start: u32, usage: Usage) -> JournalState {
    JournalState {
        start,
        sectors: usage.sectors,
        used: usage.used,
        given_up: usage.given_up,
        cycles: usage.cycles(),
        health: match usage.health() {
            Health::Good => "good",
            Health::Old => "old",
            Health::Wearing => "wearing",
            Health::Scarce => "scarce",
        },
    }
}

/// Says what is wrong with the journal, while it still takes records.
pub(crate) fn report_health(health: Health) {
    match health {
        Health::Good => {}
        Health::Old => warning!(
            "journal: its flash was erased nearly as often as it is made for. Replace it soon"
        ),
        Health::Wearing => error!(
            "journal: sectors of its flash do not keep what is written. Replace it soon: when none \
             is left, the appliance answers nobody"
        ),
        Health::Scarce => error!(
            "journal: more than half of its flash is in use. When it is full, the appliance answers \
             nobody. Replace it by a larger one"
        ),
    }
}

/// Notes a datagram that was not sent.
fn note<B: Board, const N: usize, const L: usize, const D: usize>(
    context: &Context<B, N, L, D>,
    what: &str,
    sent: Result<(), RawUdpError>,
) {
    match sent {
        Ok(()) => {}
        Err(RawUdpError::Full) => bump(&context.queues.counters.replies_full),
        // The multiplexer counts it.
        Err(RawUdpError::NoLink) => {}
        Err(RawUdpError::TooLong) => warning!("{}: a reply did not fit a frame", what),
    }
}

fn queue_statement<B: Board, const N: usize, const L: usize, const D: usize>(
    context: &Context<B, N, L, D>,
    statements: &mut StatementSender,
    slot: usize,
    part: SlotPart,
    statement: StatementRef,
) {
    let shared = context.shared;
    if shared.look(|rack| statements.send(slot, part, rack.statement(statement))) {
        shared.statement_queued();
    } else {
        bump(&context.queues.counters.statements_failed);
        error!("statement of slot {}: the queue is full", slot);
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Runs the controller.
    pub async fn run_controller(&self, parts: ControllerParts<B, N, L, D>) -> ! {
        let ControllerParts {
            controller,
            mut dhcp,
            mut agents,
            sender,
            statements,
            agent_port,
        } = parts;
        let mut stepper = Stepper {
            context: self,
            controller,
            sender,
            statements,
            agent_port,
            wake: farrier_core::Instant::START,
            health: Health::Good,
        };
        let queues = self.queues;
        loop {
            // Waiting is all that happens in here: a step begins when it has
            // ended.
            poll_fn(|cx| {
                let datagram = dhcp.poll_ready(cx).is_ready() | agents.poll_ready(cx).is_ready();
                if datagram && stepper.sender.poll_ready(cx).is_ready() {
                    return Poll::Ready(());
                }
                let job = queues.jobs.poll_ready_to_receive(cx).is_ready();
                let event = queues.events.poll_ready_to_receive(cx).is_ready();
                let sighting = self.network.watch().poll_ready(cx).is_ready();
                if job || event || sighting {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            // One of each kind, so that none of them starves another.
            self.datagram(&mut stepper, &mut dhcp).await;
            self.datagram(&mut stepper, &mut agents).await;
            match queues.jobs.try_receive() {
                Ok(Job::File(place)) => stepper.file(place).await,
                Ok(Job::Api(place)) => {
                    if let Some(slot) = self.slots.get(place) {
                        stepper.command(slot).await;
                    }
                }
                Ok(Job::Tick) => stepper.tick().await,
                Ok(Job::Probe) => {
                    queues.probed.set(false);
                    bump(&queues.signs);
                }
                Err(_) => {}
            }
            if let Some((mac, vlan)) = self.network.watch().take_seen() {
                stepper.step(Input::Seen { mac, vlan }, None).await;
            }
            if let Some(heard) = self.network.watch().take_uplink() {
                stepper.step(Input::Uplink(&heard), None).await;
            }
            if let Some(sighting) = self.network.watch().take() {
                stepper.step(Input::Sighting(sighting), None).await;
            }
            let event = match queues.events.try_receive() {
                Ok(DriverEvent::Done(id, result)) => Input::OperationDone { id, result },
                Ok(DriverEvent::Observed(node, power)) => Input::Observed { node, power },
                Ok(DriverEvent::PortRead(id, vlan, link, learned)) => Input::PortRead {
                    id,
                    vlan,
                    link,
                    learned,
                },
                Ok(DriverEvent::HostKey(switch, key)) => Input::HostKey { switch, key },
                Err(_) => continue,
            };
            stepper.step(event, None).await;
            stepper.maintain().await;
        }
    }

    /// Takes a datagram, if one waits and there is room for its answer.
    async fn datagram(&self, stepper: &mut Stepper<'_, B, N, L, D>, from: &mut RawUdpReceiver) {
        if from.is_empty() || stepper.sender.is_full() {
            return;
        }
        if let Some(datagram) = from.peek()
            && (is_dhcp(datagram.udp.dst_port) || self.admits_agent(stepper).await)
        {
            let (input, from) = input(&datagram);
            let is_dhcp = is_dhcp(datagram.udp.dst_port);
            let (mac, vlan) = (Mac(from.mac), from.segment.vlan);
            let shared = stepper.context.shared;
            if !is_dhcp || shared.look(|rack| rack.may_ask_on(mac, vlan)) {
                stepper.step(input, Some(from)).await;
            } else {
                bump(&stepper.context.queues.counters.dhcp_elsewhere);
            }
            let address = (!is_dhcp).then_some(datagram.udp.src);
            stepper.saw(from, address).await;
            stepper.maintain().await;
        }
        from.done();
    }

    /// Whether there is room for the statement that a datagram of an agent
    /// may complete. Where there is not, the datagram is dropped and counted:
    /// agents repeat theirs.
    async fn admits_agent(&self, stepper: &Stepper<'_, B, N, L, D>) -> bool {
        if stepper.statements.is_full() {
            // A fast device is done by then.
            yield_now().await;
        }
        let admits = !stepper.statements.is_full();
        if !admits {
            bump(&self.queues.counters.agents_deferred);
        }
        admits
    }

    /// Asks the controller what to serve to a peer for a path. Text is put
    /// into `text`; where that is too short there is no such file.
    pub async fn open_file(
        &self,
        transport: Transport,
        peer: Ipv4Addr,
        path: &str,
        text: &mut [u8],
    ) -> Served {
        let question = Question::Open(transport);
        self.queues
            .ask(self.texts, question, peer, path, text)
            .await
    }

    /// Reports to the controller that a transfer has ended.
    pub async fn sent(&self, peer: Ipv4Addr, path: &str, bytes: u64, complete: bool) {
        let question = Question::Sent { bytes, complete };
        // Where too many wait, the rack learns it by what the machine does
        // next; that is counted.
        let _served = self
            .queues
            .ask(self.texts, question, peer, path, &mut [])
            .await;
    }

    /// Gives the controller a tick whenever one is due.
    pub async fn run_clock(&self) -> ! {
        let queues = self.queues;
        loop {
            let waited = select(Timer::at(queues.clock.at()), queues.clock.changed()).await;
            if waited.is_first() {
                // There is a place for the clock. The controller sets the
                // next tick when it has taken this one.
                if queues.jobs.try_send(Job::Tick).is_ok() {
                    queues.clock.changed().await;
                }
            }
        }
    }
}
