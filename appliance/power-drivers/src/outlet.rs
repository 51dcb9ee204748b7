//! An operation on an outlet, or a PoE port, by SNMP.

use core::fmt;

use farrier_core::Instant;
use farrier_core::interface::{OperationError, PowerState};
use farrier_snmp::outlet::{Action, Outlet, OutletState};
use farrier_snmp::{Config, ErrorStatus, Exchange, FailureKind, Request};

use crate::ask::{Answer, Ask, Command, Fault, Seen};
use crate::driver::{Output, Random};
use crate::flow::Flow;
use crate::limits::{OUTLET_OFF_PAUSE_MILLIS, SNMP_ANSWER_MILLIS, SNMP_ATTEMPTS};
use crate::link::{Link, Turn};
use crate::order::OutletAccess;
use crate::report::{BootSeen, Reason};

/// An outlet, and what it is asked for.
pub struct Snmp<'a> {
    community: &'a str,
    outlet: Outlet,
    exchange: Option<(Ask, Exchange<'a>)>,
}

impl fmt::Debug for Snmp<'_> {
    /// Without the community.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snmp")
            .field("outlet", &self.outlet)
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}

impl<'a> Snmp<'a> {
    pub(crate) const fn new(access: &OutletAccess<'a>) -> Self {
        Self {
            community: access.community,
            outlet: access.outlet,
            exchange: None,
        }
    }

    fn request(&self, ask: Ask) -> Option<Request> {
        match ask {
            Ask::Power => self.outlet.read(),
            Ask::Command(Command::On) => self.outlet.command(Action::On),
            Ask::Command(Command::Off) => self.outlet.command(Action::Off),
            Ask::Boot
            | Ask::Uuid
            | Ask::SetBoot(_)
            | Ask::Command(Command::SoftOff | Command::SoftReboot | Command::Nmi) => None,
        }
    }

    /// Takes the end of the exchange, if it has one.
    fn take_end(&mut self, now: Instant, flow: &mut Flow) {
        let Some((ask, exchange)) = &self.exchange else {
            return;
        };
        let Some(end) = exchange.end() else {
            return;
        };
        let answer = match (end, ask) {
            (Err(failure), _) => Answer::Failed(fault(failure)),
            (Ok(answer), Ask::Power) => Answer::Seen(Seen {
                power: Some(match self.outlet.state(&answer.value) {
                    OutletState::On => PowerState::On,
                    OutletState::Off => PowerState::Off,
                    OutletState::Changing | OutletState::Fault | OutletState::Unknown => {
                        PowerState::Unknown
                    }
                }),
                // An outlet knows nothing of these.
                boot: Some(BootSeen::Unknown),
                uuid: Some(None),
            }),
            (Ok(_), _) => Answer::Taken,
        };
        self.exchange = None;
        flow.answer(now, answer);
    }
}

impl Link for Snmp<'_> {
    fn off_pause(&self) -> u64 {
        OUTLET_OFF_PAUSE_MILLIS
    }

    fn is_ready(&self) -> bool {
        self.exchange.is_none()
    }

    fn begin(&mut self, now: Instant, ask: Ask, random: Random<'_>, flow: &mut Flow) {
        let Some(request) = self.request(ask) else {
            let fault = Fault::new(OperationError::Unsupported, "an outlet can't do that");
            return flow.answer(now, Answer::Failed(fault));
        };
        let config = Config {
            community: self.community,
            answer_ms: SNMP_ANSWER_MILLIS,
            attempts: SNMP_ATTEMPTS,
        };
        let mut id = [0; 4];
        random(&mut id);
        let id = i32::from_le_bytes(id);
        self.exchange = Some((ask, Exchange::new(&config, request, id, now.millis())));
    }

    fn poll(&mut self, now: Instant, out: &mut [u8], _: Random<'_>, flow: &mut Flow) -> Turn {
        if let Some((_, exchange)) = &mut self.exchange {
            let length = exchange.output(now.millis(), out);
            if length > 0 {
                return Turn::Output(Output::Datagram(length));
            }
            exchange.tick(now.millis());
        }
        self.take_end(now, flow);
        Turn::Wait
    }

    fn input(&mut self, now: Instant, bytes: &mut [u8], flow: &mut Flow) {
        if let Some((_, exchange)) = &mut self.exchange {
            exchange.input(bytes);
        }
        self.take_end(now, flow);
    }

    fn abort(&mut self, _: Instant, _: &mut Flow) {
        self.exchange = None;
    }

    fn close(&mut self, _: Instant) {}

    fn is_closed(&self) -> bool {
        true
    }

    fn wake_at(&self) -> Option<Instant> {
        let (_, exchange) = self.exchange.as_ref()?;
        Some(Instant::from_millis(exchange.deadline()))
    }
}

/// What a failure means.
fn fault(failure: farrier_snmp::Failure) -> Fault {
    let (error, text) = match failure.kind {
        FailureKind::Timeout => (
            OperationError::Unreachable,
            "the outlet does not answer, or has another community",
        ),
        FailureKind::GivenUp => (OperationError::Unreachable, "given up"),
        FailureKind::Refused(status) => {
            let error = match status {
                ErrorStatus::NoAccess | ErrorStatus::Authorization => OperationError::Login,
                ErrorStatus::NoSuchName
                | ErrorStatus::NoCreation
                | ErrorStatus::InconsistentName => OperationError::Unsupported,
                ErrorStatus::ResourceUnavailable => OperationError::Busy,
                ErrorStatus::TooBig
                | ErrorStatus::BadValue
                | ErrorStatus::ReadOnly
                | ErrorStatus::General
                | ErrorStatus::WrongType
                | ErrorStatus::WrongLength
                | ErrorStatus::WrongEncoding
                | ErrorStatus::WrongValue
                | ErrorStatus::InconsistentValue
                | ErrorStatus::CommitFailed
                | ErrorStatus::UndoFailed
                | ErrorStatus::NotWritable
                | ErrorStatus::Other(_) => OperationError::Refused,
            };
            (error, status.text())
        }
        FailureKind::NoSuchObject | FailureKind::EndOfView | FailureKind::NotIncreasing => {
            (OperationError::Unsupported, "there is no such outlet")
        }
        FailureKind::Community => (OperationError::Login, "the community is too long"),
        FailureKind::BufferTooSmall => (
            OperationError::Unsupported,
            "the datagram does not fit its buffer",
        ),
    };
    Fault {
        error,
        lost: failure.open,
        reason: Reason::new(text),
    }
}
