//! Where clients come to the database of Open vSwitch.
//!
//! A frame that is in Open vSwitch while a port changes its VLAN may leave by either,
//! and nobody outside can tell when the change was made. So the managed ports of
//! servers carry nothing for as long as a change takes, and the capture has the new
//! mode before they carry anything again. That is the one thing which the rig adds; a
//! machine sees it as frames that are lost.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::super::ports::Ports;
use super::{STARTS, Vsctl};
use crate::switch::PortMode;

/// How long frames may be on their way between the patch panel and the switch.
const DRAINS: Duration = Duration::from_millis(250);
/// How often it is asked whether a change is applied.
const ASKS: Duration = Duration::from_millis(20);

/// A listener. Dropping it ends it; its connections end with their clients.
#[derive(Debug)]
pub(super) struct Gate {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The system's.
    pub fn start(vsctl: Vsctl, ports: Ports) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        // One change at a time.
        let change = Arc::new(Mutex::new(()));
        let thread = thread::Builder::new()
            .name("openvswitch-gate".into())
            .spawn(move || {
                while let Ok((client, _)) = listener.accept() {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    if let Ok(server) = UnixStream::connect(vsctl.socket()) {
                        client.set_nodelay(true).ok();
                        let (vsctl, ports, change) = (vsctl.clone(), ports.clone(), change.clone());
                        carry(client, server, move |send| {
                            let _one = change.lock().unwrap_or_else(PoisonError::into_inner);
                            while_closed(&vsctl, &ports, send)
                        });
                    }
                }
            })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // It waits for a connection.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}

/// Sends a change while the ports of servers carry nothing, waits until it is applied,
/// and lets them carry what they carry now.
fn while_closed(
    vsctl: &Vsctl,
    ports: &Ports,
    send: &mut dyn FnMut() -> std::io::Result<()>,
) -> Result<()> {
    let (before, _) = vsctl.configured()?;
    for (name, mode) in ports.modes() {
        let is_trunk = matches!(mode, PortMode::Vlans { tagged, .. } if !tagged.is_empty());
        // The client comes by the appliance's own.
        if !is_trunk {
            ports.set(&name, &PortMode::closed());
        }
    }
    thread::sleep(DRAINS);
    send()?;
    // A change that is refused changes no number, and is rare.
    let end = Instant::now() + STARTS / 4;
    while Instant::now() < end {
        let (next, applied) = vsctl.configured()?;
        if next != before && next == applied {
            break;
        }
        thread::sleep(ASKS);
    }
    thread::sleep(DRAINS);
    for (name, mode) in vsctl.modes()? {
        ports.set(&name, &mode);
    }
    Ok(())
}

/// Carries bytes both ways, until an end is gone; a message that changes a port goes
/// through `change`.
fn carry(
    client: TcpStream,
    server: UnixStream,
    change: impl Fn(&mut dyn FnMut() -> std::io::Result<()>) -> Result<()> + Send + 'static,
) {
    let both = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
    let Some((mut from_client, mut from_server)) = both() else {
        return;
    };
    let (mut to_client, mut to_server) = (client, server);
    thread::spawn(move || {
        // A client that is gone ends it too.
        std::io::copy(&mut from_server, &mut to_client).ok();
        to_client.shutdown(std::net::Shutdown::Both).ok();
    });
    thread::spawn(move || {
        let (mut waiting, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = from_client.read(&mut buffer) {
            waiting.extend_from_slice(&buffer[..count]);
            while let Some(length) = message(&waiting) {
                let whole: Vec<_> = waiting.drain(..length).collect();
                let mut send = || to_server.write_all(&whole);
                let sent = match changes_a_port(&whole) {
                    true => change(&mut send),
                    false => send().map_err(Into::into),
                };
                if sent.is_err() {
                    waiting.clear();
                    to_server.shutdown(std::net::Shutdown::Both).ok();
                    return;
                }
            }
        }
        to_server.shutdown(std::net::Shutdown::Both).ok();
    });
}

/// How many bytes the first whole JSON value is: there is no other framing.
fn message(bytes: &[u8]) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

/// Whether a request may change what a port carries.
fn changes_a_port(message: &[u8]) -> bool {
    let Ok(request) = serde_json::from_slice::<Value>(message) else {
        return false;
    };
    let operations = request["params"].as_array().into_iter().flatten();
    let mut operations = operations.filter(|operation| operation["table"] == "Port");
    request["method"] == "transact"
        && operations.any(|operation| operation["op"] != "wait" && operation["op"] != "select")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_port_is_told_from_everything_else() {
        let change = br#"{"method":"transact","params":["Open_vSwitch",
            {"op":"wait","table":"Port"},{"op":"update","table":"Port","row":{"tag":7}}],"id":1}"#;
        let read = br#"{"method":"transact","params":["Open_vSwitch",
            {"op":"select","table":"Port"},{"op":"mutate","table":"Open_vSwitch"}],"id":2}"#;
        let echo = br#"{"method":"echo","params":[],"id":"{"}"#;
        assert!(changes_a_port(change));
        assert!(!changes_a_port(read) && !changes_a_port(echo));
        for cut in 0..change.len() {
            assert_eq!(message(&change[..cut]), None, "{cut}");
        }
        let two = [&change[..], echo].concat();
        assert_eq!(message(&two), Some(change.len()));
        assert_eq!(message(&two[change.len()..]), Some(echo.len()));
    }
}
