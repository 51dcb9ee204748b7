//! What tenants want of the rack: nodes of a flavor, images, config drives,
//! and addresses on their networks.

use core::net::Ipv4Addr;

use farrier_core::Command;
use farrier_core::allocation::Requirements;
use farrier_core::interface::{Allocate, NodePatch};
use farrier_core::ipam::Network;
use farrier_core::provisioning::steps::{Step, Steps};
use farrier_core::strings::KeyValues;
use farrier_lifecycle::Verb;
use farrier_protocol::message::{Mac, NodeId};

use crate::drive::Drive;
use crate::image;
use crate::operator::queue;
use crate::simulation::Simulation;

/// Tenants' networks, and how many addresses each has: one has far too few.
const NETWORKS: [(&str, u8, u16); 2] = [("tenants", 1, 40), ("storage", 2, 3)];
/// The resource class of every node.
const CLASS: &str = "metal";
/// A flavor that some of the machines have room for.
const FLAVOR: &str = "roomy";
/// Deployments by chosen steps.
const DEPLOYMENTS: [&[Step]; 4] = [
    &[Step::Write],
    &[Step::Hold, Step::Write],
    &[Step::Write, Step::Hold],
    &[Step::Reboot, Step::Write, Step::Reboot],
];

/// The address of that number on one of [`NETWORKS`].
fn address(place: u8, number: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 80, place, 10 + number as u8)
}

impl Simulation {
    /// What is there before anybody asks for a node.
    pub(crate) fn found_tenancy(&mut self) {
        for (name, place, pool_len) in NETWORKS {
            self.command(Command::PutNetwork {
                name,
                network: Network {
                    place: 0,
                    prefix: 24,
                    vlan: 100 + u16::from(place),
                    pool_len,
                    pool_first: address(place, 0),
                    address: self.address_on(place),
                    ..Network::EMPTY
                },
            });
        }
        self.found_networks();
        self.command(Command::PutFlavor {
            name: FLAVOR,
            need: Requirements {
                cpus: 4,
                memory_mib: 8_000,
                ..Requirements::default()
            },
            class: CLASS,
            lists: KeyValues::default(),
        });
    }

    /// An operator chooses what a node is to be deployed with.
    pub fn choose_image(&mut self, slot: usize) -> bool {
        let Some(node) = self.appliance.rack().nodes().get(slot) else {
            return false;
        };
        let node = node.id;
        let patch = NodePatch::image_source(image::NAME);
        self.command(Command::PatchNode { node, patch })
    }

    /// A node is deployed: at times after an allocation, which may find
    /// another one.
    pub(crate) fn deploys(&mut self, slot: usize) -> bool {
        let id = self.appliance.rack().nodes()[slot].id;
        if self.random.below(4) == 0 {
            let allocation = NodeId(self.random.bytes());
            self.command(Command::PatchNode {
                node: id,
                patch: NodePatch::resource_class(CLASS),
            });
            let class = self.random.pick(&[CLASS, FLAVOR]);
            self.command(Command::Allocate(Allocate {
                id: allocation,
                name: "",
                class,
                node: None,
                account: "",
                lists: KeyValues::default(),
            }));
            if self.random.below(8) == 0 {
                // Somebody thinks better of it.
                self.command(Command::Deallocate { allocation });
            }
        }
        // It may be another's by now.
        if !self.choose_image(slot) {
            return false;
        }
        self.attaches(slot);
        if let Some(mac) = self.first_mac(slot).filter(|_| self.managed.is_none()) {
            for (network, place, length) in NETWORKS {
                let named = match self.random.below(8) {
                    0 => Some(address(place, self.random.below(u64::from(length)))),
                    1..=3 => None,
                    _ => continue,
                };
                self.give(network, mac, named);
            }
        }
        let steps = match self.random.below(6) {
            0 => queue(self.random.pick(&DEPLOYMENTS)),
            _ => Steps::NONE,
        };
        let drive = self.drive(slot);
        self.verb_with(slot, Verb::Active, steps, drive)
    }

    /// One tenant in four has a config drive.
    pub(crate) fn drive(&mut self, slot: usize) -> Option<Drive> {
        let place = self.appliance.free_place(slot);
        (self.random.below(4) == 0).then(|| Drive::new(&mut self.random, place))
    }

    /// Now and then an address is given to an interface by name, on the
    /// provisioning network as well, or taken back.
    pub(crate) fn reserves_address(&mut self, slot: usize) {
        let Some(mac) = self.first_mac(slot).filter(|_| self.random.below(16) == 0) else {
            return;
        };
        let network = self
            .random
            .pick(&[NETWORKS[0].0, NETWORKS[1].0, "provisioning"]);
        let number = self.random.below(8);
        let named = match network {
            // Outside of what is leased out.
            "provisioning" => Ipv4Addr::new(172, 22, 0, 221 + number as u8),
            "tenants" => address(1, number),
            _ => address(2, number),
        };
        if self.random.below(2) == 0 {
            self.give(network, mac, Some(named));
        } else {
            let gone = self.command(Command::ReleaseAddress { network, mac });
            self.trace(|| format!("{mac:?}: no address on {network} any more: {gone}"));
        }
    }

    fn give(&mut self, network: &str, mac: Mac, address: Option<Ipv4Addr>) {
        let given = self.command(Command::ReserveAddress {
            network,
            mac,
            address,
        });
        self.trace(|| format!("{mac:?}: address {address:?} on {network}: {given}"));
    }

    fn first_mac(&self, slot: usize) -> Option<Mac> {
        let node = self.appliance.rack().nodes().get(slot)?;
        node.macs.first().copied()
    }
}
