//! Scripted sessions: what goes out byte by byte, and what comes back in every
//! form that the protocol allows.

#[allow(dead_code, reason = "each test uses a part of the rig")]
mod common;

use common::{Seen, access, move_p1, name, outcome};
use farrier_json as json;
use farrier_ovsdb::{
    Change, Config, Error, ErrorKind, Event, MAX_NAME, MAX_REQUEST, MAX_TRUNKS, Outcome, PortName,
    PortVlan, Session, Stage, State, Table, VlanMode,
};

const SCHEMA: &str = concat!(
    r#"{"error":null,"result":{"version":"7.0.0","tables":{"Manager":{"columns":{}},"#,
    r#""Port":{"indexes":[["name"]],"columns":{"name":{},"tag":{},"trunks":{},"vlan_mode":{}}},"#,
    r#""Interface":{"columns":{"name":{},"ofport":{},"link_state":{},"mac_in_use":{},"#,
    r#""statistics":{"type":{"key":"string"}},"status":{}}},"#,
    r#""Open_vSwitch":{"columns":{"cur_cfg":{"type":"integer"},"next_cfg":{}},"isRoot":true}},"#,
    r#""name":"Open_vSwitch"},"id":2}"#
);
const ROWS: &str = r#"{"id":3,"result":{"Open_vSwitch":{"fa440000-0000-4000-8000-000000000001":
    {"new":{"cur_cfg":7,"next_cfg":7}}}},"error":null}"#;

struct Script {
    session: Session,
    seen: Seen,
}

impl Script {
    fn new() -> Self {
        Self {
            session: Session::new(Config::default()),
            seen: Seen::default(),
        }
    }

    fn ready() -> Self {
        let mut script = Self::new();
        script.sent();
        script.ok(r#"{"id":1,"result":["_Server","Open_vSwitch"],"error":null}"#);
        script.sent();
        script.ok(SCHEMA);
        script.sent();
        assert_eq!(script.ok(ROWS), [Event::Ready]);
        script
    }

    /// Everything that is to be sent.
    fn sent(&mut self) -> String {
        let mut all = String::new();
        let mut out = [0; MAX_REQUEST];
        loop {
            match self.session.send(&mut out).unwrap() {
                0 => return all,
                len => all += std::str::from_utf8(&out[..len]).unwrap(),
            }
        }
    }

    fn feed(&mut self, text: &str) -> Result<Vec<Event>, Error> {
        let mut input = text.as_bytes();
        let mut events = vec![];
        while let Some(event) = self.session.receive(&mut input, &mut self.seen)? {
            events.push(event);
            if events.len() > 20 {
                break;
            }
        }
        Ok(events)
    }

    fn ok(&mut self, text: &str) -> Vec<Event> {
        self.feed(text).unwrap()
    }

    fn fails(mut self, text: &str, kind: ErrorKind) -> u64 {
        let error = self.feed(text).expect_err(text);
        assert_eq!(error.kind, kind, "{text}");
        assert_eq!(self.session.state(), State::Failed(error));
        assert_eq!(self.feed("{}"), Err(error), "a fault stays");
        assert_eq!(self.sent(), "");
        error.offset
    }
}

#[test]
fn requests_are_these_bytes() {
    let mut script = Script::new();
    assert_eq!(script.sent(), r#"{"method":"list_dbs","params":[],"id":1}"#);
    script.ok(r#"{"id":1,"result":["Open_vSwitch"],"error":null}"#);
    assert_eq!(
        script.sent(),
        r#"{"method":"get_schema","params":["Open_vSwitch"],"id":2}"#
    );
    script.ok(SCHEMA);
    assert_eq!(
        script.sent(),
        concat!(
            r#"{"method":"monitor","params":["Open_vSwitch","farrier","#,
            r#"{"Open_vSwitch":{"columns":["cur_cfg","next_cfg"]},"#,
            r#""Port":{"columns":["name","tag","trunks","vlan_mode"]},"#,
            r#""Interface":{"columns":["name","ofport","link_state","mac_in_use","status"]}}],"#,
            r#""id":3}"#
        )
    );
    script.ok(ROWS);
    let change = Change {
        desired: PortVlan::trunk(&[30, 20]).unwrap(),
        ..move_p1()
    };
    script.session.begin(&change).unwrap();
    assert_eq!(
        script.sent(),
        concat!(
            r#"{"method":"transact","params":["Open_vSwitch","#,
            r#"{"op":"wait","timeout":0,"table":"Port","where":[["name","==","p1"]],"#,
            r#""columns":["tag","trunks","vlan_mode"],"until":"==","rows":"#,
            r#"[{"tag":10,"trunks":["set",[]],"vlan_mode":"access"}]},"#,
            r#"{"op":"update","table":"Port","where":[["name","==","p1"]],"row":"#,
            r#"{"tag":["set",[]],"trunks":["set",[20,30]],"vlan_mode":"trunk"}},"#,
            r#"{"op":"mutate","table":"Open_vSwitch","where":[],"#,
            r#""mutations":[["next_cfg","+=",1]]},"#,
            r#"{"op":"select","table":"Open_vSwitch","where":[],"columns":["next_cfg"]}],"#,
            r#""id":4}"#
        )
    );
    script.ok(concat!(
        r#"{"error":null,"id":4,"result":[{},{"count":1},{"count":1},"#,
        r#"{"rows":[{"next_cfg":7}]}]}"#
    ));
    let read = concat!(
        r#"{"method":"transact","params":["Open_vSwitch",{"op":"select","table":"Port","#,
        r#""where":[["name","==","p1"]],"columns":["tag","trunks","vlan_mode"]}],"id":5}"#
    );
    assert_eq!(script.sent(), read, "7 was applied before");
    let answer = r#"{"id":5,"error":null,"result":[{"rows":[{"tag":["set",[]],
        "trunks":["set",[30,20]],"vlan_mode":["set",["trunk"]]}]}]}"#;
    assert_eq!(script.ok(answer), [Event::Done(Outcome::Applied)]);
    script.session.probe().unwrap();
    assert_eq!(script.sent(), r#"{"method":"echo","params":[],"id":6}"#);
    assert_eq!(
        script.ok(r#"{"result":[],"error":null,"id":6}"#),
        [Event::Alive]
    );
}

#[test]
fn the_longest_request_fits() {
    let vlans: Vec<u16> = (4000..).take(MAX_TRUNKS).collect();
    let vlan = PortVlan::native(4001, &vlans).unwrap();
    let change = Change {
        port: PortName::new(&"\"".repeat(MAX_NAME)).unwrap(),
        expected: PortVlan {
            mode: Some(VlanMode::NativeUntagged),
            ..vlan
        },
        desired: vlan,
    };
    let mut script = Script::ready();
    script.session.begin(&change).unwrap();
    let mut short = [0; 100];
    assert!(script.session.send(&mut short).is_err());
    let request = script.sent();
    // An id has up to nine digits more.
    assert!(request.len() + 9 <= MAX_REQUEST);
    println!("longest request: {} of {MAX_REQUEST} bytes", request.len());
    let value: serde_json::Value = serde_json::from_str(&request).unwrap();
    let name = "\"".repeat(MAX_NAME);
    assert_eq!(value["params"][1]["where"][0][2], name);
}

#[test]
fn values_have_every_form_of_the_protocol() {
    let rows = r#"{"method":"update","id":null,"params":["farrier",{
      "Unknown":{"x":[1,{"a":null}]},
      "Port":{
       "fa440000-0000-4000-8000-000000000011":{"new":{"name":"bare","tag":5,"trunks":7,
          "vlan_mode":"native-tagged","_version":["uuid","x"]}},
       "fa440000-0000-4000-8000-000000000012":{"old":{"tag":4},"new":{"name":"empty",
          "tag":["set",[]],"trunks":["set",[]],"vlan_mode":["set",[]]}},
       "fa440000-0000-4000-8000-000000000013":{"new":{"trunks":["set",[9,8,9]],
          "name":"sets","tag":["set",[6]],"vlan_mode":["set",["new-mode"]]},"old":{"tag":"?"}},
       "fa440000-0000-4000-8000-000000000014":{"old":{"name":"gone","tag":1}}},
      "Interface":{"fa440000-0000-4000-8000-000000000021":{"new":{"name":"if",
          "ofport":-1,"link_state":["set",[]],"mac_in_use":"aa:bb:cc:dd:ee:ff",
          "status":["map",[["driver_name","tun"],["firmware_version",""]]]}}}}]}"#;
    for cut in 1..60 {
        let mut script = Script::ready();
        let mut events = vec![];
        for piece in rows.as_bytes().chunks(cut) {
            events.extend(script.ok(std::str::from_utf8(piece).unwrap()));
        }
        assert_eq!(events, [Event::Updated]);
        let seen = &script.seen;
        let bare = seen.ports["bare"];
        assert_eq!((bare.tag, bare.trunks.ids()), (Some(5), &[7][..]));
        assert_eq!(bare.mode, Some(VlanMode::NativeTagged));
        assert_eq!(seen.ports["empty"], PortVlan::UNSET);
        let sets = seen.ports["sets"];
        assert_eq!((sets.tag, sets.trunks.ids()), (Some(6), &[8, 9][..]));
        assert_eq!(sets.mode, Some(VlanMode::Other));
        assert!(!sets.is_exact() && sets.carriage(8).is_none());
        assert_eq!(seen.removed, [(Table::Port, "gone".into())]);
        assert_eq!(seen.interfaces["if"].ofport, Some(-1));
        assert_eq!(seen.interfaces["if"].link_up, None);
        let mac = seen.interfaces["if"].mac_in_use.unwrap();
        assert_eq!(mac, [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
        assert_eq!(seen.status.len(), 2);
    }
}

#[test]
fn more_than_is_kept_is_known_to_be_cut() {
    let ids: Vec<String> = (1..=MAX_TRUNKS + 1).map(|id| id.to_string()).collect();
    let name = "n".repeat(MAX_NAME + 1);
    let mut script = Script::ready();
    script.ok(&format!(
        r#"{{"id":null,"params":["farrier",{{"Port":{{
        "fa440000-0000-4000-8000-000000000011":{{"new":{{"name":"long","trunks":["set",[{}]]}}}},
        "fa440000-0000-4000-8000-000000000012":{{"new":{{"name":"{name}","tag":1}}}}}}}}],
        "method":"update"}}"#,
        ids.join(",")
    ));
    let long = script.seen.ports["long"];
    assert!(!long.is_exact());
    assert_ne!(long, long, "a set that was cut equals no other");
    assert!(long.carriage(1).is_some() && long.carriage(40).is_none());
    let change = Change {
        expected: long,
        ..move_p1()
    };
    assert_eq!(
        script.session.begin(&change),
        Err(farrier_ovsdb::NotNow::Inexact)
    );
    let cut = format!("{}…", "n".repeat(MAX_NAME));
    assert!(script.seen.ports.contains_key(&cut));
    assert_eq!(PortName::new(&name), None);
}

#[test]
fn requests_of_the_switch_are_answered() {
    let mut script = Script::ready();
    for (request, answer) in [
        (
            r#"{"id":"echo","method":"echo","params":[]}"#,
            r#"{"id":"echo","result":[],"error":null}"#,
        ),
        (
            r#"{"params":[ "a\n" , {"b":[1.5e3,true,null]}],"method":"echo","id":[1,"\u00e4"]}"#,
            r#"{"id":[1,"ä"],"result":["a\n",{"b":[1.5e3,true,null]}],"error":null}"#,
        ),
        (
            r#"{"id":0,"method":"steal","params":["x"]}"#,
            r#"{"id":0,"result":null,"error":"unknown method"}"#,
        ),
    ] {
        assert_eq!(script.ok(request), [Event::Send]);
        assert_eq!(script.sent(), answer);
    }
    // Notifications are not.
    assert!(
        script
            .ok(r#"{"id":null,"method":"echo","params":[]}"#)
            .is_empty()
    );
    assert!(
        script
            .ok(r#"{"id":null,"method":"locked","params":["x"]}"#)
            .is_empty()
    );
    // The second waits for the answer to the first.
    let two = r#"{"id":1,"method":"echo","params":[1]}{"id":2,"method":"echo","params":[2]}"#;
    let mut input = two.as_bytes();
    let mut receive = |script: &mut Script| script.session.receive(&mut input, &mut script.seen);
    assert_eq!(receive(&mut script), Ok(Some(Event::Send)));
    assert_eq!(receive(&mut script), Ok(Some(Event::Send)));
    assert_eq!(script.sent(), r#"{"id":1,"result":[1],"error":null}"#);
    assert_eq!(receive(&mut script), Ok(Some(Event::Send)));
    assert_eq!(script.sent(), r#"{"id":2,"result":[2],"error":null}"#);
    assert_eq!(receive(&mut script), Ok(None));
    let long = format!(
        r#"{{"id":1,"method":"echo","params":["{}"]}}"#,
        "x".repeat(200)
    );
    script.fails(&long, ErrorKind::EchoTooLong);
}

#[test]
fn faults_name_their_byte() {
    let start = || {
        let mut script = Script::new();
        script.sent();
        script
    };
    let syntax = ErrorKind::Json(json::Error::Syntax);
    assert_eq!(start().fails(r#"{"id":1,]"#, syntax), 8);
    assert_eq!(start().fails("hello", syntax), 0);
    assert_eq!(start().fails(r#"{"id":01}"#, syntax), 7);
    let depth = ErrorKind::Json(json::Error::Depth);
    let deep = format!(r#"{{"x":{}"#, "[".repeat(100));
    assert_eq!(start().fails(&deep, depth), 5 + 15);
    let offset = start().fails("[1]", ErrorKind::Shape);
    assert_eq!(offset, 0, "batches are JSON-RPC 2.0");
    // Counted from the connection's first byte, not the message's.
    let before = r#" {"id":null,"method":"locked","params":[]} "#;
    let offset = start().fails(&format!("{before}]"), syntax);
    assert_eq!(offset, before.len() as u64);
    // Text that is not UTF-8: its first byte, whatever the slices.
    for bad in [
        &b"{\"ab\xec\"}"[..],
        b"{\"ab\xe2\x82x",
        b"{\"ab\xf0\x9f\x98\"",
        b"{\"ab\xff",
    ] {
        for cut in 1..10 {
            let mut script = start();
            let fault = bad.chunks(cut).find_map(|mut piece| {
                let event = script.session.receive(&mut piece, &mut script.seen);
                event.err()
            });
            let kind = ErrorKind::Json(json::Error::Utf8);
            assert_eq!(fault, Some(Error { kind, offset: 4 }), "{bad:?} by {cut}");
        }
    }
    let error = Error {
        kind: ErrorKind::Shape,
        offset: 12,
    };
    assert_eq!(
        error.to_string(),
        "unexpected form of an OVSDB message at byte 12"
    );
}

#[test]
fn replies_that_nobody_asked_for_end_the_session() {
    for (text, kind) in [
        (r#"{"id":5,"result":[],"error":null}"#, ErrorKind::Id),
        (r#"{"id":"3","result":[],"error":null}"#, ErrorKind::Id),
        (r#"{"result":[],"error":null}"#, ErrorKind::Id),
        (r#"{"id":3,"result":[],"error":null}"#, ErrorKind::Id),
        (r#"{}"#, ErrorKind::Id),
        (r#"{"id":1,"id":1}"#, ErrorKind::Shape),
        (r#"{"method":1}"#, ErrorKind::Shape),
        (r#"{"method":"update","params":[]}"#, ErrorKind::Shape),
        (
            r#"{"method":"update","params":["other",{"Port":{}}]}"#,
            ErrorKind::Shape,
        ),
        // Rows in what turns out to be something else.
        (
            r#"{"params":["farrier",{"Port":{}}],"method":"echo","id":1}"#,
            ErrorKind::Shape,
        ),
        (
            r#"{"params":["farrier",{"Port":{}}],"id":3,"result":[]}"#,
            ErrorKind::Shape,
        ),
    ] {
        Script::ready().fails(text, kind);
    }
    // A reply ahead of its request.
    let early = r#"{"id":1,"result":["Open_vSwitch"],"error":null}"#;
    Script::new().fails(early, ErrorKind::Id);
}

#[test]
fn columns_of_another_type_end_the_session() {
    for column in [
        r#""tag":"5""#,
        r#""tag":4096"#,
        r#""tag":-1"#,
        r#""tag":1.5"#,
        r#""tag":["set",[1,2]]"#,
        r#""tag":["bag",[]]"#,
        r#""tag":{}"#,
        r#""tag":null"#,
        r#""trunks":["set",[5000]]"#,
        r#""trunks":["map",[[1,2]]]"#,
        r#""trunks":["set",[1],2]"#,
        r#""vlan_mode":3"#,
        r#""name":false"#,
        r#""name":["uuid","fa440000-0000-4000-8000-000000000012",1]"#,
    ] {
        let text = format!(
            r#"{{"method":"update","params":["farrier",{{"Port":{{
            "fa440000-0000-4000-8000-000000000012":{{"new":{{{column}}}}}}}}}],"id":null}}"#
        );
        Script::ready().fails(&text, ErrorKind::Column);
    }
    let text = r#"{"method":"update","params":["farrier",{"Port":{"not-a-uuid":{}}}],"id":null}"#;
    Script::ready().fails(text, ErrorKind::Shape);
}

#[test]
fn a_server_without_the_schema_is_left() {
    let start = || {
        let mut script = Script::new();
        script.sent();
        script
    };
    let other = r#"{"id":1,"result":["hardware_vtep"],"error":null}"#;
    start().fails(other, ErrorKind::NoDatabase);
    let refused = r#"{"id":1,"result":null,"error":"not allowed"}"#;
    start().fails(refused, ErrorKind::Refused);
    for lost in ["vlan_mode", "cur_cfg", "status"] {
        let mut script = start();
        script.ok(r#"{"id":1,"result":["Open_vSwitch"],"error":null}"#);
        script.sent();
        let schema = SCHEMA.replace(&format!("\"{lost}\""), "\"else\"");
        script.fails(&schema, ErrorKind::Schema);
    }
    let mut endless = start();
    let piece = "x".repeat(1000);
    endless.ok("{\"y\":\"");
    let fault = loop {
        if let Err(error) = endless.feed(&piece) {
            break error;
        }
    };
    assert_eq!(fault.kind, ErrorKind::TooLong);
    let max = u64::from(Config::default().max_message);
    assert!((max..max + 1000).contains(&fault.offset));
}

#[test]
fn answers_to_a_change_have_many_forms() {
    let begun = || {
        let mut script = Script::ready();
        script.session.begin(&move_p1()).unwrap();
        script.sent();
        script
    };
    let refused = |text: &str| match outcome(&begun().ok(text)) {
        Outcome::Refused(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    // One operation, the commit itself, and the request as a whole.
    let text =
        r#"{"id":4,"error":null,"result":[{},{"details":"no","error":"not allowed"},null,null]}"#;
    assert_eq!(refused(text), "not allowed: no");
    let text =
        r#"{"id":4,"error":null,"result":[{},{"count":1},{"count":1},{"rows":[]},{"error":"x"}]}"#;
    assert_eq!(refused(text), "x");
    let text = r#"{"id":4,"error":{"error":"unknown database","details":"d"},"result":null}"#;
    assert_eq!(refused(text), "unknown database: d");
    let text = r#"{"id":4,"error":"canceled","result":null}"#;
    assert_eq!(refused(text), "canceled");
    let long = "y".repeat(3000);
    let text =
        format!(r#"{{"id":4,"error":{{"error":"{long}","details":"{long}"}},"result":null}}"#);
    assert!(refused(&text).len() < 140);
    // A time-out of another operation than the comparison is no conflict.
    let text = r#"{"id":4,"error":null,"result":[{},{"error":"timed out"}]}"#;
    assert_eq!(refused(text), "timed out");

    // Acknowledged in a way that was not asked for: the port says what is.
    for text in [
        r#"{"id":4,"error":null,"result":[]}"#,
        r#"{"id":4,"error":null,"result":[{},{"count":2},{"count":1},{"rows":[{"next_cfg":8}]}]}"#,
        r#"{"id":4,"error":null,"result":[{},{"count":1},{"count":1},{"rows":[]}]}"#,
    ] {
        let mut script = begun();
        assert_eq!(script.ok(text), [Event::Send]);
        assert_eq!(script.session.state(), State::ReadBack);
        script.sent();
        let row = r#"{"id":5,"error":null,"result":[{"rows":[{"tag":20,"vlan_mode":"access"}]}]}"#;
        let found = Some(access(20));
        assert_eq!(outcome(&script.ok(row)), Outcome::NotApplied { found });
    }
    begun().fails(r#"{"id":4,"error":null,"result":null}"#, ErrorKind::Shape);
    begun().fails(r#"{"id":4,"error":null,"result":{}}"#, ErrorKind::Shape);
    begun().fails(r#"{"id":4,"error":"a","result":[]}"#, ErrorKind::Shape);
}

#[test]
fn the_number_of_the_configuration_may_come_before_the_answer_or_after() {
    let update = |cur: i64| {
        format!(
            r#"{{"method":"update","id":null,"params":["farrier",{{"Open_vSwitch":{{
            "fa440000-0000-4000-8000-000000000001":{{"new":{{"cur_cfg":{cur},"next_cfg":9}}}}}}}}]}}"#
        )
    };
    let done =
        r#"{"id":4,"result":[{},{"count":1},{"count":1},{"rows":[{"next_cfg":9}]}],"error":null}"#;
    let mut script = Script::ready();
    script.session.begin(&move_p1()).unwrap();
    script.sent();
    script.ok(&update(9));
    assert_eq!(script.ok(done), [Event::Send]);
    assert_eq!(script.session.state(), State::ReadBack);

    let mut script = Script::ready();
    script.session.begin(&move_p1()).unwrap();
    script.sent();
    assert_eq!(script.ok(done), [Event::Committed]);
    assert_eq!(script.session.state(), State::Apply { next_cfg: 9 });
    assert!(!script.session.has_output());
    script.ok(&update(8));
    assert_eq!(script.session.state(), State::Apply { next_cfg: 9 });
    script.ok(&update(10));
    assert_eq!(script.session.state(), State::ReadBack);
    assert!(script.session.has_output());
}

#[test]
fn a_fault_within_a_change_leaves_its_stage() {
    let mut script = Script::ready();
    script.session.begin(&move_p1()).unwrap();
    script.sent();
    assert!(script.feed("]").is_err());
    assert_eq!(script.session.give_up(), Some(Stage::Unanswered));
    assert_eq!(script.session.give_up(), None, "it is told once");
    let mut script = Script::ready();
    script.session.begin(&move_p1()).unwrap();
    script.sent();
    script.ok(
        r#"{"id":4,"result":[{},{"count":1},{"count":1},{"rows":[{"next_cfg":9}]}],"error":null}"#,
    );
    assert!(script.feed("]").is_err());
    assert_eq!(script.session.give_up(), Some(Stage::Committed));
    let mut script = Script::ready();
    assert!(script.feed("]").is_err());
    assert_eq!(script.session.give_up(), None);
}

#[test]
fn names_and_vlans_have_bounds() {
    assert_eq!(PortName::new(""), None);
    assert_eq!(PortName::new("a\nb"), None);
    assert_eq!(name("xe-0/0/1").as_str(), "xe-0/0/1");
    assert_eq!(PortVlan::access(0), None);
    assert_eq!(PortVlan::access(4095), None);
    assert_eq!(PortVlan::trunk(&[]), None, "that would be every VLAN");
    assert_eq!(PortVlan::trunk(&[0]), None);
    let many: Vec<u16> = (1..=MAX_TRUNKS as u16 + 1).collect();
    assert_eq!(PortVlan::trunk(&many), None);
}

#[test]
fn the_state_of_a_session_is_small() {
    let bytes = size_of::<Session>();
    println!("a session takes {bytes} bytes");
    assert!(bytes <= 1024);
}
