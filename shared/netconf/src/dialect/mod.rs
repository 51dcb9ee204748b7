//! Dialects as data: how a family of switches writes a port's VLANs, in
//! templates and tables. No code depends on which dialect it is.
//!
//! A template is XML with places `{KEY}` or `{KEY:BEFORE|AFTER}`. A key stands
//! for any number of values; `BEFORE value AFTER` is written for each:
//!
//! | key | values |
//! |---|---|
//! | `interface` | the name of the interface |
//! | `untagged` | the untagged VLAN, if there is one |
//! | `no-untagged` | empty, once, in edits of a port without an untagged VLAN |
//! | `tagged` | each tagged VLAN |
//! | `members` | each VLAN, the untagged one first |
//! | `drop-native` | empty, once, if the port had a native VLAN and is to have none |
//! | `other-port` | the name of a trunk whose VLANs follow, if there is one |
//! | `take-up`, `drop` | the VLANs that it is to carry and to carry no more |
//! | `vlan` | the number of the VLAN that is made or removed |
//! | `vlan-name` | its name, `farrier-NUMBER` |
//! | `vlan-table` | empty, once, if the request needs the table of VLANs |
//! | `replace` | the attribute that replaces an element, in edits |
//! | `delete` | the attribute that deletes an element |
//! | `port`, `mac`, `row-vlan`, `chassis`, `remote-port`, `system-name` | columns of a row, in answers of the model |
//! | `link` | `up` or `down` of a row, the same |

mod ietf;
mod junos;
mod openconfig;

pub use ietf::IETF;
pub use junos::{JUNOS, JUNOS_ELS};
pub use openconfig::OPENCONFIG;

use crate::hello::Models;
use crate::out::Window;
use crate::vlan::{PortVlans, VlanChange};
use crate::xml::name::{Name, Namespace};

/// All dialects.
pub static DIALECTS: [&Dialect; 4] = [&JUNOS, &JUNOS_ELS, &OPENCONFIG, &IETF];

/// How a family of switches writes a port's VLANs.
#[derive(Debug)]
pub struct Dialect {
    /// Name in configurations.
    pub name: &'static str,
    /// Models by which a server is recognised; all of them.
    pub models: Models,
    /// Models that a server of another dialect has; none of them.
    pub not_models: Models,
    /// Namespaces of the roots in `data`; roots of other namespaces are ignored.
    /// Empty: any.
    pub roots: &'static [(Name, Namespace)],
    /// Subtree filter of a port and, if needed, of the table of VLANs.
    pub filter: &'static str,
    /// What an edit begins and ends with.
    pub edit: (&'static str, &'static str),
    /// What the ports in it begin and end with.
    pub ports: (&'static str, &'static str),
    /// An edit of a port without tagged VLANs.
    pub access: &'static str,
    /// An edit of a port with tagged VLANs, if the dialect has them.
    pub trunk: Option<&'static str>,
    /// An edit of a trunk that takes one VLAN up and drops one, if the dialect has
    /// tagged VLANs.
    pub trunk_edit: Option<&'static str>,
    /// A trunk without a list of VLANs carries all of them.
    pub unlisted_is_all: bool,
    /// Makes and removes VLANs, if the dialect can.
    pub vlan_edit: Option<&'static VlanEdit>,
    /// A VLAN in the answer of a server; for the model server.
    #[cfg(feature = "model")]
    pub vlan_row: &'static str,
    /// Members of a port can be names: the table of VLANs is always needed.
    pub names: bool,
    /// Elements that are entries of the tables of ports and VLANs.
    pub scopes: &'static [(&'static [Name], Scope)],
    /// What is read of a port, with the paths below `data`.
    pub fields: &'static [(&'static [Name], Field)],
    /// The table of hardware addresses, if the dialect has one.
    pub macs: Option<&'static Table>,
    /// The table of LLDP neighbours, if the dialect has one.
    pub neighbours: Option<&'static Table>,
    /// The states of the links. Its request is of one port.
    pub links: Option<&'static Table>,
    /// The server's `validate` of a candidate is used where it has it.
    pub validate: bool,
    /// Confirm timeouts are rounded up to a multiple of this, in seconds.
    pub confirm_unit_s: u32,
}

/// The part of an edit that makes and removes VLANs: one container, since a
/// document must not have it twice.
#[derive(Debug)]
pub struct VlanEdit {
    /// Begins it.
    pub before: &'static str,
    /// Makes a VLAN, a template.
    pub make: &'static str,
    /// Removes a VLAN, a template.
    pub remove: &'static str,
    /// Ends it.
    pub behind: &'static str,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A port.
    Port,
    /// A logical unit of a port; only unit 0 is read.
    Unit,
    /// A VLAN of the switch.
    Vlan,
}

/// What the text of an element says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Name of the port; before all else of the port.
    PortName,
    /// Number of the logical unit; before all else of the unit.
    UnitName,
    /// Description of the port.
    Description,
    /// Trunk or access, in any case of letters.
    Mode,
    /// The same, as a dialect that can't be told from this one writes it. It is
    /// read, so that the port of a switch of the other dialect is not taken for
    /// another one; no such switch has it in an edit.
    OtherMode,
    /// The VLAN of an access port.
    Access,
    /// A tagged VLAN of a trunk.
    Tagged,
    /// A VLAN of an access port or trunk.
    Member,
    /// The native VLAN of a trunk.
    Native,
    /// Name of a VLAN of the switch.
    VlanName,
    /// Number of a VLAN of the switch.
    VlanId,
}

/// A table of operational data.
#[derive(Debug)]
pub struct Table {
    /// The operation, a template; `interface` is the port that is asked about.
    pub request: &'static str,
    /// The elements that are rows, with their paths below `rpc-reply`.
    pub rows: &'static [&'static [Name]],
    /// The columns, with their paths below `rpc-reply`. A column outside the row
    /// holds until its next value.
    pub columns: &'static [(&'static [Name], Column)],
    /// The answer of a server, for the model: in front of the rows, a row, behind
    /// the rows.
    #[cfg(feature = "model")]
    pub answer: [&'static str; 3],
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Port of the switch.
    Port,
    /// A hardware address.
    Mac,
    /// Number or name of a VLAN.
    Vlan,
    /// Chassis of a neighbour.
    Chassis,
    /// Port of a neighbour.
    RemotePort,
    /// System name of a neighbour.
    SystemName,
    /// Whether the link is there: `up` in any case of letters.
    Link,
}

impl Dialect {
    /// Returns the dialect of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        DIALECTS
            .iter()
            .copied()
            .find(|dialect| dialect.name == name)
    }

    /// Returns the only dialect that a server's models fit. Both dialects of Junos
    /// fit a Junos device, whose hello does not say which it has.
    #[must_use]
    pub fn of(models: Models) -> Option<&'static Self> {
        let mut fitting = DIALECTS.iter().copied().filter(|dialect| {
            models.contains(dialect.models) && !models.intersects(dialect.not_models)
        });
        let found = fitting.next();
        found.filter(|_| fitting.next().is_none())
    }
}

/// The values of a template.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// The interface.
    pub interface: &'a str,
    /// The VLANs of the port.
    pub vlans: Option<&'a PortVlans>,
    /// The trunk; empty for none.
    pub trunk: &'a str,
    /// What it takes up and drops.
    pub trunk_change: VlanChange,
    /// The port had a native VLAN and is to have none.
    pub drop_native: bool,
    /// The VLAN that is made or removed.
    pub vlan: Option<u16>,
    /// The name of that VLAN if it is none of ours: in answers of the model.
    pub vlan_name: Option<&'a str>,
    /// The request needs the table of VLANs.
    pub vlan_table: bool,
    /// It is an edit, and has operations.
    pub edit: bool,
    /// A row of a table: in answers of the model.
    pub row: Row<'a>,
}

/// The columns of a row of a table.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row<'a> {
    /// Port of the switch.
    pub port: &'a str,
    /// A hardware address.
    pub mac: [u8; 6],
    /// Number of a VLAN.
    pub vlan: u16,
    /// Chassis of a neighbour.
    pub chassis: &'a str,
    /// Port of a neighbour.
    pub remote_port: &'a str,
    /// System name of a neighbour.
    pub system_name: &'a str,
    /// Whether there is a link.
    pub link: bool,
}

impl Values<'_> {
    /// Writes a template.
    pub fn write(&self, template: &str, out: &mut Window<'_>) {
        let mut rest = template;
        while let Some((before, place)) = rest.split_once('{') {
            out.raw(before);
            let (place, after) = place.split_once('}').unwrap_or((place, ""));
            let (key, around) = place.split_once(':').unwrap_or((place, "|"));
            let (left, right) = around.split_once('|').unwrap_or((around, ""));
            self.place(key, left, right, out);
            rest = after;
        }
        out.raw(rest);
    }

    fn place(&self, key: &str, left: &str, right: &str, out: &mut Window<'_>) {
        let untagged = self.vlans.and_then(PortVlans::untagged);
        let tagged = self.vlans.map_or(&[][..], PortVlans::tagged);
        let mut number = |number: u16| {
            out.raw(left);
            out.value(number);
            out.raw(right);
        };
        match key {
            "untagged" => untagged.into_iter().for_each(number),
            "tagged" => tagged.iter().copied().for_each(number),
            "members" => {
                untagged.into_iter().for_each(&mut number);
                tagged.iter().copied().for_each(number);
            }
            "vlan" => self.vlan.into_iter().for_each(number),
            "take-up" => self.trunk_change.make.into_iter().for_each(number),
            "drop" => self.trunk_change.remove.into_iter().for_each(number),
            _ => self.text_place(key, left, right, out),
        }
    }

    fn text_place(&self, key: &str, left: &str, right: &str, out: &mut Window<'_>) {
        let once = match key {
            "drop-native" => self.drop_native,
            "no-untagged" => {
                self.edit && self.vlans.is_some_and(|vlans| vlans.untagged().is_none())
            }
            "vlan-table" => self.vlan_table,
            "vlan-name" => self.vlan.is_some(),
            "other-port" => !self.trunk.is_empty(),
            "replace" | "delete" => self.edit,
            "interface" | "port" | "mac" | "row-vlan" | "chassis" | "remote-port" | "link"
            | "system-name" => true,
            _ => {
                debug_assert!(false, "unknown key {key}");
                false
            }
        };
        if !once {
            return;
        }
        out.raw(left);
        match (key, self.vlan, self.vlan_name) {
            ("interface", ..) => out.text(self.interface),
            ("other-port", ..) => out.text(self.trunk),
            ("port", ..) => out.text(self.row.port),
            ("chassis", ..) => out.text(self.row.chassis),
            ("remote-port", ..) => out.text(self.row.remote_port),
            ("system-name", ..) => out.text(self.row.system_name),
            ("row-vlan", ..) => out.value(self.row.vlan),
            ("link", ..) => out.raw(if self.row.link { "up" } else { "down" }),
            ("mac", ..) => {
                let [a, b, c, d, e, f] = self.row.mac;
                out.value(format_args!(
                    "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"
                ));
            }
            ("vlan-name", _, Some(name)) => out.text(name),
            ("vlan-name", Some(vlan), None) => {
                out.raw("farrier-");
                out.value(vlan);
            }
            ("replace", ..) => out.raw(" nc:operation=\"replace\""),
            ("delete", ..) => out.raw(" nc:operation=\"delete\""),
            _ => {}
        }
        out.raw(right);
    }
}
