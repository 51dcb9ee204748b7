//! Lets the ports of the virtual switch do what netconfd's running configuration
//! says. It is read by a session of its own, whenever a client has sent a commit or has
//! cancelled one, and every now and then: confirmed commits run out by themselves.
//! Not more often: netconfd looks at its clocks only in a second without a request.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::ports::Ports;
use super::config;
use crate::Tools;
use crate::process::Process;
use crate::switch::PortMode;

/// How late a port follows a commit that runs out.
const IDLE: Duration = Duration::from_millis(2_500);
/// When it is read behind a client's message: netconfd may take a moment for that.
const BEHIND: [Duration; 3] = [
    Duration::from_millis(30),
    Duration::from_millis(150),
    Duration::from_millis(600),
];
/// What ends a message (RFC 6242, 4.3): the hello offers no chunks.
const END: &str = "]]>]]>";
const HELLO: &str = "<hello xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\"><capabilities>\
    <capability>urn:ietf:params:netconf:base:1.0</capability></capabilities></hello>]]>]]>";
const GET: &str = "<rpc xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"1\">\
    <get-config><source><running/></source></get-config></rpc>]]>]]>";

/// A running session. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Follower {
    stop: Arc<AtomicBool>,
    wake: Sender<()>,
    session: Process,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Begins to follow, with what is read first.
    ///
    /// # Errors
    /// netconfd does not answer.
    pub fn start(
        ports: Ports,
        tools: &Tools,
        user: &str,
        port: u16,
        socket: &Path,
    ) -> Result<Self> {
        // What sshd starts for a client, without sshd.
        let mut command = tools("netconf-subsystem")?;
        command
            .arg(format!("--ncxserver-sockname={port}@{}", socket.display()))
            .env("SSH_CONNECTION", format!("127.0.0.1 1 127.0.0.1 {port}"))
            .env("USER", user);
        let mut session = Process::start(tools, &command, |command| {
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
        })?;
        let child = session.child();
        let mut running = Running {
            input: child.stdin.take().context("no standard input")?,
            output: child.stdout.take().context("no standard output")?,
            read: Vec::new(),
        };
        running.message().context("the hello of netconfd")?;
        running.input.write_all(HELLO.as_bytes())?;
        // It can lose a request that comes in one piece with the hello.
        std::thread::sleep(BEHIND[1]);
        let (wake, woken) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let mut follow = {
            let stop = stop.clone();
            move || -> Result<()> {
                while !stop.load(Ordering::Acquire) {
                    for pause in pauses(&woken) {
                        std::thread::sleep(*pause);
                        let said = running.ports()?;
                        for (name, _) in ports.iter() {
                            let known = said.iter().find(|(known, _)| known == name);
                            let mode = known.map(|(_, mode)| mode.clone());
                            // A port that is gone carries nothing.
                            ports.set(name, &mode.unwrap_or(PortMode::closed()));
                        }
                    }
                }
                Ok(())
            }
        };
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("netconfd-ports".into())
            .spawn(move || {
                let ended = follow();
                // Seen by whoever runs the rig: the ports stand still from now on.
                assert!(
                    ended.is_ok() || stopped.load(Ordering::Acquire),
                    "netconfd's running configuration: {ended:?}"
                );
            })?;
        Ok(Self {
            stop,
            wake,
            session,
            thread: Some(thread),
        })
    }

    /// Where a client's message that may change a port is told.
    pub fn wake(&self) -> Sender<()> {
        self.wake.clone()
    }
}

/// Waits until there is something to read, or may be; the pauses ahead of each reading.
fn pauses(woken: &Receiver<()>) -> &'static [Duration] {
    match woken.recv_timeout(IDLE) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => &BEHIND,
        Err(RecvTimeoutError::Timeout) => &BEHIND[..1],
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake.send(()).ok();
        self.session.kill();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}

/// The session that reads.
struct Running {
    input: ChildStdin,
    output: ChildStdout,
    read: Vec<u8>,
}

impl Running {
    fn ports(&mut self) -> Result<Vec<(String, PortMode)>> {
        self.input.write_all(GET.as_bytes())?;
        let answer = self.message()?;
        ensure!(answer.contains("<data"), "no data: {answer}");
        Ok(config::ports(&answer))
    }

    /// The next message.
    fn message(&mut self) -> Result<String> {
        loop {
            let read = String::from_utf8_lossy(&self.read);
            if let Some((message, rest)) = read.split_once(END) {
                let (message, rest) = (message.to_owned(), rest.as_bytes().to_vec());
                self.read = rest;
                return Ok(message);
            }
            let mut buffer = [0; 4096];
            let count = self.output.read(&mut buffer)?;
            ensure!(count > 0, "the session has ended");
            self.read.extend_from_slice(&buffer[..count]);
        }
    }
}
