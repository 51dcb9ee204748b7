//! Operations over OVSDB, well and with every fault of the model.

mod common;

use common::{KEEP, MOVE, OTHER, PORT, Peer, UNDO, carry_out, order};
use farrier_ovsdb::model::{Connection, Fault, Pace, Switch};
use farrier_ovsdb::{PortName, PortVlan};
use farrier_switch_drivers::{
    Instant, Learned, OperationError, Report, Seen, SwitchAction, SwitchDriver, SwitchKind,
};

fn access(vlan: u16) -> PortVlan {
    PortVlan::access(vlan).unwrap()
}

struct Wire<'s> {
    switch: &'s mut Switch<4>,
    connection: Connection,
    waiting: Vec<u8>,
}

impl Peer for Wire<'_> {
    fn take(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        let mut input = &self.waiting[..];
        self.connection.receive(self.switch, &mut input);
        let taken = self.waiting.len() - input.len();
        self.waiting.drain(..taken);
    }
    fn give(&mut self, most: usize) -> Vec<u8> {
        self.take(&[]);
        self.connection.poll(self.switch);
        let output = self.connection.output();
        let given = output[..output.len().min(most)].to_vec();
        self.connection.sent(given.len());
        given
    }
    fn is_open(&self) -> bool {
        !self.connection.is_closed()
    }
    fn set_time(&mut self, _: u64) {}
}

struct Rig {
    switch: Switch<4>,
    now: u64,
    piece: usize,
    echoes: bool,
}

impl Rig {
    fn new(port: PortVlan) -> Self {
        let mut switch = Switch::new();
        for (name, vlan) in [(OTHER, access(10)), (PORT, port)] {
            assert!(switch.add_port(PortName::new(name).unwrap(), vlan));
        }
        Self {
            switch,
            now: 1_000,
            piece: 1_000,
            echoes: false,
        }
    }

    fn does(&mut self, action: SwitchAction) -> Report {
        let mut connection = Connection::new(&self.switch);
        if self.echoes {
            connection.ask_echo();
        }
        let mut wire = Wire {
            connection,
            switch: &mut self.switch,
            waiting: Vec::new(),
        };
        let order = order(SwitchKind::Ovsdb, action);
        carry_out(&mut wire, &order, self.piece, &mut self.now)
    }

    fn running(&self) -> PortVlan {
        *self.switch.port(PORT).unwrap().running()
    }
}

fn ok(vlan: u16) -> Report {
    Report {
        result: Ok(()),
        port: Seen::Vlan(vlan),
        link: Some(true),
        learned: Learned::Unknown,
    }
}

#[test]
fn a_port_is_moved_kept_and_moved_back() {
    for pace in [Pace::AfterReply, Pace::AtOnce] {
        for piece in [1, 37, 4096] {
            let mut rig = Rig::new(access(10));
            rig.piece = piece;
            rig.echoes = true;
            rig.switch.set_pace(pace);
            assert_eq!(rig.does(SwitchAction::Read), ok(10));
            assert_eq!(rig.does(MOVE), ok(20));
            assert_eq!(rig.running(), access(20));
            // Again, as after an answer that was lost.
            assert_eq!(rig.does(MOVE), ok(20));
            assert_eq!(rig.does(KEEP), ok(20));
            assert_eq!(rig.does(UNDO), ok(10));
            assert_eq!(rig.does(UNDO), ok(10));
            assert_eq!(rig.running(), access(10));
            let late = rig.does(KEEP);
            assert_eq!(late.result, Err(OperationError::Unexpected));
            assert_eq!(late.port, Seen::Vlan(10));
            let other = rig.switch.port(OTHER).unwrap();
            assert_eq!(other.running(), &access(10));
        }
    }
}

#[test]
fn a_tag_without_a_mode_is_an_access_port() {
    let mut rig = Rig::new(PortVlan {
        tag: Some(10),
        ..PortVlan::UNSET
    });
    assert_eq!(rig.does(SwitchAction::Read), ok(10));
    assert_eq!(rig.does(MOVE), ok(20));
    assert_eq!(rig.running(), access(20));
}

#[test]
fn a_port_without_settings_is_moved_but_not_moved_back() {
    let mut rig = Rig::new(PortVlan::UNSET);
    let (from, to) = (0, 20);
    assert_eq!(rig.does(SwitchAction::Read), ok(0));
    assert_eq!(rig.does(SwitchAction::Move { from, to }), ok(20));
    // It would pass the frames of every VLAN.
    let now = Instant::from_millis(0);
    let undo = order(SwitchKind::Ovsdb, SwitchAction::Undo { from, to });
    let refused = SwitchDriver::new(now, now.plus_millis(60_000), &undo);
    assert_eq!(refused.err(), Some(OperationError::Unsupported));
}

#[test]
fn a_port_that_another_moved_is_left_alone() {
    for port in [access(99), PortVlan::trunk(&[20]).unwrap()] {
        for action in [MOVE, KEEP, UNDO] {
            let mut rig = Rig::new(port);
            let report = rig.does(action);
            assert_eq!(report.result, Err(OperationError::Unexpected));
            assert!(matches!(report.port, Seen::Vlan(99) | Seen::Other));
            assert_eq!(rig.running(), port);
            assert_eq!(rig.switch.commits(), 0);
        }
    }
}

#[test]
fn every_fault_ends_in_a_known_result() {
    use Fault::*;
    use OperationError::{NotApplied, Refused, Uncertain};
    for (fault, moved, undone) in [
        (None, Ok(()), Ok(())),
        (Refuses, Err(OperationError::Refused), Err(Refused)),
        (Hangs, Err(Uncertain), Err(Uncertain)),
        (HangsAfterCommit, Err(Uncertain), Err(Uncertain)),
        (Drops, Err(Uncertain), Err(Uncertain)),
        (DropsAfterCommit, Err(Uncertain), Err(Uncertain)),
        (Half, Ok(()), Ok(())),
        (Lies, Err(NotApplied), Err(NotApplied)),
        (NeverApplies, Err(Uncertain), Err(Uncertain)),
    ] {
        for action in [SwitchAction::Read, MOVE, KEEP, UNDO] {
            let mut rig = Rig::new(access(10));
            if matches!(action, KEEP | UNDO) {
                assert_eq!(rig.does(MOVE), ok(20));
            }
            rig.switch.set_fault(fault);
            let report = rig.does(action);
            let tag = rig.running().tag;
            let expected = match action {
                SwitchAction::Read | SwitchAction::Keep { .. } => Ok(()),
                SwitchAction::Move { .. } => moved,
                SwitchAction::Undo { .. } => undone,
            };
            assert_eq!(report.result, expected, "{fault:?} {action:?}");
            if let Seen::Vlan(vlan) = report.port {
                assert_eq!(Some(vlan), tag, "{fault:?} {action:?}");
            }
            if report.result.is_ok() {
                let target = if action == MOVE || action == KEEP {
                    20
                } else {
                    10
                };
                assert_eq!(tag, Some(target), "{fault:?} {action:?}");
            }
            // Whatever has happened, the rack can read the port and take it back.
            rig.switch.set_fault(Fault::None);
            assert_eq!(rig.does(UNDO), ok(10), "{fault:?} {action:?}");
            assert_eq!(rig.running(), access(10), "{fault:?} {action:?}");
        }
    }
}

#[test]
fn a_data_path_that_lies_is_found_out_by_frames_only() {
    let mut rig = Rig::new(access(10));
    rig.switch.set_fault(Fault::LiesInDataPath);
    assert_eq!(rig.does(MOVE), ok(20));
    assert_eq!(rig.running(), access(10));
}

#[test]
fn a_link_that_is_gone_is_seen() {
    let mut rig = Rig::new(access(10));
    assert_eq!(rig.does(SwitchAction::Read).link, Some(true));
    assert!(rig.switch.set_link(PORT, false));
    assert!(rig.switch.set_link(OTHER, true));
    for action in [SwitchAction::Read, MOVE, UNDO] {
        assert_eq!(rig.does(action).link, Some(false), "{action:?}");
    }
}
