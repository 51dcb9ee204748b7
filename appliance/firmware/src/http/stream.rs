//! A connection of the HTTP server, with the pace of the body that is on its
//! way.

use core::net::Ipv4Addr;

use embassy_time::{Duration, Instant, with_deadline};
use farrier_http::places::Pace;

use crate::net::{Connection, Gate, TcpError};

/// A peer takes so many bytes of a file a second, at least.
const FILE_RATE: u32 = 4096;
/// How long a peer may take nothing of a file: firmware pauses while it
/// unpacks what it has loaded.
const FILE_PAUSE: Duration = Duration::from_secs(10);
/// A client of the API takes and sends so many bytes of a body a second, at
/// least.
const API_RATE: u32 = 8192;
/// How long it may do nothing.
const API_PAUSE: Duration = Duration::from_secs(3);

/// Why a connection ends before its request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The connection is gone.
    Gone,
    /// The peer is below the least rate.
    Slow,
    /// Somebody else waits, and the file was sent too slowly or for too long.
    GivenUp,
}

impl From<TcpError> for Broken {
    fn from(_: TcpError) -> Self {
        Broken::Gone
    }
}

/// A connection that has a place, with the pace of the body that is on its
/// way.
pub(crate) struct Stream<'c> {
    pub(crate) connection: &'c mut Connection,
    pub(crate) peer: Ipv4Addr,
    place: usize,
    pace: Pace,
}

impl<'c> Stream<'c> {
    /// A connection that has this place.
    pub(super) fn new(connection: &'c mut Connection, peer: Ipv4Addr, place: usize) -> Self {
        Self {
            connection,
            peer,
            place,
            pace: Pace::new(0, 0, 1),
        }
    }

    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// A body begins, of the API or of a file.
    pub(crate) fn start_body(&mut self, api: bool) {
        let (pause, rate) = if api {
            (API_PAUSE, API_RATE)
        } else {
            (FILE_PAUSE, FILE_RATE)
        };
        // Seconds.
        self.pace = Pace::new(now(), pause.as_millis() as u32, rate);
    }

    /// The appliance made the peer wait: that time is not the peer's.
    pub(crate) fn rested(&mut self, since: Instant) {
        self.pace.rested(since.elapsed().as_millis());
    }

    /// Whether this reply should be the connection's last one.
    pub(crate) fn is_wanted(&self, gate: &Gate) -> bool {
        gate.is_wanted(self.place)
    }

    fn until(&self) -> Instant {
        Instant::from_millis(self.pace.until())
    }

    /// Reads bytes of a body; none where the peer has closed its side.
    pub(crate) async fn read(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        let read = with_deadline(self.until(), self.connection.read(into));
        let count = read.await.map_err(|_| Broken::Slow)??;
        self.pace.moved(now(), count);
        Ok(count)
    }

    /// Writes bytes of a reply.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let count = self.write_some(bytes).await?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes as much of a reply as there is room for, at least a byte.
    pub(super) async fn write_some(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let write = with_deadline(self.until(), self.connection.write(bytes));
        let count = write.await.map_err(|_| Broken::Slow)??;
        self.pace.moved(now(), count);
        Ok(count)
    }

    /// Waits for room for a piece of a reply.
    pub(super) async fn writable(&mut self) -> Result<usize, Broken> {
        let writable = with_deadline(self.until(), self.connection.writable());
        Ok(writable.await.map_err(|_| Broken::Slow)??)
    }
}

fn now() -> u64 {
    Instant::now().as_millis()
}
