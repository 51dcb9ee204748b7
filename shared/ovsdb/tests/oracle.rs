//! `serde_json` as the other side: it writes tables in any layout, and reads what
//! the client and the model write.

#[allow(dead_code, reason = "each test uses a part of the rig")]
mod common;

use std::collections::BTreeMap;

use common::Seen;
use farrier_ovsdb::model::{Connection, Switch};
use farrier_ovsdb::{
    Change, Config, Event, MAX_REQUEST, PortName, PortVlan, Session, VlanMode, VlanSet,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn vlan() -> impl Strategy<Value = PortVlan> {
    let tag = prop::option::of(0_u16..4096);
    let trunks = prop::collection::vec(0_u16..4096, 0..20);
    let mode = prop::option::of(prop::sample::select(&VlanMode::ALL[..]));
    (tag, trunks, mode).prop_map(|(tag, trunks, mode)| PortVlan {
        tag,
        trunks: VlanSet::new(&trunks).unwrap(),
        mode,
    })
}

/// A column's value: a set of one is an atom or a set, as the flag says.
fn column(atoms: Vec<Value>, bare: bool) -> Value {
    match (atoms.as_slice(), bare) {
        ([atom], true) => atom.clone(),
        _ => json!(["set", atoms]),
    }
}

fn row(vlan: &PortVlan, bare: bool) -> Value {
    let number = |id: &u16| json!(id);
    json!({
        "tag": column(vlan.tag.iter().map(number).collect(), bare),
        "trunks": column(vlan.trunks.ids().iter().map(number).collect(), bare),
        "vlan_mode": column(vlan.mode.iter().map(|mode| json!(mode.as_str())).collect(), bare),
    })
}

fn ready() -> Session {
    let mut session = Session::new(Config::default());
    let columns = |names: &[&str]| {
        let columns: BTreeMap<_, _> = names.iter().map(|name| (*name, json!({}))).collect();
        json!({ "columns": columns })
    };
    let interface = [
        "name",
        "ofport",
        "link_state",
        "mac_in_use",
        "statistics",
        "status",
    ];
    let tables = json!({
        "Open_vSwitch": columns(&["cur_cfg", "next_cfg"]),
        "Port": columns(&["name", "tag", "trunks", "vlan_mode"]),
        "Interface": columns(&interface),
    });
    let results = [
        json!(["Open_vSwitch"]),
        json!({ "tables": tables }),
        json!({}),
    ];
    for (id, result) in (1..).zip(results) {
        assert!(session.send(&mut [0; MAX_REQUEST]).unwrap() > 0);
        let reply = json!({"id": id, "error": null, "result": result}).to_string();
        let event = session.receive(&mut reply.as_bytes(), &mut ());
        assert!(event.unwrap().is_some());
    }
    session
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Names with every character, in a document with or without blanks, in
    /// slices of any length.
    #[test]
    fn rows_are_what_serde_json_wrote(
        ports in prop::collection::btree_map("\\PC{1,9}", (vlan(), any::<bool>()), 0..6),
        pretty: bool,
        cut in 1_usize..100,
    ) {
        let rows: BTreeMap<_, _> = ports.iter().enumerate().map(|(at, (name, (vlan, bare)))| {
            let mut new = row(vlan, *bare);
            new["name"] = json!(name);
            let uuid = format!("fa440000-0000-4000-8000-{at:012x}");
            (uuid, json!({"new": new, "old": {"tag": column(vec![json!(1)], true)}}))
        }).collect();
        let update = json!({
            "id": null, "method": "update", "params": ["farrier", {"Port": rows}],
        });
        let text = match pretty {
            true => serde_json::to_string_pretty(&update),
            false => serde_json::to_string(&update),
        }.unwrap();
        let (mut session, mut seen, mut events) = (ready(), Seen::default(), vec![]);
        for mut piece in text.as_bytes().chunks(cut) {
            while let Some(event) = session.receive(&mut piece, &mut seen).unwrap() {
                events.push(event);
            }
        }
        prop_assert_eq!(events, [Event::Updated]);
        let wanted = ports.into_iter().map(|(name, (vlan, _))| (name, vlan)).collect();
        prop_assert_eq!(seen.ports, wanted);
    }

    #[test]
    fn a_change_is_what_serde_json_reads(
        text in "[^\\p{C}]{1,10}",
        expected in vlan(),
        desired in vlan(),
    ) {
        let mut session = ready();
        let port = PortName::new(&text).unwrap();
        session.begin(&Change { port, expected, desired }).unwrap();
        let mut out = [0; MAX_REQUEST];
        let len = session.send(&mut out).unwrap();
        let request: Value = serde_json::from_slice(&out[..len]).unwrap();
        let set = |vlan: &PortVlan| {
            let mut row = row(vlan, true);
            // The client writes `trunks` as a set always.
            row["trunks"] = json!(["set", vlan.trunks.ids()]);
            row
        };
        let port = json!([["name", "==", text]]);
        prop_assert_eq!(request, json!({"id": 4, "method": "transact", "params": ["Open_vSwitch",
            {"op": "wait", "timeout": 0, "table": "Port", "where": port, "until": "==",
             "columns": ["tag", "trunks", "vlan_mode"], "rows": [set(&expected)]},
            {"op": "update", "table": "Port", "where": port, "row": set(&desired)},
            {"op": "mutate", "table": "Open_vSwitch", "where": [],
             "mutations": [["next_cfg", "+=", 1]]},
            {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]},
        ]}));
    }

    /// Requests of another client, in any layout, to the model.
    #[test]
    fn the_model_reads_what_serde_json_wrote(
        text in "[^\\p{C}]{1,10}",
        before in vlan(),
        after in vlan(),
        pretty: bool,
        bare: bool,
    ) {
        let mut switch = Switch::<2>::new();
        switch.add_port(PortName::new(&text).unwrap(), before);
        let mut connection = Connection::<8192>::new(&switch);
        let port = json!([["name", "==", text]]);
        let request = json!({"id": [1, "\u{1f600}"], "method": "transact", "params": [
            "Open_vSwitch",
            {"op": "comment", "comment": "{[\"\\"},
            {"op": "wait", "timeout": 0, "table": "Port", "where": port, "until": "==",
             "columns": ["tag", "trunks", "vlan_mode"], "rows": [row(&before, bare)]},
            {"op": "update", "table": "Port", "where": port, "row": row(&after, bare)},
            {"op": "select", "table": "Port", "where": port, "columns": ["name"]},
        ]});
        let request = match pretty {
            true => serde_json::to_vec_pretty(&request),
            false => serde_json::to_vec(&request),
        }.unwrap();
        let mut input = request.as_slice();
        connection.receive(&mut switch, &mut input);
        connection.poll(&mut switch);
        let reply: Value = serde_json::from_slice(connection.output()).unwrap();
        prop_assert_eq!(reply, json!({"id": [1, "\u{1f600}"], "error": null, "result": [
            {}, {}, {"count": 1}, {"rows": [{"name": text}]},
        ]}));
        prop_assert_eq!(*switch.port(&text).unwrap().vlan(), after);
    }
}
