//! The glue without a socket: bytes of a request in, a reply out, and a
//! rack to ask.

use crate::common::*;
use farrier_api::{Exchange, Facts, REPLY_BUFFER, Services};
use farrier_core::interface::Actor;
use farrier_core::node::Node;
use farrier_core::node::flags::AdminFlag;
use farrier_core::rack::Entropy;
use farrier_core::strings::StringPool;
use farrier_core::{Command, Effect, Input, Instant};
use farrier_http::{Body, Head, Piece};
use farrier_lifecycle::{State, Verb};
use farrier_protocol::message::{DiskId, LldpNeighbour, Nic, Report, Statement};
use farrier_protocol::signing::{SecretKey, sign_statement};
use serde_json::Value;

/// A reply, taken apart.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Value,
    pub keep_alive: bool,
    /// The pieces of a config drive, put together.
    pub drive: Vec<u8>,
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
            "mux_raw_udp_dropped",
            "mux_solicitations",
            "http_connections",
            "tftp_malformed",
        ]
        .into_iter()
        .cycle()
        .take(20)
        {
            report(name, u32::MAX);
        }
    }
}

/// Moves a request and its reply, as the glue does. The request comes in
/// slices of `cut` bytes, the reply goes out in a buffer of `room` bytes.
pub fn exchange(lab: &mut Lab, request: &[u8], cut: usize, room: usize) -> Reply {
    let (head, length) = Head::parse(request).unwrap().expect("a whole head");
    let now = Instant::from_millis(lab.now);
    let mut exchange = Exchange::begin(&head, &Facts::of(&lab.rack, now));
    let mut body = Body::new(head.body);
    let mut drive = Vec::new();
    let mut slices = request[length..].chunks(cut);
    let mut input: &[u8] = &[];
    while !exchange.gives_up() {
        match body.next(&mut input) {
            Ok(Piece::Data(mut data)) => {
                while let Some(text) = exchange.push(&mut data) {
                    assert!(!text.is_empty());
                    assert!(exchange.slot().is_some());
                    drive.extend_from_slice(text);
                }
            }
            Ok(Piece::More) => input = slices.next().expect("the body is short"),
            Ok(Piece::End) => break,
            Err(error) => {
                exchange.fail(error.into());
                break;
            }
        }
    }
    // Things that are made get an identity out of it.
    let mut key = [7; 32];
    if request.starts_with(b"POST") {
        lab.entropy.fill(&mut key);
    }
    exchange.end(key, &Facts::of(&lab.rack, now));
    if let Some(length) = exchange.config_drive() {
        assert_eq!(length as usize, drive.len());
    }
    grant(lab, &mut exchange);
    let facts = Facts::of(&lab.rack, now).with_services(&FullServices);
    let statement = match exchange.inspection(&facts) {
        Some((slot, length)) => {
            assert!(length > 0);
            let disks = [disk("DISK0", 8 * GIB), disk("DISK1", 20 * GIB)];
            signed_inspection(lab.node(slot), &disks)
        }
        None => vec![],
    };
    let mut wire = Vec::new();
    let mut buffer = vec![0; room];
    loop {
        let length = exchange.reply(&facts, &statement, &mut buffer);
        if length == 0 {
            break;
        }
        wire.extend_from_slice(&buffer[..length]);
    }
    read_reply(&wire, exchange.keep_alive(), drive)
}

pub fn read_reply(wire: &[u8], keep_alive: bool, drive: Vec<u8>) -> Reply {
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
        drive,
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
    let mut agent = lab.start_agent(1, Hands::with_disks(&[8 * GIB, 20 * GIB]));
    lab.dhcp(2, ipxe);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), State::Manageable);
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
    let mut agent = lab.start_agent(1, Hands::with_disks(&[8 * GIB, 20 * GIB]));
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), State::Available);
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

/// Tells the brain what an exchange wants, one wish after the other.
pub fn grant(lab: &mut Lab, exchange: &mut Exchange) {
    let now = Instant::from_millis(lab.now);
    while let Some(wish) = exchange.operator(&Facts::of(&lab.rack, now)) {
        lab.step_quietly(Input::Command {
            actor: Actor::OPERATOR,
            command: wish,
        });
        let answer = lab.out.iter().find_map(|output| match output {
            Effect::Answer(answer) => Some(answer),
            _ => None,
        });
        exchange.answered(answer.unwrap(), &Facts::of(&lab.rack, now));
    }
}

/// Fills the arena of texts through operators' wishes, up to so many bytes.
pub fn fill(lab: &mut Lab, leave: usize) {
    let node = lab.node(1).id;
    let word = "W".repeat(62);
    for number in 10..41 {
        let name = format!("{word}{number}");
        let on = true;
        if lab.rack.texts().free() < leave + 600
            || lab
                .operator(Command::SetTrait {
                    node,
                    name: &name,
                    on,
                })
                .is_err()
        {
            break;
        }
    }
    for index in 1..8u8 {
        lab.dhcp(index + 1, ipxe);
        let node = lab.node(usize::from(index)).id;
        for key in ["a", "b", "c"] {
            if lab.rack.texts().free() < leave + 300 {
                break;
            }
            let (key, value) = (key.repeat(24), "v".repeat(40));
            lab.operator(Command::SetDriverInfo {
                node,
                key: &key,
                value: &value,
            })
            .unwrap();
        }
        for mark in [AdminFlag::Maintenance, AdminFlag::Retired] {
            let rest = lab.rack.texts().free() - leave;
            let cost = match rest {
                0 => return,
                rest if rest <= StringPool::cost(96) => rest,
                rest => StringPool::cost(96).min(rest - StringPool::cost(1)),
            };
            let reason = "r".repeat(cost - StringPool::cost(0));
            lab.operator(Command::SetAdminFlag {
                node,
                mark,
                on: true,
                reason: &reason,
            })
            .unwrap();
        }
    }
    assert_eq!(lab.rack.texts().free(), leave);
}
