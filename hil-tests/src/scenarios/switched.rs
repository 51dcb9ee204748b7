//! Racks of scenarios that need networks of their own on a managed switch.

use crate::job::networks::{switch, switch_path, vlan};
use crate::managed::{ManagementSpec, Protocol};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Networks, Operator, Rack};
use anyhow::Result;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The appliance's own network on its trunk: untagged. The operator and the
/// switch's management are there.
const NATIVE: u16 = 5;

/// A rack on a managed switch.
pub(super) struct Switched<'a> {
    /// Names the rack's folder.
    pub(super) name: &'a str,
    pub(super) servers: Vec<ServerSpec>,
    /// The VLAN in which the servers' ports begin.
    pub(super) initial: u16,
    /// Tagged VLANs of the appliance's port.
    pub(super) trunk: Vec<u16>,
    /// Names of networks, and what they are in the API.
    pub(super) networks: &'a [(&'a str, Value)],
    /// How often the switch sends LLDP, if at all.
    pub(super) lldp: Option<Duration>,
}

impl Switched<'_> {
    /// Builds the rack with a switch that speaks OVSDB, and tells its appliance the
    /// networks and the switch.
    pub(super) fn build(self, bench: &Bench) -> Result<Rack> {
        self.build_with(bench, Protocol::Ovsdb)
    }

    /// The same with a switch that speaks this protocol.
    pub(super) fn build_with(self, bench: &Bench, protocol: Protocol) -> Result<Rack> {
        let offset = |by: u32| Ipv4Addr::from_bits(bench.address.to_bits() + by);
        let networks = Networks {
            initial: vlan(self.initial)?,
            trunk: self.trunk.into_iter().map(vlan).collect::<Result<_>>()?,
            native: Some(vlan(NATIVE)?),
            operator: Operator {
                vlan: vlan(NATIVE)?,
                address: offset(1),
                prefix: bench.prefix,
                appliance: bench.address,
            },
            management: ManagementSpec {
                protocol,
                vlan: vlan(NATIVE)?,
                address: offset(2),
                prefix: bench.prefix,
            },
            lldp: self.lldp,
        };
        let rack = bench.managed_rack(self.name, self.servers, &networks)?;
        for (name, network) in self.networks {
            let path = format!("/farrier/v1/networks/{name}");
            rack.api().put(&path, network)?;
        }
        let address = offset(2).to_string();
        rack.api()
            .put(&switch_path(), &switch(&rack, protocol, &address)?)?;
        Ok(rack)
    }
}
