//! What a wire feeds: frames, heads and bodies of HTTP, datagrams of agents and
//! of the appliance, and messages inside a session.

use std::sync::OnceLock;

use farrier_agent::engine::{cmdline, modules};
use farrier_ethernet::{frame, ndp};
use farrier_http::{Body, BodyLength, Head, Piece, chunked, percent};
use farrier_protocol::client::{self, Handshake, HandshakeEntropy};
use farrier_protocol::message::{
    AgentHandshake, BootId, BootMode, HandshakeReply, Mac, NodeId, Order, Reply, Request, Statement,
};
use farrier_protocol::parts::Reassembly;
use farrier_protocol::server::{self, Keys};
use farrier_protocol::signing::SIGNATURE_LEN;
use farrier_protocol::signing::{self, SecretKey};
use farrier_protocol::ticket::Ticket;
use farrier_protocol::wire::{Datagram, SessionId};
use farrier_protocol::{MAX_DATAGRAM, borrowed, version};

/// A frame: its datagram lies inside it, and is the same where it is written
/// again.
pub fn frame(bytes: &[u8]) {
    let mut room = [0; 2048];
    if let Some(length) = ndp::answer_solicitation(bytes, [2, 0, 0, 0, 0, 1], &mut room) {
        assert!(length <= room.len());
    }
    let Ok(read) = frame::parse(bytes) else {
        return;
    };
    let header = frame::Header {
        src_mac: read.src_mac,
        dst_mac: read.dst_mac,
        src: read.src,
        dst: read.dst,
        src_port: read.src_port,
        dst_port: read.dst_port,
    };
    let end = frame::HEADER_LEN + read.payload.len();
    room[frame::HEADER_LEN..end].copy_from_slice(read.payload);
    let length = frame::emit(&mut room, &header, read.payload.len()).expect("it has room");
    let again = frame::parse(&room[..length]).expect("what was written is read");
    assert_eq!(again.payload, read.payload);
    assert_eq!((again.src, again.src_port), (read.src, read.src_port));
}

/// A request's head. No prefix of a head is a head of another length, and
/// what is read of it lies in it.
pub fn http_head(bytes: &[u8]) {
    let Ok(Some((head, length))) = Head::parse(bytes) else {
        let _text = Head::overflow(bytes).text();
        return;
    };
    assert!(length <= bytes.len());
    // The bytes behind a head change nothing in it, and one that is not whole is
    // waited for or refused.
    let (alone, same) = Head::parse(&bytes[..length])
        .expect("it was valid")
        .expect("it was whole");
    assert_eq!(
        (same, alone.path, alone.query),
        (length, head.path, head.query)
    );
    assert!(!matches!(Head::parse(&bytes[..length - 1]), Ok(Some(_))));
    assert!(head.path.starts_with('/') || head.path == "*");
    let mut room = [0; 64];
    for part in head.path.split('/') {
        if let Ok(text) = percent::decode(part, &mut room) {
            assert!(text.len() <= part.len() && !text.contains('\0'));
        }
    }
    for (name, value) in percent::pairs(head.query) {
        for part in [name, value] {
            if let Ok(text) = percent::decode_query(part, &mut room) {
                assert!(text.len() <= part.len());
            }
        }
    }
    for name in ["host", "range", "x"] {
        for value in head.headers(name) {
            assert!(!value.contains(['\r', '\n', '\0']));
        }
    }
    if let Some(range) = head.range {
        for total in [0, 1, 1 << 40, u64::MAX] {
            let selection = farrier_http::Selection::of(Some(range), total);
            let end = selection.offset().checked_add(selection.length());
            assert!(end.is_some_and(|end| end <= total));
        }
    }
}

/// The data of a body, and the bytes behind it; `None` where it is refused.
fn data_of(mut body: Body, bytes: &[u8], cut: usize) -> Option<(Vec<u8>, Option<usize>)> {
    let mut data = Vec::new();
    let mut used = 0;
    for slice in bytes.chunks(cut) {
        let mut input = slice;
        loop {
            let before = input.len();
            let piece = body.next(&mut input).ok()?;
            assert!(input.len() <= before);
            used += before - input.len();
            match piece {
                Piece::Data(piece) => data.extend_from_slice(piece),
                Piece::More => {
                    assert!(input.is_empty(), "it asks for more and has some");
                    break;
                }
                Piece::End => return Some((data, Some(used))),
            }
        }
    }
    Some((data, None))
}

/// A chunked body, and one of a length: the data is the same, however it was
/// torn.
pub fn http_body(bytes: &[u8]) {
    let Some((&[a, b], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let length = u64::from(u16::from_le_bytes([a, b]));
    for kind in [BodyLength::Chunked, BodyLength::Known(length)] {
        let whole = data_of(Body::new(kind), bytes, bytes.len().max(1));
        for cut in [1, 3, 64] {
            assert_eq!(data_of(Body::new(kind), bytes, cut), whole);
        }
        if let (BodyLength::Known(length), Some((data, _))) = (kind, whole) {
            assert_eq!(data.len() as u64, length.min(bytes.len() as u64));
        }
    }
    // A decoder that has refused something ends.
    let mut decoder = chunked::Decoder::new();
    let mut input = bytes;
    for _ in 0..=2 * bytes.len() {
        if matches!(
            decoder.next(&mut input),
            Err(_) | Ok(Piece::End | Piece::More)
        ) {
            return;
        }
    }
    panic!("the decoder does not end");
}

/// The node, the boot and the session of the datagrams.
const NODE: NodeId = NodeId([0x11; 16]);
const BOOT: BootId = BootId(300);
const SESSION: SessionId = SessionId(0x0102_0304);

/// A ticket, both ends' keys and a handshake: made once, for they take long.
pub(crate) struct Ends {
    keys: Keys,
    ticket: Ticket,
    boot_key: SecretKey,
    handshake: Handshake,
    appliance: server::Session,
    /// The appliance's response to the handshake.
    pub(crate) response: Vec<u8>,
}

fn welcome() -> HandshakeReply {
    HandshakeReply {
        version: version::CURRENT,
        node: NODE,
        boot: BOOT,
    }
}

/// The one pair of ends.
pub(crate) fn ends() -> &'static Ends {
    static ENDS: OnceLock<Ends> = OnceLock::new();
    ENDS.get_or_init(|| {
        let keys = Keys::new([0x21; 32], [0x22; 32]);
        let ticket = Ticket::from_random([0x23; 32]);
        let boot_key = SecretKey::from_bytes(&[0x24; 32]);
        let says = AgentHandshake {
            version_min: version::MIN,
            version_max: version::CURRENT,
            boot_key: boot_key.public().0,
            boot_mac: Mac([2, 0, 0, 0, 0, 1]),
            system_uuid: [0x31; 16],
            boot_mode: BootMode::Uefi,
        };
        let entropy = HandshakeEntropy {
            static_secret: [0x25; 32],
            ephemeral: [0x26; 32],
        };
        let handshake =
            Handshake::new(keys.public(), &ticket, &says, &entropy).expect("keys are sound");
        let mut out = [0; MAX_DATAGRAM];
        let Ok(Datagram::Init(init)) = Datagram::parse(handshake.datagram()) else {
            panic!("no init");
        };
        let accepted = server::accept(&keys, &init, &ticket, SESSION, |_| Ok(welcome()), &mut out)
            .expect("an honest handshake");
        let response = out[..accepted.len].to_vec();
        Ends {
            keys,
            ticket,
            boot_key,
            handshake,
            appliance: accepted.session,
            response,
        }
    })
}

impl Ends {
    /// The agent's first datagram.
    pub(crate) fn init(&self) -> &[u8] {
        self.handshake.datagram()
    }

    /// The agent's session, before its first request.
    fn agent(&self) -> client::Session {
        let processed = self.handshake.process(&self.response);
        processed.expect("an honest response").0
    }

    /// A request of the session.
    pub(crate) fn request(&self, request: &Request<'_>) -> Vec<u8> {
        let mut out = [0; MAX_DATAGRAM];
        let sealed = self.agent().seal_request(request, &mut out);
        let length = sealed.expect("it fits");
        out[..length].to_vec()
    }

    /// A reply to the session's first request.
    pub(crate) fn reply(&self, reply: &Reply<'_>) -> Vec<u8> {
        let mut appliance = self.appliance.clone();
        let request = self.request(&Request::Ask);
        let mut room = [0; MAX_DATAGRAM];
        appliance.open(&request, &mut room).expect("it is honest");
        let length = appliance.seal_reply(reply, &mut room).expect("it fits");
        room[..length].to_vec()
    }
}

/// A datagram at both ends. None is accepted but the very ones that were sent.
pub fn datagram(bytes: &[u8]) {
    let ends = ends();
    let Ok(parsed) = Datagram::parse(bytes) else {
        return;
    };
    match parsed {
        Datagram::Init(mut init) => {
            let honest = bytes == ends.init();
            // A fuzzer would guess the identifier some time.
            init.ticket = ends.ticket.id;
            let mut out = [0; MAX_DATAGRAM];
            let accepted = server::accept(
                &ends.keys,
                &init,
                &ends.ticket,
                SESSION,
                |_| Ok(welcome()),
                &mut out,
            );
            assert_eq!(accepted.is_ok(), honest);
        }
        Datagram::Response { .. } => {
            let honest = bytes == ends.response;
            assert_eq!(ends.handshake.process(bytes).is_ok(), honest);
        }
        Datagram::Request { .. } => {
            let mut room = [0; MAX_DATAGRAM];
            let mut appliance = ends.appliance.clone();
            if appliance.open(bytes, &mut room).is_ok() {
                assert_eq!(ends.request(&Request::Ask), bytes);
            }
        }
        Datagram::Reply { .. } => {
            let mut agent = ends.agent();
            let mut room = [0; MAX_DATAGRAM];
            agent
                .seal_request(&Request::Ask, &mut room)
                .expect("a request fits");
            if agent.open_reply(bytes, &mut [0; MAX_DATAGRAM]).is_ok() {
                assert_eq!(ends.reply(&Reply::Ack), bytes);
            }
        }
        Datagram::Refused { .. } | Datagram::UnknownSession { .. } => {
            assert!(ends.handshake.process(bytes).is_err());
        }
    }
}

/// Bytes inside a session, as an agent that lies sends them: the readers agree
/// with each other, and no signature is valid.
pub fn message(bytes: &[u8]) {
    if let Ok(Request::Part(part)) = postcard::from_bytes(bytes) {
        let mut assembly: Reassembly = Reassembly::new();
        let _taken_or_not = assembly.push(&part);
        let _taken_or_not = assembly.push(&part);
    }
    let key = ends().boot_key.public();
    assert!(signing::verify_statement(&key, NODE, BOOT, bytes).is_err());
    let _any: Result<Order, _> = postcard::from_bytes(bytes);
    let _any: Result<Reply<'_>, _> = postcard::from_bytes(bytes);
    let _any: Result<AgentHandshake, _> = postcard::from_bytes(bytes);
    let _inspection_or_not = borrowed::Inspection::read(bytes);
    // What the appliance acts on is what the whole statement says: nothing may follow.
    let whole = postcard::take_from_bytes::<Statement>(bytes);
    let whole = whole.ok().filter(|(_, rest)| rest.is_empty());
    let signed = [bytes, &[0; SIGNATURE_LEN]].concat();
    let read = borrowed::Statement::read(&signed);
    match (whole, read) {
        (Some((whole, _)), Some(read)) => {
            assert_eq!((whole.node, whole.boot), (read.node, read.boot));
            assert_eq!((whole.counter, whole.order), (read.counter, read.order));
        }
        (None, None) => {}
        (whole, read) => panic!("the readers differ: {whole:?}, {read:?}"),
    }
}

/// Texts of a kernel's command line, of module tables, and of tickets.
pub fn command_line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _parameters_or_not = cmdline::BootParameters::parse(&text);
    if let Some(mac) = cmdline::parse_mac(text.trim()) {
        let again = mac.map(|byte| format!("{byte:02x}")).join(":");
        assert_eq!(cmdline::parse_mac(&again), Some(mac));
    }
    if let Ok(ticket) = Ticket::parse(text.trim()) {
        let again = ticket.reveal().to_string();
        assert!(Ticket::parse(&again).is_ok());
    }
    let _ticket_or_not = Ticket::from_command_line(&text);
    let _any = modules::parameters(&text, "nvme");
    let mut parts = text.splitn(3, '\0');
    let mut part = || parts.next().unwrap_or_default();
    let index = modules::ModuleIndex::parse(part(), part(), part());
    for alias in ["pci:v00008086d000010D3sv0", "virtio:d00000001v00001AF4"] {
        for module in index.modules_for(alias) {
            assert!(index.load_order(module).len() <= bytes.len() + 1);
        }
    }
}
