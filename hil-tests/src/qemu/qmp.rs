//! QEMU's machine protocol: commands, replies, and events as they come.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use qapi::qmp::{self, QmpMessage, QmpMessageAny};

use super::events::{Event, EventLog};

/// How long QEMU may take to answer a command. It answers from its main loop
/// at once; on a crowded machine that loop may wait for a processor.
const ANSWER: Duration = Duration::from_secs(30);

/// A connection to one QEMU. It dies with it.
#[derive(Debug)]
pub(crate) struct Qmp {
    stream: UnixStream,
    replies: Receiver<Result<qapi::Any, qapi::Error>>,
}

impl Qmp {
    /// Listens for the QEMU that will be started with [`arguments`].
    pub fn listen(path: &Path) -> Result<UnixListener> {
        // A QEMU that was killed leaves its predecessor's socket behind.
        std::fs::remove_file(path).ok();
        let listener =
            UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Takes QEMU's call and greets it. Events go to `events` from then on.
    /// `alive` is asked while waiting, and ends the wait with its error.
    pub fn accept(
        listener: &UnixListener,
        events: EventLog,
        mut alive: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let deadline = Instant::now() + ANSWER;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => alive()?,
                Err(error) => return Err(error).context("accepting QEMU's monitor"),
            }
            if Instant::now() > deadline {
                bail!("QEMU did not open its monitor within {ANSWER:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        stream.set_nonblocking(false)?;
        let (sender, replies) = channel();
        let lines = BufReader::new(stream.try_clone()?);
        std::thread::spawn(move || read(lines, &sender, &events));
        let mut qmp = Self { stream, replies };
        qmp.execute(&qmp::qmp_capabilities { enable: None })?;
        Ok(qmp)
    }

    /// Runs one command to its reply.
    pub fn execute<C: qmp::QmpCommand>(&mut self, command: &C) -> Result<C::Ok> {
        let mut line = serde_json::to_vec(&qapi::Execute::<&C>::from(command))?;
        line.push(b'\n');
        self.stream
            .write_all(&line)
            .with_context(|| format!("{}: QEMU is gone", C::NAME))?;
        let reply = self
            .replies
            .recv_timeout(ANSWER)
            .with_context(|| format!("{}: no answer from QEMU", C::NAME))?;
        let reply = reply.map_err(|error| anyhow!("{}: {error}", C::NAME))?;
        Ok(serde_json::from_value(reply)?)
    }
}

fn read(
    lines: BufReader<UnixStream>,
    replies: &Sender<Result<qapi::Any, qapi::Error>>,
    events: &EventLog,
) {
    for line in lines.lines().map_while(Result::ok) {
        // The greeting and events that this QEMU knows and `qapi` does not
        // are no messages, and no caller waits for them.
        match serde_json::from_str::<QmpMessageAny>(&line) {
            Ok(QmpMessage::Response(reply)) => {
                replies.send(reply.result()).ok();
            }
            Ok(QmpMessage::Event(event)) => {
                if let Some(event) = translate(&event) {
                    events.push(event);
                }
            }
            Err(_) => {}
        }
    }
}

fn translate(event: &qmp::Event) -> Option<Event> {
    match event {
        qmp::Event::RESET { data, .. } => Some(Event::Reset {
            by_guest: data.guest,
        }),
        qmp::Event::SHUTDOWN { data, .. } => Some(Event::Off {
            by_guest: data.guest,
        }),
        qmp::Event::POWERDOWN { .. } => Some(Event::PowerButton),
        qmp::Event::GUEST_PANICKED { .. } => Some(Event::Panicked),
        _ => None,
    }
}
