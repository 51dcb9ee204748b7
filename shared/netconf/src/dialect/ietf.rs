//! The IETF's and IEEE's modules: ietf-interfaces (RFC 8343) with the
//! augmentation `bridge-port` of ieee802-dot1q-bridge (IEEE 802.1Qcp). A port has
//! one untagged VLAN, its `pvid`. Tagged VLANs, and VLANs themselves, are parts
//! of a bridge's components there and are not written.

use super::{Column, Dialect, Field, Scope, Table};
use crate::hello::Models;
use crate::xml::name::{Name as N, Namespace};

/// ietf-interfaces with ieee802-dot1q-bridge.
pub static IETF: Dialect = Dialect {
    name: "ietf",
    models: Models::IETF_INTERFACES.union(Models::IEEE_BRIDGE),
    not_models: Models::JUNOS.union(Models::OPENCONFIG_VLAN),
    roots: &[(N::Interfaces, Namespace::IetfInterfaces)],
    filter: "<interfaces xmlns=\"urn:ietf:params:xml:ns:yang:ietf-interfaces\">\
        <interface><name>{interface}</name></interface></interfaces>",
    edit: ("", ""),
    ports: (
        "<interfaces xmlns=\"urn:ietf:params:xml:ns:yang:ietf-interfaces\">",
        "</interfaces>",
    ),
    trunk_edit: None,
    unlisted_is_all: false,
    access: "<interface><name>{interface}</name>\
        <bridge-port xmlns=\"urn:ieee:std:802.1Q:yang:ieee802-dot1q-bridge\">\
        {untagged:<pvid>|</pvid>}{no-untagged:<pvid nc:operation=\"delete\"/>|}</bridge-port></interface>",
    trunk: None,
    vlan_edit: None,
    #[cfg(feature = "model")]
    vlan_row: "",
    names: false,
    scopes: &[(&[N::Interfaces, N::Interface], Scope::Port)],
    fields: &[
        (&[N::Interfaces, N::Interface, N::Name], Field::PortName),
        (
            &[N::Interfaces, N::Interface, N::Description],
            Field::Description,
        ),
        (
            &[N::Interfaces, N::Interface, N::BridgePort, N::Pvid],
            Field::Access,
        ),
    ],
    macs: None,
    neighbours: None,
    links: Some(&LINKS),
    validate: true,
    confirm_unit_s: 1,
};

/// RFC 8343, `oper-status` of an interface.
static LINKS: Table = Table {
    request: "<get><filter type=\"subtree\">\
        <interfaces xmlns=\"urn:ietf:params:xml:ns:yang:ietf-interfaces\"><interface>\
        <name>{interface}</name><oper-status/></interface></interfaces></filter></get>",
    rows: &[&[N::Data, N::Interfaces, N::Interface]],
    columns: &[
        (
            &[N::Data, N::Interfaces, N::Interface, N::Name],
            Column::Port,
        ),
        (
            &[N::Data, N::Interfaces, N::Interface, N::OperStatus],
            Column::Link,
        ),
    ],
    #[cfg(feature = "model")]
    answer: [
        "<data><interfaces xmlns=\"urn:ietf:params:xml:ns:yang:ietf-interfaces\">",
        "<interface><name>{port}</name><oper-status>{link}</oper-status></interface>",
        "</interfaces></data>",
    ],
};
