//! A driver and a switch on one wire, in virtual time.
#![allow(dead_code, reason = "each test uses a part of it")]

#[cfg(feature = "netconf")]
pub mod netconf;

use farrier_switch_drivers::limits::OPERATION_MILLIS;
use farrier_switch_drivers::{
    Driver, Instant, MIN_OUT, Order, Report, SwitchAction, SwitchDetails, SwitchDriver, SwitchKind,
};

pub const PORT: &str = "ge-0/0/7";
pub const OTHER: &str = "ge-0/0/8";
pub const TOKEN: u64 = 0x1234_5678_9abc_def0;

pub const MOVE: SwitchAction = SwitchAction::Move { from: 10, to: 20 };
pub const KEEP: SwitchAction = SwitchAction::Keep { from: 10, to: 20 };
pub const UNDO: SwitchAction = SwitchAction::Undo { from: 10, to: 20 };

pub fn order(kind: SwitchKind, action: SwitchAction) -> Order<'static> {
    Order {
        kind,
        port: PORT,
        action,
        token: TOKEN,
        details: SwitchDetails::default(),
    }
}

/// The switch's end of a stream.
pub trait Peer {
    /// Takes bytes of the driver.
    fn take(&mut self, bytes: &[u8]);
    /// Gives bytes for the driver, at most so many.
    fn give(&mut self, most: usize) -> Vec<u8>;
    fn is_open(&self) -> bool;
    fn set_time(&mut self, now: u64);
}

/// Carries an operation out from `now` on, in pieces of so many bytes; `now` is
/// when it has ended.
pub fn carry_out(peer: &mut dyn Peer, order: &Order<'_>, piece: usize, now: &mut u64) -> Report {
    let begin = *now;
    let far = Instant::from_millis(u64::MAX);
    let mut driver = SwitchDriver::new(Instant::from_millis(begin), far, order).unwrap();
    let mut waiting = Vec::new();
    let report = loop {
        if let Some(report) = driver.report() {
            break report;
        }
        let at = Instant::from_millis(*now);
        let mut out = [0; MIN_OUT];
        let sent = driver.send(at, &mut out);
        peer.take(&out[..sent]);
        let given = peer.give(piece);
        let got = given.len();
        waiting.extend(given);
        let mut input = &waiting[..];
        driver.receive(at, &mut input);
        let taken = waiting.len() - input.len();
        waiting.drain(..taken);
        if sent + got + taken > 0 {
            continue;
        }
        if !peer.is_open() {
            driver.closed();
            continue;
        }
        let wake = driver.wake_at().millis();
        assert!(wake > *now, "{order:?} waits for the past");
        *now = wake;
        peer.set_time(wake);
        driver.tick(Instant::from_millis(wake));
    };
    assert!(*now - begin <= OPERATION_MILLIS, "{order:?} took too long");
    report
}
