//! An appliance without a network: DHCP messages go into the shipping
//! controller, and replies come out when their records are durable.

use std::net::Ipv4Addr;

use farrier_controller::testing::ready;
use farrier_controller::{Controller, JournalStore, MemoryKeys, RecordStore};
use farrier_core::interface::NetworkId;
use farrier_core::{Config, Effect, Input, Instant, Rack};
use farrier_journal::ram::{RamFlash, SECTOR};
use farrier_protocol::message::Mac;
use farrier_testkit::{IDENTITY, Random};

use crate::client;

/// Most leases.
pub const LEASES: usize = 12_000;
/// Sectors of 4 KiB: a journal of 4 MiB.
const SECTORS: usize = 1024;

/// The appliance.
#[derive(Debug)]
pub struct Appliance {
    controller:
        Controller<Box<Rack<48, LEASES, 96>>, JournalStore<RamFlash<Vec<u8>>, MemoryKeys>, Random>,
    now: Instant,
}

impl Appliance {
    /// An appliance with an empty journal.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn new() -> Self {
        let store = JournalStore::new(
            RamFlash(vec![0xff; SECTORS * SECTOR]),
            MemoryKeys::default(),
        );
        let entropy = Random::new(1, 0);
        let mut controller = Controller::new(Box::new(Rack::new()), store, entropy);
        let config = Config {
            address: client::SERVER,
            prefix: client::PREFIX,
            pool_first: client::POOL_FIRST,
            pool_len: client::POOL_LEN,
            lease_secs: client::LEASE_SECS,
            relays: [client::RELAY].into_iter().collect(),
            ..Config::default()
        };
        let configured = controller.configure(config, Some(&IDENTITY));
        assert_eq!(configured, Ok(()), "the configuration is sound");
        let now = Instant::from_millis(1000);
        if let Err(error) = ready(controller.restore(now)) {
            panic!("empty flash takes no journal: {error:?}");
        }
        Self { controller, now }
    }

    /// Sectors that the journal has opened.
    #[must_use]
    pub fn opened(&self) -> u32 {
        self.controller.store().usage().opened
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
        let (_, bound) = self.controller.rack().lease_usage(self.now);
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
        let now = self.now;
        ready(self.controller.step(now, input))
            .map_err(|error| format!("not durable: {error:?}"))?;
        let answered = self.controller.effects().find_map(|effect| match effect {
            Effect::Dhcp { payload, .. } => client::answer(payload, number),
            _ => None,
        });
        ready(self.controller.maintain(now))
            .map_err(|error| format!("the journal does not sweep: {error:?}"))?;
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
