//! One operation over one link: the limits around whatever protocol it is, and the
//! end of the session.

use farrier_core::Instant;
use farrier_core::interface::{OperationError, PowerAction};
use farrier_ipmi::suite::Suite;
use farrier_redfish::Bmc;

use crate::flow::Flow;
use crate::ipmi::Ipmi;
use crate::limits::{CLOSE_MILLIS, OPERATION_MILLIS};
use crate::link::{Link, Turn};
use crate::order::{Access, Action, IpmiAccess, Order, OutletAccess, RedfishAccess};
use crate::outlet::Snmp;
use crate::redfish::Redfish;
use crate::report::Report;
use crate::wake::Wake;

/// Least room for [`Driver::poll`], in bytes.
pub const MIN_OUT: usize = {
    let (ipmi, snmp) = (farrier_ipmi::MAX_SENT, farrier_snmp::MAX_DATAGRAM);
    if ipmi > snmp { ipmi } else { snmp }
};

/// Room for the datagrams that come, in bytes. What is longer is of no use.
pub const DATAGRAM: usize = 512;

/// A source of random bytes that can't be predicted: keys of sessions and numbers of
/// requests come from it.
pub type Random<'r> = &'r mut dyn FnMut(&mut [u8]);

/// What a driver wants of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send the first bytes of the buffer, as many as this, as one datagram to the
    /// [`Endpoint`](crate::Endpoint). Then poll again.
    Datagram(usize),
    /// Close the stream, if there is one, and open a new one: then
    /// [`Driver::connected`], or [`Driver::closed`] where that fails. Bytes of an
    /// earlier stream are dropped.
    Connect,
    /// Send the first bytes of the buffer, as many as this, all of them, over the
    /// stream. Then poll again.
    Stream(usize),
    /// Wait for something to come, and until [`Driver::wake_at`] at most.
    Wait,
    /// It has ended: [`Driver::report`] says how. The stream can be closed.
    End,
}

/// What carries out one operation over datagrams or over a stream. Which of them it
/// is, its owner sees from what it wants.
///
/// The owner calls [`poll`](Self::poll) and does what it says, until it is
/// [`Output::End`]. While it waits, the owner hands over what comes. After each call
/// it polls again.
pub trait Driver {
    /// How the operation ended; `None` while it goes on, or ends its session.
    fn report(&self) -> Option<Report>;

    /// When [`Self::poll`] is due, if nothing comes before.
    fn wake_at(&self) -> Instant;

    /// Goes on. `out` has [`MIN_OUT`] bytes or more.
    fn poll(&mut self, now: Instant, out: &mut [u8], random: Random<'_>) -> Output;

    /// Takes a datagram of the device's address and port, or bytes of the stream, as
    /// many as have come. Datagrams are decrypted in their place.
    fn input(&mut self, now: Instant, bytes: &mut [u8]);

    /// The stream is open.
    fn connected(&mut self, now: Instant);

    /// The stream was closed by the BMC, or could not be opened.
    fn closed(&mut self, now: Instant);

    /// What the device itself has said of its last refusal; empty where it has said
    /// nothing.
    fn message(&self) -> &str {
        ""
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Working,
    /// The session is ended.
    Closing,
    Ended,
}

/// Turns of one call at the most; each is a request that was begun or an answer.
const TURNS: usize = 16;

/// One operation over one protocol: [`IpmiDriver`], [`RedfishDriver`],
/// [`OutletDriver`] and [`WakeDriver`].
#[derive(Debug)]
pub struct Operation<L> {
    link: L,
    flow: Flow,
    stage: Stage,
    /// When what was asked takes too long.
    step_until: Instant,
    /// When it stops, and when it ends.
    turn: Instant,
    until: Instant,
}

/// An operation over IPMI.
pub type IpmiDriver = Operation<Ipmi>;
/// An operation over Redfish.
pub type RedfishDriver<'a> = Operation<Redfish<'a>>;
/// An operation on an outlet.
pub type OutletDriver<'a> = Operation<Snmp<'a>>;
/// A start by Wake-on-LAN.
pub type WakeDriver = Operation<Wake>;

impl IpmiDriver {
    /// Begins an operation that ends at `deadline`, or after [`OPERATION_MILLIS`]
    /// where that is earlier.
    ///
    /// # Errors
    /// [`OperationError::Login`] where a name, password or key is too long.
    pub fn ipmi(
        now: Instant,
        deadline: Instant,
        order: Order,
        access: &IpmiAccess<'_>,
    ) -> Result<Self, OperationError> {
        let link = Ipmi::new(access).ok_or(OperationError::Login)?;
        Ok(Self::begin(now, deadline, link, order))
    }

    /// The cipher suite of the session. Where both are allowed and the BMC has suite 3
    /// alone, each operation takes three seconds more to find that out: an owner that
    /// trusts the network may allow suite 3 alone from then on.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.link.suite()
    }
}

impl<'a> RedfishDriver<'a> {
    /// The same over Redfish. `bmc` is what is kept between operations.
    #[must_use]
    pub fn redfish(
        now: Instant,
        deadline: Instant,
        order: Order,
        access: &'a RedfishAccess<'a>,
        bmc: &'a mut Bmc,
    ) -> Self {
        Self::begin(now, deadline, Redfish::new(access, bmc), order)
    }
}

impl<'a> OutletDriver<'a> {
    /// The same on an outlet.
    ///
    /// # Errors
    /// [`OperationError::Unsupported`] for what an outlet can't do: soft actions and
    /// interrupts. A boot device that the order names is ignored.
    pub fn outlet(
        now: Instant,
        deadline: Instant,
        order: Order,
        access: &OutletAccess<'a>,
    ) -> Result<Self, OperationError> {
        match order.action {
            Action::Look
            | Action::Power(PowerAction::On | PowerAction::Off | PowerAction::Reboot) => {}
            Action::Nmi | Action::Power(PowerAction::SoftOff | PowerAction::SoftReboot) => {
                return Err(OperationError::Unsupported);
            }
        }
        let order = Order::new(order.action);
        Ok(Self::begin(now, deadline, Snmp::new(access), order))
    }
}

impl WakeDriver {
    /// A start by Wake-on-LAN.
    ///
    /// # Errors
    /// [`OperationError::Unsupported`] for all else. A boot device that the order
    /// names is ignored.
    pub fn wake(
        now: Instant,
        deadline: Instant,
        order: Order,
        mac: farrier_core::interface::Mac,
    ) -> Result<Self, OperationError> {
        if order.action != Action::Power(PowerAction::On) {
            return Err(OperationError::Unsupported);
        }
        let mut driver = Self::begin(now, deadline, Wake::new(mac), order);
        driver.flow = Flow::blind(Order::new(order.action));
        Ok(driver)
    }
}

impl<L: Link> Operation<L> {
    fn begin(now: Instant, deadline: Instant, link: L, order: Order) -> Self {
        let until = deadline.min(now.plus_millis(OPERATION_MILLIS));
        let time = until.since(now);
        Self {
            flow: Flow::new(order, link.off_pause()),
            link,
            stage: Stage::Working,
            step_until: until,
            turn: now.plus_millis(time - CLOSE_MILLIS.min(time / 2)),
            until,
        }
    }

    /// Looks at the limits.
    fn watch(&mut self, now: Instant) {
        if self.stage == Stage::Ended {
            return;
        }
        if now >= self.until {
            self.flow.expire();
            self.stage = Stage::Ended;
        } else if now >= self.turn && !self.flow.is_over() {
            self.flow.expire();
            self.link.abort(now, &mut self.flow);
        } else if now >= self.step_until && self.flow.is_asking() {
            // The link says nothing more of it.
            self.flow.overdue(now);
            self.link.abort(now, &mut self.flow);
        }
    }

    /// Ends the session, once the operation is over.
    fn finish(&mut self, now: Instant) {
        if self.stage == Stage::Working && self.flow.is_over() && self.link.is_ready() {
            self.stage = Stage::Closing;
            self.link.close(now);
        }
        if self.stage == Stage::Closing && self.link.is_closed() {
            self.stage = Stage::Ended;
        }
    }
}

impl<L: Link> Driver for Operation<L> {
    fn report(&self) -> Option<Report> {
        (self.stage == Stage::Ended).then(|| self.flow.report())
    }

    fn wake_at(&self) -> Instant {
        let own = match (self.stage, self.flow.is_over(), self.flow.is_asking()) {
            (Stage::Ended | Stage::Closing, _, _) | (Stage::Working, true, _) => self.until,
            (Stage::Working, false, true) => self.turn.min(self.step_until),
            (Stage::Working, false, false) if self.link.is_ready() => {
                self.turn.min(self.flow.pause_until())
            }
            (Stage::Working, false, false) => self.turn,
        };
        self.link.wake_at().map_or(own, |at| own.min(at))
    }

    fn poll(&mut self, now: Instant, out: &mut [u8], mut random: Random<'_>) -> Output {
        for _ in 0..TURNS {
            self.watch(now);
            self.finish(now);
            if self.stage == Stage::Ended {
                return Output::End;
            }
            match self.link.poll(now, out, &mut random, &mut self.flow) {
                Turn::Output(output) => return output,
                Turn::Wait => {}
            }
            let stage = self.stage;
            self.finish(now);
            // The link has something to do.
            if self.stage != stage {
                continue;
            }
            if self.stage != Stage::Working || !self.link.is_ready() {
                return Output::Wait;
            }
            let Some(ask) = self.flow.next(now) else {
                return Output::Wait;
            };
            self.step_until = now.plus_millis(ask.limit());
            self.link.begin(now, ask, &mut random, &mut self.flow);
        }
        debug_assert!(false, "a link does one thing after the other");
        Output::Wait
    }

    fn input(&mut self, now: Instant, bytes: &mut [u8]) {
        if self.stage != Stage::Ended {
            self.link.input(now, bytes, &mut self.flow);
        }
    }

    fn connected(&mut self, _: Instant) {
        self.link.connected();
    }

    fn closed(&mut self, now: Instant) {
        if self.stage != Stage::Ended {
            self.link.closed(now, &mut self.flow);
        }
    }

    fn message(&self) -> &str {
        self.link.message()
    }
}

/// An operation over whatever protocol the machine's [`Access`] has.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few drivers at a time, in places for the largest, and no heap"
)]
pub enum PowerDriver<'a> {
    /// Over IPMI.
    Ipmi(IpmiDriver),
    /// Over Redfish.
    Redfish(RedfishDriver<'a>),
    /// On an outlet.
    Outlet(OutletDriver<'a>),
    /// By Wake-on-LAN.
    Wake(WakeDriver),
}

impl<'a> PowerDriver<'a> {
    /// Begins an operation that ends at `deadline`, or after [`OPERATION_MILLIS`]
    /// where that is earlier. `bmc` is what Redfish keeps between operations; the
    /// others leave it as it is.
    ///
    /// # Errors
    /// [`OperationError::Login`] for a name, password or key that can't be sent, and
    /// [`OperationError::Unsupported`] for what the device can't do.
    pub fn new(
        now: Instant,
        deadline: Instant,
        order: Order,
        access: &'a Access<'a>,
        bmc: &'a mut Bmc,
    ) -> Result<Self, OperationError> {
        Ok(match access {
            Access::Ipmi(access) => Self::Ipmi(Operation::ipmi(now, deadline, order, access)?),
            Access::Redfish(access) => {
                Self::Redfish(Operation::redfish(now, deadline, order, access, bmc))
            }
            Access::Outlet(access) => {
                Self::Outlet(Operation::outlet(now, deadline, order, access)?)
            }
            Access::WakeOnLan(mac) => Self::Wake(Operation::wake(now, deadline, order, *mac)?),
        })
    }

    fn inner(&self) -> &dyn Driver {
        match self {
            Self::Ipmi(driver) => driver,
            Self::Redfish(driver) => driver,
            Self::Outlet(driver) => driver,
            Self::Wake(driver) => driver,
        }
    }

    fn inner_mut(&mut self) -> &mut (dyn Driver + 'a) {
        match self {
            Self::Ipmi(driver) => driver,
            Self::Redfish(driver) => driver,
            Self::Outlet(driver) => driver,
            Self::Wake(driver) => driver,
        }
    }
}

impl Driver for PowerDriver<'_> {
    fn report(&self) -> Option<Report> {
        self.inner().report()
    }

    fn wake_at(&self) -> Instant {
        self.inner().wake_at()
    }

    fn poll(&mut self, now: Instant, out: &mut [u8], random: Random<'_>) -> Output {
        self.inner_mut().poll(now, out, random)
    }

    fn input(&mut self, now: Instant, bytes: &mut [u8]) {
        self.inner_mut().input(now, bytes);
    }

    fn connected(&mut self, now: Instant) {
        self.inner_mut().connected(now);
    }

    fn closed(&mut self, now: Instant) {
        self.inner_mut().closed(now);
    }

    fn message(&self) -> &str {
        self.inner().message()
    }
}
