//! Operators and what they wish.

use farrier_core::interface::Actor;
use std::net::Ipv4Addr;

use farrier_core::allocation::Requirements;
use farrier_core::interface::{Allocate, StoredConfigDrive};
use farrier_core::ipam::Network;
use farrier_core::node::flags::AdminFlag;
use farrier_core::node::{InstanceInfo, Node};
use farrier_core::strings::KeyValues;
use farrier_core::{Command, Input};
use farrier_lifecycle::{State, Verb};
use farrier_protocol::message::{ConfigDriveFormat, Mac, NodeId};

use super::machines::MACHINES;
use super::{Did, Life};
use crate::store::{Gone, Store};

impl<const WORD: usize, S: Store<WORD>> Life<WORD, S> {
    fn operator(&mut self, operator: Command<'_>) -> Result<bool, Gone> {
        let did = self.step(Input::Command {
            actor: Actor::OPERATOR,
            command: operator,
        })?;
        Ok(did.iter().any(|did| matches!(did, Did::Answer(true))))
    }

    /// An operator wishes something.
    pub(super) fn wish(&mut self) -> Result<(), Gone> {
        let nodes: Vec<(NodeId, State)> = self
            .rack
            .nodes()
            .iter()
            .filter(|node: &&Node| !node.is_vacant())
            .map(|node| (node.id, node.state))
            .collect();
        let dice = self.random.below(26);
        let Some((node, state)) = self.random.pick(&nodes).copied() else {
            return self.enrol();
        };
        let number = self.random.below(6);
        let word = format!("W{number}");
        let text = "why not ".repeat(1 + number as usize);
        let words = ["", "a", "node-7", word.as_str()];
        let name = self.random.pick(&words).copied().unwrap_or("");
        let on = self.random.below(2) == 0;
        let done = match dice {
            0 => self.operator(Command::RenameNode { node, name }),
            1 => self.operator(Command::SetDriverInfo {
                node,
                key: &word,
                value: if on { &text[..7] } else { "" },
            }),
            2 => self.operator(Command::SetTrait {
                node,
                name: &word,
                on,
            }),
            3 => self.operator(Command::SetResourceClass { node, name: &word }),
            4 | 5 => {
                let marks = [
                    AdminFlag::Maintenance,
                    AdminFlag::Protected,
                    AdminFlag::Retired,
                ];
                let mark = self.random.pick(&marks).copied().unwrap_or(marks[0]);
                self.operator(Command::SetAdminFlag {
                    node,
                    mark,
                    on: on && number == 0,
                    reason: &text,
                })
            }
            6 => self.operator(Command::PutFlavor {
                name: &word,
                need: Requirements {
                    cpus: 1,
                    ..Requirements::default()
                },
                class: "",
                lists: KeyValues::default(),
            }),
            7 => self.operator(Command::DeleteFlavor { name: &word }),
            8 => {
                let id = NodeId([0x40 | number as u8; 16]);
                self.operator(Command::Allocate(Allocate {
                    id,
                    name: &word,
                    class: &word,
                    node: None,
                    lists: KeyValues::default(),
                }))
            }
            9 => self.operator(Command::Deallocate {
                allocation: NodeId([0x40 | number as u8; 16]),
            }),
            10 if number == 0 => self.operator(Command::DeleteNode { node }),
            10 => return self.enrol(),
            11 if on => self.operator(Command::PutNetwork {
                name: "tenants",
                network: Network {
                    place: 0,
                    prefix: 24,
                    vlan: 100 + number as u16,
                    pool_len: 20,
                    pool_first: Ipv4Addr::new(10, 1, number as u8, 10),
                },
            }),
            12 if on => self.operator(Command::DeleteNetwork { name: "tenants" }),
            18 => {
                let macs: Vec<Mac> = self
                    .rack
                    .nodes()
                    .iter()
                    .filter_map(|node| node.macs.first().copied())
                    .collect();
                let mac = self.random.pick(&macs).copied().unwrap_or(Mac([2; 6]));
                if number < 4 {
                    self.operator(Command::ReserveAddress {
                        network: "tenants",
                        mac,
                        address: None,
                    })
                } else {
                    let network = "tenants";
                    self.operator(Command::ReleaseAddress { network, mac })
                }
            }
            11 => self.operator(Command::CreatePort {
                node,
                mac: Mac([2, 0, 0, 0, 9, number as u8]),
            }),
            12 => self.operator(Command::DeletePort {
                mac: Mac([2, 0, 0, 0, 9, number as u8]),
            }),
            _ => return self.verb(node, state, number),
        };
        done.map(drop)
    }

    fn enrol(&mut self) -> Result<(), Gone> {
        let mut id = [0; 16];
        farrier_core::rack::Entropy::fill(&mut self.random, &mut id);
        let serial = format!("M{}", 1 + self.random.below(MACHINES));
        self.operator(Command::CreateNode {
            node: NodeId(id),
            name: "",
            serial: &serial,
        })
        .map(drop)
    }

    fn verb(&mut self, node: NodeId, state: State, number: u64) -> Result<(), Gone> {
        let verbs: &[Verb] = match state {
            State::Enroll => &[Verb::Manage],
            State::Manageable => &[Verb::Inspect, Verb::Provide, Verb::Provide],
            State::Available => &[Verb::Active, Verb::Active, Verb::Active, Verb::Manage],
            State::Active => &[Verb::Deleted, Verb::Rebuild],
            State::DeployFailed => &[Verb::Deleted, Verb::Active],
            State::CleanFailed | State::InspectFailed => &[Verb::Manage],
            _ => &[Verb::Abort, Verb::Deleted, Verb::Manage],
        };
        let verb = self.random.pick(verbs).copied().unwrap_or(Verb::Manage);
        if verb == Verb::Active {
            let info = InstanceInfo {
                image_source: "debian12".try_into().unwrap_or_default(),
                display_name: "tenant".try_into().unwrap_or_default(),
                ..InstanceInfo::default()
            };
            let mut info = info;
            // An allocation's instance stays its own.
            let known = self.rack.nodes().iter().find(|known| known.id == node);
            info.instance_uuid = known.and_then(|known| known.instance.instance_uuid);
            self.operator(Command::SetInstanceInfo { node, info })?;
        }
        let config_drive = (verb == Verb::Active && number < 3).then(|| StoredConfigDrive {
            length: 1000 + number as u32,
            key: [number as u8; 32],
            format: ConfigDriveFormat::Json,
        });
        self.operator(Command::Provision {
            node,
            verb,
            config_drive,
        })
        .map(drop)
    }
}
