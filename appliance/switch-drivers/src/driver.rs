//! One operation over one stream: the limits around whatever protocol it is.

use farrier_core::Instant;
use farrier_core::interface::{OperationError, SwitchKind};

use crate::limits::{OPERATION_MILLIS, WAY_BACK_MILLIS};
#[cfg(feature = "netconf")]
use crate::netconf::Netconf;
use crate::ovsdb::Ovsdb;
use crate::report::{Order, Report};

/// Least room for [`Driver::send`], in bytes.
pub const MIN_OUT: usize = farrier_ovsdb::MAX_REQUEST;

/// What is awaited, as a number that changes with it, and the longest time for it
/// in milliseconds.
pub(crate) type Wait = (u8, u64);

#[derive(Debug)]
#[cfg_attr(
    feature = "netconf",
    expect(
        clippy::large_enum_variant,
        reason = "there is one driver at a time, and no heap"
    )
)]
enum Protocol {
    Ovsdb(Ovsdb),
    #[cfg(feature = "netconf")]
    Netconf(Netconf),
}

/// What carries out one operation over a stream that was just opened.
///
/// The owner calls [`send`](Self::send) until it gives 0, delivers what it gave,
/// hands over what arrives, and calls [`tick`](Self::tick) at
/// [`wake_at`](Self::wake_at), until there is a [`report`](Self::report). Then it
/// closes the stream.
pub trait Driver {
    /// How the operation ended; `None` while it goes on.
    fn report(&self) -> Option<Report>;

    /// When [`tick`](Self::tick) is due.
    fn wake_at(&self) -> Instant;

    /// Writes the next bytes for the switch into `out`, of at least [`MIN_OUT`]
    /// bytes, and returns their number: 0 for none. The owner delivers all of
    /// them.
    fn send(&mut self, now: Instant, out: &mut [u8]) -> usize;

    /// Takes bytes of the switch, and advances `input` past those that it took. It
    /// takes the rest after what it has to send.
    fn receive(&mut self, now: Instant, input: &mut &[u8]);

    /// Takes the stream for closed, or for broken. The operation has ended then.
    fn closed(&mut self);

    /// Looks at the limits.
    fn tick(&mut self, now: Instant);
}

/// Carries out one operation over a TCP connection for OVSDB, over the channel of
/// an SSH session for NETCONF.
#[derive(Debug)]
pub struct SwitchDriver {
    protocol: Protocol,
    /// When it turns back, and when it ends.
    turn: Instant,
    until: Instant,
    turned: bool,
    /// What is awaited, and until when.
    awaited: u8,
    step_until: Instant,
}

impl SwitchDriver {
    /// Begins an operation that ends at `deadline`, or after
    /// [`OPERATION_MILLIS`] where that is earlier.
    ///
    /// # Errors
    /// [`OperationError::ByHand`] for a switch without a driver, and
    /// [`OperationError::Unsupported`] for what its driver can't do.
    pub fn new(now: Instant, deadline: Instant, order: &Order<'_>) -> Result<Self, OperationError> {
        let protocol = match order.kind {
            SwitchKind::ByHand => return Err(OperationError::ByHand),
            SwitchKind::Ovsdb => Protocol::Ovsdb(Ovsdb::new(order)?),
            #[cfg(feature = "netconf")]
            SwitchKind::Netconf => Protocol::Netconf(Netconf::new(order)?),
            #[cfg(not(feature = "netconf"))]
            SwitchKind::Netconf => return Err(OperationError::Unsupported),
        };
        let until = deadline.min(now.plus_millis(OPERATION_MILLIS));
        let time = until.millis().saturating_sub(now.millis());
        let way_back = WAY_BACK_MILLIS.min(time / 2);
        let mut driver = Self {
            protocol,
            turn: now.plus_millis(time - way_back),
            until,
            turned: false,
            awaited: u8::MAX,
            step_until: until,
        };
        driver.await_anew(now);
        Ok(driver)
    }

    /// The stream is open only now: the wait for the switch begins anew.
    #[cfg(feature = "ssh")]
    pub(crate) fn opened(&mut self, now: Instant) {
        self.awaited = u8::MAX;
        self.await_anew(now);
    }

    /// When the operation ends, whatever happens.
    #[cfg(feature = "ssh")]
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    fn await_anew(&mut self, now: Instant) {
        let (awaited, limit) = match &self.protocol {
            Protocol::Ovsdb(ovsdb) => ovsdb.wait(),
            #[cfg(feature = "netconf")]
            Protocol::Netconf(netconf) => netconf.wait(),
        };
        if awaited != self.awaited {
            self.awaited = awaited;
            self.step_until = now.plus_millis(limit);
        }
    }
}

impl Driver for SwitchDriver {
    fn report(&self) -> Option<Report> {
        match &self.protocol {
            Protocol::Ovsdb(ovsdb) => ovsdb.report(),
            #[cfg(feature = "netconf")]
            Protocol::Netconf(netconf) => netconf.report(),
        }
    }

    fn wake_at(&self) -> Instant {
        match self.turned {
            true => self.step_until.min(self.until),
            false => self.step_until.min(self.turn),
        }
    }

    fn send(&mut self, now: Instant, out: &mut [u8]) -> usize {
        if self.report().is_some() {
            return 0;
        }
        let length = match &mut self.protocol {
            Protocol::Ovsdb(ovsdb) => ovsdb.send(out),
            #[cfg(feature = "netconf")]
            Protocol::Netconf(netconf) => netconf.send(out),
        };
        self.await_anew(now);
        length
    }

    fn receive(&mut self, now: Instant, input: &mut &[u8]) {
        if self.report().is_some() {
            *input = &[];
            return;
        }
        match &mut self.protocol {
            Protocol::Ovsdb(ovsdb) => ovsdb.receive(input),
            #[cfg(feature = "netconf")]
            Protocol::Netconf(netconf) => netconf.receive(input),
        }
        self.await_anew(now);
    }

    fn closed(&mut self) {
        if self.report().is_some() {
            return;
        }
        match &mut self.protocol {
            Protocol::Ovsdb(ovsdb) => ovsdb.closed(),
            #[cfg(feature = "netconf")]
            Protocol::Netconf(netconf) => netconf.closed(),
        }
        debug_assert!(self.report().is_some(), "a closed stream ends everything");
    }

    fn tick(&mut self, now: Instant) {
        if self.report().is_some() {
            return;
        }
        if now >= self.until {
            return self.closed();
        }
        if now >= self.turn && !self.turned {
            self.turned = true;
            match &mut self.protocol {
                Protocol::Ovsdb(ovsdb) => ovsdb.closed(),
                #[cfg(feature = "netconf")]
                Protocol::Netconf(netconf) => netconf.turn_back(),
            }
        } else if now >= self.step_until {
            // Whatever is awaited then has its own limit.
            self.awaited = u8::MAX;
            match &mut self.protocol {
                Protocol::Ovsdb(ovsdb) => ovsdb.closed(),
                #[cfg(feature = "netconf")]
                Protocol::Netconf(netconf) => netconf.overdue(),
            }
        }
        self.await_anew(now);
    }
}
