//! An appliance with one node. It gives the node one order after another.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use farrier_protocol::MAX_DATAGRAM;
use farrier_protocol::message::{
    AgentHandshake, BootId, HandshakeReply, NodeId, Order, Reply, Report, Request, Statement, Task,
};
use farrier_protocol::parts::{Arrived, Reassembly};
use farrier_protocol::server::{Keys, Session, accept};
use farrier_protocol::signing::{PublicKey, SecretKey, sign_order, verify_statement};
use farrier_protocol::ticket::Ticket;
use farrier_protocol::wire::{Datagram, SessionId};

pub const NODE: NodeId = NodeId([7; 16]);
pub const BOOT: BootId = BootId(3);

/// The appliance's X25519 secret in all tests.
pub const IDENTITY: [u8; 32] = [1; 32];

pub fn order_key() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

pub fn ticket() -> Ticket {
    Ticket::from_random([3; 32])
}

/// A message that the appliance received.
#[derive(Debug)]
pub enum ApplianceEvent {
    AgentHandshake(AgentHandshake),
    /// The order and report of a statement with a valid signature.
    Report(u32, Box<Report>),
    Progress(farrier_protocol::message::Progress),
    /// The agent reboots or powers off.
    FinalReport(farrier_protocol::message::FinalReport),
}

/// Chooses the next task from the reports so far; `None` lets the agent wait.
pub type Plan = Box<dyn FnMut(&[Report]) -> Option<Task> + Send>;

/// An appliance on a UDP port. Its thread ends with the final report.
pub struct FakeAppliance {
    pub address: SocketAddr,
    pub thread: JoinHandle<()>,
}

impl FakeAppliance {
    /// Starts the thread. `key` signs the orders; `loses` drops every n-th
    /// datagram.
    pub fn start(
        address: &str,
        key: SecretKey,
        loses: Option<u32>,
        mut plan: Plan,
        events: Sender<ApplianceEvent>,
    ) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut rack = Rack {
                key,
                keys: Keys::new(IDENTITY, [9; 32]),
                session: None,
                boot_key: PublicKey([0; 32]),
                reassembly: Reassembly::new(),
                stored: 0,
                reports: Vec::new(),
                order: None,
                counter: 0,
            };
            let mut received = 0_u32;
            let began = Instant::now();
            let mut buffer = [0; 2048];
            while began.elapsed() < Duration::from_secs(900) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                received += 1;
                if loses.is_some_and(|every| received.is_multiple_of(every)) {
                    continue;
                }
                let mut out = [0; MAX_DATAGRAM];
                let (answer, over) = rack.answer(&buffer[..length], &mut plan, &events, &mut out);
                if let Some(length) = answer {
                    socket.send_to(&out[..length], from).unwrap();
                }
                if over {
                    return;
                }
            }
        });
        Self { address, thread }
    }
}

struct Rack {
    key: SecretKey,
    keys: Keys,
    session: Option<Session>,
    boot_key: PublicKey,
    reassembly: Reassembly,
    stored: u32,
    reports: Vec<Report>,
    order: Option<Order>,
    counter: u32,
}

impl Rack {
    fn answer(
        &mut self,
        datagram: &[u8],
        plan: &mut Plan,
        events: &Sender<ApplianceEvent>,
        out: &mut [u8],
    ) -> (Option<usize>, bool) {
        if let Ok(Datagram::Init(init)) = Datagram::parse(datagram) {
            let handshake_reply = |_: &AgentHandshake| {
                Ok(HandshakeReply {
                    version: 1,
                    node: NODE,
                    boot: BOOT,
                })
            };
            let accepted = accept(
                &self.keys,
                &init,
                &ticket(),
                SessionId(5),
                handshake_reply,
                out,
            )
            .unwrap();
            self.boot_key = PublicKey(accepted.handshake.boot_key);
            if self.session.as_ref().is_none_or(Session::is_unused) {
                self.session = Some(accepted.session);
                drop(events.send(ApplianceEvent::AgentHandshake(accepted.handshake)));
            }
            return (Some(accepted.len), false);
        }
        let Some(mut session) = self.session.take() else {
            return (None, false);
        };
        let mut plain = [0; MAX_DATAGRAM];
        let Ok(opened) = session.open(datagram, &mut plain) else {
            self.session = Some(session);
            return (None, false);
        };
        let mut over = false;
        let mut buffer = [0; 2048];
        let (body, signature);
        let reply = match opened.request {
            Request::Ask => {
                if self.order.is_none()
                    && let Some(task) = plan(&self.reports)
                {
                    self.counter += 1;
                    self.order = Some(Order {
                        node: NODE,
                        boot: BOOT,
                        counter: self.counter,
                        task,
                    });
                }
                match &self.order {
                    Some(order) => {
                        (body, signature) = sign_order(&self.key, order, &mut buffer).unwrap();
                        Reply::Order {
                            body,
                            signature: &signature,
                        }
                    }
                    None => Reply::Wait { millis: 100 },
                }
            }
            Request::Part(part) => self.take_part(&part, events),
            Request::Progress(progress) => {
                drop(events.send(ApplianceEvent::Progress(progress)));
                Reply::Ack
            }
            Request::Neighbour(_) => Reply::Ack,
            Request::FinalReport(report) => {
                drop(events.send(ApplianceEvent::FinalReport(report)));
                over = true;
                Reply::Ack
            }
        };
        let length = session.seal_reply(&reply, out).unwrap();
        self.session = Some(session);
        (Some(length), over)
    }

    fn take_part(
        &mut self,
        part: &farrier_protocol::message::Part<'_>,
        events: &Sender<ApplianceEvent>,
    ) -> Reply<'static> {
        if part.statement <= self.stored {
            return Reply::Stored {
                statement: part.statement,
            };
        }
        match self.reassembly.push(part).unwrap() {
            Arrived::Some(have) => Reply::Partial { have },
            Arrived::All(signed) => {
                let statement: Statement =
                    verify_statement(&self.boot_key, NODE, BOOT, signed).unwrap();
                assert_eq!(statement.counter, part.statement);
                self.stored = part.statement;
                // An erase order ends with the report after its certificates.
                if !matches!(statement.report, Report::Erased(_)) {
                    self.order = None;
                }
                self.reports.push(statement.report.clone());
                drop(events.send(ApplianceEvent::Report(
                    statement.order,
                    Box::new(statement.report),
                )));
                Reply::Stored {
                    statement: part.statement,
                }
            }
        }
    }
}
