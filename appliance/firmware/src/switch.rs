//! The switches' task: takes the controller's operations on ports one by one,
//! calls the switch, lets its driver talk, and brings the answer back. A switch
//! that is slow holds up other operations only, and no operation outlives its
//! deadline.

use core::net::SocketAddrV4;

use embassy_time::{Duration, Instant, Timer, with_deadline};
use farrier_core::interface::{
    HostKey, Learned, Mac, OperationError, OperationId, PortName, SwitchAction, SwitchAddress,
    SwitchDetails, SwitchKind, SwitchLogin,
};
use farrier_sizes::{SWITCH_RECEIVE, SWITCH_SEND};
#[cfg(feature = "ssh")]
use farrier_switch_drivers::ssh::{SshBuffers, SshDriver, fingerprint};
use farrier_switch_drivers::{Driver, MIN_OUT, Order, Report, Seen, SwitchDriver};

use crate::controller::now;
use crate::fmt::{Show, info, warning};
use crate::net::{Caller, TcpError};
use crate::queues::{DriverEvent, bump};
use crate::{Board, Context};

const _: () = assert!(SWITCH_SEND >= MIN_OUT, "a request fits the send buffer");

/// Longest wait for the connection to a switch, and for its acknowledgements.
const CONNECT: Duration = Duration::from_secs(10);

/// Pause where nothing moves.
const PAUSE: Duration = Duration::from_millis(10);

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
    /// The VLAN that the port goes to is made.
    pub make_vlan: bool,
    /// The VLAN that the port leaves is removed.
    pub remove_vlan: bool,
    /// The move is permanent at once.
    pub at_once: bool,
    /// The trunk that carries these VLANs; empty for none.
    pub trunk: PortName,
    /// The address that is looked for in the switch's table.
    pub mac: Option<Mac>,
    /// When the rack gives it up.
    pub deadline: farrier_core::Instant,
}

/// Buffers of the connection to a switch.
pub struct SwitchBuffers {
    receive: [u8; SWITCH_RECEIVE],
    send: [u8; SWITCH_SEND],
    #[cfg(feature = "ssh")]
    ssh: SshBuffers,
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
            #[cfg(feature = "ssh")]
            ssh: SshBuffers::new(),
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
        link: None,
        learned: Learned::Unknown,
    }
}

/// What an operation is carried out with.
struct Means {
    caller: Caller,
    #[cfg(feature = "ssh")]
    ssh: &'static mut SshBuffers,
}

/// How an operation ended, and the switch's host key where it is not the pinned
/// one.
struct End {
    report: Report,
    host_key: Option<HostKey>,
}

impl From<Report> for End {
    fn from(report: Report) -> Self {
        Self {
            report,
            host_key: None,
        }
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Carries out one operation after the other.
    pub async fn run_switch(&self, buffers: &'static mut SwitchBuffers) -> ! {
        let mut means = Means {
            caller: Caller::new(self.network, &mut buffers.receive, &mut buffers.send),
            #[cfg(feature = "ssh")]
            ssh: &mut buffers.ssh,
        };
        let queues = self.queues;
        loop {
            let request = queues.switch.receive().await;
            // It may have waited for a slow switch: meanwhile the rack may have
            // given it up, or need something else.
            let login = self.shared.look(|rack| {
                let awaited = rack.awaits_switch(request.id);
                awaited.then(|| rack.switch_login(request.switch))
            });
            let Some(login) = login else {
                continue;
            };
            let End { report, host_key } = means.carry_out(&request, login.as_ref()).await;
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
            // In this order: what was seen is known when the operation ends.
            if let Some(key) = host_key {
                let seen = DriverEvent::HostKey(request.switch, key);
                queues.events.send(seen).await;
            }
            let seen = match report.port {
                Seen::Unread => None,
                Seen::Vlan(vlan) => Some(Some(vlan)),
                Seen::Other => Some(None),
            };
            if let Some(vlan) = seen {
                let read = DriverEvent::PortRead(request.id, vlan, report.link, report.learned);
                queues.events.send(read).await;
            }
            let done = DriverEvent::Done(request.id, report.result);
            queues.events.send(done).await;
        }
    }
}

impl Means {
    /// Carries an operation out, from the connection to its end.
    async fn carry_out(&mut self, request: &SwitchRequest, login: Option<&SwitchLogin>) -> End {
        match (request.switch.kind, login) {
            (SwitchKind::ByHand, _) => {
                info!(
                    "switch {}: port {} is moved by hand: {}",
                    Show(request.switch.address),
                    request.port.as_str(),
                    Show(request.action)
                );
                return not_begun(OperationError::ByHand).into();
            }
            // Without SSH below it, anybody on the way could move ports.
            (SwitchKind::Netconf, _) if cfg!(not(feature = "ssh")) => {
                return not_begun(OperationError::Unsupported).into();
            }
            (SwitchKind::Netconf, None) => return not_begun(OperationError::Login).into(),
            (SwitchKind::Netconf, Some(_)) | (SwitchKind::Ovsdb, _) => {}
        }
        let peer = SocketAddrV4::new(request.switch.address, request.switch.port);
        let deadline = Instant::from_millis(request.deadline.millis());
        let connected = with_deadline(deadline, self.caller.connect(peer, CONNECT)).await;
        let end = match connected {
            Ok(Ok(())) => self.talk(request, login).await,
            Ok(Err(TcpError)) | Err(_) => not_begun(OperationError::Unreachable).into(),
        };
        self.caller.close().await;
        end
    }

    #[cfg(feature = "ssh")]
    async fn talk(&mut self, request: &SwitchRequest, login: Option<&SwitchLogin>) -> End {
        let (SwitchKind::Netconf, Some(login)) = (request.switch.kind, login) else {
            return self.talk_plainly(request).await;
        };
        let (order, until) = (order(request), request.deadline);
        let mut driver = match SshDriver::new(now(), until, &order, login, self.ssh) {
            Ok(driver) => driver,
            Err(error) => return not_begun(error).into(),
        };
        let report = talk(&mut self.caller, &mut driver).await;
        let host_key = driver.host_key();
        if let Some(key) = &host_key {
            warning!(
                "switch {}: its host key is not the one pinned: {}",
                Show(request.switch.address),
                fingerprint(key).as_str()
            );
        }
        End { report, host_key }
    }

    #[cfg(not(feature = "ssh"))]
    async fn talk(&mut self, request: &SwitchRequest, _login: Option<&SwitchLogin>) -> End {
        self.talk_plainly(request).await
    }

    /// Talks over the connection itself.
    async fn talk_plainly(&mut self, request: &SwitchRequest) -> End {
        match SwitchDriver::new(now(), request.deadline, &order(request)) {
            Ok(mut driver) => talk(&mut self.caller, &mut driver).await,
            Err(error) => not_begun(error),
        }
        .into()
    }
}

fn order(request: &SwitchRequest) -> Order<'_> {
    Order {
        kind: request.switch.kind,
        port: &request.port,
        action: request.action,
        token: request.token,
        details: SwitchDetails {
            make_vlan: request.make_vlan,
            remove_vlan: request.remove_vlan,
            at_once: request.at_once,
            trunk: &request.trunk,
            mac: request.mac,
        },
    }
}

/// Lets a driver talk until its operation has ended.
pub(crate) async fn talk(caller: &mut Caller, driver: &mut impl Driver) -> Report {
    loop {
        if let Some(report) = driver.report() {
            return report;
        }
        let wake = Instant::from_millis(driver.wake_at().millis());
        match with_deadline(wake, exchange(caller, driver)).await {
            Ok(Ok(())) => {}
            Ok(Err(TcpError)) => driver.closed(),
            Err(_) => {}
        }
        // Also where a switch has so much to say that nothing is waited for.
        driver.tick(now());
    }
}

/// Sends what there is to send, and takes what comes.
async fn exchange(caller: &mut Caller, driver: &mut impl Driver) -> Result<(), TcpError> {
    while caller.send(|room| driver.send(now(), room)).await? > 0 {}
    if driver.report().is_some() {
        return Ok(());
    }
    let mut taken = 0;
    caller
        .receive(|bytes| {
            let mut input = bytes;
            driver.receive(now(), &mut input);
            taken = bytes.len() - input.len();
            taken
        })
        .await?;
    if taken == 0 {
        // It has bytes that it can't take yet: others get their turn.
        Timer::after(PAUSE).await;
    }
    Ok(())
}
