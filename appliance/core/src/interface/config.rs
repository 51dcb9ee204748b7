//! The appliance's configuration: addresses, pool, keys.

use super::Verifier;
use core::net::Ipv4Addr;
use farrier_protocol::message::EraseMethod;
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Name of the asset that holds the [`Config`] as postcard.
pub const CONFIG_ASSET: &str = "config";
/// Name of the asset that holds the operator's image-signing public key:
/// 32 bytes of ed25519.
pub const OPERATOR_KEY_ASSET: &str = "operator.ed25519";

/// The appliance's configuration, kept in the asset store as postcard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The appliance's own address on the provisioning network.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, 8 to 30.
    pub prefix: u8,
    /// First address that is leased out.
    pub pool_first: Ipv4Addr,
    /// How many addresses are leased out. The lease table may be smaller,
    /// then it bounds them.
    pub pool_len: u16,
    /// How long a lease lasts, in seconds, 60 to 86,400.
    pub lease_secs: u32,
    /// UDP port of the agent protocol.
    pub agent_port: u16,
    /// Added to the ramdisk's kernel command line: for hardware that needs
    /// it. Empty, or words of printable ASCII.
    pub kernel_options: String<64>,
    /// Relay agents whose messages are answered: the addresses that they put
    /// into `giaddr` (RFC 2131, 4.1). The appliance ignores all others.
    pub relays: Vec<Ipv4Addr, 4>,
    /// Further names and addresses by which operators reach the API, beside
    /// [`address`](Self::address): of a port forward, in a DNS. A request
    /// whose `Host` is another one is refused.
    pub hosts: Vec<String<48>, 4>,
    /// Checks the password of the first account, `admin`. Without one the
    /// appliance prints a code to its console with which it can be made.
    pub admin: Option<Verifier>,
    /// The weakest method by which a disk may be erased, for nodes without one of
    /// their own.
    pub least_erase: EraseMethod,
    /// Whether a cleaned machine restarts and a sample of its disks is read again
    /// before the node is available.
    pub reread: bool,
}

impl Default for Config {
    /// An isolated network of its own: 172.22.0.0/24 with the appliance at
    /// .1 and 200 leases from .20 on.
    fn default() -> Self {
        Config {
            address: Ipv4Addr::new(172, 22, 0, 1),
            prefix: 24,
            pool_first: Ipv4Addr::new(172, 22, 0, 20),
            pool_len: 200,
            lease_secs: 600,
            agent_port: 8470,
            kernel_options: String::new(),
            relays: Vec::new(),
            hosts: Vec::new(),
            admin: None,
            least_erase: EraseMethod::WriteZeroes,
            reread: true,
        }
    }
}

impl Config {
    /// With a further name or address by which operators reach the API;
    /// `None` where it is too long, or there is no room for another one.
    #[must_use]
    pub fn reached_by(mut self, name: &str) -> Option<Self> {
        self.hosts.push(name.try_into().ok()?).ok()?;
        Some(self)
    }

    /// The network's mask.
    pub fn mask(&self) -> Ipv4Addr {
        let host_bits = 32 - u32::from(self.prefix.clamp(8, 30));
        Ipv4Addr::from_bits(u32::MAX << host_bits)
    }

    /// Whether an address lies on the provisioning network.
    pub fn on_link(&self, address: Ipv4Addr) -> bool {
        let mask = self.mask().to_bits();
        address.to_bits() & mask == self.address.to_bits() & mask
    }

    /// What is wrong with the configuration, if anything.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(8..=30).contains(&self.prefix) {
            return Err(ConfigError::Prefix);
        }
        let first = self.pool_first.to_bits();
        let last = first
            .checked_add(u32::from(self.pool_len).saturating_sub(1))
            .ok_or(ConfigError::Pool)?;
        let broadcast = self.address.to_bits() | !self.mask().to_bits();
        let inside = self.on_link(self.pool_first) && self.on_link(Ipv4Addr::from_bits(last));
        let own = (first..=last).contains(&self.address.to_bits());
        if self.pool_len == 0 || !inside || own || last == broadcast {
            return Err(ConfigError::Pool);
        }
        if !(60..=86_400).contains(&self.lease_secs) {
            return Err(ConfigError::LeaseTime);
        }
        if self.agent_port == 0 || self.agent_port == 67 || self.agent_port == 69 {
            return Err(ConfigError::AgentPort);
        }
        // Anything else could end the line of the boot script that they
        // stand in.
        let printable = |b: u8| b == b' ' || b.is_ascii_graphic();
        if !self.kernel_options.bytes().all(printable) {
            return Err(ConfigError::KernelOptions);
        }
        Ok(())
    }
}

/// Which field of a [`Config`] is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigError {
    /// The prefix is not 8 to 30.
    Prefix,
    /// The pool is empty, leaves the network, or holds the appliance's own
    /// or the broadcast address.
    Pool,
    /// The lease time is not 60 to 86,400 seconds.
    LeaseTime,
    /// The agent port is 0 or belongs to DHCP or TFTP.
    AgentPort,
    /// The kernel options hold something else than printable ASCII.
    KernelOptions,
}

/// The appliance's secret keys. It makes them at its first start, and they are
/// in its journal and nowhere else.
#[derive(Clone, Copy)]
pub struct Identity {
    /// X25519 secret of the session handshake.
    pub noise: [u8; 32],
    /// ed25519 seed: signs orders.
    pub signing: [u8; 32],
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// The public keys that the ramdisk trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedKeys {
    /// X25519: the appliance in handshakes.
    pub session: [u8; 32],
    /// ed25519: the appliance's orders.
    pub orders: [u8; 32],
    /// ed25519: the operator's images.
    pub images: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound() {
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(Config::default().mask(), Ipv4Addr::new(255, 255, 255, 0));
    }

    #[test]
    fn each_field_is_checked() {
        let good = Config::default();
        let bad = [
            (
                Config {
                    prefix: 31,
                    ..good.clone()
                },
                ConfigError::Prefix,
            ),
            (
                Config {
                    pool_len: 0,
                    ..good.clone()
                },
                ConfigError::Pool,
            ),
            (
                Config {
                    pool_len: 236,
                    ..good.clone()
                },
                ConfigError::Pool,
            ),
            (
                Config {
                    pool_first: Ipv4Addr::new(172, 22, 0, 1),
                    ..good.clone()
                },
                ConfigError::Pool,
            ),
            (
                Config {
                    pool_first: Ipv4Addr::new(10, 0, 0, 1),
                    ..good.clone()
                },
                ConfigError::Pool,
            ),
            (
                Config {
                    lease_secs: 59,
                    ..good.clone()
                },
                ConfigError::LeaseTime,
            ),
            (
                Config {
                    agent_port: 67,
                    ..good.clone()
                },
                ConfigError::AgentPort,
            ),
            (
                Config {
                    kernel_options: "a\nb".try_into().unwrap(),
                    ..good.clone()
                },
                ConfigError::KernelOptions,
            ),
        ];
        for (config, error) in bad {
            assert_eq!(config.check(), Err(error), "{config:?}");
        }
        // Up to the last address of the network, and up to the appliance's.
        let pool = |first, pool_len| Config {
            pool_first: Ipv4Addr::new(172, 22, 0, first),
            pool_len,
            ..good.clone()
        };
        assert_eq!(pool(250, 5).check(), Ok(()));
        assert_eq!(pool(250, 6).check(), Err(ConfigError::Pool), "broadcast");
        assert_eq!(pool(250, 7).check(), Err(ConfigError::Pool), "beyond");
        assert_eq!(pool(2, 1).check(), Ok(()));
        let outside = Config {
            pool_first: Ipv4Addr::new(172, 21, 255, 250),
            pool_len: 12,
            address: Ipv4Addr::new(172, 22, 0, 200),
            ..good.clone()
        };
        assert_eq!(outside.check(), Err(ConfigError::Pool), "begins outside");
        for port in [0, 67, 69] {
            let config = Config {
                agent_port: port,
                ..good.clone()
            };
            assert_eq!(config.check(), Err(ConfigError::AgentPort), "{port}");
        }
        let spoken = Config {
            kernel_options: "console=ttyS0,115200n8 quiet".try_into().unwrap(),
            ..good.clone()
        };
        assert_eq!(spoken.check(), Ok(()));
        for (lease_secs, sound) in [(60, true), (86_400, true), (86_401, false)] {
            let config = Config {
                lease_secs,
                ..good.clone()
            };
            assert_eq!(config.check().is_ok(), sound, "{lease_secs}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let identity = Identity {
            noise: [0xab; 32],
            signing: [0xcd; 32],
        };
        assert_eq!(std::format!("{identity:?}"), "Identity(…)");
    }
}
