//! A switch that is configured over the network, as a rack's real one is.
//!
//! [`endpoint`] is the switch's own address on the virtual network; [`ovsdb`]
//! and [`netconf`], the latter behind [`ssh`], are servers of the switch
//! behind it, and [`ports`] is what they may configure. [`netconfd`] is real
//! programs in the place of `netconf` and `ssh`, and [`openvswitch`] one in the
//! place of `ovsdb` and of the switch. A [`ManagedSwitch`] is all of it together.

pub mod endpoint;
pub mod netconf;
pub mod netconfd;
pub mod openvswitch;
pub mod ovsdb;
pub mod ports;
pub mod ssh;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use farrier_netconf::Dialect;
use farrier_ovsdb::model::Startup;

use crate::Tools;
use crate::switch::{Control, Mac, PortId, PortMode, Switch, VlanId};
use endpoint::{Endpoint, EndpointConfig, Reachability, Service};
use netconf::NetconfServer;
use netconfd::{Login, Netconfd};
use openvswitch::OpenVswitch;
use ovsdb::OvsdbServer;
use ports::Ports;
use ssh::{Account, SshServer};

/// The account of a switch with NETCONF.
pub const USER: &str = "farrier";
/// Its password.
pub const PASSWORD: &str = "moves ports";

/// The address of the switch's own station.
const MAC: Mac = Mac([0x02, 0xFA, 0x44, 0x5A, 0x00, 0x01]);
/// Its name on the switch.
const NAME: &str = "management";

/// By which protocol a switch is managed.
#[derive(Debug, Clone, Copy)]
pub enum Protocol {
    /// OVSDB over TCP, port 6640.
    Ovsdb,
    /// NETCONF in this dialect over SSH, port 830; the account is [`USER`].
    Netconf(&'static Dialect),
    /// The same from real programs, [`netconfd`] behind OpenSSH; the account is
    /// [`ManagedSwitch::login`].
    Netconfd(&'static Dialect, Login),
    /// OVSDB of a real Open vSwitch, which all frames pass through.
    OpenVswitch,
}

impl Protocol {
    /// Its TCP port.
    pub fn port(self) -> u16 {
        match self {
            Self::Ovsdb | Self::OpenVswitch => 6640,
            Self::Netconf(_) | Self::Netconfd(..) => 830,
        }
    }
}

/// Where a switch is managed.
#[derive(Debug, Clone, Copy)]
pub struct ManagementSpec {
    /// By which protocol.
    pub protocol: Protocol,
    /// The VLAN of the switch's own address.
    pub vlan: VlanId,
    /// That address.
    pub address: Ipv4Addr,
    /// Its network's prefix length.
    pub prefix: u8,
}

/// The server of a protocol.
#[derive(Debug)]
enum Server {
    Ovsdb(OvsdbServer),
    Netconf {
        // Dropped first.
        ssh: Box<Mutex<SshServer>>,
        account: Account,
        server: NetconfServer,
    },
    Netconfd(Box<Netconfd>),
    OpenVswitch(Box<OpenVswitch>),
}

/// The management of a virtual switch.
#[derive(Debug)]
pub struct ManagedSwitch {
    // Dropped in this order: who connects, then to what.
    endpoint: Endpoint,
    server: Server,
    control: Control,
    spec: ManagementSpec,
}

impl ManagedSwitch {
    /// Begins to manage these ports of a switch, whose modes are those that
    /// the switch starts with. It gets one port more, for its own address.
    ///
    /// # Errors
    /// A port is a plain one, two have one name, the protocol is a real
    /// program's, or the system's.
    pub fn start(
        switch: &Switch,
        ports: impl IntoIterator<Item = PortId>,
        spec: ManagementSpec,
    ) -> Result<Self> {
        let no_tools: Tools = Arc::new(|name| bail!("{name} is not looked for"));
        Self::with_programs(switch, ports, spec, &no_tools, Path::new("."))
    }

    /// The same, also for protocols that real programs speak. Their files are
    /// below `directory`.
    ///
    /// # Errors
    /// As [`start`](Self::start), or a program is missing or does not start.
    pub fn with_programs(
        switch: &Switch,
        ports: impl IntoIterator<Item = PortId>,
        spec: ManagementSpec,
        tools: &Tools,
        directory: &Path,
    ) -> Result<Self> {
        let control = switch.control();
        let ports = Ports::new(control.clone(), ports)?;
        let port = switch.add_host_port(NAME)?;
        control.set_mode(port.id(), PortMode::access(spec.vlan));
        let (server, address) = match spec.protocol {
            Protocol::Ovsdb => {
                let server = OvsdbServer::start(ports)?;
                let address = server.address();
                (Server::Ovsdb(server), address)
            }
            Protocol::Netconf(dialect) => {
                let server = NetconfServer::start(ports, dialect)?;
                let account = Account::new(USER, PASSWORD);
                let ssh = SshServer::start(&account, server.address())?;
                let address = ssh.address();
                let ssh = Box::new(Mutex::new(ssh));
                let server = Server::Netconf {
                    ssh,
                    account,
                    server,
                };
                (server, address)
            }
            Protocol::Netconfd(dialect, login) => {
                let server = Netconfd::start(ports, dialect, login, tools, directory)?;
                let address = server.address();
                (Server::Netconfd(Box::new(server)), address)
            }
            Protocol::OpenVswitch => {
                let server = OpenVswitch::start(switch, ports, tools, directory)?;
                let address = server.address();
                (Server::OpenVswitch(Box::new(server)), address)
            }
        };
        let endpoint = Endpoint::open(
            port,
            EndpointConfig {
                mac: MAC,
                address: spec.address,
                prefix: spec.prefix,
            },
            vec![Service {
                port: spec.protocol.port(),
                server: address,
            }],
        )?;
        Ok(Self {
            endpoint,
            server,
            control,
            spec,
        })
    }

    /// Where it is managed.
    pub fn spec(&self) -> &ManagementSpec {
        &self.spec
    }

    /// Its address on the virtual network.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its OVSDB server, where that is the model.
    ///
    /// # Errors
    /// It is managed by something else.
    pub fn ovsdb(&self) -> Result<&OvsdbServer> {
        match &self.server {
            Server::Ovsdb(server) => Ok(server),
            Server::Netconf { .. } | Server::Netconfd(_) | Server::OpenVswitch(_) => {
                bail!("the switch has no model of OVSDB")
            }
        }
    }

    /// Its NETCONF server, where that is the model.
    ///
    /// # Errors
    /// It is managed by something else.
    pub fn netconf(&self) -> Result<&NetconfServer> {
        match &self.server {
            Server::Netconf { server, .. } => Ok(server),
            Server::Ovsdb(_) | Server::Netconfd(_) | Server::OpenVswitch(_) => {
                bail!("the switch has no model of NETCONF")
            }
        }
    }

    /// The real Open vSwitch.
    ///
    /// # Errors
    /// It is managed by something else.
    pub fn openvswitch(&self) -> Result<&OpenVswitch> {
        match &self.server {
            Server::OpenVswitch(server) => Ok(server),
            Server::Ovsdb(_) | Server::Netconf { .. } | Server::Netconfd(_) => {
                bail!("the switch is no Open vSwitch")
            }
        }
    }

    /// Lets whoever has the private key to this public one, a line of
    /// `authorized_keys`, into the account of a switch with NETCONF.
    ///
    /// # Errors
    /// It is no public key, or the switch is managed by OVSDB.
    pub fn authorize(&self, line: &str) -> Result<()> {
        match &self.server {
            Server::Netconf { account, .. } => account.authorize(line),
            Server::Netconfd(server) => server.authorize(line),
            Server::Ovsdb(_) | Server::OpenVswitch(_) => {
                bail!("the switch has no SSH server")
            }
        }
    }

    /// The host key of a switch with NETCONF, as in a line of `known_hosts`
    /// behind the name.
    ///
    /// # Errors
    /// The switch is managed by OVSDB.
    pub fn host_key(&self) -> Result<String> {
        match &self.server {
            Server::Netconf { ssh, .. } => lock(ssh).host_key(),
            Server::Netconfd(server) => server.host_key(),
            Server::Ovsdb(_) | Server::OpenVswitch(_) => {
                bail!("the switch has no SSH server")
            }
        }
    }

    /// The host key of a switch with NETCONF, as `ssh-keygen -l` prints it.
    ///
    /// # Errors
    /// The switch is managed by OVSDB.
    pub fn fingerprint(&self) -> Result<String> {
        match &self.server {
            Server::Netconf { ssh, .. } => Ok(lock(ssh).fingerprint()),
            Server::Netconfd(server) => Ok(server.fingerprint().to_owned()),
            Server::Ovsdb(_) | Server::OpenVswitch(_) => {
                bail!("the switch has no SSH server")
            }
        }
    }

    /// The user of a switch with NETCONF, and the password if there is one: else
    /// the user is known by a key that was [authorized](Self::authorize).
    ///
    /// # Errors
    /// The switch is managed by OVSDB.
    pub fn login(&self) -> Result<(&str, Option<&str>)> {
        match &self.server {
            Server::Netconf { .. } => Ok((USER, Some(PASSWORD))),
            Server::Netconfd(server) => Ok(server.login()),
            Server::Ovsdb(_) | Server::OpenVswitch(_) => bail!("the switch has no accounts"),
        }
    }

    /// Puts another SSH server with a new host key in the place of the one
    /// that is there, whose connections end: what someone sees who is led to
    /// the wrong switch.
    ///
    /// # Errors
    /// The system's, or the switch has not the rig's own SSH server.
    pub fn change_host_key(&self) -> Result<()> {
        let Server::Netconf {
            ssh,
            account,
            server,
        } = &self.server
        else {
            bail!("the switch has no SSH server of the rig's");
        };
        let other = SshServer::start(account, server.address())?;
        self.endpoint.set_services(vec![Service {
            port: self.spec.protocol.port(),
            server: other.address(),
        }]);
        *lock(ssh) = other;
        Ok(())
    }

    /// Takes the switch's power: no frame passes, and nobody answers.
    pub fn power_off(&self) {
        self.endpoint.set_reachability(Reachability::Dead);
        self.control.set_power(false);
    }

    /// Gives the switch's power back. It starts with what it had
    /// ([`Startup::Kept`]), or with what it started with the first time. A
    /// switch with NETCONF has stored nothing since then: it starts with that
    /// in any case. Real programs have run on, and have what they had.
    pub fn power_on(&self, startup: Startup) {
        match &self.server {
            Server::Ovsdb(server) => server.with(|model| model.restart(startup)),
            Server::Netconf { server, .. } => server.power_cycle(),
            Server::Netconfd(_) | Server::OpenVswitch(_) => {}
        }
        self.control.set_power(true);
        self.endpoint.set_reachability(Reachability::Serves);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
