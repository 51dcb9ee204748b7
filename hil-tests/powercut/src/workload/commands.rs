//! Commands of operators.

use std::net::Ipv4Addr;

use farrier_controller::NotDurable;
use farrier_core::allocation::Requirements;
use farrier_core::interface::{
    Actor, Allocate, InterfacePatch, NewNode, NodePatch, PowerAction, StoredConfigDrive,
};
use farrier_core::ipam::Network;
use farrier_core::node::Node;
use farrier_core::node::flags::AdminFlag;
use farrier_core::strings::KeyValues;
use farrier_core::{Command, Input};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::{ConfigDriveFormat, Mac, NodeId};

use super::Workload;
use super::machines::MACHINES;
use crate::store::ChipStore;

impl<const WORD: usize, S: ChipStore<WORD>> Workload<WORD, S> {
    fn give(&mut self, command: Command<'_>) -> Result<(), NotDurable> {
        self.step(Input::Command {
            actor: Actor::OPERATOR,
            command,
        })
        .map(drop)
    }

    /// An operator gives a command.
    pub(super) fn command(&mut self) -> Result<(), NotDurable> {
        let nodes: Vec<(NodeId, ProvisionState)> = self
            .controller
            .rack()
            .nodes()
            .iter()
            .filter(|node: &&Node| !node.is_vacant())
            .map(|node| (node.id, node.state))
            .collect();
        let dice = self.random.below(26);
        let Some((node, state)) = self.random.choose(&nodes).copied() else {
            return self.enrol();
        };
        let number = self.random.below(6);
        let word = format!("W{number}");
        let text = "why not ".repeat(1 + number as usize);
        let words = ["", "a", "node-7", word.as_str()];
        let name = self.random.choose(&words).copied().unwrap_or("");
        let on = self.random.below(2) == 0;
        match dice {
            0 => self.give(Command::PatchNode {
                node,
                patch: NodePatch::name(name),
            }),
            1 => {
                let value = if on { &text[..7] } else { "" };
                let pairs = format!("driver_info/{word}\0{value}\0");
                let patch = NodePatch::driver_info(KeyValues(&pairs));
                self.give(Command::PatchNode { node, patch })
            }
            2 => self.give(Command::SetTrait {
                node,
                name: &word,
                on,
            }),
            3 => self.give(Command::PatchNode {
                node,
                patch: NodePatch::resource_class(&word),
            }),
            4 | 5 => {
                let flags = [
                    AdminFlag::Maintenance,
                    AdminFlag::Protected,
                    AdminFlag::Retired,
                ];
                let mark = self.random.pick(&flags);
                let patch = NodePatch::flag(mark, on && number == 0, &text);
                self.give(Command::PatchNode { node, patch })
            }
            6 => self.give(Command::PutFlavor {
                name: &word,
                need: Requirements {
                    cpus: 1,
                    ..Requirements::default()
                },
                class: "",
                lists: KeyValues::default(),
            }),
            7 => self.give(Command::DeleteFlavor { name: &word }),
            8 => {
                let id = NodeId([0x40 | number as u8; 16]);
                self.give(Command::Allocate(Allocate {
                    id,
                    name: &word,
                    class: &word,
                    node: None,
                    account: "",
                    lists: KeyValues::default(),
                }))
            }
            9 => self.give(Command::Deallocate {
                allocation: NodeId([0x40 | number as u8; 16]),
            }),
            10 if number == 0 => self.give(Command::DeleteNode { node }),
            10 => self.enrol(),
            11 if on => self.give(Command::PutNetwork {
                name: "tenants",
                network: Network {
                    place: 0,
                    prefix: 24,
                    vlan: 100 + number as u16,
                    pool_len: 20,
                    pool_first: Ipv4Addr::new(10, 1, number as u8, 10),
                    ..Network::EMPTY
                },
            }),
            12 if on => self.give(Command::DeleteNetwork { name: "tenants" }),
            18 => {
                let macs: Vec<Mac> = self
                    .controller
                    .rack()
                    .nodes()
                    .iter()
                    .filter_map(|node| node.macs.first().copied())
                    .collect();
                let mac = self.random.choose(&macs).copied().unwrap_or(Mac([2; 6]));
                if number < 4 {
                    self.give(Command::ReserveAddress {
                        network: "tenants",
                        mac,
                        address: None,
                    })
                } else {
                    let network = "tenants";
                    self.give(Command::ReleaseAddress { network, mac })
                }
            }
            19 => {
                let action = self.random.pick(&PowerAction::ALL);
                self.give(Command::SetPower { node, action })
            }
            11 => self.give(Command::CreatePort {
                node,
                mac: Mac([2, 0, 0, 0, 9, number as u8]),
                switch: "",
                port: "",
                patch: InterfacePatch::default(),
                group: None,
            }),
            12 => self.give(Command::DeletePort {
                mac: Mac([2, 0, 0, 0, 9, number as u8]),
            }),
            _ => self.verb(node, state, number),
        }
    }

    fn enrol(&mut self) -> Result<(), NotDurable> {
        let id = self.random.bytes();
        let serial = format!("M{}", 1 + self.random.below(MACHINES));
        self.give(Command::CreateNode(NewNode {
            serial: &serial,
            ..NewNode::new(NodeId(id))
        }))
    }

    fn verb(&mut self, node: NodeId, state: ProvisionState, number: u64) -> Result<(), NotDurable> {
        let verbs: &[Verb] = match state {
            ProvisionState::Enroll => &[Verb::Manage],
            ProvisionState::Manageable => &[Verb::Inspect, Verb::Provide, Verb::Provide],
            ProvisionState::Available => &[Verb::Active, Verb::Active, Verb::Active, Verb::Manage],
            ProvisionState::Active => &[Verb::Deleted, Verb::Rebuild],
            ProvisionState::DeployFailed => &[Verb::Deleted, Verb::Active],
            ProvisionState::CleanFailed | ProvisionState::InspectFailed => &[Verb::Manage],
            _ => &[Verb::Abort, Verb::Deleted, Verb::Manage],
        };
        let verb = self.random.choose(verbs).copied().unwrap_or(Verb::Manage);
        if verb == Verb::Active {
            let patch = NodePatch {
                display_name: Some("tenant"),
                ..NodePatch::image_source("debian12")
            };
            self.give(Command::PatchNode { node, patch })?;
        }
        let known = self.controller.rack().find(node);
        let present = known.and_then(|slot| self.controller.rack().nodes()[slot].config_drive);
        let config_drive = (verb == Verb::Active && number < 3).then(|| StoredConfigDrive {
            length: 1000 + number as u32,
            key: [number as u8; 32],
            format: ConfigDriveFormat::Json,
            place: StoredConfigDrive::free_place(present.as_ref()),
        });
        self.give(Command::Provision {
            node,
            verb,
            config_drive,
        })
    }
}
