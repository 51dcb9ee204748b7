//! Golden bytes of protocol version 1.
//!
//! IF THIS FAILS AFTER A RELEASE, DO NOT CHANGE THE TEST. Released agents and
//! appliances use these bytes: change the code back. Messages of a later version
//! belong in a file of that version.

mod common;

use std::fmt::Debug;

use common::*;
use farrier_protocol::{
    message::*,
    sealed::Layout,
    signing,
    wire::{HandshakeRefusal, SessionId, emit_refused, emit_unknown_session},
};
use serde::{Deserialize, Serialize};

const GOLDEN: &str = include_str!("golden_v1.txt");

/// The lines of the file that no test has compared yet.
struct Golden {
    left: Vec<(&'static str, Vec<u8>)>,
    wrong: String,
}

impl Golden {
    fn new() -> Self {
        let left = GOLDEN
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, hex)| {
                let bytes = (0..hex.len() / 2)
                    .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
                    .collect();
                (name, bytes)
            })
            .collect();
        Self {
            left,
            wrong: String::new(),
        }
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let place = self.left.iter().position(|(n, _)| *n == name);
        if place.map(|at| self.left.remove(at).1).as_deref() != Some(bytes) {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            self.wrong += &format!("{name} {hex}\n");
        }
    }

    /// Compares the encoded value with the line and decodes it again.
    fn value<T>(&mut self, name: &str, value: T)
    where
        T: Serialize + for<'a> Deserialize<'a> + PartialEq + Debug,
    {
        let mut buffer = [0; 8192];
        let bytes = postcard::to_slice(&value, &mut buffer).unwrap();
        self.bytes(name, bytes);
        assert_eq!(postcard::from_bytes::<T>(bytes).unwrap(), value);
    }

    /// The same for a request, which borrows.
    fn request(&mut self, name: &str, value: &Request<'_>) {
        let mut buffer = [0; 2048];
        let bytes = postcard::to_slice(value, &mut buffer).unwrap();
        self.bytes(name, bytes);
        assert_eq!(&postcard::from_bytes::<Request<'_>>(bytes).unwrap(), value);
    }

    fn reply(&mut self, name: &str, value: &Reply<'_>) {
        let mut buffer = [0; 2048];
        let bytes = postcard::to_slice(value, &mut buffer).unwrap();
        self.bytes(name, bytes);
        assert_eq!(&postcard::from_bytes::<Reply<'_>>(bytes).unwrap(), value);
    }

    fn end(self) {
        let missing: Vec<_> = self.left.iter().map(|(name, _)| name).collect();
        assert!(
            self.wrong.is_empty(),
            "the encoding changed:\n{}",
            self.wrong
        );
        assert!(missing.is_empty(), "lines without a value: {missing:?}");
    }
}

#[test]
fn messages_have_the_golden_bytes() {
    let mut golden = Golden::new();
    golden.left.retain(|(name, _)| !name.starts_with("wire."));

    golden.value("agent_handshake", agent_handshake());
    golden.value("handshake_reply", handshake_reply());

    golden.request("request.ask", &Request::Ask);
    golden.request(
        "request.part",
        &Request::Part(Part {
            statement: 3,
            index: 1,
            count: 2,
            bytes: b"piece",
        }),
    );
    golden.request("request.progress", &Request::Progress(progress()));
    for (name, report) in [
        ("request.final_report.reboot", FinalReport::Reboot),
        ("request.final_report.power_off", FinalReport::PowerOff),
    ] {
        golden.request(name, &Request::FinalReport(report));
    }
    golden.request(
        "request.neighbour",
        &Request::Neighbour(Neighbour {
            mac: Mac([0x52, 0x54, 0, 0xfa, 0, 1]),
            chassis: "02:fa:44:5a:00:00",
            port: "ge-0/0/7",
            system: "tor",
            description: "",
        }),
    );
    let steps = [
        AgentStep::Startup,
        AgentStep::Inspect,
        AgentStep::Erase,
        AgentStep::VerifyErase,
        AgentStep::Write,
        AgentStep::VerifyImage,
        AgentStep::Finish,
        AgentStep::Reread,
    ];
    golden.value("steps", steps);

    golden.reply("reply.wait", &Reply::Wait { millis: 2000 });
    golden.reply(
        "reply.order",
        &Reply::Order {
            body: b"order",
            signature: &[7; 64],
        },
    );
    golden.reply("reply.ack", &Reply::Ack);
    golden.reply("reply.stored", &Reply::Stored { statement: 3 });
    golden.reply("reply.partial", &Reply::Partial { have: 0b101 });
    golden.reply("reply.busy", &Reply::Busy { millis: 500 });
    for (name, refusal) in [
        ("reply.refused.bad_signature", Refusal::BadSignature),
        ("reply.refused.malformed", Refusal::Malformed),
        ("reply.refused.misaddressed", Refusal::Misaddressed),
        ("reply.refused.too_long", Refusal::TooLong),
    ] {
        golden.reply(name, &Reply::Refused(refusal));
    }

    golden.value("order.inspect", order(Task::Inspect));
    golden.value("order.erase", order(erase()));
    golden.value("order.deploy", order(deploy()));
    golden.value("order.reboot", order(Task::Reboot));
    golden.value("order.power_off", order(Task::PowerOff));
    golden.value("order.reread", order(reread()));
    golden.value(
        "erase_methods",
        [
            EraseMethod::Discard,
            EraseMethod::WriteZeroes,
            EraseMethod::Overwrite,
        ],
    );
    golden.value(
        "config_drive_formats",
        [ConfigDriveFormat::Json, ConfigDriveFormat::GzipBase64],
    );

    golden.value(
        "statement.inspection",
        statement(Report::Inspection(inspection())),
    );
    golden.value("statement.erased", statement(Report::Erased(erased())));
    golden.value(
        "statement.image_written",
        statement(Report::ImageWritten(image_proof())),
    );
    golden.value("statement.failure", statement(Report::Failure(failure())));
    golden.value("statement.done", statement(Report::Done));
    golden.value("skip_reasons", SkipReason::ALL);
    golden.value(
        "reasons",
        [
            Reason::Other,
            Reason::NoDisks,
            Reason::DiskMissing,
            Reason::ImageTooLarge,
            Reason::BadManifest,
            Reason::BadChunk,
            Reason::DiskRead,
            Reason::DiskWrite,
            Reason::ReadBack,
            Reason::NotErased,
            Reason::BadConfigDrive,
            Reason::Fetch,
            Reason::BadPartitionTable,
            Reason::BadOrder,
            Reason::Resources,
            Reason::DevicesChanged,
        ],
    );
    golden.end();
}

#[test]
fn datagrams_have_the_golden_bytes() {
    let mut golden = Golden::new();
    golden.left.retain(|(name, _)| name.starts_with("wire."));
    let mut out = [0; 1200];

    golden.bytes("wire.ticket", ticket().reveal().to_string().as_bytes());
    let handshake = handshake();
    golden.bytes("wire.init", handshake.datagram());
    let accepted = accept(handshake.datagram(), &mut out).unwrap();
    golden.bytes("wire.response", &out[..accepted.len]);
    let (mut agent, _) = handshake.process(&out[..accepted.len]).unwrap();
    let mut appliance = accepted.session;

    let len = agent
        .seal_request(&Request::Progress(progress()), &mut out)
        .unwrap();
    golden.bytes("wire.request", &out[..len]);
    appliance.open(&out[..len], &mut [0; 1200]).unwrap();
    let len = appliance.seal_reply(&Reply::Ack, &mut out).unwrap();
    golden.bytes("wire.reply", &out[..len]);
    let len = emit_refused(ticket().id, HandshakeRefusal::TicketUsed, &mut out).unwrap();
    golden.bytes("wire.refused", &out[..len]);
    let len = emit_unknown_session(SessionId(0x0102_0304), 5, &mut out).unwrap();
    golden.bytes("wire.unknown", &out[..len]);

    let order = order(deploy());
    let (_, signature) = signing::sign_order(&order_key(), &order, &mut out).unwrap();
    golden.bytes("wire.order_signature", &signature);
    let statement = statement(Report::Done);
    let signed = signing::sign_statement(&boot_key(), &statement, &mut out).unwrap();
    golden.bytes("wire.signed_statement", signed);

    // The last, short piece of a config drive.
    let layout = Layout::new(1008 + 5).unwrap();
    out[..5].copy_from_slice(b"plain");
    golden.bytes(
        "wire.sealed",
        layout.seal(&[0x42; 32], 1, &mut out).unwrap(),
    );
    golden.end();
}
