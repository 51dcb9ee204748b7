//! NETCONF over SSH, against sunset's own server in front of the model of a switch.
#![cfg(feature = "ssh")]

mod common;

use common::{KEEP, MOVE, PORT, UNDO, order};
use farrier_core::interface::{HostKey, SwitchLogin, SwitchSecret};
use farrier_netconf::PortVlans;
use farrier_netconf::dialect::OPENCONFIG;
use farrier_netconf::model::{Config, Model, Profile, SessionKey};
use farrier_switch_drivers::limits::{HANDSHAKE_MILLIS, OPERATION_MILLIS};
use farrier_switch_drivers::ssh::{self, SshBuffers, SshDriver, fingerprint};
use farrier_switch_drivers::{
    Driver, Instant, Learned, OperationError, Report, Seen, SwitchAction, SwitchKind,
};
use sunset::ed25519_dalek::SigningKey;
use sunset::{ChanData, ChanHandle, Event, PubKey, Runner, ServEvent, Server, SignKey};

const HOST_SEED: [u8; 32] = [7; 32];
const USER_SEED: [u8; 32] = [9; 32];

fn access(vlan: u16) -> PortVlans {
    PortVlans::access(vlan).unwrap()
}

fn model() -> Model {
    let config = Config::default().vlan(10).vlan(20).port(PORT, &access(10));
    Model::new(Profile::full(&OPENCONFIG), config)
}

fn public_key(seed: [u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(&seed).verifying_key().to_bytes()
}

fn host_key(seed: [u8; 32]) -> HostKey {
    ssh::host_key(&public_key(seed))
}

fn login(secret: SwitchSecret) -> SwitchLogin {
    SwitchLogin {
        user: "farrier".try_into().unwrap(),
        secret,
        host_key: Some(host_key(HOST_SEED)),
    }
}

fn password(text: &str) -> SwitchLogin {
    login(SwitchSecret::Password(text.try_into().unwrap()))
}

/// The switch's SSH server.
struct Sshd<'b> {
    runner: Runner<'b, Server>,
    channel: Option<ChanHandle>,
    session: Option<SessionKey>,
    waiting: Vec<u8>,
    unsent: Vec<u8>,
    /// It has no such subsystem.
    refuses: bool,
}

impl<'b> Sshd<'b> {
    fn new(buffers: &'b mut [[u8; 4000]; 2]) -> Self {
        let [input, output] = buffers;
        Self {
            runner: Runner::new_server(input, output),
            channel: None,
            session: None,
            waiting: Vec::new(),
            unsent: Vec::new(),
            refuses: false,
        }
    }

    /// Takes bytes and gives some. Returns none where the session has failed.
    fn run(&mut self, model: &mut Model, bytes: &[u8]) -> Option<Vec<u8>> {
        self.waiting.extend_from_slice(bytes);
        let mut given = Vec::new();
        loop {
            let mut moved = false;
            if !self.waiting.is_empty() {
                let taken = self.runner.input(&self.waiting).ok()?;
                self.waiting.drain(..taken);
                moved |= taken > 0;
            }
            moved |= self.event().ok()?;
            moved |= self.carry(model);
            let length = self.runner.output_buf().len();
            given.extend_from_slice(self.runner.output_buf());
            self.runner.consume_output(length);
            if !moved && length == 0 {
                return Some(given);
            }
        }
    }

    fn event(&mut self) -> sunset::Result<bool> {
        match self.runner.progress()? {
            Event::None => return Ok(false),
            Event::Serv(ServEvent::Hostkeys(keys)) => {
                let key = SignKey::Ed25519(SigningKey::from_bytes(&HOST_SEED));
                keys.hostkeys(&[&key])?;
            }
            Event::Serv(ServEvent::FirstAuth(first)) => first.reject()?,
            Event::Serv(ServEvent::PasswordAuth(auth)) => {
                match auth.matches_username("farrier") && auth.matches_password("secret") {
                    true => auth.allow()?,
                    false => auth.reject()?,
                }
            }
            Event::Serv(ServEvent::PubkeyAuth(auth)) => {
                let known = match auth.pubkey()? {
                    PubKey::Ed25519(key) => key.key.0 == public_key(USER_SEED),
                    PubKey::Unknown(_) => false,
                };
                match known {
                    true => auth.allow()?,
                    false => auth.reject()?,
                }
            }
            Event::Serv(ServEvent::OpenSession(open)) => self.channel = Some(open.accept()?),
            Event::Serv(ServEvent::SessionSubsystem(request)) => {
                assert_eq!(request.command()?, "netconf");
                match self.refuses {
                    true => request.fail()?,
                    false => {
                        request.succeed()?;
                        self.unsent.push(0);
                    }
                }
            }
            _ => {}
        }
        Ok(true)
    }

    fn carry(&mut self, model: &mut Model) -> bool {
        let Some(channel) = &self.channel else {
            return false;
        };
        if self.session.is_none() {
            if self.unsent.pop().is_none() {
                return false;
            }
            self.session = model.connect();
        }
        let Some(session) = self.session.filter(|key| model.is_open(*key)) else {
            return false;
        };
        let mut buffer = [0; 500];
        let mut moved = false;
        if self.runner.read_channel_ready().is_some() {
            let dt = ChanData::Normal;
            let length = self.runner.read_channel(channel, dt, &mut buffer);
            let length = length.unwrap_or(0);
            model.receive(session, &buffer[..length]);
            moved |= length > 0;
        }
        if self.unsent.is_empty() {
            let length = model.transmit(session, &mut buffer);
            self.unsent.extend_from_slice(&buffer[..length]);
        }
        let dt = ChanData::Normal;
        let sent = self.runner.write_channel(channel, dt, &self.unsent);
        let sent = sent.unwrap_or(0);
        self.unsent.drain(..sent);
        moved | (sent > 0)
    }
}

/// What is done to the bytes of the switch.
type Line<'l> = &'l mut dyn FnMut(&mut Vec<u8>);

struct End {
    report: Report,
    host_key: Option<HostKey>,
    took: u64,
}

fn carry_out(
    model: &mut Model,
    login: &SwitchLogin,
    action: SwitchAction,
    piece: usize,
    refuses: bool,
    line: Line<'_>,
) -> End {
    let mut memory = [[0; 4000]; 2];
    let mut sshd = Sshd::new(&mut memory);
    sshd.refuses = refuses;
    let mut buffers = SshBuffers::new();
    let order = order(SwitchKind::Netconf, action);
    let (begin, far) = (5_000, Instant::from_millis(u64::MAX));
    let mut now = begin;
    let at = Instant::from_millis;
    let mut driver = SshDriver::new(at(now), far, &order, login, &mut buffers).unwrap();
    let mut waiting = Vec::new();
    let mut open = true;
    let report = loop {
        if let Some(report) = driver.report() {
            break report;
        }
        let mut out = vec![0; piece.max(16)];
        let length = driver.send(at(now), &mut out);
        let mut came = match sshd.run(model, &out[..length]) {
            Some(bytes) => bytes,
            None => {
                open = false;
                Vec::new()
            }
        };
        line(&mut came);
        let got = came.len();
        waiting.extend(came);
        let given = waiting.len().min(piece);
        let mut input = &waiting[..given];
        driver.receive(at(now), &mut input);
        let taken = given - input.len();
        waiting.drain(..taken);
        if length + got + taken > 0 || driver.report().is_some() {
            continue;
        }
        if !open {
            driver.closed();
            continue;
        }
        now = driver.wake_at().millis();
        driver.tick(at(now));
    };
    if let Some(session) = sshd.session {
        model.disconnect(session);
    }
    let took = now - begin;
    assert!(took <= OPERATION_MILLIS);
    End {
        report,
        host_key: driver.host_key(),
        took,
    }
}

fn does(model: &mut Model, login: &SwitchLogin, action: SwitchAction) -> End {
    carry_out(model, login, action, 4_000, false, &mut |_| {})
}

fn ok(vlan: u16) -> Report {
    Report {
        result: Ok(()),
        port: Seen::Vlan(vlan),
        link: None,
        learned: Learned::Unknown,
    }
}

fn not_begun(error: OperationError) -> Report {
    Report {
        result: Err(error),
        port: Seen::Unread,
        link: None,
        learned: Learned::Unknown,
    }
}

#[test]
fn a_port_is_moved_with_a_password_and_with_a_key() {
    for login in [password("secret"), login(SwitchSecret::Key(USER_SEED))] {
        for piece in [1, 100, 4_000] {
            let mut model = model();
            for (action, vlan) in [
                (SwitchAction::Read, 10),
                (MOVE, 20),
                (KEEP, 20),
                (UNDO, 10),
                (MOVE, 20),
                (UNDO, 10),
            ] {
                let end = carry_out(&mut model, &login, action, piece, false, &mut |_| {});
                let link = (action == SwitchAction::Read).then_some(true);
                let expected = Report { link, ..ok(vlan) };
                assert_eq!(end.report, expected, "{piece} {action:?}");
                assert_eq!(model.port(PORT), Some(access(vlan)), "{piece} {action:?}");
            }
        }
    }
}

#[test]
fn a_host_key_that_is_not_pinned_ends_it_before_the_password() {
    for pinned in [None, Some(host_key([8; 32]))] {
        let mut model = model();
        let login = SwitchLogin {
            host_key: pinned,
            ..password("secret")
        };
        let end = does(&mut model, &login, MOVE);
        assert_eq!(end.report, not_begun(OperationError::HostKey));
        assert_eq!(end.host_key, Some(host_key(HOST_SEED)));
        assert_eq!(model.changes, 0);
    }
}

#[test]
fn a_wrong_password_is_offered_once() {
    for login in [password("Secret"), login(SwitchSecret::Key([1; 32]))] {
        let mut model = model();
        let end = does(&mut model, &login, MOVE);
        assert_eq!(end.report, not_begun(OperationError::Login));
        assert_eq!(end.took, 0, "nothing was waited for");
        assert_eq!(model.changes, 0);
    }
}

#[test]
fn a_server_without_netconf_is_given_up() {
    let mut model = model();
    let login = password("secret");
    let end = carry_out(&mut model, &login, MOVE, 4_000, true, &mut |_| {});
    assert_eq!(end.report, not_begun(OperationError::Unreachable));
}

#[test]
fn a_server_that_goes_silent_is_given_up_at_every_byte() {
    let login = password("secret");
    let mut total = 0;
    let mut whole = model();
    let end = carry_out(&mut whole, &login, MOVE, 4_000, false, &mut |bytes| {
        total += bytes.len();
    });
    assert_eq!(end.report, ok(20));
    for cut in (0..total).step_by(97) {
        let mut model = model();
        let mut left = cut;
        let mut silence = |bytes: &mut Vec<u8>| {
            bytes.truncate(left);
            left -= bytes.len();
        };
        let end = carry_out(&mut model, &login, MOVE, 4_000, false, &mut silence);
        let report = end.report;
        match report.result {
            Ok(()) => assert_eq!(model.port(PORT), Some(access(20)), "{cut}"),
            Err(OperationError::Unreachable) => {
                assert_eq!(model.port(PORT), Some(access(10)), "{cut} {report:?}");
            }
            Err(OperationError::Uncertain) => assert_eq!(report.port, Seen::Unread, "{cut}"),
            Err(_) => panic!("{cut} {report:?}"),
        }
        assert!(end.took <= HANDSHAKE_MILLIS + OPERATION_MILLIS);
    }
}

#[test]
fn bytes_that_are_changed_on_the_way_are_found_out() {
    let login = password("secret");
    for place in (0..4_000).step_by(61) {
        let mut model = model();
        let mut at = 0;
        let mut flip = |bytes: &mut Vec<u8>| {
            if let Some(byte) = bytes.get_mut(place - at.min(place)).filter(|_| at <= place) {
                *byte ^= 1;
            }
            at += bytes.len();
        };
        let end = carry_out(&mut model, &login, MOVE, 4_000, false, &mut flip);
        let report = end.report;
        match report.result {
            Ok(()) => assert_eq!(model.port(PORT), Some(access(20)), "{place}"),
            Err(OperationError::Uncertain) => assert_eq!(report.port, Seen::Unread, "{place}"),
            Err(_) => assert_eq!(model.port(PORT), Some(access(10)), "{place} {report:?}"),
        }
    }
}

#[test]
fn fingerprints_are_those_of_openssh() {
    // `ssh-keygen -lf` of the key whose bytes are these.
    let key: [u8; 32] = core::array::from_fn(|place| place as u8);
    assert_eq!(
        fingerprint(&ssh::host_key(&key)),
        "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"
    );
}

#[test]
fn bytes_that_are_no_ssh_end_it() {
    let login = password("secret");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..3_000 {
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut buffers = SshBuffers::new();
        let order = order(SwitchKind::Netconf, MOVE);
        let now = Instant::from_millis(0);
        let far = now.plus_millis(u64::from(u32::MAX));
        let mut driver = SshDriver::new(now, far, &order, &login, &mut buffers).unwrap();
        let mut bytes = Vec::new();
        if round % 3 > 0 {
            bytes.extend_from_slice(b"SSH-2.0-x\r\n");
        }
        for _ in 0..random() % 4 {
            let length = random() % 300;
            if round % 3 > 1 {
                // A packet of a random kind.
                let sizes = [0, 0, (length >> 8) as u8, length as u8, 4];
                bytes.extend_from_slice(&sizes);
                bytes.push([20, 31, 21, 1, 2, 3, 4, 7, 51, 91, 94][random() as usize % 11]);
            }
            bytes.extend((0..length).map(|_| random() as u8));
        }
        let mut input = &bytes[..];
        for _ in 0..20 {
            let mut out = [0; 2_000];
            while driver.send(now, &mut out) > 0 {}
            driver.receive(now, &mut input);
        }
        if driver.report().is_none() {
            driver.tick(driver.wake_at());
        }
        let report = driver.report().expect("it has ended");
        assert!(report.result.is_err());
    }
}
