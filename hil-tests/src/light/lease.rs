//! The DHCP client of a system that runs, which is the shipping one: gets an
//! address, puts it onto the card, and keeps it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use farrier_dhcp::client::{Action, Client, Config, Destination};

use super::network::Network;
use crate::switch::Mac;

/// An address with the client that keeps it.
pub(super) struct Lease {
    client: Client<'static>,
    began: Instant,
    due: Instant,
}

impl Lease {
    /// Nothing was asked for yet.
    pub fn new(
        mac: Mac,
        uuid: Option<[u8; 16]>,
        class: Option<&'static [u8]>,
        server: Option<Ipv4Addr>,
    ) -> Self {
        let began = Instant::now();
        Self {
            client: Client::new(Config {
                uuid,
                class_id: class,
                server,
                ..Config::new(mac.0)
            }),
            began,
            due: began,
        }
    }

    /// The address at present.
    pub fn address(&self) -> Option<Ipv4Addr> {
        Some(self.client.lease()?.ip)
    }

    /// The router that came with it.
    pub fn router(&self) -> Option<Ipv4Addr> {
        self.client.lease()?.router
    }

    /// When to poll again at the latest.
    pub fn due(&self) -> Instant {
        self.due
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what came and sends what is due.
    pub fn poll(&mut self, network: &mut Network) -> Result<()> {
        loop {
            while let Some(payload) = network.take_dhcp() {
                let now = self.now();
                self.client.process(now, &payload);
                if let Some(lease) = self.client.lease() {
                    network.set_address(lease.ip, lease.mask, lease.router);
                }
            }
            let mut buffer = [0; 1500];
            let (now, random) = (self.now(), network.random());
            let action = self
                .client
                .poll(now, random, &mut buffer)
                .map_err(|error| anyhow!("DHCP: {error:?}"))?;
            match action {
                Action::Send { len, to } => {
                    let source = self.address().unwrap_or(Ipv4Addr::UNSPECIFIED);
                    let to = match to {
                        Destination::Broadcast => Ipv4Addr::BROADCAST,
                        Destination::Unicast(server) => server,
                    };
                    network.send_dhcp(source, to, &buffer[..len])?;
                }
                Action::Expired => {
                    network.set_address(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, None);
                }
                Action::Wait(until) => {
                    let wait = Duration::from_millis(until.saturating_sub(now).min(60_000));
                    self.due = Instant::now() + wait;
                    return Ok(());
                }
            }
        }
    }
}
