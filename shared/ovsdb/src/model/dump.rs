//! Rows as JSON, one after the other: the reply to a monitor and its updates.

use core::fmt::Write;

use farrier_json::Writer;

use super::document::Value;
use super::switch::{Port, Switch};
use crate::rows::{Column, Table, Uuid};

/// The tables in the order in which they are sent.
pub(super) const TABLES: [Table; 3] = [Table::Port, Table::Interface, Table::OpenVSwitch];

/// Which columns are wanted: a bit for each of [`Column::NEEDED`].
pub(super) type Columns = u16;

/// The columns of a table that a request names; all where it names none.
/// `None` where it names one that there isn't.
pub(super) fn columns(table: Table, names: Option<Value<'_>>) -> Option<Columns> {
    let Some(names) = names else {
        let all = Column::NEEDED.iter().enumerate();
        let of_table = all.filter(|(_, needed)| needed.0 == table);
        return Some(of_table.fold(0, |columns, (at, _)| columns | 1 << at));
    };
    let mut columns = 0;
    for name in names.items() {
        let name = name.text::<32>()?;
        if matches!(name.as_str(), "_uuid" | "_version" | "interfaces") {
            continue;
        }
        columns |= 1 << Column::find(table, name.whole()?)?;
    }
    Some(columns)
}

impl<const PORTS: usize> Switch<PORTS> {
    /// The identity of a row, if it exists.
    pub(super) fn uuid(&self, table: Table, at: usize) -> Option<Uuid> {
        let port = || self.ports.get(at).and_then(Option::as_ref);
        match table {
            Table::OpenVSwitch => (at == 0).then_some(Uuid([
                0xfa, 0x44, 3, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1,
            ])),
            Table::Port => port().map(|port| port.uuid),
            Table::Interface => port().map(|port| port.interface),
        }
    }

    /// Writes the wanted columns of a row as members of an object that is open.
    pub(super) fn write_row<W: Write>(
        &self,
        json: &mut Writer<W>,
        table: Table,
        at: usize,
        wanted: Columns,
    ) {
        let port = self.ports.get(at).and_then(Option::as_ref);
        for (bit, &(of, name, column)) in Column::NEEDED.iter().enumerate() {
            if of != table || wanted & 1 << bit == 0 {
                continue;
            }
            match (column, port) {
                (Column::CurCfg, _) => integer(json.key(name), self.cur_cfg),
                (Column::NextCfg, _) => integer(json.key(name), self.next_cfg),
                (_, Some(port)) => port.write_column(json, name, column),
                _ => {}
            }
        }
    }
}

impl Port {
    fn write_column<W: Write>(&self, json: &mut Writer<W>, name: &str, column: Column) {
        json.key(name);
        match column {
            Column::Name => {
                json.string(self.name.as_str());
            }
            Column::Tag => match self.vlan.tag {
                Some(tag) => {
                    json.number(tag);
                }
                None => set(json, |_| {}),
            },
            // Open vSwitch writes a set of one as an atom.
            Column::Trunks => match self.vlan.trunks.ids() {
                &[id] => {
                    json.number(id);
                }
                ids => set(json, |json| {
                    for &id in ids {
                        json.number(id);
                    }
                }),
            },
            Column::VlanMode => match self.vlan.mode {
                Some(mode) => {
                    json.string(mode.as_str());
                }
                None => set(json, |_| {}),
            },
            Column::Ofport => {
                json.number(self.ofport);
            }
            Column::LinkState => {
                json.string(if self.link_up { "up" } else { "down" });
            }
            Column::MacInUse => {
                let [a, b, c, d, e, f] = self.mac;
                let mac = format_args!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
                json.text(mac);
            }
            Column::Statistics => {
                json.array().string("map").array();
                json.array().string("rx_packets").number(self.received);
                json.end_array();
                json.array().string("tx_packets").number(self.transmitted);
                json.end_array().end_array().end_array();
            }
            Column::Status => {
                json.array().string("map").array();
                json.array().string("driver_name").string("farrier-model");
                json.end_array().end_array().end_array();
            }
            Column::CurCfg | Column::NextCfg => {
                json.null();
            }
        }
    }
}

fn set<W: Write>(json: &mut Writer<W>, items: impl FnOnce(&mut Writer<W>)) {
    json.array().string("set").array();
    items(json);
    json.end_array().end_array();
}

/// The model's numbers are never negative.
fn integer<W: Write>(json: &mut Writer<W>, number: i64) {
    json.number(number.unsigned_abs());
}
