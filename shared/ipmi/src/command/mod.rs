//! Commands as typed requests, and their answers.

pub mod chassis;
pub mod device;
pub mod sdr;
pub mod sel;
pub mod sensor;

use crate::message::NetFn;
use chassis::{BootFlags, ChassisControl, ChassisStatus, parameter};
use device::{DeviceId, SystemGuid};
use sdr::SdrPart;
use sel::{SelEntry, SelInfo};
use sensor::Reading;

/// What a BMC is asked for. Each leads to the variant of [`Answer`] that it
/// names, else to a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The state of power and chassis: [`Answer::ChassisStatus`].
    ChassisStatus,
    /// A change of the power: [`Answer::Done`]. It says that the BMC has taken the
    /// command, not that the machine obeys. Where its answer is lost it is repeated,
    /// and some BMCs carry out a repetition as well. So all but on and off wait longer
    /// before they are repeated, and may still come twice unless
    /// [`Timing::unsafe_tries`](crate::Timing::unsafe_tries) is 1.
    ChassisControl(ChassisControl),
    /// A change of the boot flags: [`Answer::Done`]. It takes up to six messages:
    /// the parameters are claimed, the BMC is kept from forgetting the flags after a
    /// minute, they are marked as seen by the firmware, written, and released. A BMC
    /// that refuses any but the write itself has them all the same.
    SetBootFlags(BootFlags),
    /// The boot flags: [`Answer::BootFlags`].
    BootFlags,
    /// What the BMC is: [`Answer::DeviceId`].
    DeviceId,
    /// Which machine it belongs to: [`Answer::SystemGuid`].
    SystemGuid,
    /// The state of the log: [`Answer::SelInfo`].
    SelInfo,
    /// An entry of the log, [`sel::FIRST`] for the first: [`Answer::SelEntry`].
    SelEntry(u16),
    /// A reservation, which parts of records are asked for with:
    /// [`Answer::Reservation`].
    ReserveSdr,
    /// A part of a sensor's record: [`Answer::Sdr`].
    Sdr {
        /// From [`Command::ReserveSdr`].
        reservation: u16,
        /// Number of the record; 0 for the first.
        record: u16,
        /// First byte.
        offset: u8,
        /// Number of bytes.
        count: u8,
    },
    /// What a sensor reads: [`Answer::Reading`].
    SensorReading {
        /// Its number.
        sensor: u8,
        /// Its logical unit, 0 to 3.
        lun: u8,
    },
    /// The serial console, for this session: [`Answer::ConsoleActive`]. Refused
    /// with the code 0x80 where a session has it: another one, or this one by an
    /// answer that was lost. [`Command::DeactivateConsole`] helps against both.
    ActivateConsole,
    /// The end of the serial console, whichever session has it, if any:
    /// [`Answer::Done`].
    DeactivateConsole,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The BMC has taken the command.
    Done,
    /// The state of power and chassis.
    ChassisStatus(ChassisStatus),
    /// The boot flags.
    BootFlags(BootFlags),
    /// What the BMC is.
    DeviceId(DeviceId),
    /// The machine's GUID.
    SystemGuid(SystemGuid),
    /// The state of the log.
    SelInfo(SelInfo),
    /// An entry of the log.
    SelEntry(SelEntry),
    /// A reservation.
    Reservation(u16),
    /// A part of a sensor's record.
    Sdr(SdrPart<'a>),
    /// What a sensor reads.
    Reading(Reading),
    /// The serial console is this session's.
    ConsoleActive(ConsoleLimits),
}

/// What a BMC says of its console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleLimits {
    /// Longest payload that it takes, in bytes, its header of 4 among them.
    pub to_bmc: u16,
    /// Longest payload that it sends.
    pub from_bmc: u16,
}

/// One message of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub net_fn: NetFn,
    pub lun: u8,
    pub command: u8,
    data: [u8; 8],
    len: u8,
}

impl Frame {
    fn new(net_fn: NetFn, command: u8, data: &[u8]) -> Self {
        let mut frame = Self {
            net_fn,
            lun: 0,
            command,
            data: [0; 8],
            len: 0,
        };
        if let Some(place) = frame.data.get_mut(..data.len()) {
            place.copy_from_slice(data);
            frame.len = u8::try_from(data.len()).unwrap_or(0);
        }
        frame
    }

    pub fn data(&self) -> &[u8] {
        self.data.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Serial over LAN, its first instance.
const CONSOLE: [u8; 2] = [1, 1];
/// Encrypted and authenticated; alerts of the serial port wait.
const PROTECTED: u8 = 0xc0;

/// The steps of [`Command::SetBootFlags`].
mod boot {
    /// Claims the parameters.
    pub const CLAIM: u8 = 0;
    /// Keeps a BMC from clearing the flags a minute after a command.
    pub const KEEP: u8 = 1;
    /// Marks the flags before these as seen.
    pub const ACKNOWLEDGE: u8 = 2;
    /// Writes the flags.
    pub const WRITE: u8 = 3;
    /// Makes what was written count.
    pub const COMMIT: u8 = 4;
    /// Releases the parameters.
    pub const RELEASE: u8 = 5;
}

/// Where a command stands that takes several messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    step: u8,
    /// The boot parameters are claimed.
    claimed: bool,
    /// The code that the write was refused with.
    refused: u8,
}

impl Progress {
    /// No message was answered.
    pub const START: Self = Self {
        step: boot::CLAIM,
        claimed: false,
        refused: 0,
    };
}

impl Command {
    /// Whether a BMC may carry the command out twice without harm, as some do that get
    /// a repetition.
    #[must_use]
    pub const fn repeats_safely(self) -> bool {
        match self {
            Self::ChassisControl(control) => {
                matches!(control, ChassisControl::Off | ChassisControl::On)
            }
            Self::ActivateConsole => false,
            Self::ChassisStatus
            | Self::SetBootFlags(_)
            | Self::BootFlags
            | Self::DeviceId
            | Self::SystemGuid
            | Self::SelInfo
            | Self::SelEntry(_)
            | Self::ReserveSdr
            | Self::Sdr { .. }
            | Self::SensorReading { .. }
            | Self::DeactivateConsole => true,
        }
    }

    /// The message that is due.
    pub(crate) fn frame(self, progress: Progress) -> Frame {
        use NetFn::{App, Chassis, Sensor, Storage};
        match self {
            Self::ChassisStatus => Frame::new(Chassis, 0x01, &[]),
            Self::ChassisControl(control) => Frame::new(Chassis, 0x02, &[control as u8]),
            Self::SetBootFlags(flags) => {
                let [f0, f1, f2, f3, f4] = flags.emit();
                let data: &[u8] = match progress.step {
                    boot::CLAIM => &[parameter::SET_IN_PROGRESS, 1],
                    // Not after the minute that a chassis control has to be obeyed.
                    boot::KEEP => &[parameter::VALID_BIT_CLEARING, 0x08],
                    boot::ACKNOWLEDGE => &[parameter::ACKNOWLEDGE, 1, 1],
                    boot::WRITE => &[parameter::FLAGS, f0, f1, f2, f3, f4],
                    boot::COMMIT => &[parameter::SET_IN_PROGRESS, 2],
                    _ => &[parameter::SET_IN_PROGRESS, 0],
                };
                Frame::new(Chassis, 0x08, data)
            }
            Self::BootFlags => Frame::new(Chassis, 0x09, &[parameter::FLAGS, 0, 0]),
            Self::DeviceId => Frame::new(App, 0x01, &[]),
            Self::SystemGuid => Frame::new(App, 0x37, &[]),
            Self::SelInfo => Frame::new(Storage, 0x40, &[]),
            Self::SelEntry(entry) => {
                let [low, high] = entry.to_le_bytes();
                Frame::new(Storage, 0x43, &[0, 0, low, high, 0, 0xff])
            }
            Self::ReserveSdr => Frame::new(Storage, 0x22, &[]),
            Self::Sdr {
                reservation,
                record,
                offset,
                count,
            } => {
                let [v0, v1] = reservation.to_le_bytes();
                let [r0, r1] = record.to_le_bytes();
                Frame::new(Storage, 0x23, &[v0, v1, r0, r1, offset, count])
            }
            Self::SensorReading { sensor, lun } => Frame {
                lun: lun & 3,
                ..Frame::new(Sensor, 0x2d, &[sensor])
            },
            Self::ActivateConsole => {
                let [kind, instance] = CONSOLE;
                Frame::new(App, 0x48, &[kind, instance, PROTECTED, 0, 0, 0])
            }
            Self::DeactivateConsole => {
                let [kind, instance] = CONSOLE;
                Frame::new(App, 0x49, &[kind, instance, 0, 0, 0, 0])
            }
        }
    }

    /// Takes the completion code of a message. `Ok(true)` says that another
    /// message is due, and `Err` is the code that ends the command.
    pub(crate) const fn advance(self, progress: &mut Progress, completion: u8) -> Result<bool, u8> {
        match (self, completion) {
            (Self::SetBootFlags(_), _) => {}
            // It is nobody's already.
            (_, 0) | (Self::DeactivateConsole, 0x80) => return Ok(false),
            (_, code) => return Err(code),
        }
        match progress.step {
            boot::CLAIM => progress.claimed = completion == 0,
            boot::WRITE => progress.refused = completion,
            _ => {}
        }
        progress.step = match progress.step {
            // Nothing to make count.
            boot::WRITE if progress.claimed && progress.refused != 0 => boot::RELEASE,
            boot::WRITE if !progress.claimed => boot::RELEASE + 1,
            step => step + 1,
        };
        match (progress.step, progress.refused) {
            (..=boot::RELEASE, _) => Ok(true),
            (_, 0) => Ok(false),
            (_, code) => Err(code),
        }
    }

    /// Reads the data of the answer to the last message; `None` where they are too
    /// short.
    pub(crate) fn answer(self, data: &[u8]) -> Option<Answer<'_>> {
        match self {
            Self::ChassisStatus => ChassisStatus::parse(data).map(Answer::ChassisStatus),
            Self::ChassisControl(_) | Self::SetBootFlags(_) | Self::DeactivateConsole => {
                Some(Answer::Done)
            }
            Self::BootFlags => {
                // Version of the parameters, its number, and the parameter.
                let [_, number, rest @ ..] = data else {
                    return None;
                };
                if number & 0x7f != parameter::FLAGS {
                    return None;
                }
                BootFlags::parse(rest).map(Answer::BootFlags)
            }
            Self::DeviceId => DeviceId::parse(data).map(Answer::DeviceId),
            Self::SystemGuid => data
                .first_chunk()
                .map(|guid| Answer::SystemGuid(SystemGuid(*guid))),
            Self::SelInfo => SelInfo::parse(data).map(Answer::SelInfo),
            Self::SelEntry(_) => SelEntry::parse(data).map(Answer::SelEntry),
            Self::ReserveSdr => data
                .first_chunk()
                .map(|id| Answer::Reservation(u16::from_le_bytes(*id))),
            Self::Sdr { count, .. } => SdrPart::parse(data, count).map(Answer::Sdr),
            Self::SensorReading { .. } => Reading::parse(data).map(Answer::Reading),
            Self::ActivateConsole => {
                let (head, _) = data.split_first_chunk::<8>()?;
                let [_, _, _, _, i0, i1, o0, o1] = *head;
                Some(Answer::ConsoleActive(ConsoleLimits {
                    to_bmc: u16::from_le_bytes([i0, i1]),
                    from_bmc: u16::from_le_bytes([o0, o1]),
                }))
            }
        }
    }
}
