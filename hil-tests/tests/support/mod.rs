//! Frames and peers that several tests use.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use farrier_hil_tests::switch::{Mac, PortId, Switch};

/// Long enough for anything that should happen at once, on any machine.
pub const SOON: Duration = Duration::from_secs(20);

/// The address of the test's `number`-th station.
pub const fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

/// Every station.
pub const ALL: Mac = Mac([0xFF; 6]);

/// An Ethernet frame of an experimental type that carries `payload`.
pub fn frame(from: Mac, to: Mac, payload: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &[0x88, 0xB5], payload].concat()
}

/// Waits until `done`.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The far end of a port's socket, speaking QEMU's framing.
pub struct Peer(pub UnixStream);

impl Peer {
    pub fn connect(switch: &Switch, port: PortId) -> Self {
        let before = switch.counters(port).connects;
        let stream = UnixStream::connect(switch.socket_path(port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        wait_until("the link is up", || switch.counters(port).connects > before);
        Self(stream)
    }

    pub fn send(&mut self, frame: &[u8]) {
        self.0
            .write_all(&(frame.len() as u32).to_be_bytes())
            .unwrap();
        self.0.write_all(frame).unwrap();
    }

    pub fn receive(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame).unwrap();
        frame
    }
}
