//! The requests as bytes.

use core::fmt::Write;

use farrier_json::{Slice, Writer};

use crate::change::Change;
use crate::message::MONITOR;
use crate::rows::{Column, Table};
use crate::vlan::PortName;

/// The database.
const DATABASE: &str = "Open_vSwitch";

/// What is asked.
pub(super) enum Request<'a> {
    Databases,
    Schema,
    Monitor { statistics: bool },
    Commit(&'a Change),
    Read(&'a PortName),
    Probe,
}

/// Writes a request; `None` where there is no room. `out` may then have a part
/// of it.
pub(super) fn write(request: &Request<'_>, id: u32, out: &mut [u8]) -> Option<usize> {
    let mut json = Writer::new(Slice::new(out));
    json.object().key("method");
    match request {
        Request::Databases => {
            json.string("list_dbs").key("params").array();
        }
        Request::Schema => {
            json.string("get_schema").key("params").array();
            json.string(DATABASE);
        }
        Request::Monitor { statistics } => {
            json.string("monitor").key("params").array();
            json.string(DATABASE).string(MONITOR).object();
            for table in [Table::OpenVSwitch, Table::Port, Table::Interface] {
                monitor(&mut json, table, *statistics);
            }
            json.end_object();
        }
        Request::Commit(change) => {
            json.string("transact").key("params").array();
            json.string(DATABASE);
            commit(&mut json, change);
        }
        Request::Read(port) => {
            json.string("transact").key("params").array();
            json.string(DATABASE).object();
            json.key("op").string("select");
            port_of(&mut json, port);
            columns(&mut json).end_object();
        }
        Request::Probe => {
            json.string("echo").key("params").array();
        }
    }
    json.end_array().key("id").number(id).end_object();
    json.finish().map(|slice| slice.len())
}

fn monitor<W: Write>(json: &mut Writer<W>, table: Table, statistics: bool) {
    json.key(table.name()).object().key("columns").array();
    for &(of, name, column) in &Column::NEEDED {
        if of == table && (statistics || column != Column::Statistics) {
            json.string(name);
        }
    }
    json.end_array().end_object();
}

/// Compares, sets, asks for the new configuration to be applied, and asks which
/// number it has: all or nothing.
fn commit<W: Write>(json: &mut Writer<W>, change: &Change) {
    json.object().key("op").string("wait");
    json.key("timeout").number(0_u8);
    port_of(json, &change.port);
    columns(json).key("until").string("==");
    json.key("rows").array();
    change.expected.write(json);
    json.end_array().end_object();

    json.object().key("op").string("update");
    port_of(json, &change.port);
    json.key("row");
    change.desired.write(json);
    json.end_object();

    json.object().key("op").string("mutate");
    json.key("table").string(Table::OpenVSwitch.name());
    json.key("where").array().end_array();
    json.key("mutations").array().array();
    json.string("next_cfg").string("+=").number(1_u8);
    json.end_array().end_array().end_object();

    json.object().key("op").string("select");
    json.key("table").string(Table::OpenVSwitch.name());
    json.key("where").array().end_array();
    json.key("columns").array().string("next_cfg").end_array();
    json.end_object();
}

/// The port's row, and no other.
fn port_of<W: Write>(json: &mut Writer<W>, port: &PortName) {
    json.key("table").string(Table::Port.name());
    json.key("where").array().array();
    json.string("name").string("==").string(port.as_str());
    json.end_array().end_array();
}

fn columns<W: Write>(json: &mut Writer<W>) -> &mut Writer<W> {
    json.key("columns").array();
    json.string("tag").string("trunks").string("vlan_mode");
    json.end_array()
}
