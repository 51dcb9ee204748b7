//! Who asks: HTTP Basic as Ironic's standalone service has it, with a slow
//! check of the password once a session, and a bounded number of tries.
//!
//! [`Gate::admit`] looks at a request's head before anything else does: where
//! it comes from, what a browser says of it, whose password it brings. What it
//! refuses takes no slot, no body and no look at the rack. What each account
//! may do is in [`rules`].

mod basic;
mod refusal;
mod rules;
mod tries;

pub use refusal::{Asked, Refusal};
pub use rules::Principal;
pub(crate) use rules::{Needs, denied, permit, permit_on_quarantined};

use crate::{View, resource};
use basic::Credentials;
use core::net::Ipv4Addr;
use farrier_core::Instant;
use farrier_core::accounts::password::{Hashing, ROUNDS, same};
use farrier_core::accounts::{Account, AccountName};
use farrier_core::interface::Uses;
use farrier_http::{BodyLength, Head, Method};
use farrier_sizes::OPERATOR_SESSIONS;
use heapless::String;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tries::Tries;

/// How long a session lasts that nobody uses, in milliseconds: an hour.
const IDLE_MILLIS: u64 = 3_600_000;

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether the address is a machine's of the rack, see
    /// [`Rack::is_machine`](farrier_core::Rack::is_machine).
    pub is_machine: bool,
}

/// What becomes of a request.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box a check on, and it is moved once"
)]
pub enum Admission {
    /// It is carried out in this one's name, as far as that one may.
    Granted(Principal),
    /// A password is to be checked, one at a time: ask again in turn.
    Wait,
    /// A password is to be checked now; then call [`Gate::checked`].
    Check(Check),
    /// It is answered by [`Refusal::reply`].
    Refused(Refusal),
}

/// What the gate has counted since start. All wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessCounters {
    /// Requests of machines of the rack.
    pub machines: u32,
    /// Requests for another host, or by another site's page.
    pub foreign: u32,
    /// Requests without credentials, or with some that can't be read.
    pub anonymous: u32,
    /// Passwords that were checked.
    pub checks: u32,
    /// Passwords that were wrong.
    pub wrong: u32,
    /// Requests of sources or for accounts with too many wrong passwords.
    pub limited: u32,
}

/// Credentials that were proven.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// A keyed digest of them.
    mac: [u8; 16],
    account: AccountName,
    /// The salt of the password then: another password ends the session.
    salt: [u8; 16],
    used: Instant,
}

/// Looks at every request before the API does.
#[derive(Debug)]
pub struct Gate {
    /// Of this start; all zeros before [`Gate::start`].
    key: [u8; 32],
    /// With this one the first account can be made where there is none.
    code: String<CODE>,
    sessions: [Option<Session>; OPERATOR_SESSIONS],
    tries: Tries,
    counters: AccessCounters,
}

/// Length of the one-time code: four groups of four letters or digits.
const CODE: usize = 19;
/// No letter or digit that reads as another one.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// Before the start: nobody gets in.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            key: [0; 32],
            code: String::new(),
            sessions: [None; OPERATOR_SESSIONS],
            tries: Tries::new(),
            counters: AccessCounters {
                machines: 0,
                foreign: 0,
                anonymous: 0,
                checks: 0,
                wrong: 0,
                limited: 0,
            },
        }
    }

    /// Begins with random bytes that nobody can guess.
    pub fn start(&mut self, key: [u8; 32], code: [u8; 16]) {
        self.key = key;
        self.code.clear();
        for (place, byte) in code.iter().enumerate() {
            if place > 0 && place % 4 == 0 {
                let _fits = self.code.push('-');
            }
            let letter = ALPHABET.get(usize::from(byte % 32)).copied();
            let _fits = self.code.push(char::from(letter.unwrap_or(b'a')));
        }
    }

    /// The code of this start, as it is printed.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &AccessCounters {
        &self.counters
    }

    /// Looks at a request. `in_turn` says that no other password is checked
    /// meanwhile.
    pub fn admit(
        &mut self,
        head: &Head<'_>,
        peer: Peer,
        in_turn: bool,
        now: Instant,
        view: &View<'_>,
    ) -> Admission {
        match self.look(head, peer, in_turn, now, view) {
            Ok(admission) => admission,
            Err(refusal) => {
                let counter = match refusal {
                    Refusal::Machine => &mut self.counters.machines,
                    Refusal::Host | Refusal::Origin | Refusal::ContentType => {
                        &mut self.counters.foreign
                    }
                    Refusal::TooMany { .. } => &mut self.counters.limited,
                    Refusal::Wrong => &mut self.counters.wrong,
                    Refusal::Anonymous
                    | Refusal::Unreadable
                    | Refusal::OtherScheme
                    | Refusal::Undecodable => &mut self.counters.anonymous,
                };
                *counter = counter.wrapping_add(1);
                Admission::Refused(refusal)
            }
        }
    }

    fn look(
        &mut self,
        head: &Head<'_>,
        peer: Peer,
        in_turn: bool,
        now: Instant,
        view: &View<'_>,
    ) -> Result<Admission, Refusal> {
        if peer.is_machine {
            return Err(Refusal::Machine);
        }
        if !head.host.is_some_and(|host| is_own_host(host, view)) {
            return Err(Refusal::Host);
        }
        if !is_own_page(head) {
            return Err(Refusal::Origin);
        }
        if head.body != BodyLength::Known(0) && !is_json(head) {
            return Err(Refusal::ContentType);
        }
        if resource::is_open(head.method, head.path) {
            return Ok(Admission::Granted(Principal::ANYONE));
        }
        let credentials = Credentials::of(head)?;
        let mac = self.mac(credentials.bytes());
        if let Some(account) = self.session(&mac, now, view) {
            return Ok(Admission::Granted(Principal::of(&account)));
        }
        if view.accounts.is_empty() {
            return self.first_contact(&credentials, &mac, peer, now);
        }
        let known = AccountName::new(credentials.name());
        let known = known.and_then(|name| view.account(name));
        if !in_turn {
            self.tries.may(peer.address, known.map(place), now)?;
            return Ok(Admission::Wait);
        }
        self.tries.begin(peer.address, known.map(place), now)?;
        // An account that there is not takes as long as one that there is.
        let (salt, rounds) = known.map_or(([0; 16], ROUNDS), |account| {
            (account.verifier.salt, account.verifier.rounds)
        });
        self.counters.checks = self.counters.checks.wrapping_add(1);
        Ok(Admission::Check(Check {
            hashing: Hashing::new(credentials.password(), &salt, rounds),
            account: known.copied(),
            mac,
            source: peer.address,
        }))
    }

    /// Whether a request that waits for its turn comes before those of other
    /// sources: its source had the right password of this account before.
    #[must_use]
    pub fn comes_first(&self, head: &Head<'_>, address: Ipv4Addr, view: &View<'_>) -> bool {
        let Ok(credentials) = Credentials::of(head) else {
            return false;
        };
        let name = AccountName::new(credentials.name());
        let account = name.and_then(|name| view.account(name));
        account.is_some_and(|account| self.tries.is_known(address, place(account)))
    }

    /// Takes the result of a check: a session begins where the password is
    /// right.
    pub fn checked(&mut self, check: &Check, right: bool, now: Instant) -> Admission {
        let Some(account) = check.account.filter(|_| right) else {
            self.counters.wrong = self.counters.wrong.wrapping_add(1);
            return Admission::Refused(Refusal::Wrong);
        };
        self.tries.end(check.source, place(&account));
        // Where all are taken, the one that was not used for longest goes.
        let oldest = |session: &&mut Option<Session>| session.map_or(Instant::START, |of| of.used);
        if let Some(room) = self.sessions.iter_mut().min_by_key(oldest) {
            *room = Some(Session {
                mac: check.mac,
                account: account.name,
                salt: account.verifier.salt,
                used: now,
            });
        }
        Admission::Granted(Principal::of(&account))
    }

    /// The account of credentials that were proven before.
    fn session(&mut self, mac: &[u8; 16], now: Instant, view: &View<'_>) -> Option<Account> {
        for place in &mut self.sessions {
            let Some(session) = place else { continue };
            let known = view.account(session.account);
            let known = known.filter(|account| account.verifier.salt == session.salt);
            let idle = now.millis().saturating_sub(session.used.millis());
            if known.is_none() || idle > IDLE_MILLIS {
                *place = None;
            } else if session.mac == *mac {
                session.used = now;
                return known.copied();
            }
        }
        None
    }

    /// Without any account, the code of the console is the password of the
    /// first one.
    fn first_contact(
        &mut self,
        credentials: &Credentials,
        mac: &[u8; 16],
        peer: Peer,
        now: Instant,
    ) -> Result<Admission, Refusal> {
        self.tries.begin_code(peer.address, now)?;
        let mut right: String<{ CODE + 8 }> = String::new();
        let fits = right.push_str(AccountName::FIRST).is_ok()
            && right.push(':').is_ok()
            && right.push_str(&self.code).is_ok();
        if !fits || self.code.is_empty() || self.mac(right.as_bytes()) != *mac {
            return Err(Refusal::Wrong);
        }
        debug_assert_eq!(credentials.name(), AccountName::FIRST);
        self.tries.forgive(peer.address);
        Ok(Admission::Granted(Principal::FIRST_CONTACT))
    }

    /// A digest that is of use only within this start. What it is compared
    /// with depends on a secret key, so the time of a comparison says nothing.
    fn mac(&self, bytes: &[u8]) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key)
            .unwrap_or_else(|_| Hmac::new(&Default::default()));
        mac.update(bytes);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut front = [0; 16];
        for (place, byte) in front.iter_mut().zip(whole) {
            *place = byte;
        }
        front
    }
}

fn place(account: &Account) -> usize {
    account.place()
}

/// A password that is being checked.
#[derive(Debug)]
pub struct Check {
    hashing: Hashing,
    account: Option<Account>,
    mac: [u8; 16],
    source: Ipv4Addr,
}

impl Check {
    /// Goes on with the check by at most so many rounds. Returns whether the
    /// password is right once that is known.
    pub fn run(&mut self, rounds: u32) -> Option<bool> {
        let hash = self.hashing.run(rounds)?;
        let expected = self.account.map(|account| account.verifier.hash);
        Some(expected.is_some_and(|expected| same(&hash, &expected)))
    }
}

/// Whether a `Host` names this appliance: by its address, or as the
/// configuration says. A page of another site whose name was made to lead
/// here has that other name in it.
fn is_own_host(host: &str, view: &View<'_>) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let config = view.config;
    port.bytes().all(|byte| byte.is_ascii_digit())
        && (name.parse() == Ok(config.address)
            || is_management(name, view)
            || config
                .hosts
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name)))
}

/// Whether this is the appliance's address on the management network.
fn is_management(name: &str, view: &View<'_>) -> bool {
    let mut networks = view.ipam.networks().iter();
    networks.any(|network| {
        network.uses.contains(Uses::MANAGEMENT) && name.parse() == Ok(network.address)
    })
}

/// Whether no other site's page made a browser send this. Browsers send
/// credentials that they remember on their own.
fn is_own_page(head: &Head<'_>) -> bool {
    let own = |origin: &str| {
        origin
            .strip_prefix("http://")
            .is_some_and(|of| Some(of) == head.host)
    };
    head.headers("Origin").all(own)
        && head
            .headers("Sec-Fetch-Site")
            .all(|site| matches!(site, "same-origin" | "none"))
}

/// Whether a body is JSON by its type. A browser's page can send others to
/// any site without asking that site.
fn is_json(head: &Head<'_>) -> bool {
    let mut types = head.headers("Content-Type");
    let (Some(kind), None) = (types.next(), types.next()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or("").trim_end();
    kind.eq_ignore_ascii_case("application/json")
        || head.method == Method::Patch && kind.eq_ignore_ascii_case("application/json-patch+json")
}
