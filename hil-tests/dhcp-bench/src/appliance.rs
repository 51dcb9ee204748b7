//! An appliance without wires: messages go into the brain, records into the
//! journal, and answers come out when the records are durable.

use farrier_core::interface::NetworkId;
use std::net::Ipv4Addr;

use farrier_core::rack::Entropy;
use farrier_core::{Config, Effect, Effects, Identity, Input, Instant, Rack};
use farrier_journal::Journal;
use farrier_journal::ram::{RamFlash, SECTOR};
use farrier_journal::sim::now as at_once;
use farrier_protocol::message::Mac;

use crate::client;

/// Most leases.
pub const LEASES: usize = 12_000;
/// Sectors of 4 KiB: a journal of 4 MiB.
const SECTORS: usize = 1024;

/// A generator that repeats: one run is like the other.
#[derive(Debug)]
pub struct Repeating(pub u64);

impl Repeating {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Entropy for Repeating {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = (self.number() >> 32) as u8;
        }
    }
}

/// The appliance.
#[derive(Debug)]
pub struct Appliance {
    rack: Box<Rack<48, LEASES, 96>>,
    out: Box<Effects>,
    journal: Journal<RamFlash<Vec<u8>>>,
    entropy: Repeating,
    now: Instant,
}

impl Appliance {
    /// An appliance with an empty journal.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn new() -> Self {
        let mut rack = Box::new(Rack::new());
        let mut entropy = Repeating(0x1234_5678_9abc_def1);
        let config = Config {
            address: client::SERVER,
            prefix: client::PREFIX,
            pool_first: client::POOL_FIRST,
            pool_len: client::POOL_LEN,
            lease_secs: client::LEASE_SECS,
            ..Config::default()
        };
        let identity = Identity {
            noise: [1; 32],
            signing: [2; 32],
        };
        rack.configure(config, &identity, &mut entropy)
            .expect("the configuration is sound");
        let flash = RamFlash(vec![0xff; SECTORS * SECTOR]);
        let (journal, _) = at_once(Journal::mount(flash, rack.layout(), |_| {}))
            .expect("empty flash takes a journal");
        Self {
            rack,
            out: Box::new(Effects::new()),
            journal,
            entropy,
            now: Instant::from_millis(1000),
        }
    }

    /// Sectors that the journal has opened.
    #[must_use]
    pub fn opened(&self) -> u32 {
        self.journal.usage().opened
    }

    /// Makes the first clients' leases, each at its prepared address.
    ///
    /// # Errors
    /// The exchange that went wrong.
    pub fn prepare(&mut self, leases: u32) -> Result<(), String> {
        for number in 0..leases {
            let wanted = client::prepared(number);
            let request = client::message(number, number, Some(wanted));
            self.expect(&request, number, 5, wanted)?;
        }
        let (_, bound) = self.rack.lease_usage(self.now);
        match bound == leases as usize {
            true => Ok(()),
            false => Err(format!("{bound} leases instead of {leases}")),
        }
    }

    /// Exchanges of clients that have leases. The messages come ready-made,
    /// so that the clients' work is not counted as the appliance's.
    ///
    /// # Errors
    /// The exchange that went wrong.
    pub fn exchanges(&mut self, messages: &[Pair], count: u32) -> Result<(), String> {
        let leases = messages.len() as u32;
        for exchange in 0..count {
            let number = client::who(exchange, leases);
            let pair = &messages[number as usize];
            self.now = self.now.plus_millis(10);
            self.expect(&pair.discover, number, 2, pair.address)?;
            self.expect(&pair.request, number, 5, pair.address)?;
        }
        Ok(())
    }

    fn expect(
        &mut self,
        message: &[u8],
        number: u32,
        kind: u8,
        address: Ipv4Addr,
    ) -> Result<(), String> {
        let input = Input::Dhcp {
            network: NetworkId::PROVISIONING,
            // The relay's.
            from: Mac([2; 6]),
            payload: message,
        };
        self.rack
            .step(self.now, input, &mut self.entropy, &mut self.out);
        at_once(self.journal.append(self.out.records()))
            .map_err(|error| format!("not durable: {error:?}"))?;
        let answered = self.out.iter().find_map(|output| match output {
            Effect::Dhcp { payload, .. } => client::answer(payload, number),
            _ => None,
        });
        let (rack, now) = (&self.rack, self.now);
        at_once(
            self.journal
                .maintain(|place, room| rack.snapshot(now, place, room)),
        )
        .map_err(|error| format!("the journal is not tended: {error:?}"))?;
        match answered {
            Some(is) if is == (kind, address) => Ok(()),
            other => Err(format!("client {number}: {other:?}, not {kind} {address}")),
        }
    }
}

impl Default for Appliance {
    fn default() -> Self {
        Self::new()
    }
}

/// The two messages of a client's exchange.
#[derive(Debug)]
pub struct Pair {
    discover: Vec<u8>,
    request: Vec<u8>,
    address: Ipv4Addr,
}

/// The messages of the first clients.
#[must_use]
pub fn messages(leases: u32) -> Vec<Pair> {
    let pair = |number| {
        let address = client::prepared(number);
        Pair {
            discover: client::message(number, number, None),
            request: client::message(number, number, Some(address)),
            address,
        }
    };
    (0..leases).map(pair).collect()
}
