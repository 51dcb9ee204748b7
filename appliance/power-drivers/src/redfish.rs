//! An operation over Redfish: a chain of the client's operations, each over a
//! connection of its own, and one session for all of them.

use core::mem;

use farrier_core::Instant;
use farrier_core::interface::{OperationError, PowerState};
use farrier_core::power::BootDevice;
use farrier_redfish::{
    self as redfish, Auth, Bmc, BootEnabled, BootMode, BootOverride, BootState, BootTarget,
    FailureKind, MAX_MESSAGE, Outcome, Request, ResetType, Settings, SystemState, Text, Wants,
};

use crate::ask::{Answer, Ask, Command, Fault, Seen};
use crate::driver::{Output, Random};
use crate::flow::Flow;
use crate::limits::{OFF_PAUSE_MILLIS, REDFISH};
use crate::link::{Link, Turn};
use crate::order::{Firmware, RedfishAccess, StartFrom};
use crate::report::{BootSeen, Code, Reason};

static SETTINGS: Settings = REDFISH;

/// Steps of the client in one call at the most.
const STEPS: usize = 8;

/// What there is of the client.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an operation is in it nearly always, and there is no heap"
)]
enum Slot<'a> {
    Idle(&'a mut Bmc),
    Busy(redfish::Operation<'a>),
    /// While one becomes the other.
    Empty,
}

/// A service, and what it is asked for.
#[derive(Debug)]
pub struct Redfish<'a> {
    access: &'a RedfishAccess<'a>,
    slot: Slot<'a>,
    asked: Option<Ask>,
    /// How many ways to ask for the same the BMC does not allow.
    way: u8,
    /// The owner opens the stream.
    connecting: bool,
    message: Text<MAX_MESSAGE>,
}

impl<'a> Redfish<'a> {
    pub(crate) fn new(access: &'a RedfishAccess<'a>, bmc: &'a mut Bmc) -> Self {
        Self {
            access,
            slot: Slot::Idle(bmc),
            asked: None,
            way: 0,
            connecting: false,
            message: Text::EMPTY,
        }
    }

    fn start(&mut self, now: Instant, request: &'a Request<'a>) {
        self.slot = match mem::replace(&mut self.slot, Slot::Empty) {
            Slot::Idle(bmc) => {
                self.connecting = false;
                Slot::Busy(redfish::Operation::new(
                    bmc,
                    &self.access.target,
                    request,
                    &SETTINGS,
                    now.millis(),
                ))
            }
            other => {
                debug_assert!(false, "one at a time");
                other
            }
        };
    }

    /// Takes the end of the client's operation, if it has one.
    fn take_end(&mut self, now: Instant, flow: &mut Flow) {
        let Slot::Busy(operation) = &self.slot else {
            return;
        };
        let (answer, refused) = match operation.end() {
            None => return,
            Some(Ok(outcome)) => (read(&outcome), false),
            Some(Err(failure)) => {
                if !failure.message.is_empty() {
                    self.message = Text::new(failure.message);
                }
                let refused = failure.kind == FailureKind::NotAllowed;
                (Answer::Failed(fault(&failure)), refused)
            }
        };
        if let Slot::Busy(operation) = mem::replace(&mut self.slot, Slot::Empty) {
            self.slot = Slot::Idle(operation.into_bmc());
        }
        let Some(ask) = self.asked else {
            return;
        };
        // Nothing was sent: there may be another way.
        if refused {
            self.way += 1;
            if let Some(request) = request(ask, self.way) {
                return self.start(now, request);
            }
        }
        self.asked = None;
        flow.answer(now, answer);
    }
}

impl Link for Redfish<'_> {
    fn off_pause(&self) -> u64 {
        OFF_PAUSE_MILLIS
    }

    fn is_ready(&self) -> bool {
        matches!(self.slot, Slot::Idle(_))
    }

    fn begin(&mut self, now: Instant, ask: Ask, _: Random<'_>, flow: &mut Flow) {
        self.asked = Some(ask);
        self.way = 0;
        if let Some(request) = request(ask, 0) {
            self.start(now, request);
            self.take_end(now, flow);
        }
    }

    fn poll(&mut self, now: Instant, out: &mut [u8], _: Random<'_>, flow: &mut Flow) -> Turn {
        for _ in 0..STEPS {
            let Slot::Busy(operation) = &mut self.slot else {
                return Turn::Wait;
            };
            match operation.wants() {
                Wants::Connect if !self.connecting => {
                    self.connecting = true;
                    return Turn::Output(Output::Connect);
                }
                Wants::Send => {
                    let length = operation.output(out);
                    return Turn::Output(Output::Stream(length));
                }
                Wants::Connect | Wants::Receive | Wants::Wait => {
                    if now.millis() < operation.deadline() {
                        return Turn::Wait;
                    }
                    operation.tick(now.millis());
                }
                Wants::Nothing => {}
            }
            self.take_end(now, flow);
        }
        Turn::Wait
    }

    fn input(&mut self, now: Instant, bytes: &mut [u8], flow: &mut Flow) {
        if let Slot::Busy(operation) = &mut self.slot {
            operation.input(bytes, now.millis(), &mut ());
            self.take_end(now, flow);
        }
    }

    fn connected(&mut self) {
        if let Slot::Busy(operation) = &mut self.slot
            && mem::take(&mut self.connecting)
        {
            operation.connected();
        }
    }

    fn closed(&mut self, now: Instant, flow: &mut Flow) {
        self.connecting = false;
        if let Slot::Busy(operation) = &mut self.slot {
            operation.closed(now.millis());
            self.take_end(now, flow);
        }
    }

    fn abort(&mut self, now: Instant, flow: &mut Flow) {
        self.asked = None;
        if let Slot::Busy(operation) = &mut self.slot {
            operation.abort();
            self.take_end(now, flow);
        }
    }

    fn close(&mut self, now: Instant) {
        static CLOSE: Request<'static> = Request::CloseSession;
        let has_session = match &self.slot {
            Slot::Idle(bmc) => bmc.has_session(),
            Slot::Busy(_) | Slot::Empty => false,
        };
        let ends = self.access.target.auth == Auth::Session && !self.access.keep_session;
        if has_session && ends {
            self.start(now, &CLOSE);
        }
    }

    fn is_closed(&self) -> bool {
        self.is_ready()
    }

    fn message(&self) -> &str {
        self.message.as_str()
    }

    fn wake_at(&self) -> Option<Instant> {
        let Slot::Busy(operation) = &self.slot else {
            return None;
        };
        match operation.wants() {
            Wants::Connect if !self.connecting => Some(Instant::START),
            Wants::Send | Wants::Nothing => Some(Instant::START),
            Wants::Connect | Wants::Receive | Wants::Wait => {
                Some(Instant::from_millis(operation.deadline()))
            }
        }
    }
}

const fn set_boot(target: BootTarget, mode: Option<BootMode>) -> Request<'static> {
    Request::SetBoot(BootOverride {
        enabled: BootEnabled::Once,
        target,
        mode,
        http_uri: None,
    })
}

/// How a BMC is asked; the ways are tried in turn where one is not allowed. The first
/// of each is there.
fn request(ask: Ask, way: u8) -> Option<&'static Request<'static>> {
    static READ: Request<'static> = Request::ReadSystem;
    static ON: [Request<'static>; 2] = [
        Request::Reset(ResetType::On),
        Request::Reset(ResetType::ForceOn),
    ];
    static OFF: Request<'static> = Request::Reset(ResetType::ForceOff);
    static SOFT_OFF: Request<'static> = Request::Reset(ResetType::GracefulShutdown);
    static SOFT_REBOOT: Request<'static> = Request::Reset(ResetType::GracefulRestart);
    static NMI: Request<'static> = Request::Reset(ResetType::Nmi);
    // The mode last that the BMC has: some can't change it.
    static NETWORK_UEFI: [Request<'static>; 2] = [
        set_boot(BootTarget::Pxe, Some(BootMode::Uefi)),
        set_boot(BootTarget::Pxe, None),
    ];
    static NETWORK_BIOS: [Request<'static>; 2] = [
        set_boot(BootTarget::Pxe, Some(BootMode::Legacy)),
        set_boot(BootTarget::Pxe, None),
    ];
    static DISK_UEFI: [Request<'static>; 2] = [
        set_boot(BootTarget::Hdd, Some(BootMode::Uefi)),
        set_boot(BootTarget::Hdd, None),
    ];
    static DISK_BIOS: [Request<'static>; 2] = [
        set_boot(BootTarget::Hdd, Some(BootMode::Legacy)),
        set_boot(BootTarget::Hdd, None),
    ];
    let ways = match ask {
        Ask::Power | Ask::Boot | Ask::Uuid => core::slice::from_ref(&READ),
        Ask::Command(Command::On) => &ON,
        Ask::Command(Command::Off) => core::slice::from_ref(&OFF),
        Ask::Command(Command::SoftOff) => core::slice::from_ref(&SOFT_OFF),
        Ask::Command(Command::SoftReboot) => core::slice::from_ref(&SOFT_REBOOT),
        Ask::Command(Command::Nmi) => core::slice::from_ref(&NMI),
        Ask::SetBoot(StartFrom { device, firmware }) => match (device, firmware) {
            (BootDevice::Network, Firmware::Uefi) => &NETWORK_UEFI,
            (BootDevice::Network, Firmware::Bios) => &NETWORK_BIOS,
            (BootDevice::Disk, Firmware::Uefi) => &DISK_UEFI,
            (BootDevice::Disk, Firmware::Bios) => &DISK_BIOS,
        },
    };
    ways.get(usize::from(way))
}

/// What the end of an operation says.
fn read(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::System(system) => Answer::Seen(seen(system)),
        Outcome::Reset(_)
        | Outcome::Sensors { .. }
        | Outcome::Media(_)
        | Outcome::Bios(_)
        | Outcome::BiosPending
        | Outcome::SecureBoot(_)
        | Outcome::SessionClosed => Answer::Taken,
    }
}

fn seen(system: &SystemState) -> Seen {
    use redfish::PowerState as Shown;
    Seen {
        power: Some(match system.power {
            Some(Shown::On) => PowerState::On,
            Some(Shown::Off) => PowerState::Off,
            Some(Shown::PoweringOn | Shown::PoweringOff | Shown::Paused) | None => {
                PowerState::Unknown
            }
        }),
        boot: Some(boot(&system.boot)),
        uuid: Some(system.uuid),
    }
}

fn boot(state: &BootState) -> BootSeen {
    let Some(enabled) = state.enabled else {
        return BootSeen::Unknown;
    };
    let device = match state.target {
        _ if enabled == BootEnabled::Disabled => return BootSeen::Own,
        None => return BootSeen::Unknown,
        Some(BootTarget::None) => return BootSeen::Own,
        Some(BootTarget::Pxe | BootTarget::UefiHttp) => BootDevice::Network,
        Some(BootTarget::Hdd) => BootDevice::Disk,
        Some(BootTarget::Cd | BootTarget::UsbCd | BootTarget::Usb | BootTarget::BiosSetup) => {
            return BootSeen::Other;
        }
    };
    BootSeen::Device {
        device,
        firmware: state.mode.map(|mode| match mode {
            BootMode::Uefi => Firmware::Uefi,
            BootMode::Legacy => Firmware::Bios,
        }),
        once: enabled == BootEnabled::Once,
    }
}

/// What a failure means.
fn fault(failure: &redfish::Failure<'_>) -> Fault {
    let error = match failure.kind {
        FailureKind::Closed
        | FailureKind::Timeout
        | FailureKind::TooSlow
        | FailureKind::GivenUp => OperationError::Unreachable,
        FailureKind::Unauthorized | FailureKind::Credentials => OperationError::Login,
        FailureKind::Refused if matches!(failure.status, 429 | 503) => OperationError::Busy,
        FailureKind::Refused
        | FailureKind::ErrorInside
        | FailureKind::Conflict
        | FailureKind::Task
        | FailureKind::TaskLost => OperationError::Refused,
        FailureKind::NotApplied => OperationError::NotApplied,
        FailureKind::Http(_)
        | FailureKind::Json(_)
        | FailureKind::NoDocument
        | FailureKind::Link(_)
        | FailureKind::Redirect
        | FailureKind::Unsupported
        | FailureKind::NotAllowed
        | FailureKind::NoSystem
        | FailureKind::Ambiguous
        | FailureKind::NoMedia => OperationError::Unsupported,
    };
    Fault {
        error,
        lost: failure.open,
        reason: Reason {
            text: failure.kind.text(),
            code: match failure.status {
                0 => Code::None,
                status => Code::Http(status),
            },
        },
    }
}
