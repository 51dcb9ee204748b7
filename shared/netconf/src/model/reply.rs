//! Replies of the model.

use super::Profile;
use super::config::{Config, Learned};
use super::request::Rpc;
use crate::dialect::{Row, Table, Values};
use crate::out::Window;

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Ok,
    /// An error with this tag.
    Error(&'static str),
    /// The lock is held by this session.
    Locked(u32),
    /// The configuration of the port in the filter.
    Port,
    /// The same, under another port's name.
    OtherPort,
    /// The table of hardware addresses.
    Macs,
    /// The table of neighbours.
    Neighbours,
    /// The link of the port that was asked about.
    Link,
    Garbage,
    Bomb,
}

impl Answer {
    pub(super) const REFUSED: Self = Self::Error("operation-failed");
}

/// Writes a reply.
pub(super) fn write(
    answer: Answer,
    rpc: &Rpc,
    profile: &Profile,
    (config, learned): (&Config, &Learned),
    out: &mut Window<'_>,
) {
    match answer {
        Answer::Garbage => return out.raw("<rpc-reply <ok/>"),
        Answer::Bomb => {
            return out.raw(
                "<!DOCTYPE r [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>\
                <rpc-reply>&b;</rpc-reply>",
            );
        }
        _ => {}
    }
    out.raw("<rpc-reply xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"");
    out.text(&rpc.message_id);
    out.raw("\">");
    match answer {
        Answer::Error(tag) => error(tag, None, out),
        Answer::Locked(holder) => error("lock-denied", Some(holder), out),
        Answer::Port => data(rpc, &rpc.port, profile, config, out),
        Answer::OtherPort => data(rpc, "another", profile, config, out),
        Answer::Macs => {
            let rows = learned.macs.iter().map(|(port, mac, vlan)| Row {
                port,
                mac: *mac,
                vlan: *vlan,
                ..Row::default()
            });
            table(profile.dialect.macs, rows, out);
        }
        Answer::Neighbours => {
            let rows = learned
                .neighbours
                .iter()
                .map(|[port, chassis, remote, system]| Row {
                    port,
                    chassis,
                    remote_port: remote,
                    system_name: system,
                    ..Row::default()
                });
            table(profile.dialect.neighbours, rows, out);
        }
        Answer::Link => {
            let is_known = config.names().any(|port| port == rpc.port);
            let rows = is_known.then(|| Row {
                port: &rpc.port,
                link: !learned.down.contains(&rpc.port),
                ..Row::default()
            });
            table(profile.dialect.links, rows.into_iter(), out);
        }
        Answer::Ok | Answer::Garbage | Answer::Bomb => out.raw("<ok/>"),
    }
    out.raw("</rpc-reply>");
}

fn error(tag: &str, holder: Option<u32>, out: &mut Window<'_>) {
    out.raw("<rpc-error><error-type>protocol</error-type><error-tag>");
    out.raw(tag);
    out.raw("</error-tag><error-severity>error</error-severity>");
    out.raw("<error-message xml:lang=\"en\">");
    out.raw(tag);
    out.raw("</error-message>");
    if let Some(holder) = holder {
        out.raw("<error-info><session-id>");
        out.value(holder);
        out.raw("</session-id></error-info>");
    }
    out.raw("</rpc-error>");
}

/// Writes the port of the filter under this name, or all ports.
fn data(rpc: &Rpc, name: &str, profile: &Profile, config: &Config, out: &mut Window<'_>) {
    let dialect = profile.dialect;
    let all = rpc.port.is_empty() && !rpc.vlan_table;
    out.raw("<data>");
    out.raw(dialect.edit.0);
    let asked = |port: &&str| all || *port == rpc.port || *port == rpc.other;
    for port in config.names().filter(asked) {
        let vlans = config.vlans_of(port).unwrap_or_default();
        let values = Values {
            interface: if port == rpc.port { name } else { port },
            vlans: Some(&vlans),
            ..Values::default()
        };
        let trunk = dialect.trunk.filter(|_| !vlans.tagged().is_empty());
        out.raw(dialect.ports.0);
        values.write(trunk.unwrap_or(dialect.access), out);
        out.raw(dialect.ports.1);
    }
    if all || rpc.vlan_table {
        for &(vlan, ours) in &config.vlans {
            let values = Values {
                vlan: Some(vlan),
                vlan_name: (!ours).then_some("operators"),
                ..Values::default()
            };
            values.write(dialect.vlan_row, out);
        }
    }
    out.raw(dialect.edit.1);
    out.raw("</data>");
}

fn table<'a>(table: Option<&Table>, rows: impl Iterator<Item = Row<'a>>, out: &mut Window<'_>) {
    let Some(table) = table else {
        return error("operation-not-supported", None, out);
    };
    let [before, row, behind] = table.answer;
    out.raw(before);
    for columns in rows {
        let values = Values {
            row: columns,
            ..Values::default()
        };
        values.write(row, out);
    }
    out.raw(behind);
}
