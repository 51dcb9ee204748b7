//! OpenConfig: openconfig-interfaces with openconfig-if-ethernet and
//! openconfig-vlan; VLANs and hardware addresses of openconfig-network-instance,
//! in the instance `default`; openconfig-lldp.

use super::{Column, Dialect, Field, Scope, Table, VlanEdit};
use crate::hello::Models;
use crate::xml::name::{Name as N, Namespace};

const INSTANCE: &[N] = &[N::Data, N::NetworkInstances, N::NetworkInstance];

static VLAN_EDIT: VlanEdit = VlanEdit {
    before: "<network-instances xmlns=\"http://openconfig.net/yang/network-instance\">\
        <network-instance><name>default</name><vlans>",
    make: "<vlan><vlan-id>{vlan}</vlan-id><config><vlan-id>{vlan}</vlan-id>\
        <name>{vlan-name}</name><status>ACTIVE</status></config></vlan>",
    remove: "<vlan{delete}><vlan-id>{vlan}</vlan-id></vlan>",
    behind: "</vlans></network-instance></network-instances>",
};

/// OpenConfig.
pub static OPENCONFIG: Dialect = Dialect {
    name: "openconfig",
    models: Models::OPENCONFIG_INTERFACES.union(Models::OPENCONFIG_VLAN),
    not_models: Models::JUNOS,
    roots: &[
        (N::Interfaces, Namespace::OpenConfigInterfaces),
        (N::NetworkInstances, Namespace::OpenConfigNetworkInstance),
    ],
    filter: "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\">\
        <interface><name>{interface}</name></interface>\
        {other-port:<interface><name>|</name></interface>}</interfaces>\
        {vlan-table:<network-instances xmlns=\"http://openconfig.net/yang/network-instance\">\
        <network-instance><name>default</name><vlans><vlan/></vlans></network-instance>\
        </network-instances>|}",
    edit: ("", ""),
    ports: (
        "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\">",
        "</interfaces>",
    ),
    trunk_edit: Some(
        "<interface><name>{other-port}</name>\
        <ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\">\
        <switched-vlan xmlns=\"http://openconfig.net/yang/vlan\"><config>\
        {take-up:<trunk-vlans>|</trunk-vlans>}\
        {drop:<trunk-vlans nc:operation=\"delete\">|</trunk-vlans>}\
        </config></switched-vlan></ethernet></interface>",
    ),
    unlisted_is_all: true,
    access: "<interface><name>{interface}</name>\
        <ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\">\
        <switched-vlan xmlns=\"http://openconfig.net/yang/vlan\"><config{replace}>\
        <interface-mode>ACCESS</interface-mode>{untagged:<access-vlan>|</access-vlan>}\
        </config></switched-vlan></ethernet></interface>",
    trunk: Some(
        "<interface><name>{interface}</name>\
        <ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\">\
        <switched-vlan xmlns=\"http://openconfig.net/yang/vlan\"><config{replace}>\
        <interface-mode>TRUNK</interface-mode>{untagged:<native-vlan>|</native-vlan>}\
        {tagged:<trunk-vlans>|</trunk-vlans>}\
        </config></switched-vlan></ethernet></interface>",
    ),
    vlan_edit: Some(&VLAN_EDIT),
    #[cfg(feature = "model")]
    vlan_row: "<network-instances xmlns=\"http://openconfig.net/yang/network-instance\">\
        <network-instance><name>default</name><vlans><vlan><vlan-id>{vlan}</vlan-id>\
        <config><vlan-id>{vlan}</vlan-id><name>{vlan-name}</name></config></vlan></vlans>\
        </network-instance></network-instances>",
    names: false,
    scopes: &[
        (&[N::Interfaces, N::Interface], Scope::Port),
        (
            &[N::NetworkInstances, N::NetworkInstance, N::Vlans, N::Vlan],
            Scope::Vlan,
        ),
    ],
    fields: &[
        (&[N::Interfaces, N::Interface, N::Name], Field::PortName),
        (
            &[N::Interfaces, N::Interface, N::Config, N::Description],
            Field::Description,
        ),
        (
            &[
                N::Interfaces,
                N::Interface,
                N::Ethernet,
                N::SwitchedVlan,
                N::Config,
                N::InterfaceMode,
            ],
            Field::Mode,
        ),
        (
            &[
                N::Interfaces,
                N::Interface,
                N::Ethernet,
                N::SwitchedVlan,
                N::Config,
                N::AccessVlan,
            ],
            Field::Access,
        ),
        (
            &[
                N::Interfaces,
                N::Interface,
                N::Ethernet,
                N::SwitchedVlan,
                N::Config,
                N::NativeVlan,
            ],
            Field::Native,
        ),
        (
            &[
                N::Interfaces,
                N::Interface,
                N::Ethernet,
                N::SwitchedVlan,
                N::Config,
                N::TrunkVlans,
            ],
            Field::Tagged,
        ),
        (
            &[
                N::NetworkInstances,
                N::NetworkInstance,
                N::Vlans,
                N::Vlan,
                N::VlanId,
            ],
            Field::VlanId,
        ),
        (
            &[
                N::NetworkInstances,
                N::NetworkInstance,
                N::Vlans,
                N::Vlan,
                N::Config,
                N::Name,
            ],
            Field::VlanName,
        ),
    ],
    macs: Some(&MACS),
    neighbours: Some(&LLDP),
    links: Some(&LINKS),
    validate: true,
    confirm_unit_s: 1,
};

/// openconfig-interfaces, `oper-status` of an interface's `state`.
static LINKS: Table = Table {
    request: "<get><filter type=\"subtree\">\
        <interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface>\
        <name>{interface}</name><state><oper-status/></state></interface></interfaces>\
        </filter></get>",
    rows: &[&[N::Data, N::Interfaces, N::Interface]],
    columns: &[
        (
            &[N::Data, N::Interfaces, N::Interface, N::Name],
            Column::Port,
        ),
        (
            &[
                N::Data,
                N::Interfaces,
                N::Interface,
                N::State,
                N::OperStatus,
            ],
            Column::Link,
        ),
    ],
    #[cfg(feature = "model")]
    answer: [
        "<data><interfaces xmlns=\"http://openconfig.net/yang/interfaces\">",
        "<interface><name>{port}</name><state><oper-status>{link}</oper-status></state>\
            </interface>",
        "</interfaces></data>",
    ],
};

static MACS: Table = Table {
    request: "<get><filter type=\"subtree\">\
        <network-instances xmlns=\"http://openconfig.net/yang/network-instance\">\
        <network-instance><name>default</name><fdb><mac-table/></fdb></network-instance>\
        </network-instances></filter></get>",
    rows: &[&[
        INSTANCE[0],
        INSTANCE[1],
        INSTANCE[2],
        N::Fdb,
        N::MacTable,
        N::Entries,
        N::Entry,
    ]],
    columns: &[
        (
            &[
                INSTANCE[0],
                INSTANCE[1],
                INSTANCE[2],
                N::Fdb,
                N::MacTable,
                N::Entries,
                N::Entry,
                N::MacAddress,
            ],
            Column::Mac,
        ),
        (
            &[
                INSTANCE[0],
                INSTANCE[1],
                INSTANCE[2],
                N::Fdb,
                N::MacTable,
                N::Entries,
                N::Entry,
                N::Vlan,
            ],
            Column::Vlan,
        ),
        (
            &[
                INSTANCE[0],
                INSTANCE[1],
                INSTANCE[2],
                N::Fdb,
                N::MacTable,
                N::Entries,
                N::Entry,
                N::Interface,
                N::InterfaceRef,
                N::State,
                N::Interface,
            ],
            Column::Port,
        ),
    ],
    #[cfg(feature = "model")]
    answer: [
        "<data><network-instances xmlns=\"http://openconfig.net/yang/network-instance\">\
            <network-instance><name>default</name><fdb><mac-table><entries>",
        "<entry><mac-address>{mac}</mac-address><vlan>{row-vlan}</vlan><interface>\
            <interface-ref><state><interface>{port}</interface></state></interface-ref>\
            </interface></entry>",
        "</entries></mac-table></fdb></network-instance></network-instances></data>",
    ],
};

static LLDP: Table = Table {
    request: "<get><filter type=\"subtree\"><lldp xmlns=\"http://openconfig.net/yang/lldp\">\
        <interfaces/></lldp></filter></get>",
    rows: &[&[
        N::Data,
        N::Lldp,
        N::Interfaces,
        N::Interface,
        N::Neighbors,
        N::Neighbor,
    ]],
    columns: &[
        (
            &[N::Data, N::Lldp, N::Interfaces, N::Interface, N::Name],
            Column::Port,
        ),
        (
            &[
                N::Data,
                N::Lldp,
                N::Interfaces,
                N::Interface,
                N::Neighbors,
                N::Neighbor,
                N::State,
                N::ChassisId,
            ],
            Column::Chassis,
        ),
        (
            &[
                N::Data,
                N::Lldp,
                N::Interfaces,
                N::Interface,
                N::Neighbors,
                N::Neighbor,
                N::State,
                N::PortId,
            ],
            Column::RemotePort,
        ),
        (
            &[
                N::Data,
                N::Lldp,
                N::Interfaces,
                N::Interface,
                N::Neighbors,
                N::Neighbor,
                N::State,
                N::SystemName,
            ],
            Column::SystemName,
        ),
    ],
    #[cfg(feature = "model")]
    answer: [
        "<data><lldp xmlns=\"http://openconfig.net/yang/lldp\"><interfaces>",
        "<interface><name>{port}</name><neighbors><neighbor><id>1</id><state><id>1</id>\
            <chassis-id>{chassis}</chassis-id><port-id>{remote-port}</port-id>\
            <system-name>{system-name}</system-name></state></neighbor></neighbors>\
            </interface>",
        "</interfaces></lldp></data>",
    ],
};
