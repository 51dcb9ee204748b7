//! Answers of switches as they write them: hellos, configurations, tables and
//! errors, to a client that a script answers.

mod common;

use common::{PORT, Rows, access, flip};
use farrier_netconf::dialect::{JUNOS, JUNOS_ELS, OPENCONFIG};
use farrier_netconf::framing::FramingError;
use farrier_netconf::hello::{Capabilities, Models};
use farrier_netconf::reply::{ErrorTag, ErrorType};
use farrier_netconf::xml::XmlErrorKind;
use farrier_netconf::{
    Client, Dialect, Failure, Observed, Outcome, PortVlans, ProtocolError, Settings, Step,
};

const JUNOS_HELLO: &str = "<!-- No zombies were killed during the creation of this user interface -->\n\
    <!-- user farrier, class j-super-user -->\n<hello>\n  <capabilities>\n\
    <capability>urn:ietf:params:xml:ns:netconf:base:1.0</capability>\n\
    <capability>urn:ietf:params:xml:ns:netconf:capability:candidate:1.0</capability>\n\
    <capability>urn:ietf:params:xml:ns:netconf:capability:confirmed-commit:1.0</capability>\n\
    <capability>urn:ietf:params:xml:ns:netconf:capability:validate:1.0</capability>\n\
    <capability>urn:ietf:params:xml:ns:netconf:capability:url:1.0?protocol=http,ftp,file</capability>\n\
    <capability>http://xml.juniper.net/netconf/junos/1.0</capability>\n\
    <capability>http://xml.juniper.net/dmi/system/1.0</capability>\n\
    </capabilities>\n  <session-id>29087</session-id>\n</hello>\n]]>]]>\n";

/// A client whose switch is a script.
struct Script {
    client: Client,
    rows: Rows,
    id: u32,
}

impl Script {
    fn new(dialect: &'static Dialect, hello: &str) -> Self {
        let mut script = Self {
            client: Client::new(Settings {
                dialect: Some(dialect),
                ..Settings::default()
            }),
            rows: Rows::default(),
            id: 0,
        };
        script.send();
        script.client.receive(hello.as_bytes(), &mut ());
        script
    }

    /// Takes what the client sends.
    fn send(&mut self) -> String {
        let mut buffer = [0; 4096];
        let length = self.client.peek(&mut buffer);
        self.client.sent(length);
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Answers the request under way; returns it.
    fn answer(&mut self, body: &str) -> String {
        let sent = self.send();
        self.id += 1;
        let id = self.id;
        let reply = format!(
            "<rpc-reply xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" \
             xmlns:junos=\"http://xml.juniper.net/junos/12.3R6/junos\" message-id=\"{id}\">\n\
             {body}\n</rpc-reply>\n]]>]]>\n"
        );
        self.client.receive(reply.as_bytes(), &mut self.rows);
        sent
    }

    fn read_port(&mut self, body: &str) -> Observed {
        self.client.read_port(PORT).unwrap();
        self.answer(body);
        let report = self.client.report().unwrap();
        assert_eq!(report.outcome, Outcome::Read);
        report.port.clone()
    }

    fn error(&self) -> Failure {
        match self.client.report().unwrap().outcome {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_hello_of_an_old_junos_is_understood() {
    let script = Script::new(&JUNOS, JUNOS_HELLO);
    assert_eq!(script.client.step(), Step::Ready);
    let hello = script.client.hello();
    assert_eq!(hello.session_id, Some(29087));
    assert_eq!(hello.models, Models::JUNOS);
    assert_eq!(
        hello.capabilities,
        Capabilities::BASE_1_0
            | Capabilities::CANDIDATE
            | Capabilities::CONFIRMED_COMMIT_1_0
            | Capabilities::VALIDATE_1_0
    );
}

#[test]
fn hellos_that_are_none_end_the_session() {
    for hello in [
        "<hello><capabilities/><session-id>1</session-id></hello>]]>]]>",
        "<hello><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>\
         </capabilities></hello>]]>]]>",
        "<hi><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>\
         </capabilities><session-id>4</session-id></hi>]]>]]>",
        "<hello><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>\
         </capabilities><session-id>0</session-id></hello>]]>]]>",
    ] {
        let script = Script::new(&JUNOS, hello);
        assert_eq!(script.client.step(), Step::Over, "{hello}");
        assert_eq!(script.error(), Failure::Protocol(ProtocolError::Hello));
    }
    let script = Script::new(&JUNOS, "Permission denied.\r\n]]>]]>");
    let Failure::Protocol(ProtocolError::Xml(error)) = script.error() else {
        panic!("{:?}", script.error());
    };
    assert_eq!((error.kind, error.offset), (XmlErrorKind::OutsideRoot, 0));
}

#[test]
fn members_of_junos_are_numbers_names_and_ranges() {
    let mut script = Script::new(&JUNOS, JUNOS_HELLO);
    let port = |mode: &str, members: &str, native: &str, vlans: &str| {
        format!(
            "<data><configuration xmlns=\"http://xml.juniper.net/xnm/1.1/xnm\" \
             junos:changed-seconds=\"1\"><interfaces><interface><name>ge-0/0/6</name><unit>\
             <name>0</name><family><ethernet-switching><vlan><members>77</members></vlan>\
             </ethernet-switching></family></unit></interface><interface><name>{PORT}</name>\
             <unit><name>0</name><family><ethernet-switching>{mode}<vlan>{members}</vlan>{native}\
             </ethernet-switching></family></unit><unit><name>1</name><family>\
             <ethernet-switching><vlan><members>88</members></vlan></ethernet-switching>\
             </family></unit></interface></interfaces><vlans>{vlans}</vlans>\
             </configuration></data>"
        )
    };
    let vlans = "<vlan><name>blue</name><vlan-id>20</vlan-id></vlan>\
                 <vlan><name>red</name><vlan-id>30</vlan-id></vlan>";
    let trunk = "<port-mode>trunk</port-mode>";
    let member = |name: &str| format!("<members>{name}</members>");
    let many: String = (100..117).map(|vlan| member(&vlan.to_string())).collect();
    let cases = [
        ("", member("20"), "", Observed::Port(access(20))),
        (
            "<port-mode>access</port-mode>",
            member("red"),
            "",
            Observed::Port(access(30)),
        ),
        ("", String::new(), "", Observed::Port(PortVlans::NONE)),
        (
            trunk,
            member("blue") + &member("40-42") + &member("30"),
            "<native-vlan-id>10</native-vlan-id>",
            Observed::Port(PortVlans::new(Some(10), &[20, 30, 40, 41, 42]).unwrap()),
        ),
        ("", member("green"), "", Observed::Other),
        (trunk, member("all"), "", Observed::Other),
        ("", member("20") + &member("30"), "", Observed::Other),
        ("", member("4095"), "", Observed::Other),
        (trunk, member("1-4094"), "", Observed::Other),
        (trunk, many, "", Observed::Other),
        (
            trunk,
            member("20"),
            "<native-vlan-id>x</native-vlan-id>",
            Observed::Other,
        ),
    ];
    for (mode, members, native, wanted) in cases {
        let found = script.read_port(&port(mode, &members, native, vlans));
        assert_eq!(found, wanted, "{members}");
    }
}

#[test]
fn a_port_without_configuration_has_no_vlan() {
    let mut script = Script::new(&JUNOS, JUNOS_HELLO);
    assert_eq!(script.read_port("<data/>"), Observed::Port(PortVlans::NONE));
}

#[test]
fn data_of_foreign_namespaces_is_not_the_ports() {
    let hello = "<hello xmlns='urn:ietf:params:xml:ns:netconf:base:1.0'><capabilities>\
                 <capability>urn:ietf:params:netconf:base:1.0</capability></capabilities>\
                 <session-id>1</session-id></hello>]]>]]>";
    let mut script = Script::new(&OPENCONFIG, hello);
    let data = |uri: &str| {
        format!(
            "<data><interfaces xmlns='{uri}'><interface><name>{PORT}</name>\
             <config><description>node 7 &lt;left&gt;</description></config>\
             <ethernet><switched-vlan><config><interface-mode>ACCESS</interface-mode>\
             <access-vlan>20</access-vlan></config></switched-vlan></ethernet>\
             </interface></interfaces></data>"
        )
    };
    let found = script.read_port(&data("http://openconfig.net/yang/interfaces"));
    assert_eq!(found, Observed::Port(access(20)));
    assert_eq!(script.client.report().unwrap().description, "node 7 <left>");
    let found = script.read_port(&data("urn:ietf:params:xml:ns:yang:ietf-interfaces"));
    assert_eq!(found, Observed::Port(PortVlans::NONE));
}

#[test]
fn hardware_addresses_of_junos_before_els() {
    let mut script = Script::new(&JUNOS, JUNOS_HELLO);
    script.client.read_macs(PORT).unwrap();
    let entry = |vlan: &str, mac: &str, port: &str| {
        format!(
            "<mac-table-entry junos:style=\"brief\"><mac-vlan>{vlan}</mac-vlan>\
             <mac-address>{mac}</mac-address><mac-type>Learn</mac-type><mac-age>0</mac-age>\
             <mac-interfaces-list><mac-interfaces>{port}</mac-interfaces></mac-interfaces-list>\
             </mac-table-entry>"
        )
    };
    let body = format!(
        "<ethernet-switching-table-information xmlns=\"http://xml.juniper.net/junos/12.3R6/junos-esw\">\
         <ethernet-switching-table junos:style=\"brief\">{}{}{}{}</ethernet-switching-table>\
         </ethernet-switching-table-information>",
        entry("blue", "*", "All-members"),
        entry("blue", "52:54:00:aa:bb:01", "ge-0/0/7.0"),
        entry("red", "52:54:00:aa:bb:02", "ge-0/0/70.0"),
        entry("20", "52:54:00:AA:BB:03", "ge-0/0/7.0"),
    );
    let sent = script.answer(&body);
    assert!(
        sent.contains("<get-ethernet-switching-table-information/>"),
        "{sent}"
    );
    assert_eq!(script.client.report().unwrap().rows, 2);
    assert_eq!(
        script.rows.macs,
        [
            (
                "ge-0/0/7.0".into(),
                [0x52, 0x54, 0, 0xaa, 0xbb, 1],
                "blue".into()
            ),
            (
                "ge-0/0/7.0".into(),
                [0x52, 0x54, 0, 0xaa, 0xbb, 3],
                "20".into()
            ),
        ]
    );
}

#[test]
fn hardware_addresses_of_junos_els() {
    let mut script = Script::new(&JUNOS_ELS, JUNOS_HELLO);
    script.client.read_macs("").unwrap();
    script.answer(
        "<l2ng-l2ald-rtb-macdb><l2ng-l2ald-mac-entry-vlan junos:style=\"brief-rtb\">\
         <mac-count-global>1</mac-count-global><l2ng-mac-entry>\
         <l2ng-l2-mac-vlan-name>blue</l2ng-l2-mac-vlan-name>\
         <l2ng-l2-mac-address>52:54:00:aa:bb:01</l2ng-l2-mac-address>\
         <l2ng-l2-mac-flags>D</l2ng-l2-mac-flags><l2ng-l2-mac-age>-</l2ng-l2-mac-age>\
         <l2ng-l2-mac-logical-interface>xe-0/0/1.0</l2ng-l2-mac-logical-interface>\
         </l2ng-mac-entry></l2ng-l2ald-mac-entry-vlan></l2ng-l2ald-rtb-macdb>",
    );
    assert_eq!(
        script.rows.macs,
        [(
            "xe-0/0/1.0".into(),
            [0x52, 0x54, 0, 0xaa, 0xbb, 1],
            "blue".into()
        )]
    );
}

#[test]
fn neighbours_of_junos_and_openconfig() {
    let mut script = Script::new(&JUNOS, JUNOS_HELLO);
    script.client.read_neighbours("ge-0/0/7").unwrap();
    let entry = |port: &str, remote: &str| {
        format!(
            "<lldp-neighbor-information><lldp-local-interface>{port}</lldp-local-interface>\
             <lldp-local-parent-interface-name>-</lldp-local-parent-interface-name>\
             <lldp-remote-chassis-id-subtype>Mac address</lldp-remote-chassis-id-subtype>\
             <lldp-remote-chassis-id>52:54:00:aa:bb:01</lldp-remote-chassis-id>{remote}\
             </lldp-neighbor-information>"
        )
    };
    let body = format!(
        "<lldp-neighbors-information junos:style=\"brief\">{}{}{}</lldp-neighbors-information>",
        entry(
            "ge-0/0/7.0",
            "<lldp-remote-port-id>eth0</lldp-remote-port-id>\
            <lldp-remote-system-name>node7</lldp-remote-system-name>"
        ),
        entry(
            "ge-0/0/7.0",
            "<lldp-remote-port-id>eth1</lldp-remote-port-id>"
        ),
        entry(
            "ge-0/0/9.0",
            "<lldp-remote-port-id>eth1</lldp-remote-port-id>"
        ),
    );
    script.answer(&body);
    let chassis = "52:54:00:aa:bb:01";
    assert_eq!(
        script.rows.neighbours,
        [
            ["ge-0/0/7.0", chassis, "eth0", "node7"].map(str::to_owned),
            // The name of the row before is forgotten.
            ["ge-0/0/7.0", chassis, "eth1", ""].map(str::to_owned),
        ]
    );

    let mut script = Script::new(&OPENCONFIG, JUNOS_HELLO);
    script.client.read_neighbours("").unwrap();
    let neighbour = |port: &str| {
        format!(
            "<neighbor><id>1</id><state><id>1</id><chassis-id>{chassis}</chassis-id>\
             <port-id>{port}</port-id><system-name>node</system-name></state></neighbor>"
        )
    };
    script.answer(&format!(
        "<data><lldp xmlns=\"http://openconfig.net/yang/lldp\"><interfaces>\
         <interface><name>Ethernet1</name><neighbors>{}{}</neighbors></interface>\
         <interface><name>Ethernet2</name><neighbors>{}</neighbors></interface>\
         </interfaces></lldp></data>",
        neighbour("a"),
        neighbour("b"),
        neighbour("c"),
    ));
    let ports: Vec<_> = script
        .rows
        .neighbours
        .iter()
        .map(|row| (&*row[0], &*row[2]))
        .collect();
    assert_eq!(
        ports,
        [("Ethernet1", "a"), ("Ethernet1", "b"), ("Ethernet2", "c")]
    );
}

#[test]
fn hardware_addresses_of_openconfig() {
    let mut script = Script::new(&OPENCONFIG, JUNOS_HELLO);
    script.client.read_macs("Ethernet3").unwrap();
    script.answer(
        "<data><network-instances xmlns=\"http://openconfig.net/yang/network-instance\">\
         <network-instance><name>default</name><fdb><mac-table><entries><entry>\
         <mac-address>5254.00aa.bb01</mac-address><vlan>20</vlan><state><age>3</age></state>\
         <interface><interface-ref><state><interface>Ethernet3</interface></state>\
         </interface-ref></interface></entry></entries></mac-table></fdb>\
         </network-instance></network-instances></data>",
    );
    assert_eq!(
        script.rows.macs,
        [(
            "Ethernet3".into(),
            [0x52, 0x54, 0, 0xaa, 0xbb, 1],
            "20".into()
        )]
    );
}

#[test]
fn a_table_of_a_thousand_rows_passes_through() {
    let mut script = Script::new(&JUNOS_ELS, JUNOS_HELLO);
    script.client.read_macs("").unwrap();
    let row = "<l2ng-mac-entry><l2ng-l2-mac-vlan-name>v</l2ng-l2-mac-vlan-name>\
        <l2ng-l2-mac-address>52:54:00:aa:bb:01</l2ng-l2-mac-address>\
        <l2ng-l2-mac-logical-interface>x</l2ng-l2-mac-logical-interface></l2ng-mac-entry>";
    script.answer(&format!(
        "<l2ng-l2ald-rtb-macdb><l2ng-l2ald-mac-entry-vlan>{}</l2ng-l2ald-mac-entry-vlan>\
         </l2ng-l2ald-rtb-macdb>",
        row.repeat(1000)
    ));
    assert_eq!(script.client.report().unwrap().rows, 1000);
}

#[test]
fn errors_are_read_and_warnings_are_none() {
    let mut script = Script::new(&JUNOS, JUNOS_HELLO);
    script.client.flip(&flip(access(20))).unwrap();
    // A warning beside `ok`, and one alone.
    let warning = "<rpc-error><error-severity>warning</error-severity>\
        <error-message>uncommitted changes will be discarded on exit</error-message></rpc-error>";
    script.answer(&format!("{warning}<ok/>"));
    assert_eq!(script.client.step(), Step::ReadBefore);
    script.answer("<data/>");
    assert_eq!(script.client.step(), Step::Edit);
    script.answer(warning);
    assert_eq!(script.client.step(), Step::Validate);
    // Junos nests the errors of a commit.
    script.answer(&format!(
        "<commit-results><routing-engine junos:style=\"normal\"><name>re0</name>{warning}\
         <rpc-error><error-type>protocol</error-type><error-tag>operation-failed</error-tag>\
         <error-severity>error</error-severity><error-app-tag>a</error-app-tag>\
         <error-path>[edit interfaces {PORT}]</error-path>\
         <error-message>\nconfiguration check-out failed: {}\n</error-message>\
         <error-info><bad-element>members</bad-element></error-info></rpc-error>\
         <rpc-error><error-severity>error</error-severity><error-message>second</error-message>\
         </rpc-error></routing-engine></commit-results>",
        "x".repeat(200)
    ));
    assert_eq!(script.client.step(), Step::Discard);
    script.answer("<ok/>");
    script.answer("<ok/>");
    assert_eq!(
        (script.client.step(), script.error()),
        (Step::Ready, Failure::Refused)
    );
    let report = script.client.report().unwrap();
    let error = report.error.unwrap();
    assert_eq!(
        (error.kind, error.tag),
        (ErrorType::Protocol, ErrorTag::OperationFailed)
    );
    assert_eq!((&*error.app_tag, &*error.bad_element), ("a", "members"));
    assert_eq!(&*error.path, "[edit interfaces ge-0/0/7]");
    assert!(
        error
            .message
            .starts_with("configuration check-out failed: xxx")
    );
    assert_eq!(error.message.len(), 96);
    assert_eq!(report.step, Step::Validate);
}

#[test]
fn commits_of_two_routing_engines_are_a_success() {
    let mut script = Script::new(&JUNOS, JUNOS_HELLO);
    script.client.flip(&flip(access(20))).unwrap();
    for answer in ["<ok/>", "<data/>", "<ok/>", "<ok/>"] {
        script.answer(answer);
    }
    assert_eq!(script.client.step(), Step::Commit);
    let sent = script.answer(
        "<commit-results><routing-engine><name>re0</name><commit-check-success/></routing-engine>\
         <routing-engine><name>re0</name><commit-success/></routing-engine></commit-results>",
    );
    assert!(sent.contains("<commit><confirmed/><confirm-timeout>120</confirm-timeout></commit>"));
    assert_eq!(script.client.step(), Step::ReadBack);
}

#[test]
fn messages_out_of_turn_end_the_session() {
    // Another message-id, none, and no reply at all.
    for message in [
        "<rpc-reply message-id='7'><ok/></rpc-reply>]]>]]>",
        "<rpc-reply><ok/></rpc-reply>]]>]]>",
        "<notification xmlns='urn:ietf:params:xml:ns:netconf:notification:1.0'/>]]>]]>",
        "<rpc-reply xmlns='urn:x' message-id='1'><ok/></rpc-reply>]]>]]>",
    ] {
        let mut script = Script::new(&JUNOS, JUNOS_HELLO);
        script.client.read_port(PORT).unwrap();
        script.send();
        script.client.receive(message.as_bytes(), &mut ());
        assert_eq!(
            script.error(),
            Failure::Protocol(ProtocolError::Unasked),
            "{message}"
        );
        assert_eq!(script.client.step(), Step::Over);
    }
    // An answer before the whole question.
    let mut script = Script::new(&JUNOS, JUNOS_HELLO);
    script.client.read_port(PORT).unwrap();
    let length = script.client.peek(&mut [0; 10]);
    script.client.sent(length);
    let early = b"<rpc-reply message-id='1'><ok/></rpc-reply>]]>]]>";
    script.client.receive(early, &mut ());
    assert_eq!(script.error(), Failure::Protocol(ProtocolError::Unasked));
}

#[test]
fn messages_above_the_limit_end_the_session() {
    let mut client = Client::new(Settings {
        max_message: 1000,
        ..Settings::default()
    });
    let mut buffer = [0; 500];
    let length = client.peek(&mut buffer);
    client.sent(length);
    client.receive(&[b' '; 1001], &mut ());
    let report = client.report().unwrap();
    let wanted = Failure::Protocol(ProtocolError::Framing(FramingError::TooLong));
    assert_eq!(report.outcome, Outcome::Failed(wanted));
}
