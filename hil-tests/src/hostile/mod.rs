//! Peers that take more than their share: they hold connections, send and read
//! too slowly, and ask for transfers that they never answer. Each is a stack
//! of its own on a host port of the switch. Beside them: many clients that ask
//! for one file at once.

mod peer;
pub mod storm;
mod transfers;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use crate::switch::{HostPort, Mac};

/// How often a peer looks at what it holds.
const STEP: Duration = Duration::from_millis(5);

/// What a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Keeps connections without a request, each behind one that was answered.
    Idle,
    /// Begins request heads and sends a byte a second of them.
    SlowHeads,
    /// Asks for a long answer, with an operator's credentials, and reads two
    /// bytes of it a second.
    SlowReads,
    /// Asks for a file, and reads it at a little more than the least rate.
    LeastReads,
    /// Breaks connections off before they are open, and begins others.
    Resets,
    /// Asks for a file by TFTP, from one port after the other, and never
    /// answers.
    MuteTransfers,
    /// The same from addresses that nobody has.
    ForgedTransfers,
}

/// A peer at work. Dropping it ends it.
#[derive(Debug)]
pub struct Peer {
    stop: Arc<AtomicBool>,
    attempts: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

/// Where a peer stands, and what it attacks.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its own hardware address.
    pub mac: Mac,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The appliance.
    pub target: Ipv4Addr,
}

/// What a peer's thread works with.
struct Work {
    port: HostPort,
    place: Place,
    authorization: String,
    stop: Arc<AtomicBool>,
    attempts: Arc<AtomicU32>,
}

impl Work {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    fn count(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }
}

impl Peer {
    /// Starts a peer that holds `count` connections or transfers.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(port: HostPort, place: Place, conduct: Conduct, count: usize) -> Result<Self> {
        Self::start_as("", port, place, conduct, count)
    }

    /// The same with a value of `Authorization` for requests of the API.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_as(
        authorization: &str,
        port: HostPort,
        place: Place,
        conduct: Conduct,
        count: usize,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let attempts = Arc::new(AtomicU32::new(0));
        let work = Work {
            port,
            place,
            authorization: authorization.to_owned(),
            stop: stop.clone(),
            attempts: attempts.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("{conduct:?}"))
            .spawn(move || match conduct {
                Conduct::Idle
                | Conduct::SlowHeads
                | Conduct::SlowReads
                | Conduct::LeastReads
                | Conduct::Resets => peer::run(work, conduct, count),
                Conduct::MuteTransfers => transfers::mute(work, count),
                Conduct::ForgedTransfers => transfers::forged(&work, count),
            })?;
        Ok(Self {
            stop,
            attempts,
            thread: Some(thread),
        })
    }

    /// Connections or transfers that it has begun.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}
