//! `transact`: all of its operations or none.

use core::fmt::Write;

use farrier_json::{Slice, Writer};

use super::document::Value;
use super::dump::columns;
use super::switch::{Fault, Switch};
use crate::rows::{Table, Uuid};
use crate::vlan::{PortVlan, VlanMode, VlanSet};

/// What becomes of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// The answer has this length.
    Reply(usize),
    /// There is no answer to this or anything else.
    Hangs,
    /// The connection is closed.
    Closes,
    /// The answer has no room.
    TooLong,
}

/// Why an operation fails.
struct Failure(&'static str, &'static str);

const UNSUPPORTED: Failure = Failure("not supported", "the model does not know this");

/// What the transaction would leave.
struct Staged<const PORTS: usize> {
    vlans: [PortVlan; PORTS],
    next_cfg: i64,
    /// Whether an operation changes something.
    writes: bool,
}

impl<const PORTS: usize> Switch<PORTS> {
    /// Does the operations of `params` and writes the answer.
    pub(super) fn transact(&mut self, params: Value<'_>, id: &str, out: &mut [u8]) -> Served {
        let mut json = Writer::new(Slice::new(out));
        json.object().key("id").verbatim(id);
        let database = params.at(0).is_some_and(|name| name.is("Open_vSwitch"));
        if !database {
            json.key("result").null().key("error").object();
            json.key("error").string("unknown database").end_object();
            json.end_object();
            return json
                .finish()
                .map_or(Served::TooLong, |s| Served::Reply(s.len()));
        }
        let mut staged = Staged {
            vlans: self.ports.each_ref().map(|port| match port {
                Some(port) => port.vlan,
                None => PortVlan::UNSET,
            }),
            next_cfg: self.next_cfg,
            writes: false,
        };
        json.key("error").null().key("result").array();
        let mut failed = false;
        for operation in params.items().skip(1) {
            if failed {
                json.null();
                continue;
            }
            if let Err(Failure(error, details)) = self.operate(operation, &mut staged, &mut json) {
                failed = true;
                json.object().key("error").string(error);
                json.key("details").string(details).end_object();
            }
        }
        json.end_array().end_object();
        let Some(len) = json.finish().map(|slice| slice.len()) else {
            return Served::TooLong;
        };
        if failed || !staged.writes {
            return Served::Reply(len);
        }
        match self.fault() {
            Fault::Hangs => return Served::Hangs,
            Fault::Drops => return Served::Closes,
            _ => self.commit(&staged.vlans, staged.next_cfg),
        }
        match self.fault() {
            Fault::HangsAfterCommit => Served::Hangs,
            Fault::DropsAfterCommit => Served::Closes,
            _ => Served::Reply(len),
        }
    }

    fn operate<W: Write>(
        &self,
        operation: Value<'_>,
        staged: &mut Staged<PORTS>,
        json: &mut Writer<W>,
    ) -> Result<(), Failure> {
        let name = operation.get("op").and_then(Value::text::<16>);
        let name = name.ok_or(UNSUPPORTED)?;
        if name.as_str() == "comment" {
            json.object().end_object();
            return Ok(());
        }
        let table = operation.get("table").and_then(Value::text::<16>);
        let table = table.and_then(|table| Table::parse(table.as_str()));
        let table = table.ok_or(UNSUPPORTED)?;
        let conditions = operation.get("where").unwrap_or(Value::new("[]"));
        // Conditions that the model does not know fail before anything is done.
        for condition in conditions.items() {
            self.holds(table, 0, condition)?;
        }
        let selected = |at: usize| {
            let mut all = conditions.items();
            self.uuid(table, at).is_some()
                && all.all(|one| self.holds(table, at, one).unwrap_or(false))
        };
        let rows = (0..PORTS.max(1)).filter(|&at| selected(at));
        match (name.as_str(), table) {
            ("select", _) => {
                let wanted = columns(table, operation.get("columns")).ok_or(UNSUPPORTED)?;
                json.object().key("rows").array();
                for at in rows {
                    json.object();
                    // What was staged is not read back before it is committed,
                    // but for the number that clients ask for.
                    if table == Table::OpenVSwitch {
                        json.key("next_cfg").number(staged.next_cfg.unsigned_abs());
                        json.key("cur_cfg").number(self.cur_cfg.unsigned_abs());
                    } else {
                        self.write_row(json, table, at, wanted);
                    }
                    json.end_object();
                }
                json.end_array().end_object();
            }
            ("wait", Table::Port) => {
                let listed = operation.get("rows").ok_or(UNSUPPORTED)?;
                let mut equal = rows.clone().count() == listed.items().count();
                for at in rows {
                    let now = staged.vlans.get(at).copied().unwrap_or(PortVlan::UNSET);
                    let mut any = false;
                    for row in listed.items() {
                        any |= parse_row(row, now)? == now;
                    }
                    equal &= any;
                }
                let until = operation.get("until").is_some_and(|until| until.is("=="));
                if equal != until {
                    return Err(Failure("timed out", "\"wait\" timed out"));
                }
                json.object().end_object();
            }
            ("update", Table::Port) => {
                if self.fault() == Fault::Refuses {
                    return Err(Failure("constraint violation", "the switch refuses"));
                }
                let row = operation.get("row").ok_or(UNSUPPORTED)?;
                let mut count = 0_u32;
                for at in rows {
                    if let Some(vlan) = staged.vlans.get_mut(at) {
                        *vlan = parse_row(row, *vlan)?;
                        count += 1;
                    }
                }
                staged.writes |= count > 0;
                json.object().key("count").number(count).end_object();
            }
            ("mutate", Table::OpenVSwitch) => {
                let mutations = operation.get("mutations").ok_or(UNSUPPORTED)?;
                for mutation in mutations.items() {
                    let is = |at, text| mutation.at(at).is_some_and(|value| value.is(text));
                    let number = mutation.at(2).and_then(Value::int);
                    let number = number.filter(|_| is(0, "next_cfg") && is(1, "+="));
                    staged.next_cfg = staged.next_cfg.saturating_add(number.ok_or(UNSUPPORTED)?);
                }
                staged.writes = true;
                json.object().key("count").number(1_u8).end_object();
            }
            _ => return Err(UNSUPPORTED),
        }
        Ok(())
    }

    /// Whether a row meets a condition: of its name or identity.
    fn holds(&self, table: Table, at: usize, condition: Value<'_>) -> Result<bool, Failure> {
        let column = condition.at(0).and_then(Value::text::<16>);
        let function = condition.at(1).and_then(Value::text::<4>);
        let value = condition.at(2).ok_or(UNSUPPORTED)?;
        let equal = match column.as_ref().map(|column| column.as_str()) {
            Some("name") if table != Table::OpenVSwitch => {
                let wanted = value.text::<64>().ok_or(UNSUPPORTED)?;
                let port = self.ports.get(at).and_then(Option::as_ref);
                port.is_some_and(|port| &wanted == port.name.as_str())
            }
            Some("_uuid") => {
                let wanted = value.at(1).and_then(Value::text::<36>);
                let wanted = wanted.and_then(|uuid| Uuid::parse(uuid.as_str()));
                self.uuid(table, at) == Some(wanted.ok_or(UNSUPPORTED)?)
            }
            _ => return Err(UNSUPPORTED),
        };
        match function.as_ref().map(|function| function.as_str()) {
            Some("==" | "includes") => Ok(equal),
            Some("!=" | "excludes") => Ok(!equal),
            _ => Err(UNSUPPORTED),
        }
    }
}

/// `vlan` with what a row says of it.
fn parse_row(row: Value<'_>, mut vlan: PortVlan) -> Result<PortVlan, Failure> {
    for (column, value) in row.members() {
        let column = column.text::<16>().ok_or(UNSUPPORTED)?;
        let mut atoms = atoms(value);
        match column.as_str() {
            "tag" => vlan.tag = atoms.next().map(vlan_id).transpose()?,
            "trunks" => {
                vlan.trunks = VlanSet::EMPTY;
                for atom in atoms.by_ref() {
                    vlan.trunks.insert(vlan_id(atom)?);
                }
                if !vlan.trunks.is_complete() {
                    return Err(Failure(
                        "resources exhausted",
                        "too many VLANs for the model",
                    ));
                }
            }
            "vlan_mode" => {
                let mode =
                    |atom: Value<'_>| atom.text::<16>().and_then(|m| VlanMode::parse(m.as_str()));
                let unknown = Failure("constraint violation", "not one of the allowed values");
                vlan.mode = match atoms.next() {
                    Some(atom) => Some(mode(atom).ok_or(unknown)?),
                    None => None,
                };
            }
            _ => return Err(UNSUPPORTED),
        }
        if atoms.next().is_some() {
            return Err(Failure("constraint violation", "more than one value"));
        }
    }
    Ok(vlan)
}

/// The atoms of a column's value.
fn atoms<'a>(value: Value<'a>) -> impl Iterator<Item = Value<'a>> {
    let set = value.is_array().then(|| value.at(1)).flatten();
    let single = (!value.is_array()).then_some(value);
    let items = set.unwrap_or(Value::new("[]")).items();
    single.into_iter().chain(items)
}

fn vlan_id(value: Value<'_>) -> Result<u16, Failure> {
    let number = value.int().filter(|id| (0..=4095).contains(id));
    let range = Failure("constraint violation", "not in the valid range 0 to 4095");
    number.map(|id| id as u16).ok_or(range)
}
