//! A BMC at a UDP port.

use std::io::{ErrorKind, Result};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Bmc, Machine};

/// A BMC that runs in a thread until this is dropped.
#[derive(Debug)]
pub struct Server<M> {
    bmc: Arc<Mutex<Bmc<M>>>,
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<M: Machine + Send + 'static> Server<M> {
    /// Starts a BMC at an address; port 0 for any that is free.
    ///
    /// # Errors
    /// The address can't be bound.
    pub fn start(bmc: Bmc<M>, address: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(address)?;
        let address = socket.local_addr()?;
        let bmc = Arc::new(Mutex::new(bmc));
        let ends = Arc::new(AtomicBool::new(false));
        let (its, its_end) = (Arc::clone(&bmc), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            let goes_on = || !its_end.load(Ordering::Relaxed);
            if let Err(error) = serve(&its, &socket, goes_on) {
                eprintln!("the BMC at {address}: {error}");
            }
        });
        Ok(Self {
            bmc,
            address,
            ends,
            thread: Some(thread),
        })
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The BMC, between two datagrams.
    pub fn bmc(&self) -> MutexGuard<'_, Bmc<M>> {
        self.bmc.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Drop for Server<M> {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Serves a BMC as long as `goes_on` says. The BMC learns its port.
///
/// # Errors
/// The socket fails.
pub fn serve<M: Machine>(
    bmc: &Mutex<Bmc<M>>,
    socket: &UdpSocket,
    goes_on: impl Fn() -> bool,
) -> Result<()> {
    let begin = Instant::now();
    let now_ms = || u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let lock = || bmc.lock().unwrap_or_else(PoisonError::into_inner);
    lock().config.port = socket.local_addr()?.port();
    let mut buffer = [0; 1500];
    while goes_on() {
        while let Some(datagram) = lock().transmit(now_ms()) {
            // Whom it can't be sent to does not hear it, as on any network.
            drop(socket.send_to(&datagram.bytes, datagram.to));
        }
        // The machine lives on meanwhile: its characters wait this long at the most.
        let wake_at = lock().wake_at().unwrap_or(u64::MAX);
        let pause = wake_at.saturating_sub(now_ms()).clamp(1, 20);
        socket.set_read_timeout(Some(Duration::from_millis(pause)))?;
        match socket.recv_from(&mut buffer) {
            Ok((len, from)) => lock().receive(now_ms(), from, &buffer[..len]),
            Err(error) if is_nothing(error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_nothing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        // The last: a peer of an earlier datagram is gone.
        ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::ConnectionRefused
    )
}
