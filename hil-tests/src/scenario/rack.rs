//! A rack: switch, appliance, servers, and a port forward for the operator.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use anyhow::{Context, Result, bail};

use super::Api;
use crate::Tools;
use crate::folder::Folder;
use crate::job::small_disk;
use crate::managed::{ManagedSwitch, ManagementSpec};
use crate::port_forward::{PortForward, PortForwardConfig};
use crate::qemu::{Appliance, ApplianceSpec, ServerSpec};
use crate::server::{Form, Server};
use crate::switch::wires::Isolation;
use crate::switch::{Mac, PortMode, Switch, SwitchConfig, VlanId};

/// The account that a store's appliance has from the start.
pub const FIRST_ACCOUNT: &str = "admin";

/// How long the appliance may take from power-on to its first answer.
const APPLIANCE_START: Duration = Duration::from_secs(60);

/// Bytes of a light server's disk: the image, and room for the largest config
/// drive.
const LIGHT_DISK: u64 = 96 << 20;
/// Bytes a second of a slow disk: an agent reports its progress once a
/// second, and erasing and writing shall take a few reports.
const SLOW_RATE: u64 = 12 << 20;

/// With this variable set, every frame of a rack goes into `rack.pcap` in its
/// folder.
const CAPTURE: &str = "FARRIER_CAPTURE";

/// The capture of all wires of a managed rack, in its folder.
const WIRES: &str = "wires.pcapng";

/// A rack whose switch has VLANs and is managed over the network.
#[derive(Debug, Clone)]
pub struct Networks {
    /// The VLAN in which the servers' ports begin, as access ports.
    pub initial: VlanId,
    /// The tagged VLANs of the appliance's port, which is a trunk.
    pub trunk: Vec<VlanId>,
    /// The VLAN of its untagged frames.
    pub native: Option<VlanId>,
    /// Where the operator is, who uses the appliance's API.
    pub operator: Operator,
    /// Where the switch is managed. Its server knows the ports of the servers
    /// and of the appliance by the names of their machines: `appliance`, and
    /// for a server with several cards `NAME`, `NAME-2`, and so on.
    pub management: ManagementSpec,
    /// How often the switch says by LLDP which port is which, if at all.
    pub lldp: Option<Duration>,
}

/// The place of an operator in a managed rack.
#[derive(Debug, Clone, Copy)]
pub struct Operator {
    /// The VLAN.
    pub vlan: VlanId,
    /// The operator's own address there.
    pub address: Ipv4Addr,
    /// Its network's prefix length.
    pub prefix: u8,
    /// The appliance's address there.
    pub appliance: Ipv4Addr,
}

/// Writes an asset store to a path.
pub type StoreWriter = Arc<dyn Fn(&Path) -> Result<()> + Send + Sync>;

/// The parts that racks are built of, made by the caller of the scenarios.
#[derive(Clone)]
pub struct Bench {
    /// Finds outside programs.
    pub tools: Tools,
    /// The form of the servers, for which image and store are made.
    pub form: Form,
    /// The program [`AGENT_PROGRAM`](crate::light::AGENT_PROGRAM), which light
    /// servers run.
    pub agent: PathBuf,
    /// Name of the image that scenarios deploy.
    pub image: String,
    /// Each rack gets a folder of its own in here.
    pub work: PathBuf,
    /// Password of the appliance's account `admin`.
    pub password: String,
    /// The appliance's address on the rack's network.
    pub address: Ipv4Addr,
    /// Length of that network's prefix.
    pub prefix: u8,
    /// Writes a fresh asset store to a path.
    pub write_store: StoreWriter,
    /// Writes one whose appliance has no account yet.
    pub write_bare_store: StoreWriter,
    /// The appliance with the asset store at a path.
    pub appliance: Arc<dyn Fn(&Path) -> ApplianceSpec + Send + Sync>,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench")
            .field("form", &self.form)
            .field("image", &self.image)
            .field("work", &self.work)
            .finish_non_exhaustive()
    }
}

impl Bench {
    /// The same server with disks as small as its form allows: the whole of
    /// them is read again and again.
    #[must_use]
    pub fn small_disks(&self, mut spec: ServerSpec) -> ServerSpec {
        match self.form {
            Form::Whole => small_disk(spec),
            Form::Light => {
                for disk in &mut spec.disks {
                    disk.bytes = LIGHT_DISK;
                }
                spec
            }
        }
    }

    /// The same server with small disks that are slow enough for something
    /// to happen while the agent works on them.
    #[must_use]
    pub fn slow_disks(&self, spec: ServerSpec) -> ServerSpec {
        let mut spec = self.small_disks(spec);
        for disk in &mut spec.disks {
            disk.rate = Some(SLOW_RATE);
        }
        spec
    }

    /// Builds a rack and powers its appliance on; the servers stay off.
    ///
    /// # Errors
    /// A part can't be made, or the appliance does not come up.
    pub fn rack(&self, name: &str, servers: Vec<ServerSpec>) -> Result<Rack> {
        self.build(name, servers, None)
    }

    /// The same with a switch that has VLANs and is managed over the network.
    /// What is on the wire of every port is captured for
    /// [`Rack::isolation`].
    ///
    /// # Errors
    /// As [`Bench::rack`].
    pub fn managed_rack(
        &self,
        name: &str,
        servers: Vec<ServerSpec>,
        networks: &Networks,
    ) -> Result<Rack> {
        self.build(name, servers, Some(networks))
    }

    fn build(
        &self,
        name: &str,
        servers: Vec<ServerSpec>,
        networks: Option<&Networks>,
    ) -> Result<Rack> {
        fs::create_dir_all(&self.work)?;
        let folder = Folder::new(&self.work, &format!("{name}-"))?;
        let directory = folder.path();
        let switch = Switch::start(SwitchConfig::default())?;
        if std::env::var_os(CAPTURE).is_some() {
            switch.capture(&directory.join("rack.pcap"))?;
        }
        let store = directory.join("store.img");
        (self.write_store)(&store).context("writing the asset store")?;
        let spec = (self.appliance)(&store).in_directory(directory);
        let appliance = Appliance::new(spec, &switch, directory, &self.tools)?;
        let operator = networks.map(|networks| networks.operator);
        let appliance_address = operator.map_or(self.address, |operator| operator.appliance);
        let port_forward = PortForward::open(
            switch.add_host_port("operator")?,
            PortForwardConfig {
                mac: Mac([0x02, 0xFA, 0x44, 0x1E, 0xFF, 0x01]),
                // Pools begin well above it.
                address: operator.map_or(
                    Ipv4Addr::from_bits(self.address.to_bits() + 1),
                    |operator| operator.address,
                ),
                prefix: operator.map_or(self.prefix, |operator| operator.prefix),
                target: SocketAddrV4::new(appliance_address, 80),
            },
        )?;
        let servers = servers
            .into_iter()
            .map(|spec| {
                Server::new(
                    self.form,
                    spec,
                    &switch,
                    directory,
                    &self.agent,
                    &self.tools,
                )
            })
            .collect::<Result<_>>()?;
        let managed = networks
            .map(|networks| networks.build(&switch, directory, &self.tools))
            .transpose()?;
        let rack = Rack {
            servers,
            api: Api::new(&port_forward.url()).with_account(FIRST_ACCOUNT, &self.password),
            password: self.password.clone(),
            port_forward,
            appliance,
            managed,
            switch,
            folder,
        };
        rack.start_appliance()?;
        Ok(rack)
    }
}

impl Networks {
    /// Gives the ports of a rack that has all its machines their modes, and
    /// manages them.
    fn build(&self, switch: &Switch, directory: &Path, tools: &Tools) -> Result<ManagedSwitch> {
        let control = switch.control();
        switch.capture_wires(&directory.join(WIRES))?;
        let (mut managed, trunk) = (Vec::new(), self.trunk.iter().copied());
        for port in control.ports() {
            let mode = match control.name(port).as_str() {
                "appliance" => PortMode::trunk(trunk.clone(), self.native),
                "operator" => PortMode::access(self.operator.vlan),
                _ => PortMode::access(self.initial),
            };
            if control.name(port) != "operator" {
                managed.push(port);
            }
            control.set_mode(port, mode);
        }
        control.set_lldp(self.lldp);
        ManagedSwitch::with_programs(switch, managed, self.management, tools, directory)
    }
}

/// A rack with power. Dropping it ends every machine and removes its folder,
/// unless [`keep`](Rack::keep) was called.
#[derive(Debug)]
pub struct Rack {
    // Dropped in this order: machines, then what they hang on.
    servers: Vec<Server>,
    appliance: Appliance,
    api: Api,
    password: String,
    port_forward: PortForward,
    managed: Option<ManagedSwitch>,
    switch: Switch,
    folder: Folder,
}

impl Rack {
    fn start_appliance(&self) -> Result<()> {
        self.appliance.start()?;
        let end = Instant::now() + APPLIANCE_START;
        while let Err(error) = self.api.get("/v1") {
            if !self.appliance.is_running() || Instant::now() > end {
                self.keep();
                bail!(
                    "the appliance does not answer ({error:#}):\n{}",
                    self.appliance.console().tail()
                );
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Cuts the appliance's power, gives it back after `dark`, and waits
    /// until it answers.
    ///
    /// # Errors
    /// It does not come up again.
    pub fn restart_appliance(&self, dark: Duration) -> Result<()> {
        self.appliance.kill();
        thread::sleep(dark);
        self.start_appliance()
    }

    /// The servers.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// One of the servers.
    ///
    /// # Errors
    /// There are not so many.
    pub fn server(&self, index: usize) -> Result<&Server> {
        self.servers
            .get(index)
            .with_context(|| format!("the rack has no server {index}"))
    }

    /// The appliance.
    pub fn appliance(&self) -> &Appliance {
        &self.appliance
    }

    /// The appliance's API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The password of its account [`FIRST_ACCOUNT`].
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The same as a URL on localhost.
    pub fn api_url(&self) -> String {
        self.port_forward.url()
    }

    /// The switch.
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// The management of its switch.
    ///
    /// # Errors
    /// The rack was not made by [`Bench::managed_rack`].
    pub fn managed(&self) -> Result<&ManagedSwitch> {
        self.managed.as_ref().context("the rack's switch is plain")
    }

    /// What the captures of all ports prove so far.
    ///
    /// # Errors
    /// The rack was not made by [`Bench::managed_rack`], or the capture can't
    /// be read.
    pub fn isolation(&self) -> Result<Isolation> {
        self.managed()?;
        self.switch.flush_captures();
        Isolation::of(&self.directory().join(WIRES), SwitchConfig::default().mac)
    }

    /// The folder with disks, stores and logs.
    pub fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// How many files a server has asked for by TFTP.
    pub fn tftp_requests(&self, server: &Server) -> u64 {
        self.switch.traffic(server.mac()).tftp_requests
    }

    /// Leaves the rack's folder and its logs when the rack ends; disks and the
    /// store are removed all the same.
    pub fn keep(&self) -> &Path {
        let disks = self
            .servers
            .iter()
            .flat_map(|server| (0..server.spec().disks.len()).map(|index| server.disk(index)));
        let store = self.directory().join("store.img");
        self.folder.keep_all_but(disks.chain([store]).collect());
        self.directory()
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        for server in &self.servers {
            server.power_off();
        }
        self.appliance.kill();
    }
}
