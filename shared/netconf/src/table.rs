//! Reading of operational tables: hardware addresses, LLDP neighbours and links, row
//! by row, to a visitor.

use crate::dialect::{Column, Table};
use crate::text::{clip, mac, same_port};
use crate::xml::name::Name;
use crate::xml::{Event, Token};
use heapless::String;

/// A row of the table of hardware addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacEntry<'a> {
    /// Port of the switch, as the switch calls it.
    pub port: &'a str,
    /// The hardware address.
    pub mac: [u8; 6],
    /// Number or name of the VLAN.
    pub vlan: &'a str,
}

/// A row of the table of LLDP neighbours. Texts are cut to 48 bytes; a chassis or
/// port that is a hardware address is in the form that the switch writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour<'a> {
    /// Port of the switch.
    pub port: &'a str,
    /// Chassis of the neighbour.
    pub chassis: &'a str,
    /// Port of the neighbour.
    pub remote_port: &'a str,
    /// System name of the neighbour.
    pub system_name: &'a str,
}

/// A row of the table of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkState<'a> {
    /// Port of the switch, as the switch calls it.
    pub port: &'a str,
    /// Whether it has a link.
    pub up: bool,
}

/// Takes the rows of tables as they arrive.
pub trait Visitor {
    /// Takes a row of the table of hardware addresses.
    fn mac(&mut self, entry: &MacEntry<'_>) {
        let _ = entry;
    }

    /// Takes a row of the table of neighbours.
    fn neighbour(&mut self, neighbour: &Neighbour<'_>) {
        let _ = neighbour;
    }

    /// Takes a row of the table of links.
    fn link(&mut self, link: &LinkState<'_>) {
        let _ = link;
    }
}

/// Drops all rows.
impl Visitor for () {}

/// Reads the answer to one request of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableReader {
    port: String<48, u8>,
    /// VLAN or chassis.
    first: String<48, u8>,
    remote_port: String<48, u8>,
    system_name: String<48, u8>,
    mac: Option<[u8; 6]>,
    link: Option<bool>,
    rows: u32,
}

impl TableReader {
    /// Returns the number of rows that the visitor got.
    pub(crate) const fn rows(&self) -> u32 {
        self.rows
    }

    /// Reads a token of a reply. `interface` is the port whose rows are wanted;
    /// empty for all.
    pub(crate) fn token(
        &mut self,
        table: &Table,
        interface: &str,
        token: Token<'_>,
        visitor: &mut dyn Visitor,
    ) {
        let [Name::RpcReply, path @ ..] = token.path else {
            return;
        };
        match token.event {
            Event::Start { .. } if table.rows.contains(&path) => self.clear(table, path),
            Event::Text { text, .. } => {
                for &(column, what) in table.columns {
                    if column == path {
                        self.column(what, text);
                    }
                }
            }
            Event::End if table.rows.contains(&path) => self.row(interface, visitor),
            _ => {}
        }
    }

    /// Forgets what was read of the last row.
    fn clear(&mut self, table: &Table, row: &[Name]) {
        for (path, column) in table.columns {
            if path.starts_with(row) {
                self.column(*column, "");
            }
        }
    }

    fn column(&mut self, column: Column, text: &str) {
        match column {
            Column::Port => self.port = clip(text),
            Column::Mac => self.mac = mac(text),
            Column::Vlan | Column::Chassis => self.first = clip(text),
            Column::RemotePort => self.remote_port = clip(text),
            Column::SystemName => self.system_name = clip(text),
            Column::Link => {
                let text = text.trim();
                self.link = (!text.is_empty()).then(|| text.eq_ignore_ascii_case("up"));
            }
        }
    }

    fn row(&mut self, interface: &str, visitor: &mut dyn Visitor) {
        if !interface.is_empty() && !same_port(&self.port, interface) {
            return;
        }
        match (self.mac, self.link) {
            (Some(mac), _) => visitor.mac(&MacEntry {
                port: &self.port,
                mac,
                vlan: &self.first,
            }),
            (None, Some(up)) => visitor.link(&LinkState {
                port: &self.port,
                up,
            }),
            (None, None) if !self.remote_port.is_empty() || !self.system_name.is_empty() => {
                visitor.neighbour(&Neighbour {
                    port: &self.port,
                    chassis: &self.first,
                    remote_port: &self.remote_port,
                    system_name: &self.system_name,
                });
            }
            // An entry such as "all other addresses".
            (None, None) => return,
        }
        self.rows = self.rows.saturating_add(1);
    }
}
