//! The rack: its tables, the small questions about them, the write path and the
//! restore. Rules are in the rooms above.

mod apply;
mod disks;
mod images;
mod parts;
mod restore;
mod secrets;
mod small;
mod write;

pub(crate) use disks::DiskSlot;
pub(crate) use images::ImageRules;
pub use images::{ImageFloor, MAX_REVOKED};
pub use small::{check_name, has_instance};
pub(crate) use write::MAX_TOUCHED;

use crate::interface::Account;
use crate::interface::Effects;
use crate::interface::Flavor;
use crate::interface::Image;
use crate::interface::Instant;
use crate::interface::StatementRef;
use crate::interface::Uplink;
use crate::interface::config::{Config, ConfigError, Identity, TrustedKeys};
use crate::interface::{ACCOUNT_LEN, ActorKind};
use crate::ipam::budget::{Budget, Shares};
use crate::ipam::lease::Leases;
use crate::ipam::watch::Alarms;
use crate::ipam::{Ipam, PROVISIONING};
use crate::node::flags::Flags;
use crate::node::{Histories, History, HistoryEntry, Node, Strangers};
use crate::persist::seal::Sealing;
use crate::persist::{Before, Nodes};
use crate::ports::Ports;
use crate::strings::StringPool;
use core::net::Ipv4Addr;
use farrier_lifecycle::ProvisionState::Enroll;
use farrier_protocol::credential::CredentialKey;
use farrier_protocol::marks;
use farrier_protocol::message::{EraseMethod, Mac, NodeId};
use farrier_protocol::parts::Reassembly;
use farrier_protocol::server::Keys;
use farrier_protocol::signing::{PublicKey, SecretKey};
use farrier_protocol::ticket::TicketId;
use heapless::Vec;

/// Most accounts of operators.
pub const MAX_ACCOUNTS: usize = farrier_sizes::ACCOUNTS;
/// Most flavors.
pub const MAX_FLAVORS: usize = farrier_sizes::FLAVORS;
/// Most images of the catalogue.
pub const MAX_IMAGES: usize = farrier_sizes::IMAGES;
/// How many statements are put together at once. An agent that finds all
/// taken is told when to ask again.
pub const REASSEMBLIES: usize = farrier_sizes::REASSEMBLIES;
/// How often deadlines are looked at, in milliseconds.
pub const TICK_MILLIS: u64 = 1000;

/// A source of random bytes. The rack has none of its own.
pub trait Entropy {
    /// Fills the buffer with bytes that no peer can guess.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }
}

/// Counters of what was refused, and why. Each wraps
/// around only after 2³² times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// DHCP messages that do not parse.
    pub dhcp_malformed: u32,
    /// DHCP messages that are for another server or need no answer.
    pub dhcp_ignored: u32,
    /// Offers that were made.
    pub dhcp_offers: u32,
    /// Leases that were acknowledged.
    pub dhcp_acks: u32,
    /// Requests that were refused.
    pub dhcp_naks: u32,
    /// Requests for an address while none was free.
    pub pool_exhausted: u32,
    /// Machines that found no room in the table of nodes.
    pub nodes_full: u32,
    /// Discovered machines that nobody had touched, and that made room for a new
    /// node.
    pub nodes_forgotten: u32,
    /// Boots of machines that are no nodes.
    pub strangers: u32,
    /// Addresses that strangers did not get, so that known machines and slower
    /// strangers do.
    pub leases_withheld: u32,
    /// Declines beyond a client's share.
    pub declines_ignored: u32,
    /// Addresses of the other DHCP server that are another machine's here, are not
    /// in the pool, or were beyond a machine's share.
    pub proxy_refused: u32,
    /// Disks that found no room in the table of disks.
    pub disks_full: u32,
    /// Agent datagrams that do not parse or belong to no session.
    pub agent_stray: u32,
    /// Handshakes that failed at the gate or behind it.
    pub agent_forged: u32,
    /// Handshakes with a ticket that was used up.
    pub ticket_reused: u32,
    /// Sessions that began.
    pub sessions: u32,
    /// Statements that were accepted.
    pub statements: u32,
    /// Statements that were refused.
    pub statements_refused: u32,
    /// Handshakes beyond a machine's share of them, or that of all.
    pub handshakes_deferred: u32,
    /// Requests for a file that there is not, or not for this peer.
    pub files_refused: u32,
    /// States that ran into their deadline.
    pub deadlines: u32,
    /// Interfaces that found no room in their node.
    pub ports_full: u32,
    /// Inventories that claim an interface or an identity of a node in use.
    pub identity_conflicts: u32,
    /// Steps of before the last restart whose records were lost.
    pub records_lost: u32,
    /// Operations that a power driver did not carry out.
    pub power_failures: u32,
    /// Operations that a power driver did not answer in time.
    pub power_timeouts: u32,
    /// Looks at machines that their drivers did not carry out, or not in time.
    pub look_failures: u32,
    /// Moves of switches' ports that were begun.
    pub port_moves: u32,
    /// Moves that were taken back.
    pub moves_undone: u32,
    /// Ports that were read somewhere else than they should be.
    pub ports_astray: u32,
    /// Ports that LLDP contradicted.
    pub ports_contradicted: u32,
    /// Ports that were shut on an alarm.
    pub ports_shut: u32,
    /// Operations that a switch's driver could not carry out.
    pub switch_failures: u32,
    /// Operations that a switch's driver did not answer in time.
    pub switch_timeouts: u32,
}

/// The node in a place, to be changed: the step writes what differs then.
macro_rules! edit {
    ($rack:expr, $index:expr) => {
        $rack.touch($index).and_then(|key| $rack.nodes.get_mut(key))
    };
}
pub(crate) use edit;

pub(crate) fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}

/// The keys, made once from the identity.
pub(crate) struct Secrets {
    pub(crate) noise: Keys,
    pub(crate) orders: SecretKey,
    pub(crate) credentials: CredentialKey,
    /// Makes the seeds of [`marks`].
    pub(crate) marks: [u8; 32],
    /// The seed of the key that drivers log in to switches with, and its public key.
    pub(crate) switches: ([u8; 32], PublicKey),
}

pub(crate) struct PartSlot {
    pub(crate) owner: Option<usize>,
    /// Its owner began then.
    pub(crate) begun: Instant,
    /// A part came then that was not there yet.
    pub(crate) grown: Instant,
    /// Which parts are there.
    pub(crate) have: u32,
    /// Its owner has an order.
    pub(crate) ordered: bool,
    pub(crate) reassembly: Reassembly,
}

impl PartSlot {
    const EMPTY: PartSlot = PartSlot {
        owner: None,
        begun: Instant::START,
        grown: Instant::START,
        have: 0,
        ordered: false,
        reassembly: Reassembly::new(),
    };
}

/// The rack: at most `N` nodes with `D` disks between them, and `L` leases.
pub struct Rack<const N: usize, const L: usize, const D: usize> {
    pub(crate) config: Config,
    /// 0 until it is known: a table that starts as anything but zeros lies in flash.
    pub(crate) longest_frame: u16,
    pub(crate) secrets: Option<Secrets>,
    /// The keys of the board that seal secrets in records.
    pub(crate) sealing: Sealing,
    /// The keys that this appliance made, once it has.
    pub(crate) identity: Option<Identity>,
    /// Keeps the exchanges of this start apart from those of others.
    seed: [u8; 32],
    /// The first number of replies to sessions of earlier starts.
    pub(crate) first_reply: u64,
    /// The operator's public key for images.
    pub(crate) images_key: Option<[u8; 32]>,
    pub(crate) image_rules: ImageRules,
    pub(crate) nodes: Nodes<N>,
    pub(crate) strangers: Strangers,
    /// The latest used ticket of a node, or an interface, that went. No interface
    /// without a node begins a boot with it or an older one.
    pub(crate) spent: Option<TicketId>,
    /// New leases of strangers.
    pub(crate) new_leases: Budget,
    pub(crate) endings: Shares,
    /// Handshakes of machines of the rack.
    pub(crate) handshakes: Shares,
    /// Handshakes of strangers.
    pub(crate) new_handshakes: Shares,
    /// Statements of agents that have no order.
    pub(crate) spare_statements: Budget,
    /// Nodes that the present step has touched, as they were before.
    pub(crate) touched: Vec<Before, MAX_TOUCHED>,
    pub(crate) history: History<N>,
    /// Who caused the present step.
    pub(crate) actor: (ActorKind, heapless::String<ACCOUNT_LEN, u8>),
    /// The start of the appliance, from 1.
    pub(crate) run: u32,
    pub(crate) disks: Vec<DiskSlot, D>,
    pub(crate) leases: Leases<L>,
    /// The server that gives addresses to servers that boot; unspecified for the
    /// appliance itself.
    pub(crate) dhcp_server: Ipv4Addr,
    /// What should not be on the networks.
    pub(crate) alarms: Alarms,
    /// What was heard by LLDP on the appliance's own cable last, and when. A restart
    /// forgets it.
    pub(crate) uplink: Option<(Uplink, Instant)>,
    pub(crate) texts: StringPool,
    pub(crate) ipam: Ipam,
    pub(crate) ports: Ports,
    /// When the ports are to be looked at next.
    pub(crate) ports_due: Instant,
    pub(crate) flavors: Vec<Flavor, MAX_FLAVORS, u8>,
    pub(crate) images: Vec<Image, MAX_IMAGES>,
    pub(crate) accounts: Vec<Account, MAX_ACCOUNTS, u8>,
    /// The salt of the last first account that was taken from the asset store.
    pub(crate) store_account: Option<[u8; 16]>,
    pub(crate) parts: [PartSlot; REASSEMBLIES],
    pub(crate) counters: Counters,
    pub(crate) next_tick: Instant,
    /// The time of the last step.
    pub(crate) now: Instant,
    pub(crate) last_boot: u64,
    pub(crate) last_session: u32,
    /// Number of the last operation that a driver was asked for.
    pub(crate) last_operation: u32,
    /// So many of the first places are in quarantine, and have no record of it
    /// yet.
    pub(crate) quarantined: usize,
}

impl<const N: usize, const L: usize, const D: usize> core::fmt::Debug for Rack<N, L, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rack")
            .field("nodes", &self.nodes.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<const N: usize, const L: usize, const D: usize> Default for Rack<N, L, D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// An empty rack. It answers no peer until it is configured.
    pub const fn new() -> Self {
        Rack {
            config: Config {
                // All zeros, so that the static lies in .bss, not in flash.
                address: Ipv4Addr::UNSPECIFIED,
                prefix: 0,
                pool_first: Ipv4Addr::UNSPECIFIED,
                pool_len: 0,
                lease_secs: 0,
                agent_port: 0,
                kernel_options: heapless::String::new(),
                relays: heapless::Vec::new(),
                hosts: heapless::Vec::new(),
                admin: None,
                least_erase: EraseMethod::Discard,
                reread: false,
            },
            longest_frame: 0,
            secrets: None,
            sealing: Sealing::new(),
            identity: None,
            seed: [0; 32],
            first_reply: 0,
            images_key: None,
            image_rules: ImageRules::new(),
            nodes: Nodes::new(),
            strangers: Strangers::new(),
            spent: None,
            new_leases: Budget::new(),
            endings: Shares::new(),
            handshakes: Shares::new(),
            new_handshakes: Shares::new(),
            spare_statements: Budget::new(),
            touched: Vec::new(),
            history: History::new(),
            actor: (ActorKind::Rack, heapless::String::new()),
            // 1 from `configure` on; zero here as above.
            run: 0,
            disks: Vec::new(),
            leases: Leases::new(),
            dhcp_server: Ipv4Addr::UNSPECIFIED,
            alarms: Alarms::new(),
            uplink: None,
            texts: StringPool::new(),
            ipam: Ipam::new(),
            ports: Ports::new(),
            ports_due: Instant::START,
            flavors: Vec::new(),
            images: Vec::new(),
            accounts: Vec::new(),
            store_account: None,
            parts: [PartSlot::EMPTY; REASSEMBLIES],
            counters: Counters {
                dhcp_malformed: 0,
                dhcp_ignored: 0,
                dhcp_offers: 0,
                dhcp_acks: 0,
                dhcp_naks: 0,
                pool_exhausted: 0,
                nodes_full: 0,
                nodes_forgotten: 0,
                strangers: 0,
                leases_withheld: 0,
                declines_ignored: 0,
                proxy_refused: 0,
                disks_full: 0,
                agent_stray: 0,
                agent_forged: 0,
                ticket_reused: 0,
                sessions: 0,
                statements: 0,
                statements_refused: 0,
                handshakes_deferred: 0,
                files_refused: 0,
                deadlines: 0,
                ports_full: 0,
                identity_conflicts: 0,
                records_lost: 0,
                power_failures: 0,
                power_timeouts: 0,
                look_failures: 0,
                port_moves: 0,
                moves_undone: 0,
                ports_astray: 0,
                ports_contradicted: 0,
                ports_shut: 0,
                switch_failures: 0,
                switch_timeouts: 0,
            },
            next_tick: Instant::START,
            now: Instant::START,
            last_boot: 0,
            last_session: 0,
            last_operation: 0,
            quarantined: 0,
        }
    }

    /// Gives the rack its addresses. Its keys are those of its records, or are
    /// made by [`Input::Start`](crate::Input::Start), unless `identity` has
    /// some, which are in no record: for tests.
    ///
    /// # Errors
    /// What is wrong with the configuration; the rack stays as it was.
    pub fn configure(
        &mut self,
        config: Config,
        identity: Option<&Identity>,
        entropy: &mut dyn Entropy,
    ) -> Result<(), ConfigError> {
        config.check()?;
        self.run = 1;
        entropy.fill(&mut self.seed);
        let mut secrets = [[0; 8]; 2];
        entropy.fill(secrets.as_flattened_mut());
        self.leases.configure(
            config.pool_first,
            usize::from(config.pool_len),
            secrets.map(u64::from_le_bytes),
        );
        // Numbers of earlier starts must not come again: they are signed
        // into orders and statements.
        let mut start = [0; 8];
        entropy.fill(&mut start);
        self.last_boot = (u64::from_le_bytes(start) >> 16) & !0xffff;
        let mut session = [0; 4];
        entropy.fill(&mut session);
        self.last_session = u32::from_le_bytes(session);
        // Where the journal is a copy of before, the number of this start came
        // already: these bits did not.
        let mut first = [0; 8];
        entropy.fill(&mut first);
        self.first_reply = u64::from_le_bytes(first);
        if let Some(identity) = identity {
            self.use_keys(identity);
        }
        self.config = config;
        Ok(())
    }

    /// Says how many bytes the longest frame has that the network driver carries,
    /// without its check sequence. Until then there is no limit.
    pub fn carries(&mut self, longest_frame: u16) {
        self.longest_frame = longest_frame;
    }

    fn use_keys(&mut self, identity: &Identity) {
        let switches = secrets::switch_seed(identity);
        self.secrets = Some(Secrets {
            noise: Keys::new(identity.noise, self.seed),
            orders: SecretKey::from_bytes(&identity.signing),
            credentials: CredentialKey::new(&identity.noise),
            marks: marks::seed(&identity.signing, &[0; 16], 0),
            switches: (switches, SecretKey::from_bytes(&switches).public()),
        });
    }

    /// Begins with the keys of the records, or with new ones.
    pub(crate) fn start(
        &mut self,
        images: Option<[u8; 32]>,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) {
        self.images_key = images;
        self.begin_epoch(out);
        if self.secrets.is_some() {
            return;
        }
        let identity = self.identity.unwrap_or_else(|| {
            let mut new = Identity {
                noise: [0; 32],
                signing: [0; 32],
            };
            entropy.fill(&mut new.noise);
            entropy.fill(&mut new.signing);
            self.identity = Some(new);
            if let Some(record) = self.keys_record() {
                record.emit(out);
            }
            new
        });
        self.use_keys(&identity);
    }

    /// The ed25519 public key that switches are to know the appliance by; `None`
    /// before [`Input::Start`](crate::Input::Start).
    pub fn switch_key(&self) -> Option<[u8; 32]> {
        self.secrets.as_ref().map(|secrets| secrets.switches.1.0)
    }

    /// The public keys that the ramdisk is to trust; `None` before
    /// [`Input::Start`](crate::Input::Start).
    pub fn trusted_keys(&self) -> Option<TrustedKeys> {
        let secrets = self.secrets.as_ref()?;
        Some(TrustedKeys {
            session: *secrets.noise.public(),
            orders: secrets.orders.public().0,
            // No image verifies by a key of zeros.
            images: self.images_key.unwrap_or_default(),
        })
    }

    /// Forgets what hangs on a node's place.
    pub(crate) fn forget_slot(&mut self, index: usize) {
        self.texts.forget(index);
        self.disks.retain(|slot| usize::from(slot.node) != index);
        self.history.clear(index);
        for slot in &mut self.parts {
            if slot.owner == Some(index) {
                slot.owner = None;
            }
        }
    }

    /// The switches, and the ports that nodes' interfaces are in.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The server that gives addresses to servers that boot, where that is not the
    /// appliance itself: it says what they boot and no more (proxyDHCP).
    pub fn dhcp_server(&self) -> Option<Ipv4Addr> {
        Some(self.dhcp_server).filter(|server| !server.is_unspecified())
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What was refused and counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What happened to the node in a place, the oldest entry first.
    pub fn history(&self, node: usize) -> impl Iterator<Item = &HistoryEntry> {
        self.history.of(node)
    }

    /// What happened to each node.
    pub fn histories(&self) -> Histories<'_> {
        self.history.view()
    }

    /// The places of nodes, in the order of their discovery. A node's place
    /// is its slot in the asset store; places of deleted nodes are
    /// [vacant](Node::is_vacant) until a new node takes them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node's place.
    pub fn find(&self, id: NodeId) -> Option<usize> {
        self.nodes
            .iter()
            .position(|node| node.id == id && !node.is_vacant())
    }

    /// The place of the node that has this interface.
    pub fn find_by_mac(&self, mac: Mac) -> Option<usize> {
        self.nodes.iter().position(|node| node.macs.contains(&mac))
    }

    /// Machines that boot from the network and are no nodes.
    pub fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    /// Other DHCP servers, and claims of addresses that are somebody else's.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// What the switch says by LLDP on the appliance's own cable, and when it said so.
    pub fn uplink(&self) -> Option<&(Uplink, Instant)> {
        self.uplink.as_ref()
    }

    /// Networks and reservations.
    pub fn ipam(&self) -> &Ipam {
        &self.ipam
    }

    /// The texts of operators.
    pub fn texts(&self) -> &StringPool {
        &self.texts
    }

    /// The accounts of operators.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Whether an address is a machine's of the rack: one of the pool, or
    /// bound to an interface, or reserved for one. Nobody who talks from it is
    /// an operator.
    pub fn is_machine(&self, address: Ipv4Addr) -> bool {
        let first = self.config.pool_first.to_bits();
        let pool = first..first.saturating_add(u32::from(self.config.pool_len));
        let reserved = |entry: &crate::ipam::Entry| entry.address == address;
        let mut relays = self.ipam.relays();
        pool.contains(&address.to_bits())
            || relays.any(|(_, relay)| relay.on_link(address))
            || self.interface_at(address).is_some()
            || self.ipam.entries().iter().any(reserved)
    }

    /// The images that can be deployed.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The bytes of a statement that the last step asked to be kept.
    pub fn statement(&self, kept: StatementRef) -> &[u8] {
        self.parts
            .get(kept.place)
            .map_or(&[], |slot| slot.reassembly.whole(kept.len))
    }

    /// How many addresses the pool has, and how many of them are bound.
    pub fn lease_usage(&self, now: Instant) -> (usize, usize) {
        self.leases.usage(now)
    }

    /// What the peer at an address of the provisioning network is.
    pub fn peer(&self, now: Instant, address: Ipv4Addr) -> Peer {
        let Some(interface) = self.interface_at(address) else {
            return Peer::Other;
        };
        let node = self.find_by_mac(interface);
        match node.and_then(|node| self.nodes.get(node)) {
            // It has made itself a node, as anybody on the network can.
            Some(node) if node.state == Enroll && !node.flags.contains(Flags::BY_HAND) => {
                Peer::Stranger
            }
            Some(node) if node.agent_is_live(now) => Peer::Agent,
            Some(_) => Peer::Machine,
            // An operator has reserved the address.
            None if self.ipam.owner(PROVISIONING, address).is_some() => Peer::Machine,
            None => Peer::Stranger,
        }
    }

    /// The node that talks from this address.
    pub(crate) fn find_by_address(&self, address: Ipv4Addr) -> Option<usize> {
        self.find_by_mac(self.interface_at(address)?)
    }

    /// The interface that has an address of the provisioning network.
    pub(crate) fn interface_at(&self, address: Ipv4Addr) -> Option<Mac> {
        let named = self.ipam.owner(PROVISIONING, address);
        named
            .or_else(|| self.leases.owner(address))
            .or_else(|| self.ipam.relayed_owner(address))
    }

    pub(crate) fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.name == name)
    }

    pub(crate) fn learn_image(&mut self, image: &Image) {
        match self.images.iter_mut().find(|i| i.name == image.name) {
            // Of two versions of one image the newer one is deployed.
            Some(known) if known.version < image.version => *known = image.clone(),
            Some(_) => {}
            None => {
                // A full catalogue shows in the list of images.
                let _full = self.images.push(image.clone());
            }
        }
    }
}

/// What a peer is, as far as its address tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A machine that operators know: an interface of a node, or one that an
    /// address is reserved for.
    Machine,
    /// One of them whose agent is alive.
    Agent,
    /// A machine that has a lease and no node, or a node that no operator has
    /// enrolled or managed. Anybody on the network can be many of them.
    Stranger,
    /// Anybody else.
    Other,
}

/// A rack for unit tests: one size for all, since each is compiled anew.
#[cfg(test)]
pub(crate) type TestRack = Rack<8, 8, 16>;

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte after the other.
    struct Counting(u8);

    impl Entropy for Counting {
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
        }
    }

    fn fills(mut entropy: impl Entropy) -> [u8; 3] {
        let mut bytes = [0; 3];
        entropy.fill(&mut bytes);
        bytes
    }

    #[test]
    fn a_borrowed_source_is_one_too() {
        let mut source = Counting(0);
        assert_eq!(fills(&mut source), [1, 2, 3]);
        assert_eq!(fills(source), [4, 5, 6]);
    }

    #[test]
    fn a_start_draws_its_numbers() {
        let mut rack = std::boxed::Box::new(TestRack::new());
        let identity = Identity {
            noise: [1; 32],
            signing: [2; 32],
        };
        // Behind 32 bytes of a seed and 16 of secrets.
        rack.configure(Config::default(), Some(&identity), &mut Counting(0))
            .unwrap();
        let bytes = u64::from_le_bytes(core::array::from_fn(|place| 49 + place as u8));
        assert_eq!(rack.last_boot, bytes >> 32 << 16, "room for 2^16 boots");
        assert_eq!(rack.last_session, u32::from_le_bytes([57, 58, 59, 60]));
    }

    #[test]
    fn a_lease_alone_makes_no_known_machine() {
        use crate::ipam::lease::Client;
        use farrier_dhcp::wire::ClientIdentity;

        let mut rack = std::boxed::Box::new(TestRack::new());
        let now = Instant::START;
        let address = |number| Ipv4Addr::new(10, 0, 0, number);
        rack.leases.configure(address(1), 8, [1, 2]);
        for number in 1..=5 {
            let mac = Mac([number; 6]);
            let client = Client::new(mac, &ClientIdentity::Hardware(mac.0));
            rack.leases.bind(now, client, address(number), 60).unwrap();
        }
        let mut nodes = [2, 3, 4].map(|number| {
            let id = NodeId([number; 16]);
            Node::discovered(id, Mac([number; 6]), now)
        });
        nodes[1].flags.insert(Flags::BY_HAND);
        nodes[2].state = farrier_lifecycle::ProvisionState::Active;
        for node in nodes {
            rack.add_node(node).unwrap();
        }
        let reserved = Mac([5; 6]);
        rack.ipam
            .give(now, PROVISIONING, reserved, Some(address(5)), 60)
            .unwrap();
        assert_eq!(rack.peer(now, address(1)), Peer::Stranger);
        // Whoever answers the ramdisk's handshake is a node.
        assert_eq!(rack.peer(now, address(2)), Peer::Stranger);
        assert_eq!(rack.peer(now, address(3)), Peer::Machine, "enrolled");
        assert_eq!(rack.peer(now, address(4)), Peer::Machine, "in use");
        assert_eq!(rack.peer(now, address(5)), Peer::Machine, "reserved");
        assert_eq!(rack.peer(now, address(6)), Peer::Other);
    }

    #[test]
    fn a_rack_in_peace_wants_to_be_woken_in_an_hour() {
        let mut rack = std::boxed::Box::new(TestRack::new());
        rack.next_tick = Instant::from_millis(5);
        assert_eq!(rack.wake_at(), Instant::from_millis(5 + 3_600_000));
        rack.quarantined = 1;
        assert_eq!(rack.wake_at(), Instant::from_millis(5));
        assert!(std::format!("{rack:?}").contains("nodes: 0"));
    }
}
