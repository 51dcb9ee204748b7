//! The network link: a Unix socket to a virtual switch, with the framing of
//! QEMU's `-netdev stream` (length as 4 bytes big-endian, then the Ethernet
//! frame), or a TAP device, which has one frame a read.
//!
//! A thread reads and queues, and wakes the stack's task; writing is done by
//! that task itself and blocks when the switch does not keep up, as a paused
//! Ethernet port does. When the switch closes the connection the process ends.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::thread;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::waitqueue::AtomicWaker;

/// Longest frame, without its check sequence: header, 802.1Q tag and 1,500.
const MAX_FRAME: usize = 1518;
/// Frames that may wait for the stack. More are dropped, as by a NIC's ring.
const QUEUE: usize = 512;

/// Frames handed to the stack. One process has one link.
pub static RECEIVED: AtomicU32 = AtomicU32::new(0);
/// Frames sent.
pub static SENT: AtomicU32 = AtomicU32::new(0);
/// Frames that found the queue full.
pub static DROPPED: AtomicU32 = AtomicU32::new(0);

/// What the reading thread and the stack's task share.
struct Shared {
    frames: Mutex<VecDeque<Vec<u8>>>,
    waker: AtomicWaker,
}

/// Where frames are written to.
enum Sink {
    Switch(UnixStream),
    Tap(File),
}

/// The link.
pub struct Wire {
    shared: Arc<Shared>,
    sink: Sink,
    mac: [u8; 6],
}

impl Wire {
    /// Connects to a switch's socket.
    ///
    /// # Errors
    /// The host's: no process listens there.
    pub fn switch(path: &Path, mac: [u8; 6]) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        let mut source = stream.try_clone()?;
        Self::start(Sink::Switch(stream), mac, move |frame| {
            let mut length = [0; 4];
            source.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length) as usize;
            let frame = frame
                .get_mut(..length)
                .ok_or_else(|| io::Error::other("the switch sent an oversized frame"))?;
            source.read_exact(frame)?;
            Ok(length)
        })
    }

    /// Opens the TAP device `name` and creates it if there is none. Needs the
    /// right to do so.
    ///
    /// # Errors
    /// The host's.
    pub fn tap(name: &str, mac: [u8; 6]) -> io::Result<Self> {
        let device = File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")?;
        tap_attach(&device, name)?;
        let mut source = device.try_clone()?;
        Self::start(Sink::Tap(device), mac, move |frame| source.read(frame))
    }

    /// Starts the thread that reads frames with `read`.
    fn start(
        sink: Sink,
        mac: [u8; 6],
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            frames: Mutex::new(VecDeque::with_capacity(QUEUE)),
            waker: AtomicWaker::new(),
        });
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("cable".into()).spawn(move || {
            // Twice the longest: a TAP device tells of oversized frames.
            let mut frame = [0; 2 * MAX_FRAME];
            loop {
                let length = match read(&mut frame) {
                    Ok(length) => length,
                    Err(error) => pulled(&error),
                };
                let Some(bytes) = frame.get(..length).filter(|f| f.len() <= MAX_FRAME) else {
                    continue;
                };
                let mut frames = theirs.frames.lock().unwrap_or_else(PoisonError::into_inner);
                if frames.len() < QUEUE {
                    frames.push_back(bytes.to_vec());
                } else {
                    DROPPED.fetch_add(1, Relaxed);
                }
                drop(frames);
                theirs.waker.wake();
            }
        })?;
        Ok(Self { shared, sink, mac })
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        self.shared
            .frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

/// Ends the process: the link is lost.
fn pulled(error: &io::Error) -> ! {
    log::error!("the network cable is pulled: {error}");
    std::process::exit(1)
}

impl Driver for Wire {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(RxToken, TxToken<'_>)> {
        // Registered before the look, so that no frame comes in between.
        self.shared.waker.register(cx.waker());
        let frame = self.pop()?;
        RECEIVED.fetch_add(1, Relaxed);
        Some((RxToken(frame), TxToken(&mut self.sink)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<TxToken<'_>> {
        Some(TxToken(&mut self.sink))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

/// One received frame.
pub struct RxToken(Vec<u8>);

impl embassy_net_driver::RxToken for RxToken {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

/// The right to send one frame.
pub struct TxToken<'a>(&'a mut Sink);

impl embassy_net_driver::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut buffer = [0; 4 + MAX_FRAME];
        let (prefix, frame) = buffer.split_at_mut(4);
        let length = length.min(MAX_FRAME);
        // At most MAX_FRAME.
        prefix.copy_from_slice(&(length as u32).to_be_bytes());
        let result = f(frame.get_mut(..length).unwrap_or_default());
        let sent = match self.0 {
            Sink::Switch(stream) => stream.write_all(buffer.get(..4 + length).unwrap_or_default()),
            // A TAP device whose other side is down refuses frames; a real
            // port would lose them.
            Sink::Tap(device) => device
                .write(buffer.get(4..4 + length).unwrap_or_default())
                .map(drop)
                .or(Ok(())),
        };
        if let Err(error) = sent {
            pulled(&error);
        }
        SENT.fetch_add(1, Relaxed);
        result
    }
}

/// Binds an open `/dev/net/tun` to a TAP device without packet headers.
fn tap_attach(device: &File, name: &str) -> io::Result<()> {
    /// `struct ifreq` as TUNSETIFF reads it.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54CA;
    const IFF_TAP: u16 = 0x0002;
    const IFF_NO_PI: u16 = 0x1000;

    let mut request = Request {
        name: [0; 16],
        flags: IFF_TAP | IFF_NO_PI,
        rest: [0; 22],
    };
    if name.is_empty() || name.len() > 15 {
        return Err(io::Error::other("a device name has 1 to 15 bytes"));
    }
    for (to, from) in request.name.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: TUNSETIFF reads a `struct ifreq`, of which `Request` has the
    // size and layout, during the call.
    unsafe {
        let call = rustix::ioctl::Setter::<TUNSETIFF, Request>::new(request);
        rustix::ioctl::ioctl(device, call)?;
    }
    Ok(())
}

/// Reads `xx:xx:xx:xx:xx:xx`.
///
/// # Errors
/// Says what an address looks like.
pub fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "six hexadecimal bytes with colons between them".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use embassy_net_driver::{RxToken as _, TxToken as _};
    use std::os::unix::net::UnixListener;
    use std::task::Waker;

    #[test]
    fn frames_cross_the_socket_both_ways() {
        let path = std::env::temp_dir().join(format!("farrier-wire-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut wire = Wire::switch(&path, [2; 6]).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        std::fs::remove_file(&path).unwrap();

        let mut cx = Context::from_waker(Waker::noop());
        wire.transmit(&mut cx)
            .unwrap()
            .consume(3, |frame| frame.fill(7));
        let mut seen = [0; 7];
        far.read_exact(&mut seen).unwrap();
        assert_eq!(seen, [0, 0, 0, 3, 7, 7, 7]);

        far.write_all(&[0, 0, 0, 2, 8, 9]).unwrap();
        let frame = loop {
            if let Some((rx, _)) = wire.receive(&mut cx) {
                break rx.consume(|frame| frame.to_vec());
            }
            thread::yield_now();
        };
        assert_eq!(frame, [8, 9]);
        // Closing the link would end the test's process.
        std::mem::forget(far);
    }

    #[test]
    fn addresses_are_read() {
        assert_eq!(
            parse_mac("02:fa:44:1e:00:01"),
            Ok([2, 0xFA, 0x44, 0x1E, 0, 1])
        );
        for bad in ["", "02:fa", "02:fa:44:1e:00:01:02", "02:fa:44:1e:00:zz"] {
            assert!(parse_mac(bad).is_err());
        }
    }
}
