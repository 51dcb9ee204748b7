//! Answers which ports of the switch have a link, in netconfd's place.
//!
//! netconfd has no operational data without a library of the device's maker. A switch
//! has: without it the appliance can't see that a tenant's machine is off. So the
//! sessions pass through here, message by message and untouched, but for that one
//! request. Whoever follows the configuration is told of commits.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use farrier_netconf::Dialect;

use super::super::ports::Ports;
use super::config::is_junos;

/// What ends a message of NETCONF 1.0 (RFC 6242, 4.3).
const END: &[u8] = b"]]>]]>";
/// What ends one in chunks (RFC 6242, 4.2).
const CHUNKS_END: &[u8] = b"\n##\n";

/// A listener on a socket. Dropping it ends it; its sessions end with their clients.
#[derive(Debug)]
pub(super) struct Links {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Links {
    /// Leads connections of one socket to netconfd's.
    ///
    /// # Errors
    /// The system's.
    pub fn start(
        ports: Ports,
        dialect: &'static Dialect,
        socket: &Path,
        netconfd: &Path,
        commits: Sender<()>,
    ) -> Result<Self> {
        let listener = UnixListener::bind(socket)
            .with_context(|| format!("listening on {}", socket.display()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (stop, netconfd) = (stop.clone(), netconfd.to_owned());
            thread::Builder::new()
                .name("netconfd-links".into())
                .spawn(move || {
                    while let Ok((client, _)) = listener.accept() {
                        if stop.load(Ordering::Acquire) {
                            return;
                        }
                        let ports = ports.clone();
                        if let Ok(server) = UnixStream::connect(&netconfd) {
                            let answer = move |text: &str| answer(dialect, &ports, text);
                            carry(client, server, commits.clone(), answer);
                        }
                    }
                })?
        };
        Ok(Self {
            socket: socket.to_owned(),
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // It waits for a connection.
        let woken = UnixStream::connect(&self.socket).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}

/// Carries bytes both ways, until an end is gone. `answer` may answer a message of the
/// client's, which then does not reach the server. `commits` is told of messages that
/// may change the running configuration.
fn carry(
    client: UnixStream,
    server: UnixStream,
    commits: Sender<()>,
    answer: impl Fn(&str) -> Option<String> + Send + 'static,
) {
    let both = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
    let Some((mut from_client, mut from_server)) = both() else {
        return;
    };
    let to_client = Arc::new(Mutex::new(client));
    let answers = to_client.clone();
    let mut to_server = server;
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from_server.read(&mut buffer) {
            let mut client = to_client.lock().unwrap_or_else(PoisonError::into_inner);
            if client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let client = to_client.lock().unwrap_or_else(PoisonError::into_inner);
        client.shutdown(std::net::Shutdown::Both).ok();
    });
    thread::spawn(move || {
        let (mut waiting, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = from_client.read(&mut buffer) {
            waiting.extend_from_slice(&buffer[..count]);
            while let Some((length, text)) = message(&waiting) {
                let whole: Vec<_> = waiting.drain(..length).collect();
                let written = match answer(&text) {
                    // The client waits for it, so nothing else is on its way.
                    Some(reply) => {
                        let mut client = answers.lock().unwrap_or_else(PoisonError::into_inner);
                        client.write_all(&framed(&reply, whole.ends_with(CHUNKS_END)))
                    }
                    None => to_server.write_all(&whole),
                };
                if text.contains("commit") {
                    // Nobody follows any more at the end of the rig.
                    commits.send(()).ok();
                }
                if written.is_err() {
                    return;
                }
            }
        }
        to_server.shutdown(std::net::Shutdown::Both).ok();
    });
}

/// The first whole message: how many bytes it is, and its text.
fn message(bytes: &[u8]) -> Option<(usize, String)> {
    let begin = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let position = |bytes: &[u8], end: &[u8]| bytes.windows(end.len()).position(|at| at == end);
    if bytes.get(begin) != Some(&b'#') {
        let length = begin + position(&bytes[begin..], END)?;
        let text = String::from_utf8_lossy(&bytes[begin..length]).into_owned();
        return Some((length + END.len(), text));
    }
    let (mut at, mut text) = (begin, Vec::new());
    loop {
        let head = bytes.get(at..)?;
        let end = position(head, b"\n")?;
        let size = String::from_utf8_lossy(head.get(1..end)?).into_owned();
        let begin = at + end + 1;
        if size == "#" {
            return Some((begin, String::from_utf8_lossy(&text).into_owned()));
        }
        let end = begin + size.parse::<usize>().ok()?;
        text.extend_from_slice(bytes.get(begin..end)?);
        // A line feed is in front of each `#`.
        at = end + 1;
    }
}

fn framed(text: &str, chunks: bool) -> Vec<u8> {
    match chunks {
        true => format!("\n#{}\n{text}\n##\n", text.len()).into_bytes(),
        false => [text.as_bytes(), END].concat(),
    }
}

/// The answer to a request for the link of a port; none to everything else.
fn answer(dialect: &Dialect, ports: &Ports, text: &str) -> Option<String> {
    let (asks, name) = match is_junos(dialect) {
        true => ("<get-interface-information>", "interface-name"),
        false => ("<oper-status/>", "name"),
    };
    if !text.contains(asks) {
        return None;
    }
    let between = |before: &str, after: &str| {
        let (_, rest) = text.split_once(before)?;
        rest.split_once(after).map(|(value, _)| value)
    };
    let id = between("message-id=\"", "\"")?;
    let name = between(&format!("<{name}>"), &format!("</{name}>"))?;
    let (_, port) = ports.iter().find(|(known, _)| *known == name)?;
    let link = match ports.control().is_linked(port) {
        true => "up",
        false => "down",
    };
    let [before, row, behind] = dialect.links?.answer;
    let row = row.replace("{port}", name).replace("{link}", link);
    Some(format!(
        "<rpc-reply xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"{id}\">\
         {before}{row}{behind}</rpc-reply>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::{PortMode, Switch, SwitchConfig, VlanId};
    use farrier_netconf::dialect::JUNOS_ELS;

    #[test]
    fn messages_of_both_framings_are_found_where_they_end() {
        let chunks = b"\n#4\n<rpc\n#2\n/>\n##\n";
        let plain = b"<hello/>]]>]]>";
        for (message_bytes, text) in [(&chunks[..], "<rpc/>"), (&plain[..], "<hello/>")] {
            for cut in 0..message_bytes.len() {
                assert_eq!(message(&message_bytes[..cut]), None, "{text} {cut}");
            }
            let found = Some((message_bytes.len(), text.to_owned()));
            assert_eq!(message(message_bytes), found);
            let two = [message_bytes, message_bytes].concat();
            assert_eq!(message(&two), found);
        }
    }

    #[test]
    fn the_link_of_a_port_is_answered_and_nothing_else() {
        let switch = Switch::start(SwitchConfig::default()).unwrap();
        let port = switch.add_host_port("s1").unwrap();
        let mode = PortMode::access(VlanId::new(10).unwrap());
        switch.control().set_mode(port.id(), mode);
        let ports = Ports::new(switch.control(), [port.id()]).unwrap();
        let ask = |name: &str| {
            format!(
                "<rpc message-id=\"7\"><get-interface-information><interface-name>{name}\
                 </interface-name><terse/></get-interface-information></rpc>"
            )
        };
        let said = |link: &str| {
            let text = answer(&JUNOS_ELS, &ports, &ask("s1")).unwrap();
            text.contains(link) && text.contains("message-id=\"7\"") && text.contains("s1")
        };
        assert!(said("up"));
        port.set_linked(false);
        assert!(said("down"));
        assert_eq!(answer(&JUNOS_ELS, &ports, &ask("s2")), None);
        assert_eq!(answer(&JUNOS_ELS, &ports, "<rpc><get-config/></rpc>"), None);
    }
}
