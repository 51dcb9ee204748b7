//! A NETCONF server for tests, the simulator and the rig's virtual switch: ports
//! with VLANs in a candidate and a running configuration, locks, confirmed commits
//! with persist-ids, and the faults of real switches. Sans-IO and without a heap,
//! like the client. It knows the operations that the client sends and no others,
//! and filters only by port.

mod config;
mod fault;
mod reply;
mod request;
mod session;

pub use config::{Config, Learned, MAX_PORTS, MAX_VLANS};
pub use fault::{Fault, Faults, OPERATIONS};

use crate::dialect::Dialect;
use crate::hello::Capabilities;
use crate::vlan::PortVlans;
use crate::xml::name::Name;
use heapless::{String, Vec};
use reply::Answer;
use request::Rpc;
use session::Session;

/// Largest number of sessions at a time.
pub const MAX_SESSIONS: usize = 4;

/// A session of the model, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionKey(usize);

/// A confirmed commit that waits.
#[derive(Debug, Clone)]
struct Waiting {
    before: Config,
    /// Session that made it.
    session: u32,
    persist: Option<String<32, u8>>,
    until_ms: u64,
}

/// What the model offers.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// The dialect that it speaks.
    pub dialect: &'static Dialect,
    /// Its capabilities.
    pub capabilities: Capabilities,
    /// URIs of its models, for its hello.
    pub models: &'static [&'static str],
}

impl Profile {
    /// A server with all capabilities that the client uses.
    #[must_use]
    pub fn full(dialect: &'static Dialect) -> Self {
        Self {
            dialect,
            capabilities: Capabilities::all() - Capabilities::WRITABLE_RUNNING,
            models: match dialect.name {
                "openconfig" => &[
                    "http://openconfig.net/yang/interfaces?module=openconfig-interfaces",
                    "http://openconfig.net/yang/vlan?module=openconfig-vlan",
                ],
                "ietf" => &[
                    "urn:ietf:params:xml:ns:yang:ietf-interfaces?module=ietf-interfaces",
                    "urn:ieee:std:802.1Q:yang:ieee802-dot1q-bridge",
                ],
                _ => &["http://xml.juniper.net/netconf/junos/1.0"],
            },
        }
    }
}

/// The server.
#[derive(Debug, Clone)]
pub struct Model {
    profile: Profile,
    running: Config,
    candidate: Config,
    startup: Config,
    sessions: [Option<Session>; MAX_SESSIONS],
    last_session: u32,
    /// Session that holds the lock of the candidate or running configuration.
    lock: Option<u32>,
    waiting: Option<Waiting>,
    validated: bool,
    /// The port of the last edit.
    edited: PortName,
    now_ms: u64,
    /// The faults; change them at will.
    pub faults: Faults,
    /// Number of changes of the running configuration.
    pub changes: u32,
    /// What the switch has learned from frames.
    pub learned: Learned,
}

impl Model {
    /// Creates a server whose running configuration is `config`. Its startup
    /// configuration, for [`Fault::LosesRunning`] and [`Self::power_cycle`], is
    /// the same.
    #[must_use]
    pub fn new(profile: Profile, config: Config) -> Self {
        Self {
            profile,
            running: config.clone(),
            candidate: config.clone(),
            startup: config,
            sessions: [const { None }; MAX_SESSIONS],
            last_session: 100,
            lock: None,
            waiting: None,
            validated: false,
            edited: PortName::new(),
            now_ms: 0,
            faults: Faults::default(),
            changes: 0,
            learned: Learned::default(),
        }
    }

    /// Returns the VLANs of a port in the running configuration: what the switch
    /// does with the port's frames.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<PortVlans> {
        self.running.vlans_of(name)
    }

    /// Returns the VLANs whose frames a port carries: those of its configuration
    /// that the switch has, where the dialect has VLANs.
    #[must_use]
    pub fn carries(&self, name: &str) -> Option<PortVlans> {
        let vlans = self.port(name)?;
        if self.profile.dialect.vlan_edit.is_none() {
            return Some(vlans);
        }
        let has = |vlan: &u16| self.running.has_vlan(*vlan);
        let tagged: Numbers = vlans.tagged().iter().copied().filter(has).collect();
        PortVlans::new(vlans.untagged().filter(has), &tagged)
    }

    /// Returns the running configuration.
    #[must_use]
    pub const fn running(&self) -> &Config {
        &self.running
    }

    /// Changes the running configuration as an operator at the console does.
    pub fn set_port(&mut self, name: &str, vlans: &PortVlans) {
        self.running.set_vlans(name, vlans);
        self.candidate = self.running.clone();
        self.changes += 1;
    }

    /// Makes a VLAN as an operator at the console does, if it is not there.
    pub fn add_vlan(&mut self, number: u16) {
        self.running = self.running.clone().vlan(number);
        self.candidate = self.running.clone();
    }

    /// Returns whether a confirmed commit waits.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Returns the session that holds the lock.
    #[must_use]
    pub const fn lock_holder(&self) -> Option<u32> {
        self.lock
    }

    /// Returns whether the candidate has changes that are not committed.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.candidate != self.running
    }

    /// Opens a session; `None` if all places are taken.
    pub fn connect(&mut self) -> Option<SessionKey> {
        let place = self.sessions.iter().position(Option::is_none)?;
        self.last_session += 1;
        let mut session = Session::new(self.last_session);
        session.send_hello(&self.profile);
        *self.sessions.get_mut(place)? = Some(session);
        Some(SessionKey(place))
    }

    /// Returns whether the session is open. A fault or `close-session` closes it
    /// once its last bytes are sent.
    #[must_use]
    pub fn is_open(&self, key: SessionKey) -> bool {
        self.session(key).is_some()
    }

    fn session(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(key.0)?.as_ref()
    }

    /// Ends a session as a lost channel does.
    pub fn disconnect(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key.0).and_then(Option::take) else {
            return;
        };
        self.forget(session.id);
    }

    /// Releases what an ended session held.
    fn forget(&mut self, id: u32) {
        if self.lock == Some(id) {
            self.lock = None;
            self.candidate = self.running.clone();
        }
        let waiting = self.waiting.as_ref();
        if waiting.is_some_and(|waiting| waiting.session == id && waiting.persist.is_none()) {
            self.roll_back();
        }
    }

    fn roll_back(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.set_running(waiting.before);
        }
    }

    fn set_running(&mut self, config: Config) {
        self.changes += u32::from(self.running != config);
        self.running = config;
        if self.lock.is_none() {
            self.candidate = self.running.clone();
        }
    }

    /// Sets the time. A confirmed commit whose timeout passed is taken back.
    pub fn set_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        let due = self.waiting.as_ref().map(|waiting| waiting.until_ms);
        if due.is_some_and(|due| due <= now_ms) {
            self.roll_back();
        }
    }

    /// Returns the time at which a waiting commit is taken back.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.waiting.as_ref().map(|waiting| waiting.until_ms)
    }

    /// Loses power: all sessions end, and the startup configuration runs.
    pub fn power_cycle(&mut self) {
        self.sessions = [const { None }; MAX_SESSIONS];
        self.lock = None;
        self.waiting = None;
        self.running = self.startup.clone();
        self.candidate = self.startup.clone();
        self.changes += 1;
    }

    /// Takes bytes of a client.
    pub fn receive(&mut self, key: SessionKey, bytes: &[u8]) {
        let mut input = bytes;
        loop {
            let Some(session) = self.sessions.get_mut(key.0).and_then(Option::as_mut) else {
                return;
            };
            if session.silent {
                return;
            }
            let edited = match self.profile.capabilities.contains(Capabilities::CANDIDATE) {
                true => &self.candidate,
                false => &self.running,
            };
            match session.read(&mut input, self.profile.dialect, edited) {
                Ok(None) => return,
                Ok(Some(rpc)) => self.execute(key, rpc),
                Err(()) => self.disconnect(key),
            }
        }
    }

    /// Writes the next bytes for a client into `buffer`; returns their number.
    pub fn transmit(&mut self, key: SessionKey, buffer: &mut [u8]) -> usize {
        let Some(session) = self.sessions.get_mut(key.0).and_then(Option::as_mut) else {
            return 0;
        };
        let length = session.transmit(buffer);
        if session.closing && session.is_drained() {
            self.disconnect(key);
        }
        length
    }

    fn execute(&mut self, key: SessionKey, rpc: Rpc) {
        let Some(id) = self.session(key).map(|session| session.id) else {
            return;
        };
        let fault = self.faults.take(rpc.operation);
        match fault {
            Some(Fault::HangsBefore) => return self.silence(key),
            Some(Fault::DropsBefore) => return self.disconnect(key),
            Some(Fault::Refuses) => return self.answer(key, &rpc, Answer::REFUSED, false),
            Some(Fault::Garbage) => return self.answer(key, &rpc, Answer::Garbage, false),
            Some(Fault::Bomb) => return self.answer(key, &rpc, Answer::Bomb, false),
            Some(Fault::Locked(holder)) => {
                return self.answer(key, &rpc, Answer::Locked(holder), false);
            }
            Some(Fault::Lies) => return self.answer(key, &rpc, Answer::Ok, false),
            Some(Fault::AppliesHalf) => {
                self.candidate.clear_port(&self.edited);
            }
            Some(Fault::WrongData) => {
                return self.answer(key, &rpc, Answer::OtherPort, false);
            }
            _ => {}
        }
        let answer = self.operate(id, &rpc);
        match fault {
            Some(Fault::DropsAfter) => self.disconnect(key),
            Some(Fault::HangsAfter) => self.silence(key),
            Some(Fault::RefusesAfter) => self.answer(key, &rpc, Answer::REFUSED, false),
            Some(Fault::LosesRunning) => {
                self.set_running(self.startup.clone());
                self.answer(key, &rpc, answer, false);
            }
            _ => {
                let close = rpc.operation == Name::CloseSession;
                self.answer(key, &rpc, answer, close);
            }
        }
    }

    fn silence(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key.0).and_then(Option::as_mut) {
            session.silent = true;
        }
    }

    fn answer(&mut self, key: SessionKey, rpc: &Rpc, answer: Answer, close: bool) {
        let Some(session) = self.sessions.get_mut(key.0).and_then(Option::as_mut) else {
            return;
        };
        session.closing |= close;
        let profile = &self.profile;
        let config = match rpc.target {
            Name::Candidate => &self.candidate,
            _ => &self.running,
        };
        let learned = &self.learned;
        session.send(&|out| reply::write(answer, rpc, profile, (config, learned), out));
    }

    fn operate(&mut self, id: u32, rpc: &Rpc) -> Answer {
        let has = |capability| self.profile.capabilities.intersects(capability);
        let target = match has(Capabilities::CANDIDATE) {
            true => Name::Candidate,
            false => Name::Running,
        };
        let foreign = self.lock.filter(|&holder| holder != id);
        match rpc.operation {
            Name::Lock | Name::Unlock | Name::EditConfig if rpc.target != target => {
                Answer::Error("invalid-value")
            }
            Name::Lock => match self.lock {
                Some(holder) => Answer::Locked(holder),
                // As netconfd does.
                None if self.waiting.is_some() => Answer::Error("in-use"),
                None if self.is_dirty() => Answer::Locked(0),
                None => {
                    self.lock = Some(id);
                    Answer::Ok
                }
            },
            Name::Unlock if self.lock == Some(id) => {
                self.lock = None;
                self.candidate = self.running.clone();
                Answer::Ok
            }
            Name::EditConfig | Name::Commit | Name::DiscardChanges if foreign.is_some() => {
                Answer::Error("in-use")
            }
            Name::EditConfig => match &rpc.edit {
                Ok(config) if target == Name::Candidate => {
                    self.edited = rpc.port.clone();
                    self.candidate = config.clone();
                    self.validated = false;
                    Answer::Ok
                }
                Ok(config) if self.takes_used_vlan(config) => Answer::REFUSED,
                Ok(config) => {
                    self.set_running(config.clone());
                    Answer::Ok
                }
                Err(tag) => Answer::Error(tag),
            },
            Name::Validate if has(Capabilities::VALIDATE_1_0 | Capabilities::VALIDATE_1_1) => {
                self.validated = true;
                Answer::Ok
            }
            Name::Commit if has(Capabilities::CANDIDATE) => self.commit(id, rpc),
            Name::CancelCommit if has(Capabilities::CONFIRMED_COMMIT_1_1) => {
                match self.is_issuer(id, rpc) {
                    true => {
                        self.roll_back();
                        Answer::Ok
                    }
                    false => Answer::Error("invalid-value"),
                }
            }
            Name::DiscardChanges if has(Capabilities::CANDIDATE) => {
                self.candidate = self.running.clone();
                Answer::Ok
            }
            Name::CloseSession => Answer::Ok,
            Name::GetConfig => Answer::Port,
            Name::GetEthernetSwitchingTable => Answer::Macs,
            Name::GetLldpNeighbors => Answer::Neighbours,
            Name::GetInterfaceInformation => Answer::Link,
            Name::Get if rpc.lldp => Answer::Neighbours,
            Name::Get if rpc.links => Answer::Link,
            Name::Get => Answer::Macs,
            _ => Answer::Error("operation-not-supported"),
        }
    }

    /// Returns whether a request may end the waiting commit.
    fn is_issuer(&self, id: u32, rpc: &Rpc) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(|waiting| match &waiting.persist {
                Some(persist) => rpc.persist_id.as_ref() == Some(persist),
                None => waiting.session == id && rpc.persist_id.is_none(),
            })
    }

    /// Whether a change takes a VLAN away that a port stays on.
    fn takes_used_vlan(&self, new: &Config) -> bool {
        let mut gone = self.running.vlans.iter().map(|&(vlan, _)| vlan);
        self.faults.keeps_used_vlans && gone.any(|vlan| !new.has_vlan(vlan) && new.uses_vlan(vlan))
    }

    fn commit(&mut self, id: u32, rpc: &Rpc) -> Answer {
        if self.takes_used_vlan(&self.candidate) {
            return Answer::REFUSED;
        }
        if (self.waiting.is_some() || rpc.persist_id.is_some()) && !self.is_issuer(id, rpc) {
            return Answer::Error("invalid-value");
        }
        let before = self.running.clone();
        let validated = core::mem::take(&mut self.validated);
        if !(validated && self.faults.forgets_validated) {
            self.set_running(self.candidate.clone());
        }
        let first = self.waiting.take().map(|waiting| waiting.before);
        if rpc.confirmed {
            self.waiting = Some(Waiting {
                before: first.unwrap_or(before),
                session: id,
                persist: rpc.persist.clone(),
                until_ms: self.now_ms + u64::from(rpc.timeout_s) * 1000,
            });
        }
        Answer::Ok
    }

    /// Names of the ports, in order.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        self.running.names()
    }
}

/// The name of a port in the model.
pub(crate) type PortName = String<32, u8>;
/// Numbers of VLANs.
pub(crate) type Numbers = Vec<u16, { crate::vlan::MAX_TAGGED + 1 }, u8>;
