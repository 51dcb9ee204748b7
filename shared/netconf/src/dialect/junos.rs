//! Junos' `ethernet-switching`: before ELS (EX2200 to EX4200, QFX3500) with
//! `port-mode`, and with the Enhanced Layer 2 Software (EX2300, EX3400, EX4300,
//! QFX5100 and newer) with `interface-mode`.
//!
//! VLANs are written by number and read by number or name. What a port inherits
//! from groups and interface ranges is not in its configuration and not seen.

use super::{Column, Dialect, Field, Scope, Table, VlanEdit};
use crate::hello::Models;
use crate::xml::name::Name as N;

const PORT: &[N] = &[N::Configuration, N::Interfaces, N::Interface];
const UNIT: &[N] = &[N::Configuration, N::Interfaces, N::Interface, N::Unit];
const VLAN: &[N] = &[N::Configuration, N::Vlans, N::Vlan];

const SCOPES: &[(&[N], Scope)] = &[
    (PORT, Scope::Port),
    (UNIT, Scope::Unit),
    (VLAN, Scope::Vlan),
];

const FILTER: &str = "<configuration xmlns=\"http://xml.juniper.net/xnm/1.1/xnm\">\
    <interfaces><interface><name>{interface}</name></interface>\
    {other-port:<interface><name>|</name></interface>}</interfaces>\
    {vlan-table:<vlans><vlan><name/><vlan-id/></vlan></vlans>|}</configuration>";

const EDIT: (&str, &str) = (
    "<configuration xmlns=\"http://xml.juniper.net/xnm/1.1/xnm\">",
    "</configuration>",
);

const PORTS: (&str, &str) = ("<interfaces>", "</interfaces>");

const TRUNK_EDIT: &str = "<interface><name>{other-port}</name><unit><name>0</name><family>\
    <ethernet-switching><vlan>{take-up:<members>|</members>}\
    {drop:<members nc:operation=\"delete\">|</members>}</vlan></ethernet-switching></family>\
    </unit></interface>";

static VLAN_EDIT: VlanEdit = VlanEdit {
    before: "<vlans>",
    make: "<vlan><name>{vlan-name}</name><vlan-id>{vlan}</vlan-id></vlan>",
    remove: "<vlan{delete}><name>{vlan-name}</name></vlan>",
    behind: "</vlans>",
};

#[cfg(feature = "model")]
const VLAN_ROW: &str = "<vlans><vlan><name>{vlan-name}</name>\
    <vlan-id>{vlan}</vlan-id></vlan></vlans>";

static LINKS: Table = Table {
    request: "<get-interface-information><interface-name>{interface}</interface-name>\
        <terse/></get-interface-information>",
    rows: &[&[N::InterfaceInformation, N::PhysicalInterface]],
    columns: &[
        (
            &[N::InterfaceInformation, N::PhysicalInterface, N::Name],
            Column::Port,
        ),
        (
            &[N::InterfaceInformation, N::PhysicalInterface, N::OperStatus],
            Column::Link,
        ),
    ],
    #[cfg(feature = "model")]
    answer: [
        "<interface-information>",
        "<physical-interface><name>\n{port}\n</name><oper-status>\n{link}\n</oper-status>\
            </physical-interface>",
        "</interface-information>",
    ],
};

static LLDP: Table = Table {
    request: "<get-lldp-neighbors-information/>",
    rows: &[&[N::LldpNeighborsInformation, N::LldpNeighborInformation]],
    columns: &[
        (
            &[
                N::LldpNeighborsInformation,
                N::LldpNeighborInformation,
                N::LldpLocalInterface,
            ],
            Column::Port,
        ),
        (
            &[
                N::LldpNeighborsInformation,
                N::LldpNeighborInformation,
                N::LldpLocalPortId,
            ],
            Column::Port,
        ),
        (
            &[
                N::LldpNeighborsInformation,
                N::LldpNeighborInformation,
                N::LldpRemoteChassisId,
            ],
            Column::Chassis,
        ),
        (
            &[
                N::LldpNeighborsInformation,
                N::LldpNeighborInformation,
                N::LldpRemotePortId,
            ],
            Column::RemotePort,
        ),
        (
            &[
                N::LldpNeighborsInformation,
                N::LldpNeighborInformation,
                N::LldpRemoteSystemName,
            ],
            Column::SystemName,
        ),
    ],
    #[cfg(feature = "model")]
    answer: [
        "<lldp-neighbors-information>",
        "<lldp-neighbor-information><lldp-local-port-id>{port}</lldp-local-port-id>\
            <lldp-remote-chassis-id>{chassis}</lldp-remote-chassis-id>\
            <lldp-remote-port-id>{remote-port}</lldp-remote-port-id>\
            <lldp-remote-system-name>{system-name}</lldp-remote-system-name>\
            </lldp-neighbor-information>",
        "</lldp-neighbors-information>",
    ],
};

/// `ethernet-switching` before ELS.
pub static JUNOS: Dialect = Dialect {
    name: "junos",
    models: Models::JUNOS,
    not_models: Models::empty(),
    roots: &[],
    filter: FILTER,
    edit: EDIT,
    ports: PORTS,
    trunk_edit: Some(TRUNK_EDIT),
    unlisted_is_all: false,
    access: "<interface><name>{interface}</name><unit><name>0</name><family>\
        <ethernet-switching><port-mode>access</port-mode>\
        <vlan{replace}>{members:<members>|</members>}</vlan>\
        {drop-native:<native-vlan-id nc:operation=\"delete\"/>|}\
        </ethernet-switching></family></unit></interface>",
    trunk: Some(
        "<interface><name>{interface}</name><unit><name>0</name><family>\
        <ethernet-switching><port-mode>trunk</port-mode>\
        <vlan{replace}>{tagged:<members>|</members>}</vlan>\
        {untagged:<native-vlan-id>|</native-vlan-id>}\
        {drop-native:<native-vlan-id nc:operation=\"delete\"/>|}\
        </ethernet-switching></family></unit></interface>",
    ),
    vlan_edit: Some(&VLAN_EDIT),
    #[cfg(feature = "model")]
    vlan_row: VLAN_ROW,
    names: true,
    scopes: SCOPES,
    fields: &[
        (
            &[N::Configuration, N::Interfaces, N::Interface, N::Name],
            Field::PortName,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Description,
            ],
            Field::Description,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Name,
            ],
            Field::UnitName,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Family,
                N::EthernetSwitching,
                N::PortMode,
            ],
            Field::Mode,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Family,
                N::EthernetSwitching,
                N::InterfaceMode,
            ],
            Field::OtherMode,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Family,
                N::EthernetSwitching,
                N::Vlan,
                N::Members,
            ],
            Field::Member,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Family,
                N::EthernetSwitching,
                N::NativeVlanId,
            ],
            Field::Native,
        ),
        (
            &[N::Configuration, N::Vlans, N::Vlan, N::Name],
            Field::VlanName,
        ),
        (
            &[N::Configuration, N::Vlans, N::Vlan, N::VlanId],
            Field::VlanId,
        ),
    ],
    macs: Some(&MACS),
    neighbours: Some(&LLDP),
    links: Some(&LINKS),
    validate: true,
    confirm_unit_s: 60,
};

static MACS: Table = Table {
    request: "<get-ethernet-switching-table-information/>",
    rows: &[&[
        N::EthernetSwitchingTableInformation,
        N::EthernetSwitchingTable,
        N::MacTableEntry,
    ]],
    columns: &[
        (
            &[
                N::EthernetSwitchingTableInformation,
                N::EthernetSwitchingTable,
                N::MacTableEntry,
                N::MacVlan,
            ],
            Column::Vlan,
        ),
        (
            &[
                N::EthernetSwitchingTableInformation,
                N::EthernetSwitchingTable,
                N::MacTableEntry,
                N::MacAddress,
            ],
            Column::Mac,
        ),
        (
            &[
                N::EthernetSwitchingTableInformation,
                N::EthernetSwitchingTable,
                N::MacTableEntry,
                N::MacInterfacesList,
                N::MacInterfaces,
            ],
            Column::Port,
        ),
    ],
    #[cfg(feature = "model")]
    answer: [
        "<ethernet-switching-table-information><ethernet-switching-table>",
        "<mac-table-entry><mac-vlan>{row-vlan}</mac-vlan><mac-address>{mac}</mac-address>\
            <mac-interfaces-list><mac-interfaces>{port}.0</mac-interfaces>\
            </mac-interfaces-list></mac-table-entry>",
        "</ethernet-switching-table></ethernet-switching-table-information>",
    ],
};

/// `ethernet-switching` with ELS. A native VLAN is also a member of its trunk,
/// and lies beside the units.
pub static JUNOS_ELS: Dialect = Dialect {
    name: "junos-els",
    access: "<interface><name>{interface}</name>\
        {drop-native:<native-vlan-id nc:operation=\"delete\"/>|}\
        <unit><name>0</name><family>\
        <ethernet-switching><interface-mode>access</interface-mode>\
        <vlan{replace}>{members:<members>|</members>}</vlan>\
        </ethernet-switching></family></unit></interface>",
    trunk: Some(
        "<interface><name>{interface}</name>\
        {untagged:<native-vlan-id>|</native-vlan-id>}\
        {drop-native:<native-vlan-id nc:operation=\"delete\"/>|}\
        <unit><name>0</name><family>\
        <ethernet-switching><interface-mode>trunk</interface-mode>\
        <vlan{replace}>{members:<members>|</members>}</vlan>\
        </ethernet-switching></family></unit></interface>",
    ),
    fields: &[
        (
            &[N::Configuration, N::Interfaces, N::Interface, N::Name],
            Field::PortName,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Description,
            ],
            Field::Description,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::NativeVlanId,
            ],
            Field::Native,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Name,
            ],
            Field::UnitName,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Family,
                N::EthernetSwitching,
                N::InterfaceMode,
            ],
            Field::Mode,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Family,
                N::EthernetSwitching,
                N::PortMode,
            ],
            Field::OtherMode,
        ),
        (
            &[
                N::Configuration,
                N::Interfaces,
                N::Interface,
                N::Unit,
                N::Family,
                N::EthernetSwitching,
                N::Vlan,
                N::Members,
            ],
            Field::Member,
        ),
        (
            &[N::Configuration, N::Vlans, N::Vlan, N::Name],
            Field::VlanName,
        ),
        (
            &[N::Configuration, N::Vlans, N::Vlan, N::VlanId],
            Field::VlanId,
        ),
    ],
    macs: Some(&MACS_ELS),
    models: Models::JUNOS,
    not_models: Models::empty(),
    roots: &[],
    filter: FILTER,
    edit: EDIT,
    ports: PORTS,
    trunk_edit: Some(TRUNK_EDIT),
    unlisted_is_all: false,
    vlan_edit: Some(&VLAN_EDIT),
    #[cfg(feature = "model")]
    vlan_row: VLAN_ROW,
    names: true,
    scopes: SCOPES,
    neighbours: Some(&LLDP),
    links: Some(&LINKS),
    validate: true,
    confirm_unit_s: 60,
};

static MACS_ELS: Table = Table {
    request: "<get-ethernet-switching-table-information/>",
    rows: &[&[N::L2ngMacdb, N::L2ngEntryVlan, N::L2ngEntry]],
    columns: &[
        (
            &[
                N::L2ngMacdb,
                N::L2ngEntryVlan,
                N::L2ngEntry,
                N::L2ngVlanName,
            ],
            Column::Vlan,
        ),
        (
            &[N::L2ngMacdb, N::L2ngEntryVlan, N::L2ngEntry, N::L2ngAddress],
            Column::Mac,
        ),
        (
            &[
                N::L2ngMacdb,
                N::L2ngEntryVlan,
                N::L2ngEntry,
                N::L2ngInterface,
            ],
            Column::Port,
        ),
    ],
    #[cfg(feature = "model")]
    answer: [
        "<l2ng-l2ald-rtb-macdb><l2ng-l2ald-mac-entry-vlan>",
        "<l2ng-mac-entry><l2ng-l2-mac-vlan-name>{row-vlan}</l2ng-l2-mac-vlan-name>\
            <l2ng-l2-mac-address>{mac}</l2ng-l2-mac-address>\
            <l2ng-l2-mac-logical-interface>{port}.0</l2ng-l2-mac-logical-interface>\
            </l2ng-mac-entry>",
        "</l2ng-l2ald-mac-entry-vlan></l2ng-l2ald-rtb-macdb>",
    ],
};
