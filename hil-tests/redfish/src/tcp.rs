//! The service over TCP: a thread a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::service::Service;

/// A service that is served until this value is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    service: Arc<Mutex<Service>>,
    start: Instant,
    ends: Arc<AtomicBool>,
}

impl Server {
    /// Serves a service at an address; port 0 is a free one.
    ///
    /// # Errors
    /// The address can't be listened at.
    pub fn start(service: Service, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let server = Self {
            address: listener.local_addr()?,
            service: Arc::new(Mutex::new(service)),
            start: Instant::now(),
            ends: Arc::new(AtomicBool::new(false)),
        };
        let (service, ends, start) = (server.service.clone(), server.ends.clone(), server.start);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (service, ends) = (service.clone(), ends.clone());
                thread::spawn(move || {
                    // A client that leaves is no fault of the service.
                    drop(serve(stream, &service, &ends, start));
                });
            }
        });
        Ok(server)
    }

    /// Returns where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows the service, to change it or to look at it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Service) -> T) -> T {
        look(&mut self.service.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the milliseconds of the service's clock.
    #[must_use]
    pub fn now(&self) -> u64 {
        since(self.start)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Wakes the listener, which then leaves.
        drop(TcpStream::connect(self.address));
    }
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn serve(
    mut stream: TcpStream,
    service: &Mutex<Service>,
    ends: &AtomicBool,
    start: Instant,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    stream.set_nodelay(true)?;
    let mut connection = Connection::new();
    let mut buffer = [0; 4096];
    while !ends.load(Ordering::Relaxed) {
        let length = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            Err(error) => return Err(error),
        };
        {
            let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = buffer.get(..length).unwrap_or_default();
            connection.receive(&mut service, bytes, since(start));
        }
        stream.write_all(&connection.transmit(usize::MAX))?;
        if connection.is_closed() {
            return Ok(());
        }
    }
    Ok(())
}
