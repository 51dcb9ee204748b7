//! The bytes of requests: what each dialect writes for each change, and all that
//! one change sends. The texts are in `tests/golden`.

mod common;

use common::{PORT, Wire, access, flip};
use farrier_netconf::dialect::{DIALECTS, JUNOS};
use farrier_netconf::{Dialect, Flip, PortVlans, VlanChange};

/// Returns what is in the last edit that the client sent.
fn last_edit(sent: &str) -> &str {
    let start = sent.rfind("<config>").expect("it was sent");
    let end = sent[start..].find("</edit-config>").expect("it ends");
    &sent[start..start + end]
}

fn edit(dialect: &'static Dialect, before: &PortVlans, change: &Flip<'_>) -> String {
    let mut wire = Wire::full(dialect);
    wire.model.set_port(PORT, before);
    wire.flip(change);
    last_edit(&wire.sent()).to_owned()
}

fn removal(dialect: &'static Dialect) -> String {
    let mut wire = Wire::full(dialect);
    for (vlan, vlans) in [(VlanChange::make(100), 100), (VlanChange::remove(100), 20)] {
        wire.flip(&Flip {
            vlan,
            ..flip(access(vlans))
        });
        assert!(wire.client.confirm());
        wire.run();
    }
    last_edit(&wire.sent()).to_owned()
}

/// Compares with a golden text. A change of it is read before it is taken over:
/// `GOLDEN=write` writes it.
fn compare(name: &str, found: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (line, (found, golden)) in found.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, golden, "{name}:{}", line + 1);
    }
    assert_eq!(found.len(), golden.len());
}

#[test]
fn every_dialect_writes_its_golden_edits() {
    let trunk = PortVlans::new(Some(10), &[30, 20]).unwrap();
    let made = Flip {
        vlan: VlanChange::make(100),
        ..flip(access(100))
    };
    for dialect in DIALECTS {
        let mut found = String::new();
        let mut add = |what: &str, text: &str| {
            found += &format!("{what}:\n{text}\n");
        };
        add("access", &edit(dialect, &access(10), &flip(access(20))));
        if dialect.trunk.is_some() {
            add(
                "access to trunk",
                &edit(dialect, &access(10), &flip(trunk.clone())),
            );
            add("trunk to access", &edit(dialect, &trunk, &flip(access(20))));
            add("with a new VLAN", &edit(dialect, &access(10), &made));
            add("with a VLAN removed", &removal(dialect));
        }
        compare(&format!("{}.txt", dialect.name), &found);
    }
}

#[test]
fn a_change_sends_its_golden_messages() {
    let mut wire = Wire::full(&JUNOS);
    wire.flip(&flip(access(20)));
    assert!(wire.client.confirm());
    wire.run();
    compare("session.txt", &wire.sent());
}

#[test]
fn a_name_can_not_break_out_of_its_element() {
    let mut wire = Wire::full(&JUNOS);
    wire.client.read_port("<x>&\"]]>]]>").unwrap();
    wire.run();
    assert!(
        wire.sent()
            .contains("<name>&lt;x&gt;&amp;&quot;]]&gt;]]&gt;</name>")
    );
}

#[test]
fn bytes_are_the_same_whatever_the_buffer() {
    let mut whole = Wire::full(&JUNOS);
    whole.piece = 10_000;
    whole.flip(&flip(access(20)));
    let mut pieces = Wire::full(&JUNOS);
    pieces.piece = 3;
    pieces.flip(&flip(access(20)));
    assert_eq!(whole.sent(), pieces.sent());
    // What was peeked and not sent comes again.
    let mut wire = Wire::full(&JUNOS);
    wire.client.flip(&flip(access(20))).unwrap();
    let mut buffers = [[0; 100]; 2];
    assert_eq!(wire.client.peek(&mut buffers[0]), 100);
    assert_eq!(wire.client.peek(&mut buffers[1]), 100);
    assert_eq!(buffers[0], buffers[1]);
    wire.client.sent(60);
    let length = wire.client.peek(&mut buffers[1]);
    assert_eq!(buffers[0][60..], buffers[1][..40]);
    assert_eq!(length, 100);
}
