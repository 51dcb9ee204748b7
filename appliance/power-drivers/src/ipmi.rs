//! An operation over IPMI: one session, opened by the first look and closed behind
//! the last.

use farrier_core::Instant;
use farrier_core::interface::{OperationError, PowerState};
use farrier_core::power::BootDevice;
use farrier_ipmi::command::chassis::{self, BootFlags, ChassisControl};
use farrier_ipmi::command::device::GuidOrder;
use farrier_ipmi::command::{self, Command as Request};
use farrier_ipmi::rakp::Status;
use farrier_ipmi::suite::Suite;
use farrier_ipmi::{
    Client, Credentials, Event, Failure, Output as ClientOutput, Privilege, Settings, Step,
};

use crate::ask::{Answer, Ask, Command, Fault, Seen};
use crate::driver::{Output, Random};
use crate::flow::Flow;
use crate::limits::{IPMI, OFF_PAUSE_MILLIS};
use crate::link::{Link, Turn};
use crate::order::{Firmware, IpmiAccess, StartFrom};
use crate::report::{BootSeen, Code, Reason};

/// Events of one call at the most.
const EVENTS: usize = 8;

/// A session with a BMC, and what it is asked for.
#[derive(Debug)]
pub struct Ipmi {
    client: Client,
    asked: Option<Ask>,
    /// The session ends.
    closing: bool,
}

impl Ipmi {
    pub(crate) fn new(access: &IpmiAccess<'_>) -> Option<Self> {
        let credentials = Credentials::new(access.user, access.password)?.with_kg(access.kg)?;
        let settings = Settings {
            suites: access.suites,
            privilege: Privilege::Operator,
            timing: IPMI,
        };
        Some(Self {
            client: Client::new(credentials, settings),
            asked: None,
            closing: false,
        })
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.client.suite()
    }

    fn event(&mut self, now: Instant, event: Event<'_>, flow: &mut Flow) {
        // The end of a session, and another one's begin, show in what is asked.
        let answer = match event {
            Event::Done(answer) => self.asked.map(|ask| read(ask, answer)),
            Event::Failed(failure) => self.asked.map(|_| Answer::Failed(fault(failure))),
            Event::Up
            | Event::Down { .. }
            | Event::Present { .. }
            | Event::Absent
            | Event::Console(_) => None,
        };
        if let Some(answer) = answer {
            self.asked = None;
            flow.answer(now, answer);
        }
    }
}

impl Link for Ipmi {
    fn off_pause(&self) -> u64 {
        OFF_PAUSE_MILLIS
    }

    fn is_ready(&self) -> bool {
        self.asked.is_none() && !self.closing && !self.client.is_busy()
    }

    fn begin(&mut self, now: Instant, ask: Ask, _: Random<'_>, flow: &mut Flow) {
        let request = match ask {
            Ask::Power => Request::ChassisStatus,
            Ask::Boot => Request::BootFlags,
            Ask::Uuid => Request::SystemGuid,
            Ask::SetBoot(wanted) => Request::SetBootFlags(flags(wanted)),
            Ask::Command(command) => Request::ChassisControl(match command {
                Command::On => ChassisControl::On,
                Command::Off => ChassisControl::Off,
                Command::SoftOff => ChassisControl::SoftOff,
                Command::Nmi => ChassisControl::DiagnosticInterrupt,
                Command::SoftReboot => {
                    let fault = Fault::new(OperationError::Unsupported, "IPMI has no soft restart");
                    return flow.answer(now, Answer::Failed(fault));
                }
            }),
        };
        match self.client.request(request) {
            Ok(()) => self.asked = Some(ask),
            Err(farrier_ipmi::Refusal::Busy) => {
                let fault = Fault::new(OperationError::Busy, "the client is busy");
                flow.answer(now, Answer::Failed(fault));
            }
        }
    }

    fn poll(&mut self, now: Instant, out: &mut [u8], random: Random<'_>, flow: &mut Flow) -> Turn {
        for _ in 0..EVENTS {
            match self.client.poll(now.millis(), out, random) {
                ClientOutput::Datagram(length) => return Turn::Output(Output::Datagram(length)),
                ClientOutput::Event(event) => self.event(now, event, flow),
                ClientOutput::Wait(_) => break,
            }
        }
        if self.client.step() == Step::Closed {
            self.closing = false;
        }
        Turn::Wait
    }

    fn input(&mut self, now: Instant, bytes: &mut [u8], flow: &mut Flow) {
        if let Some(event) = self.client.input(bytes, now.millis()) {
            self.event(now, event, flow);
        }
    }

    fn abort(&mut self, now: Instant, _: &mut Flow) {
        self.asked = None;
        self.close(now);
    }

    fn close(&mut self, _: Instant) {
        self.client.close();
        self.closing = self.client.step() != Step::Closed;
    }

    fn is_closed(&self) -> bool {
        self.client.step() == Step::Closed
    }

    fn wake_at(&self) -> Option<Instant> {
        self.client.wake_at().map(Instant::from_millis)
    }
}

/// What an answer says.
fn read(ask: Ask, answer: command::Answer<'_>) -> Answer {
    let seen = match (ask, answer) {
        (_, command::Answer::ChassisStatus(status)) => Seen {
            power: Some(match status.is_on() {
                true => PowerState::On,
                false => PowerState::Off,
            }),
            ..Seen::default()
        },
        (_, command::Answer::BootFlags(flags)) => Seen {
            boot: Some(boot(flags)),
            ..Seen::default()
        },
        (_, command::Answer::SystemGuid(guid)) => Seen {
            uuid: Some((!guid.is_unset()).then(|| guid.uuid(GuidOrder::Smbios))),
            ..Seen::default()
        },
        (Ask::SetBoot(_) | Ask::Command(_), command::Answer::Done) => return Answer::Taken,
        (
            _,
            command::Answer::Done
            | command::Answer::DeviceId(_)
            | command::Answer::SelInfo(_)
            | command::Answer::SelEntry(_)
            | command::Answer::Reservation(_)
            | command::Answer::Sdr(_)
            | command::Answer::Reading(_)
            | command::Answer::ConsoleActive(_),
        ) => {
            debug_assert!(false, "the client answers what it is asked for");
            let text = "the BMC answers something else";
            return Answer::Failed(Fault::new(OperationError::Unsupported, text));
        }
    };
    Answer::Seen(seen)
}

fn boot(flags: BootFlags) -> BootSeen {
    let device = match flags.device {
        _ if !flags.valid => return BootSeen::Own,
        chassis::BootDevice::Default => return BootSeen::Own,
        chassis::BootDevice::Pxe => BootDevice::Network,
        chassis::BootDevice::Disk => BootDevice::Disk,
        _ => return BootSeen::Other,
    };
    BootSeen::Device {
        device,
        firmware: Some(match flags.uefi {
            true => Firmware::Uefi,
            false => Firmware::Bios,
        }),
        once: !flags.persistent,
    }
}

const fn flags(wanted: StartFrom) -> BootFlags {
    BootFlags {
        valid: true,
        persistent: false,
        uefi: matches!(wanted.firmware, Firmware::Uefi),
        device: match wanted.device {
            BootDevice::Network => chassis::BootDevice::Pxe,
            BootDevice::Disk => chassis::BootDevice::Disk,
        },
    }
}

/// What a failure means.
fn fault(failure: Failure) -> Fault {
    let (error, code) = match failure {
        Failure::Silent | Failure::Lost | Failure::Closed => (OperationError::Unreachable, 0),
        Failure::NoRmcpPlus | Failure::NoSuite | Failure::Malformed => {
            (OperationError::Unsupported, 0)
        }
        Failure::Password | Failure::Key => (OperationError::Login, 0),
        Failure::Refused(status) => {
            let error = match status {
                Status::NAME | Status::NAME_LENGTH | Status::CODE => OperationError::Login,
                Status::NO_RESOURCES | Status::NO_RESOURCES_OF_ROLE => OperationError::Busy,
                Status::INVALID_SESSION | Status::INACTIVE => OperationError::Unreachable,
                _ => OperationError::Refused,
            };
            (error, status.0)
        }
        Failure::Completion(completion) => {
            let error = match completion.0 {
                _ if completion.is_transient() => OperationError::Busy,
                // It does not know the command.
                0xc1 | 0xc2 => OperationError::Unsupported,
                _ => OperationError::Refused,
            };
            (error, completion.0)
        }
    };
    // "Time-out while processing command": that is no refusal.
    let overran = matches!(failure, Failure::Completion(code) if code.0 == 0xc3);
    Fault {
        error,
        lost: overran || failure == Failure::Lost,
        reason: Reason {
            text: failure.reason(),
            code: match code {
                0 => Code::None,
                code => Code::Ipmi(code),
            },
        },
    }
}
