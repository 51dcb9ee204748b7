//! The switches' task: takes the controller's operations on ports one by one,
//! calls the switch, lets its driver talk, and brings the answer back. A switch
//! that is slow holds up other operations only, and no operation outlives its
//! deadline.

use core::net::SocketAddrV4;

use embassy_time::{Duration, Instant, with_deadline};
use farrier_core::interface::{
    OperationError, OperationId, PortName, SwitchAction, SwitchAddress, SwitchKind,
};
use farrier_sizes::{SWITCH_RECEIVE, SWITCH_SEND};
use farrier_switch_drivers::{MIN_OUT, Order, Report, Seen, SwitchDriver};

use crate::controller::now;
use crate::fmt::{Show, info, warning};
use crate::net::{Caller, TcpError};
use crate::queues::{DriverEvent, bump};
use crate::{Board, Context};

const _: () = assert!(SWITCH_SEND >= MIN_OUT, "a request fits the send buffer");

/// Longest wait for the connection to a switch, and for its acknowledgements.
const CONNECT: Duration = Duration::from_secs(10);

/// One operation on one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchRequest {
    /// Names it.
    pub id: OperationId,
    /// The switch.
    pub switch: SwitchAddress,
    /// The port.
    pub port: PortName,
    /// What is to be done with it.
    pub action: SwitchAction,
    /// Names a move.
    pub token: u64,
    /// When the rack gives it up.
    pub deadline: farrier_core::Instant,
}

/// Buffers of the connection to a switch.
pub struct SwitchBuffers {
    receive: [u8; SWITCH_RECEIVE],
    send: [u8; SWITCH_SEND],
}

impl core::fmt::Debug for SwitchBuffers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SwitchBuffers").finish_non_exhaustive()
    }
}

impl SwitchBuffers {
    /// Empty buffers, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            receive: [0; SWITCH_RECEIVE],
            send: [0; SWITCH_SEND],
        }
    }
}

impl Default for SwitchBuffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Nothing was read, and the switch was not asked for anything.
const fn not_begun(error: OperationError) -> Report {
    Report {
        result: Err(error),
        port: Seen::Unread,
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Carries out one operation after the other.
    pub async fn run_switch(&self, buffers: &'static mut SwitchBuffers) -> ! {
        let SwitchBuffers { receive, send } = buffers;
        let mut caller = Caller::new(self.network, receive, send);
        let queues = self.queues;
        loop {
            let request = queues.switch.receive().await;
            // It may have waited for a slow switch: meanwhile the rack may have
            // given it up, or need something else.
            if !self.shared.look(|rack| rack.awaits_switch(request.id)) {
                continue;
            }
            let report = carry_out(&mut caller, &request).await;
            match report.result {
                Ok(()) => bump(&queues.counters.switch_done),
                Err(why) => {
                    bump(&queues.counters.switch_failed);
                    warning!(
                        "switch {}: port {}: {}: {}",
                        Show(request.switch.address),
                        request.port.as_str(),
                        Show(request.action),
                        Show(why)
                    );
                }
            }
            // In this order: what was read is known when the operation ends.
            let seen = match report.port {
                Seen::Unread => None,
                Seen::Vlan(vlan) => Some(Some(vlan)),
                Seen::Other => Some(None),
            };
            if let Some(vlan) = seen {
                let read = DriverEvent::PortRead(request.id, vlan);
                queues.events.send(read).await;
            }
            let done = DriverEvent::Done(request.id, report.result);
            queues.events.send(done).await;
        }
    }
}

/// Carries an operation out, from the connection to its end.
async fn carry_out(caller: &mut Caller, request: &SwitchRequest) -> Report {
    let order = Order {
        kind: request.switch.kind,
        port: &request.port,
        action: request.action,
        token: request.token,
    };
    match request.switch.kind {
        SwitchKind::ByHand => {
            info!(
                "switch {}: port {} is moved by hand: {}",
                Show(request.switch.address),
                request.port.as_str(),
                Show(request.action)
            );
            return not_begun(OperationError::ByHand);
        }
        // Without SSH below it, anybody on the way could move ports.
        SwitchKind::Netconf => return not_begun(OperationError::Unsupported),
        SwitchKind::Ovsdb => {}
    }
    let peer = SocketAddrV4::new(request.switch.address, request.switch.port);
    let deadline = Instant::from_millis(request.deadline.millis());
    let connected = with_deadline(deadline, caller.connect(peer, CONNECT)).await;
    let report = match connected {
        Ok(Ok(())) => match SwitchDriver::new(now(), request.deadline, &order) {
            Ok(driver) => talk(caller, driver).await,
            Err(error) => not_begun(error),
        },
        Ok(Err(TcpError)) | Err(_) => not_begun(OperationError::Unreachable),
    };
    caller.close().await;
    report
}

/// Lets a driver talk until its operation has ended.
async fn talk(caller: &mut Caller, mut driver: SwitchDriver) -> Report {
    loop {
        if let Some(report) = driver.report() {
            return report;
        }
        let wake = Instant::from_millis(driver.wake_at().millis());
        match with_deadline(wake, exchange(caller, &mut driver)).await {
            Ok(Ok(())) => {}
            Ok(Err(TcpError)) => driver.closed(),
            Err(_) => driver.tick(now()),
        }
    }
}

/// Sends what there is to send, and takes what comes.
async fn exchange(caller: &mut Caller, driver: &mut SwitchDriver) -> Result<(), TcpError> {
    while caller.send(|room| driver.send(now(), room)).await? > 0 {}
    if driver.report().is_some() {
        return Ok(());
    }
    caller
        .receive(|bytes| {
            let mut input = bytes;
            driver.receive(now(), &mut input);
            bytes.len() - input.len()
        })
        .await
}
