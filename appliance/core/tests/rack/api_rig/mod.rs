//! Clients of the API without a socket: bytes of a request in, a reply out,
//! and a rack to ask.

use crate::common::*;
use farrier_api::{
    Host, JournalState, LastCrash, Principal, REPLY_BUFFER, Services, Source, View, serve,
};
use farrier_asset_store::SlotPart;
use farrier_core::accounts::{AccountName, Role};
use farrier_core::interface::CommandError;
use farrier_core::node::Node;
use farrier_core::persist::record::Record;
use farrier_core::rack::Entropy;
use farrier_core::strings::StringPool;
use farrier_core::{Command, Effect, Input, Instant};
use farrier_http::{Head, Method, Piece};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::{DiskId, LldpNeighbour, Nic, Report, Statement};
use farrier_protocol::sealed::{Layout, SEALED_PIECE};
use farrier_protocol::signing::{SecretKey, sign_statement};
use serde_json::Value;

/// A reply, taken apart.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Value,
    pub keep_alive: bool,
}

impl Reply {
    fn in_envelope(&self, key: &str) -> String {
        let envelope = self.body["error_message"].as_str().expect("an envelope");
        let inner: Value = serde_json::from_str(envelope).unwrap();
        inner[key].as_str().unwrap().to_owned()
    }

    /// The sentence that the stock client shows.
    pub fn fault(&self) -> String {
        self.in_envelope("faultstring")
    }

    /// Whose fault it is: `Client` or `Server`.
    pub fn whose_fault(&self) -> String {
        self.in_envelope("faultcode")
    }
}

/// Services whose counters are all about to wrap: the longest text that
/// there can be.
#[derive(Debug)]
struct FullServices;

impl Services for FullServices {
    fn counters(&self, report: &mut dyn FnMut(&'static str, u32)) {
        for name in [
            "dhcp_over_share_dropped",
            "mux_solicitations",
            "http_connections",
            "tftp_malformed",
        ]
        .into_iter()
        .cycle()
        .take(70)
        {
            report(name, u32::MAX);
        }
    }

    fn refusals(&self, report: &mut dyn FnMut(&'static str, Source, u32)) {
        for last in 0..8 {
            let source = Source::Address([100, 100, 100, 100 + last].into());
            report("agent datagram!", source, u32::MAX);
        }
    }

    fn last_crash(&self) -> Option<LastCrash<'_>> {
        Some(LastCrash {
            start: u32::MAX,
            uptime_secs: u32::MAX,
            count: u32::MAX,
            cause: "watchdog",
            text: "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"",
        })
    }

    fn journal(&self) -> JournalState {
        JournalState {
            health: "wearing",
            ..JournalState::default()
        }
    }
}

type Receive<'l> = Box<dyn FnMut() -> Option<Vec<u8>> + 'l>;
type Send<'l> = Box<dyn FnMut(&[u8]) + 'l>;

/// A client and the block device, around a lab.
pub struct Rig<'l> {
    pub lab: &'l mut Lab,
    pub receive: Receive<'l>,
    pub send: Send<'l>,
    pub random: [u8; 32],
    pub who: Principal,
    received: Vec<u8>,
}

impl<'l> Rig<'l> {
    pub fn new(
        lab: &'l mut Lab,
        receive: impl FnMut() -> Option<Vec<u8>> + 'l,
        send: impl FnMut(&[u8]) + 'l,
    ) -> Self {
        let mut random = [0; 32];
        lab.controller.entropy_mut().fill(&mut random);
        Rig {
            lab,
            receive: Box::new(receive),
            send: Box::new(send),
            random,
            who: operator(Role::Admin),
            received: Vec::new(),
        }
    }
}

/// An account that needs no password.
pub fn operator(role: Role) -> Principal {
    Principal::trusted(AccountName::new("operator").unwrap(), role)
}

impl Host for Rig<'_> {
    fn who(&mut self) -> Principal {
        self.who
    }

    fn random(&mut self) -> [u8; 32] {
        self.random
    }

    fn view(&mut self) -> View<'_> {
        view(self.lab).with_services(&FullServices)
    }

    fn command(&mut self, command: Command<'_>) -> Option<Result<(), CommandError>> {
        let who = self.who;
        let actor = who.actor();
        self.lab.step_quietly(Input::Command { actor, command });
        self.lab
            .controller
            .effects()
            .find_map(|effect| match effect {
                Effect::Answer(answer) => Some(answer),
                _ => None,
            })
    }

    fn store(&mut self, slot: usize, part: SlotPart, offset: u64, bytes: &[u8]) -> bool {
        let SlotPart::ConfigDrive(place) = part else {
            panic!("the API writes config drives only");
        };
        let stored = self.lab.drives.entry((slot, place)).or_default();
        stored.truncate(offset as usize);
        assert_eq!(stored.len(), offset as usize, "piece by piece");
        stored.extend_from_slice(bytes);
        true
    }

    fn inspection(&mut self, slot: usize, length: usize, room: &mut [u8]) -> Option<usize> {
        assert!(length > 0);
        let disks = [disk("DISK0", 8 * GIB), disk("DISK1", 20 * GIB)];
        let signed = signed_inspection(self.lab.node(slot), &disks);
        room[..signed.len()].copy_from_slice(&signed);
        Some(signed.len())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> usize {
        if self.received.is_empty() {
            self.received = (self.receive)().unwrap_or_default();
        }
        let length = self.received.len().min(buffer.len());
        let taken: Vec<u8> = self.received.drain(..length).collect();
        buffer[..length].copy_from_slice(&taken);
        length
    }

    fn send(&mut self, bytes: &[u8]) {
        (self.send)(bytes);
    }
}

/// What the API sees of a lab.
pub fn view(lab: &Lab) -> View<'_> {
    View::of(lab.rack(), Instant::from_millis(lab.now))
}

/// Carries a request through. It comes in slices of `cut` bytes, the reply
/// goes out in a buffer of `room` bytes.
pub fn exchange(lab: &mut Lab, request: &[u8], cut: usize, room: usize) -> Reply {
    exchange_as(lab, operator(Role::Admin), request, cut, room)
}

/// The same in somebody's name.
pub fn exchange_as(
    lab: &mut Lab,
    who: Principal,
    request: &[u8],
    cut: usize,
    room: usize,
) -> Reply {
    let (head, length) = Head::parse(request).unwrap().expect("a whole head");
    let mut slices = request[length..].chunks(cut);
    let mut wire = Vec::new();
    let receive = move || slices.next().map(<[u8]>::to_vec);
    let mut rig = Rig::new(lab, receive, |bytes| wire.extend_from_slice(bytes));
    rig.who = who;
    if head.method != Method::Post {
        rig.random = [7; 32];
    }
    let mut buffer = vec![0; room];
    let mut statement = [0; 8192];
    let kept = serve(&head, &mut rig, &mut statement, &mut buffer).expect("the body is short");
    drop(rig);
    read_reply(&wire, kept)
}

/// The text of the config drive that a node's deployment brings.
pub fn config_drive(lab: &Lab, index: usize) -> Option<Vec<u8>> {
    let drive = lab.node(index).config_drive?;
    let layout = Layout::new(drive.length).unwrap();
    let mut sealed = lab.drives.get(&(index, drive.place))?.clone();
    let mut text = Vec::new();
    for (number, piece) in (0..).zip(sealed.chunks_mut(SEALED_PIECE)) {
        text.extend_from_slice(layout.open(&drive.key, number, piece).ok()?);
    }
    Some(text)
}

pub fn read_reply(wire: &[u8], keep_alive: bool) -> Reply {
    let split = wire.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(wire[..split].to_vec()).unwrap();
    let mut body = &wire[split..];
    let mut text = Vec::new();
    if head.contains("Transfer-Encoding: chunked") && !body.is_empty() {
        let mut decoder = farrier_http::chunked::Decoder::new();
        loop {
            match decoder.next(&mut body).unwrap() {
                Piece::Data(data) => text.extend_from_slice(data),
                Piece::More => panic!("the last chunk is missing"),
                Piece::End => break,
            }
        }
        assert!(body.is_empty());
    } else {
        text = body.to_vec();
        let told = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "));
        if let (Some(told), false) = (told, text.is_empty()) {
            assert_eq!(told.parse::<usize>().unwrap(), text.len());
        }
    }
    let body = match text.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&text)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&text))),
    };
    assert!(head.contains("X-OpenStack-Ironic-API-Minimum-Version: 1.11\r\n"));
    assert!(head.contains("X-OpenStack-Ironic-API-Maximum-Version: 1.81\r\n"));
    assert_eq!(head.contains("Connection: keep-alive"), keep_alive);
    Reply {
        status: head[9..12].parse().unwrap(),
        head,
        body,
        keep_alive,
    }
}

pub fn call(lab: &mut Lab, method: &str, target: &str, body: &str) -> Reply {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nX-OpenStack-Ironic-API-Version: 1.81\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(lab, request.as_bytes(), 7, REPLY_BUFFER)
}

pub fn get(lab: &mut Lab, target: &str) -> Value {
    let reply = call(lab, "GET", target, "");
    assert_eq!(reply.status, 200, "{target}: {}", reply.body);
    reply.body
}

pub fn post(lab: &mut Lab, target: &str, body: Value) -> Reply {
    call(lab, "POST", target, &body.to_string())
}

pub fn put(lab: &mut Lab, node: &str, body: &str) -> Reply {
    call(
        lab,
        "PUT",
        &format!("/v1/nodes/{node}/states/provision"),
        body,
    )
}

pub fn id(lab: &Lab, index: usize) -> String {
    farrier_api::ident::text(lab.node(index).id).to_string()
}

/// A rack of two nodes; the first is called `rack-1` and was inspected.
pub fn rack() -> Lab {
    let mut lab = Lab::new();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB, 20 * GIB]));
    lab.discover(2);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    let first = id(&lab, 0);
    let patch = r#"[{"op":"add","path":"/name","value":"rack-1"}]"#;
    let reply = call(&mut lab, "PATCH", &format!("/v1/nodes/{first}"), patch);
    assert_eq!(reply.status, 200);
    lab
}

/// A rack whose first node can be deployed.
pub fn available() -> Lab {
    let mut lab = rack();
    assert_eq!(
        put(&mut lab, "rack-1", r#"{"target":"provide"}"#).status,
        202
    );
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB, 20 * GIB]));
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), ProvisionState::Available);
    // The machine is switched off.
    lab.pass(100);
    lab
}

/// An interface whose switch tells who it is, and one that has no cable.
fn nics() -> [Nic; 2] {
    let plugged = Nic {
        ipv4: [172, 22, 0, 20],
        pci: [0x15b3, 0x1017],
        lldp: Some(LldpNeighbour {
            chassis: "switch-1".try_into().unwrap(),
            port: "ge-0/0/7".try_into().unwrap(),
        }),
        ..nic(1, "mlx5_core", 25_000)
    };
    let unplugged = Nic {
        name: "eth1".try_into().unwrap(),
        carrier: false,
        ..nic(9, "", 0)
    };
    [plugged, unplugged]
}

/// What the store would give back for this node.
pub fn signed_inspection(node: &Node, disks: &[DiskId]) -> Vec<u8> {
    let mut found = inspection(disks);
    found.nics = nics().into_iter().collect();
    let statement = Statement {
        node: node.id,
        boot: node.boot.id,
        counter: 1,
        order: 1,
        report: Report::Inspection(found),
    };
    let key = SecretKey::from_bytes(&[1; 32]);
    let mut buffer = [0; 4096];
    let signed = sign_statement(&key, &statement, &mut buffer).unwrap();
    signed.to_vec()
}

/// Fills the string pool up to so many bytes, with more keys of the second
/// node's `driver_info` than an operator could set. The lab's records are not
/// what its rack is made of any more: [`forget`] it.
pub fn fill(lab: &mut Lab, leave: usize) {
    let node = lab.node(1).id;
    let least = StringPool::cost("0000=v".len());
    for number in 0.. {
        let rest = lab.rack().texts().free() - leave;
        let cost = match rest {
            0 => break,
            rest if rest <= StringPool::cost(96) => rest,
            rest => StringPool::cost(96).min(rest - least),
        };
        let value = "v".repeat(cost - StringPool::cost("0000=".len()));
        let key = &format!("{number:04}");
        let value = &value;
        lab.restore(&Record::DriverInfo { node, key, value });
    }
    assert_eq!(lab.rack().texts().free(), leave);
}

/// Drops a lab whose records are not compared with its rack.
pub fn forget(lab: Lab) {
    std::mem::forget(lab);
}
