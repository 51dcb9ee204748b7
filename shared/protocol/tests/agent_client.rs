//! Runs the agent's client against a small appliance over a network that loses,
//! repeats and reorders datagrams.

mod common;

use std::collections::VecDeque;

use common::*;
use farrier_protocol::{
    agent_client::{AgentClient, Config, HINTED_SILENCE_MS, Lost, SILENCE_MS},
    handler::{AgentHandler, AgentRunner, RunnerPoll, TaskEvent},
    message::*,
    parts::{Arrived, Reassembly},
    server::{Freshness, Session},
    signing,
    wire::{Datagram, HandshakeRefusal, emit_refused, emit_unknown_session},
};

/// Carries out orders at once and records the calls.
#[derive(Default)]
struct TestHandler {
    begun: Vec<u32>,
    work: VecDeque<TaskEvent>,
    refused: Vec<Refusal>,
    left: Option<FinalReport>,
    lost: Option<(u64, Lost)>,
    heard: VecDeque<HeardNeighbour>,
}

impl AgentHandler for TestHandler {
    fn neighbour(&mut self, _now: u64) -> Option<HeardNeighbour> {
        self.heard.pop_front()
    }

    fn established(&mut self, _: u64, handshake_reply: &HandshakeReply) {
        assert_eq!(*handshake_reply, common::handshake_reply());
    }

    fn begin(&mut self, _: u64, order: &Order) {
        self.begun.push(order.counter);
        self.work = match order.task {
            Task::Inspect => [
                TaskEvent::Report(Report::Inspection(inspection())),
                TaskEvent::Finished,
            ]
            .into(),
            Task::Erase { .. } => [
                TaskEvent::Progress(progress()),
                TaskEvent::Report(Report::Erased(erased())),
                TaskEvent::Report(Report::Done),
                TaskEvent::Finished,
            ]
            .into(),
            Task::Reread { .. } => [TaskEvent::Report(Report::Done), TaskEvent::Finished].into(),
            Task::Deploy(_) => [TaskEvent::Failed(failure())].into(),
            Task::Reboot => [TaskEvent::Leave(FinalReport::Reboot)].into(),
            Task::PowerOff => [TaskEvent::Leave(FinalReport::PowerOff)].into(),
        };
    }

    fn poll(&mut self, _: u64) -> Option<TaskEvent> {
        self.work.pop_front()
    }

    fn refused(&mut self, _: u64, refusal: Refusal) {
        self.refused.push(refusal);
    }

    fn leave(&mut self, _: u64, report: FinalReport) {
        self.left = Some(report);
    }

    fn lost(&mut self, now: u64, lost: Lost) {
        self.lost = Some((now, lost));
    }
}

/// The appliance. It gives one order after another, each until the statement that
/// ends it arrives.
struct Appliance {
    session: Option<Session>,
    orders: VecDeque<Task>,
    counter: u32,
    assembly: Reassembly,
    stored: Vec<Statement>,
    final_report: Option<FinalReport>,
    forge_orders: bool,
    refuse: Option<Refusal>,
    neighbours: Vec<String>,
    busy: bool,
}

impl Appliance {
    fn new(orders: &[Task]) -> Self {
        Self {
            session: None,
            orders: orders.iter().cloned().collect(),
            counter: 1,
            assembly: Reassembly::new(),
            stored: Vec::new(),
            final_report: None,
            forge_orders: false,
            refuse: None,
            neighbours: Vec::new(),
            busy: false,
        }
    }

    fn answer(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; 1200];
        if let Ok(Datagram::Init(_)) = Datagram::parse(datagram) {
            if self.session.as_ref().is_some_and(|s| !s.is_unused()) {
                return None;
            }
            let accepted = accept(datagram, &mut out).unwrap();
            self.session = Some(accepted.session);
            out.truncate(accepted.len);
            return Some(out);
        }
        let mut session = self.session.take()?;
        let mut buffer = [0; 1200];
        let len = match session.open(datagram, &mut buffer) {
            Err(_) => None,
            Ok(opened) => self.reply(&mut session, opened.freshness, &opened.request, &mut out),
        };
        self.session = Some(session);
        out.truncate(len?);
        Some(out)
    }

    fn reply(
        &mut self,
        session: &mut Session,
        freshness: Freshness,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Option<usize> {
        let mut buffer = [0; 1200];
        let reply = match request {
            Request::Ask => match self.orders.front() {
                None => Reply::Wait { millis: 1000 },
                Some(task) => {
                    let mut order = order(task.clone());
                    order.counter = self.counter;
                    let key = if self.forge_orders {
                        boot_key()
                    } else {
                        order_key()
                    };
                    let (body, signature) = signing::sign_order(&key, &order, &mut buffer).unwrap();
                    return session
                        .seal_reply(
                            &Reply::Order {
                                body,
                                signature: &signature,
                            },
                            out,
                        )
                        .ok();
                }
            },
            Request::Progress(_) => Reply::Ack,
            Request::Neighbour(heard) => {
                self.neighbours.push(heard.port.to_owned());
                match std::mem::take(&mut self.busy) {
                    true => Reply::Busy { millis: 500 },
                    false => Reply::Ack,
                }
            }
            Request::FinalReport(report) => {
                if freshness == Freshness::New {
                    assert_eq!(self.final_report, None, "the final report arrives once");
                }
                self.final_report = Some(*report);
                Reply::Ack
            }
            Request::Part(_) if self.refuse.is_some() => {
                self.orders.pop_front();
                self.counter += 1;
                Reply::Refused(self.refuse.take()?)
            }
            Request::Part(part) => {
                if self
                    .stored
                    .last()
                    .is_some_and(|s| s.counter >= part.statement)
                {
                    Reply::Stored {
                        statement: part.statement,
                    }
                } else {
                    match self.assembly.push(part).unwrap() {
                        Arrived::Some(have) => Reply::Partial { have },
                        Arrived::All(signed) => {
                            let key = boot_key().public();
                            let statement =
                                signing::verify_statement(&key, NODE, BOOT, signed).unwrap();
                            let ends = !matches!(statement.report, Report::Erased(_))
                                && statement.order != 0;
                            assert_eq!(statement.counter, self.stored.len() as u32 + 1);
                            self.stored.push(statement);
                            if ends {
                                self.orders.pop_front();
                                self.counter += 1;
                            }
                            Reply::Stored {
                                statement: part.statement,
                            }
                        }
                    }
                }
            }
        };
        session.seal_reply(&reply, out).ok()
    }
}

/// A deterministic random generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, percent: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 100 < percent
    }
}

struct Lab {
    runner: AgentRunner<TestHandler>,
    appliance: Appliance,
    now: u64,
    sent: usize,
}

impl Lab {
    fn new(orders: &[Task]) -> Self {
        let client = AgentClient::new(Config {
            appliance: *keys().public(),
            orders: order_key().public(),
            ticket: ticket(),
            handshake: agent_handshake(),
            boot_key: boot_key(),
            entropy: entropy(),
        })
        .unwrap();
        Self {
            runner: AgentRunner::new(client, TestHandler::default()),
            appliance: Appliance::new(orders),
            now: 1_000_000,
            sent: 0,
        }
    }

    /// Runs both ends until the session is over or the time limit. `network`
    /// returns the datagrams that arrive.
    fn run(&mut self, until: u64, mut network: impl FnMut(Vec<u8>) -> Vec<Vec<u8>>) -> bool {
        let until = self.now + until;
        while self.now < until {
            let answers = match self.runner.poll(self.now) {
                RunnerPoll::Over => return true,
                RunnerPoll::Until(time) => {
                    assert!(time > self.now, "the client waits for the past");
                    self.now = time.min(self.now + 100);
                    continue;
                }
                RunnerPoll::Transmit(datagram) => {
                    self.sent += 1;
                    network(datagram.to_vec())
                }
            };
            let answers: Vec<_> = answers
                .iter()
                .filter_map(|datagram| self.appliance.answer(datagram))
                .flat_map(&mut network)
                .collect();
            self.now += 1;
            for answer in answers {
                self.runner.process(self.now, &answer);
            }
        }
        false
    }
}

fn whole_job() -> [Task; 4] {
    [Task::Inspect, erase(), deploy(), Task::Reboot]
}

fn check_whole_job(lab: &Lab) {
    assert_eq!(lab.runner.handler().begun, [1, 2, 3, 4]);
    assert_eq!(lab.runner.handler().left, Some(FinalReport::Reboot));
    assert_eq!(lab.runner.handler().lost, None);
    let facts: Vec<_> = lab
        .appliance
        .stored
        .iter()
        .map(|s| (s.order, &s.report))
        .collect();
    assert_eq!(
        facts,
        [
            (1, &Report::Inspection(inspection())),
            (2, &Report::Erased(erased())),
            (2, &Report::Done),
            (3, &Report::Failure(failure())),
        ]
    );
}

#[test]
fn orders_complete_on_a_good_network() {
    let mut lab = Lab::new(&whole_job());
    assert!(lab.run(60_000, |datagram| vec![datagram]));
    check_whole_job(&lab);
    assert_eq!(lab.appliance.final_report, Some(FinalReport::Reboot));
    assert!(lab.sent < 20, "{} datagrams", lab.sent);
}

#[test]
fn orders_complete_on_bad_networks() {
    for seed in 1..=40u64 {
        let mut lab = Lab::new(&whole_job());
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut delayed = Vec::new();
        let over = lab.run(3_600_000, |datagram| {
            let mut arrives = Vec::new();
            if dice.roll(30) {
                return arrives;
            }
            if dice.roll(20) {
                delayed.push(datagram);
                return arrives;
            }
            if dice.roll(30) {
                arrives.push(datagram.clone());
            }
            if dice.roll(50) {
                arrives.append(&mut delayed);
            }
            arrives.push(datagram);
            arrives
        });
        assert!(over, "seed {seed}");
        check_whole_job(&lab);
    }
}

#[test]
fn lost_datagram_is_repeated_byte_for_byte() {
    let mut lab = Lab::new(&whole_job());
    let mut last = Vec::new();
    let over = lab.run(600_000, |datagram| {
        let repeated = datagram == last;
        last = datagram.clone();
        // The appliance does not retransmit: only the agent's datagrams count.
        let from_agent = matches!(datagram[0], 1 | 3);
        if from_agent && !repeated {
            return Vec::new();
        }
        vec![datagram]
    });
    assert!(over);
    check_whole_job(&lab);
}

#[test]
fn unanswered_handshake_is_lost() {
    let mut lab = Lab::new(&[]);
    let start = lab.now;
    assert!(lab.run(2 * SILENCE_MS, |_| Vec::new()));
    let (when, lost) = lab.runner.handler().lost.unwrap();
    assert_eq!(lost, Lost::NoHandshake(None));
    assert!((SILENCE_MS..SILENCE_MS + 1000).contains(&(when - start)));
    assert!(lab.sent < 70, "{} datagrams", lab.sent);
}

#[test]
fn forged_refusal_does_not_end_the_handshake() {
    let mut lab = Lab::new(&[Task::PowerOff]);
    let mut out = [0; 32];
    let len = emit_refused(ticket().id, HandshakeRefusal::TicketUsed, &mut out).unwrap();
    lab.runner.process(lab.now, &out[..len]);
    assert!(lab.run(60_000, |datagram| vec![datagram]));
    assert_eq!(lab.runner.handler().left, Some(FinalReport::PowerOff));
}

#[test]
fn refusal_shortens_the_timeout() {
    let mut lab = Lab::new(&[]);
    let start = lab.now;
    let mut out = [0; 32];
    let len = emit_refused(ticket().id, HandshakeRefusal::TicketUsed, &mut out).unwrap();
    lab.runner.process(lab.now, &out[..len]);
    assert!(lab.run(SILENCE_MS, |_| Vec::new()));
    let (when, lost) = lab.runner.handler().lost.unwrap();
    assert_eq!(lost, Lost::NoHandshake(Some(HandshakeRefusal::TicketUsed)));
    assert!((HINTED_SILENCE_MS..HINTED_SILENCE_MS + 1000).contains(&(when - start)));
}

#[test]
fn session_that_the_appliance_lost_ends() {
    let mut lab = Lab::new(&[]);
    assert!(!lab.run(5_000, |datagram| vec![datagram]));
    // The appliance restarts without the session and sends the hint.
    lab.appliance.session = None;
    let start = lab.now;
    while lab.runner.handler().lost.is_none() {
        assert!(lab.now < start + SILENCE_MS);
        let mut hint = None;
        match lab.runner.poll(lab.now) {
            RunnerPoll::Over => break,
            RunnerPoll::Until(time) => lab.now = time,
            RunnerPoll::Transmit(datagram) => {
                let Ok(Datagram::Request {
                    session, counter, ..
                }) = Datagram::parse(datagram)
                else {
                    panic!("no request");
                };
                let mut out = [0; 32];
                let len = emit_unknown_session(session, counter, &mut out).unwrap();
                hint = Some(out[..len].to_vec());
            }
        }
        if let Some(hint) = hint {
            lab.runner.process(lab.now, &hint);
        }
    }
    let (_, lost) = lab.runner.handler().lost.unwrap();
    assert_eq!(lost, Lost::Silence);
}

#[test]
fn order_with_an_invalid_signature_is_reported_and_not_begun() {
    let mut lab = Lab::new(&[erase()]);
    lab.appliance.forge_orders = true;
    assert!(!lab.run(30_000, |datagram| vec![datagram]));
    assert!(lab.runner.handler().begun.is_empty());
    let reported = &lab.appliance.stored;
    assert!(!reported.is_empty() && reported.len() < 10);
    for statement in reported {
        let Report::Failure(failure) = &statement.report else {
            panic!("{statement:?}");
        };
        assert_eq!(failure.reason, Reason::BadOrder);
        assert_eq!(statement.order, 0);
    }
    // The next valid order is begun.
    lab.appliance.forge_orders = false;
    assert!(!lab.run(30_000, |datagram| vec![datagram]));
    assert_eq!(lab.runner.handler().begun, [1]);
}

#[test]
fn refused_statement_ends_its_order() {
    let mut lab = Lab::new(&[Task::Inspect, Task::Reboot]);
    lab.appliance.refuse = Some(Refusal::Malformed);
    assert!(lab.run(60_000, |datagram| vec![datagram]));
    assert_eq!(lab.runner.handler().refused, [Refusal::Malformed]);
    assert_eq!(lab.runner.handler().left, Some(FinalReport::Reboot));
}

#[test]
fn order_in_progress_sends_heartbeats() {
    // The handler has no events; the client sends the heartbeat.
    struct Mute;
    impl AgentHandler for Mute {
        fn established(&mut self, _: u64, _: &HandshakeReply) {}
        fn begin(&mut self, _: u64, _: &Order) {}
        fn poll(&mut self, _: u64) -> Option<TaskEvent> {
            None
        }
        fn refused(&mut self, _: u64, _: Refusal) {}
        fn leave(&mut self, _: u64, _: FinalReport) {}
        fn lost(&mut self, _: u64, _: Lost) {}
    }
    let client = AgentClient::new(Config {
        appliance: *keys().public(),
        orders: order_key().public(),
        ticket: ticket(),
        handshake: agent_handshake(),
        boot_key: boot_key(),
        entropy: entropy(),
    })
    .unwrap();
    let mut runner = AgentRunner::new(client, Mute);
    let mut appliance = Appliance::new(&[erase()]);
    let (mut now, mut sent) = (0, 0);
    while now < 120_000 {
        let answer = match runner.poll(now) {
            RunnerPoll::Over => panic!("it is over"),
            RunnerPoll::Until(time) => {
                now = time;
                continue;
            }
            RunnerPoll::Transmit(datagram) => {
                sent += 1;
                appliance.answer(datagram)
            }
        };
        now += 1;
        runner.process(now, &answer.unwrap());
    }
    assert!((10..20).contains(&sent), "{sent} datagrams in two minutes");
}

#[test]
fn a_neighbour_is_told_when_it_is_new_and_again_now_and_then() {
    let heard = |port: &str| HeardNeighbour {
        mac: Mac([2; 6]),
        chassis: common::text("02:fa:44:5a:00:00"),
        port: common::text(port),
        system: common::text("tor"),
        description: common::text(""),
    };
    let mut lab = Lab::new(&[]);
    lab.appliance.busy = true;
    lab.runner.handler_mut().heard = [heard("1"), heard("1")].into();
    assert!(!lab.run(5_000, |datagram| vec![datagram]));
    assert_eq!(lab.appliance.neighbours, ["1", "1"], "busy, then taken");
    lab.runner.handler_mut().heard = [heard("1"), heard("2")].into();
    assert!(!lab.run(5_000, |datagram| vec![datagram]));
    assert_eq!(lab.appliance.neighbours, ["1", "1", "2"]);
    assert!(!lab.run(60_000, |datagram| vec![datagram]));
    assert_eq!(lab.appliance.neighbours, ["1", "1", "2", "2", "2"]);
}
