//! A DHCP client, sans-IO (RFC 2131 §4.4). It returns the message to send, the
//! time to wait for, and the lease. Times are milliseconds of a monotonic clock.
//! The caller configures the interface and probes the address with ARP.

use core::net::Ipv4Addr;

use crate::wire::{AddrList, Error, MessageType, Reply, Request, code};

/// A lease time of all ones never ends (RFC 2131 §3.3).
const INFINITE: u32 = u32::MAX;

/// Number of REQUESTs for an offer before the client starts over.
const MAX_REQUESTS: u8 = 4;

/// Shortest time between two requests to extend a lease (RFC 2131 §4.4.5).
const MIN_EXTEND_MS: u64 = 60_000;

/// Pause after a DECLINE (RFC 2131 §3.1 point 5).
const DECLINE_PAUSE_MS: u64 = 10_000;

/// The longest message that the client accepts: an unfragmented Ethernet datagram.
const MAX_MESSAGE_SIZE: u16 = 1500;

/// Options that the client requests.
const PARAMETER_LIST: &[u8] = &[
    code::SUBNET_MASK,
    code::ROUTER,
    code::DNS,
    code::MTU,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];

/// Configuration of a client: identity and timeouts.
#[derive(Debug, Clone, Copy)]
pub struct Config<'a> {
    /// The interface's Ethernet address. Option 61 is type 1 and this address, as
    /// from iPXE.
    pub mac: [u8; 6],
    /// System UUID in SMBIOS byte order, for option 97.
    pub uuid: Option<[u8; 16]>,
    /// Option 60.
    pub class_id: Option<&'a [u8]>,
    /// Option 12.
    pub host_name: Option<&'a [u8]>,
    /// Accept offers from this server only.
    pub server: Option<Ipv4Addr>,
    /// Request broadcast replies, if the interface can't receive frames to an
    /// address that it does not have yet.
    pub broadcast: bool,
    /// Time before the first retransmission in milliseconds. It doubles each time,
    /// with a random jitter of one quarter.
    pub first_timeout_ms: u32,
    /// Upper limit of the doubling in milliseconds.
    pub max_timeout_ms: u32,
}

impl Config<'_> {
    /// Creates a configuration with the address only and retransmissions after 1 s
    /// to 16 s. RFC 2131's 4 s to 64 s would add to the half minute during which a
    /// switch port that comes up drops all frames.
    #[must_use]
    pub const fn new(mac: [u8; 6]) -> Self {
        Self {
            mac,
            uuid: None,
            class_id: None,
            host_name: None,
            server: None,
            broadcast: false,
            first_timeout_ms: 1_000,
            max_timeout_ms: 16_000,
        }
    }
}

/// The destination of a message, from port 68 to port 67.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// From 0.0.0.0, or the leased address while rebinding, to
    /// 255.255.255.255.
    Broadcast,
    /// From the leased address to this server.
    Unicast(Ipv4Addr),
}

/// The next action of the caller, from [`Client::poll`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send the first `len` bytes of the buffer, then poll again.
    Send {
        /// Number of bytes written.
        len: usize,
        /// The destination.
        to: Destination,
    },
    /// Nothing to do before this time, or until a message is processed.
    Wait(u64),
    /// The lease expired. Remove the address from the interface, then poll again;
    /// the client starts over.
    Expired,
}

/// The result of a processed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// No change: the message is malformed, unexpected or of another client.
    Ignored,
    /// The client accepted an offer. Poll to send the REQUEST.
    Offered,
    /// The client got a lease.
    Bound,
    /// The lease was extended. Its parameters may differ.
    Renewed,
    /// The server sent a NAK. Remove the address from the interface; the client
    /// starts over.
    Refused,
}

/// The state of the client (RFC 2131 figure 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// INIT: sends a DISCOVER at the next poll.
    Init,
    /// Waiting for an offer.
    Selecting,
    /// Waiting for the ACK of an offer.
    Requesting,
    /// Has a lease.
    Bound,
    /// Extending the lease with its server.
    Renewing,
    /// Extending the lease with any server.
    Rebinding,
}

/// A lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The client's address.
    pub ip: Ipv4Addr,
    /// The subnet mask; 255.255.255.255 if the server sent none.
    pub mask: Ipv4Addr,
    /// The first router.
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: AddrList,
    /// The longest IP packet of the interface in bytes, at least 68 (RFC 2132, 5.1);
    /// none if the server sent none.
    pub mtu: Option<u16>,
    /// The server that granted it.
    pub server: Ipv4Addr,
    /// The server of the next boot step, if the server sent one.
    pub next_server: Option<Ipv4Addr>,
    /// Time T1: renew the lease.
    pub renew_at: u64,
    /// Time T2: rebind with any server.
    pub rebind_at: u64,
    /// Time of expiry; `u64::MAX` for never.
    pub expires_at: u64,
}

/// A DHCP client.
#[derive(Debug, Clone)]
pub struct Client<'a> {
    config: Config<'a>,
    client_id: [u8; 7],
    machine_id: Option<[u8; 17]>,
    state: State,
    xid: u32,
    /// Start of the current attempt, for `secs`.
    began: u64,
    /// Time of the next action in the current state.
    act_at: u64,
    timeout_ms: u32,
    tries: u8,
    offer: Option<(Ipv4Addr, Ipv4Addr)>,
    lease: Option<Lease>,
}

impl<'a> Client<'a> {
    /// Creates a client. Its first poll sends a DISCOVER.
    #[must_use]
    pub fn new(config: Config<'a>) -> Self {
        let [a, b, c, d, e, f] = config.mac;
        let machine_id = config.uuid.map(|uuid| {
            let mut id = [0; 17];
            id[1..].copy_from_slice(&uuid);
            id
        });
        Self {
            config,
            client_id: [1, a, b, c, d, e, f],
            machine_id,
            state: State::Init,
            xid: 0,
            began: 0,
            act_at: 0,
            timeout_ms: config.first_timeout_ms,
            tries: 0,
            offer: None,
            lease: None,
        }
    }

    /// Returns the state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns the lease, from [`Event::Bound`] to [`Action::Expired`] or
    /// [`Event::Refused`].
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Returns the next action at the time `now`. `random` is a new random word for
    /// transaction ids and jitter. A message is written into `buf`; 548 bytes are
    /// enough for a class and a host name of 80 bytes together.
    ///
    /// # Errors
    /// [`Error::NoRoom`] or [`Error::OptionTooLong`]: the configuration is too long
    /// or the buffer too short.
    pub fn poll(&mut self, now: u64, random: u32, buf: &mut [u8]) -> Result<Action, Error> {
        if let Some(lease) = self.lease {
            if now >= lease.expires_at {
                self.start_over(now);
                return Ok(Action::Expired);
            }
            if now >= lease.rebind_at && self.state != State::Rebinding {
                self.extend(now, random, State::Rebinding);
            } else if now >= lease.renew_at && self.state == State::Bound {
                self.extend(now, random, State::Renewing);
            }
        }
        if now < self.act_at {
            return Ok(Action::Wait(self.act_at));
        }
        match self.state {
            State::Init => {
                self.xid = random;
                self.began = now;
                self.timeout_ms = self.config.first_timeout_ms;
                self.state = State::Selecting;
            }
            State::Requesting if self.tries >= MAX_REQUESTS => {
                self.start_over(now);
                return Ok(Action::Wait(now));
            }
            _ => {}
        }
        let request = match self.state {
            State::Init | State::Selecting => self.request(MessageType::Discover, now),
            State::Requesting => {
                let (ip, server) = self.offer.unzip();
                let request = self.request(MessageType::Request, now);
                Request {
                    requested_ip: ip,
                    server_id: server,
                    ..request
                }
            }
            State::Bound | State::Renewing | State::Rebinding => {
                let ciaddr = self.lease.map_or(Ipv4Addr::UNSPECIFIED, |lease| lease.ip);
                // The interface has the address, so a unicast reply arrives.
                Request {
                    ciaddr,
                    broadcast: false,
                    ..self.request(MessageType::Request, now)
                }
            }
        };
        let len = request.emit(buf)?;
        let to = match (self.state, self.lease) {
            (State::Renewing, Some(lease)) => Destination::Unicast(lease.server),
            _ => Destination::Broadcast,
        };
        self.schedule(now, random);
        Ok(Action::Send { len, to })
    }

    /// Processes the UDP payload of a datagram to port 68.
    pub fn process(&mut self, now: u64, payload: &[u8]) -> Event {
        let Ok(reply) = Reply::parse(payload) else {
            return Event::Ignored;
        };
        let others = self
            .config
            .server
            .is_some_and(|server| server != reply.server_id);
        if reply.xid != self.xid || reply.chaddr != self.config.mac || others {
            return Event::Ignored;
        }
        match (self.state, reply.message_type) {
            (State::Selecting, MessageType::Offer) => {
                if !is_host(reply.yiaddr) {
                    return Event::Ignored;
                }
                self.offer = Some((reply.yiaddr, reply.server_id));
                self.state = State::Requesting;
                self.tries = 0;
                self.timeout_ms = self.config.first_timeout_ms;
                self.act_at = now;
                Event::Offered
            }
            (State::Requesting | State::Renewing | State::Rebinding, MessageType::Ack) => {
                self.process_ack(now, &reply)
            }
            (State::Requesting | State::Renewing | State::Rebinding, MessageType::Nak) => {
                // Before rebinding, only the server of the lease can refuse
                // it.
                if self.state != State::Rebinding && Some(reply.server_id) != self.peer() {
                    return Event::Ignored;
                }
                self.start_over(now);
                // The pause prevents a tight loop with a server that refuses
                // each time.
                self.act_at = now.saturating_add(u64::from(self.config.first_timeout_ms));
                Event::Refused
            }
            _ => Event::Ignored,
        }
    }

    /// Writes a DECLINE for broadcast, after ARP found another host with the leased
    /// address. The client pauses for 10 s and starts over. Returns `None` without
    /// a lease.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn decline(&mut self, now: u64, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        let Some(lease) = self.lease else {
            return Ok(None);
        };
        let len = Request {
            requested_ip: Some(lease.ip),
            server_id: Some(lease.server),
            ..self.closing_message(MessageType::Decline)
        }
        .emit(buf)?;
        self.start_over(now);
        self.act_at = now.saturating_add(DECLINE_PAUSE_MS);
        Ok(Some(len))
    }

    /// Writes a RELEASE and returns the server to send it to, before the caller
    /// removes the address. The client starts over at the next poll. Returns `None`
    /// without a lease.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn release(
        &mut self,
        now: u64,
        buf: &mut [u8],
    ) -> Result<Option<(usize, Ipv4Addr)>, Error> {
        let Some(lease) = self.lease else {
            return Ok(None);
        };
        let len = Request {
            ciaddr: lease.ip,
            server_id: Some(lease.server),
            ..self.closing_message(MessageType::Release)
        }
        .emit(buf)?;
        self.start_over(now);
        Ok(Some((len, lease.server)))
    }

    fn process_ack(&mut self, now: u64, reply: &Reply<'_>) -> Event {
        let (Some(seconds), true) = (reply.lease_secs, is_host(reply.yiaddr)) else {
            return Event::Ignored;
        };
        if self.state == State::Requesting && Some(reply.server_id) != self.peer() {
            return Event::Ignored;
        }
        let at = |seconds: u64| now.saturating_add(seconds * 1_000);
        let (renew_at, rebind_at, expires_at) = if seconds == INFINITE {
            (u64::MAX, u64::MAX, u64::MAX)
        } else {
            let whole = u64::from(seconds);
            // Uses RFC 2131's default fractions if T1 and T2 are not in order.
            let times = reply.renewal_secs.zip(reply.rebinding_secs);
            let (t1, t2) = times
                .map(|(t1, t2)| (u64::from(t1), u64::from(t2)))
                .filter(|(t1, t2)| *t1 > 0 && t1 <= t2 && *t2 <= whole)
                .unwrap_or((whole / 2, whole * 7 / 8));
            (at(t1), at(t2), at(whole))
        };
        let event = if self.lease.is_some() {
            Event::Renewed
        } else {
            Event::Bound
        };
        self.lease = Some(Lease {
            ip: reply.yiaddr,
            mask: reply.mask.unwrap_or(Ipv4Addr::BROADCAST),
            router: reply.router,
            dns: reply.dns,
            mtu: reply.mtu.filter(|mtu| *mtu >= 68),
            server: reply.server_id,
            next_server: reply.next_server,
            renew_at,
            rebind_at,
            expires_at,
        });
        self.state = State::Bound;
        self.offer = None;
        self.act_at = renew_at;
        event
    }

    /// Returns the server whose answers the client accepts.
    fn peer(&self) -> Option<Ipv4Addr> {
        match self.offer {
            Some((_, server)) => Some(server),
            None => self.lease.map(|lease| lease.server),
        }
    }

    fn extend(&mut self, now: u64, random: u32, state: State) {
        self.state = state;
        self.xid = random;
        self.began = now;
        self.act_at = now;
    }

    fn start_over(&mut self, now: u64) {
        self.state = State::Init;
        self.lease = None;
        self.offer = None;
        self.act_at = now;
    }

    /// Sets the time of the retransmission.
    fn schedule(&mut self, now: u64, random: u32) {
        self.tries = self.tries.saturating_add(1);
        let extending = self.lease.map(|lease| match self.state {
            State::Rebinding => lease.expires_at,
            _ => lease.rebind_at,
        });
        if let Some(end) = extending {
            // Half of the remaining time, but at least a minute.
            let left = end.saturating_sub(now);
            self.act_at = now.saturating_add((left / 2).max(MIN_EXTEND_MS)).min(end);
            return;
        }
        // Jitter: three to five quarters.
        let base = u64::from(self.timeout_ms);
        let jitter = base / 2 * u64::from(random >> 16) / 0xffff;
        self.act_at = now.saturating_add(base * 3 / 4 + jitter);
        self.timeout_ms = self
            .timeout_ms
            .saturating_mul(2)
            .min(self.config.max_timeout_ms);
    }

    fn request(&self, message_type: MessageType, now: u64) -> Request<'_> {
        let seconds = now.saturating_sub(self.began) / 1_000;
        Request {
            secs: u16::try_from(seconds).unwrap_or(u16::MAX),
            broadcast: self.config.broadcast,
            client_id: Some(&self.client_id),
            host_name: self.config.host_name,
            class_id: self.config.class_id,
            machine_id: self.machine_id.as_ref().map(|id| &id[..]),
            max_message_size: Some(MAX_MESSAGE_SIZE),
            parameter_list: Some(PARAMETER_LIST),
            ..Request::new(message_type, self.xid, self.config.mac)
        }
    }

    /// Creates a DECLINE or RELEASE with the options of RFC 2131 table 5.
    fn closing_message(&self, message_type: MessageType) -> Request<'_> {
        Request {
            client_id: Some(&self.client_id),
            ..Request::new(message_type, self.xid, self.config.mac)
        }
    }
}

/// Returns whether a host can have this address.
fn is_host(ip: Ipv4Addr) -> bool {
    !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast() && !ip.is_loopback()
}
