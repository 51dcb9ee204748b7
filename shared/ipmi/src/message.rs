//! Messages of IPMI over LAN (13.8): addresses, network function, checksums, and
//! the completion codes of answers (5.2).

use crate::packet::Out;

/// Address of a BMC.
pub const BMC: u8 = 0x20;

/// Address of a remote console's software.
pub const CONSOLE: u8 = 0x81;

/// Bytes that a request adds to its data.
pub const REQUEST_OVERHEAD: usize = 7;

/// Bytes that an answer adds to its data.
pub const RESPONSE_OVERHEAD: usize = 8;

/// Network functions of requests (5.1). That of an answer is one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NetFn {
    /// Power and boot.
    Chassis = 0x00,
    /// Sensors.
    Sensor = 0x04,
    /// The BMC itself, its sessions and consoles.
    App = 0x06,
    /// Events and descriptions of sensors.
    Storage = 0x0a,
    /// Channels: LAN and serial.
    Transport = 0x0c,
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Network function, even.
    pub net_fn: u8,
    /// Logical unit of the BMC, 0 to 3.
    pub lun: u8,
    /// Number of the request, 0 to 63.
    pub number: u8,
    /// The command.
    pub command: u8,
    /// Its data.
    pub data: &'a [u8],
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// Network function, odd.
    pub net_fn: u8,
    /// Number of the request that it answers.
    pub number: u8,
    /// The command.
    pub command: u8,
    /// How it ended.
    pub completion: u8,
    /// Its data.
    pub data: &'a [u8],
}

fn checksum(bytes: &[u8]) -> u8 {
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    sum.wrapping_neg()
}

/// Parts of a message whose checksums are right: the address and the network
/// function; then the other address, number and command; then the data.
fn split(message: &[u8]) -> Option<([u8; 2], [u8; 3], &[u8])> {
    let (head, rest) = message.split_first_chunk::<3>()?;
    let (_, body) = rest.split_last()?;
    if checksum(head) != 0 || checksum(rest) != 0 {
        return None;
    }
    let (middle, data) = body.split_first_chunk::<3>()?;
    let [to, function, _] = *head;
    Some(([to, function], *middle, data))
}

fn emit(head: [u8; 2], middle: &[u8], data: &[u8], out: &mut [u8]) -> Option<usize> {
    let sum = checksum(middle).wrapping_add(checksum(data));
    let mut out = Out::new(out);
    out.put(&head).put(&[checksum(&head)]);
    out.put(middle).put(data).put(&[sum]);
    out.end()
}

impl<'a> Request<'a> {
    /// Reads a request to a BMC; `None` for any other message.
    #[must_use]
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let ([to, function], [_, number, command], data) = split(message)?;
        (to == BMC && function & 4 == 0).then_some(Self {
            net_fn: function >> 2,
            lun: function & 3,
            number: number >> 2,
            command,
            data,
        })
    }

    /// Writes the request, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let head = [BMC, self.net_fn << 2 | self.lun & 3];
        emit(
            head,
            &[CONSOLE, self.number << 2, self.command],
            self.data,
            out,
        )
    }
}

impl<'a> Response<'a> {
    /// Reads an answer to a remote console; `None` for any other message.
    #[must_use]
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let ([to, function], [from, number, command], data) = split(message)?;
        let (completion, data) = data.split_first()?;
        (to == CONSOLE && from == BMC && function & 4 != 0).then_some(Self {
            net_fn: function >> 2,
            number: number >> 2,
            command,
            completion: *completion,
            data,
        })
    }

    /// Writes the answer, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let head = [CONSOLE, self.net_fn << 2];
        let middle = [BMC, self.number << 2, self.command, self.completion];
        emit(head, &middle, self.data, out)
    }
}

/// A completion code that says why a command was not carried out (5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Completion(pub u8);

impl Completion {
    /// The BMC is busy.
    pub const BUSY: Self = Self(0xc0);
    /// The BMC does not know the command.
    pub const UNKNOWN_COMMAND: Self = Self(0xc1);
    /// The command took the BMC too long.
    pub const TIMEOUT: Self = Self(0xc3);
    /// The BMC has no memory left.
    pub const OUT_OF_SPACE: Self = Self(0xc4);
    /// The reservation has ended: reserve again.
    pub const RESERVATION: Self = Self(0xc5);
    /// The request has the wrong length.
    pub const LENGTH: Self = Self(0xc7);
    /// The number lies outside of what there is.
    pub const OUT_OF_RANGE: Self = Self(0xc9);
    /// The BMC can't answer with as many bytes: ask for fewer.
    pub const TOO_LONG: Self = Self(0xca);
    /// There is no such sensor, entry or record.
    pub const NOT_PRESENT: Self = Self(0xcb);
    /// A field of the request has a value that the BMC does not know.
    pub const INVALID_FIELD: Self = Self(0xcc);
    /// The BMC does not do that to this sensor or record.
    pub const ILLEGAL: Self = Self(0xcd);
    /// The BMC's firmware is being updated.
    pub const UPDATING: Self = Self(0xd1);
    /// The BMC is starting.
    pub const STARTING: Self = Self(0xd2);
    /// The privilege of the session does not suffice.
    pub const PRIVILEGE: Self = Self(0xd4);
    /// Not in the state that the BMC, or the machine, is in.
    pub const STATE: Self = Self(0xd5);
    /// The command is disabled.
    pub const DISABLED: Self = Self(0xd6);

    /// Whether the same command may succeed a little later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::BUSY | Self::STARTING)
    }

    /// What the code says, where it says the same for all commands.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self.0 {
            0 => "done",
            0x80..=0xbe => "the BMC refuses the command for a reason of the command's own",
            0xc0 => "the BMC is busy",
            0xc1 | 0xc2 => "the BMC does not know the command",
            0xc3 => "the command took the BMC too long",
            0xc4 => "the BMC has no memory left",
            0xc5 => "the BMC has ended the reservation",
            0xc6 | 0xc7 => "the BMC says that the request has the wrong length",
            0xc8 | 0xc9 | 0xcc => "the BMC does not know a value of the request",
            0xca => "the BMC can't answer with as many bytes",
            0xcb => "the BMC has no such sensor, entry or record",
            0xcd => "the BMC does not do that to this sensor or record",
            0xd1 => "the BMC's firmware is being updated",
            0xd2 => "the BMC is starting",
            0xd4 => "the privilege of the session does not suffice",
            0xd5 => "the BMC does not do that in its present state",
            0xd6 => "the command is disabled in the BMC",
            _ => "the BMC refuses the command",
        }
    }
}

impl core::fmt::Debug for Completion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Completion({:#04x}: {})", self.0, self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        // Get Device ID, as in the examples of tables 13 and 20.
        let request = Request {
            net_fn: NetFn::App as u8,
            lun: 0,
            number: 1,
            command: 1,
            data: &[],
        };
        let mut out = [0; 7];
        assert_eq!(request.emit(&mut out), Some(7));
        assert_eq!(out, [0x20, 0x18, 0xc8, 0x81, 0x04, 0x01, 0x7a]);
        assert_eq!(Request::parse(&out), Some(request));
        assert_eq!(Response::parse(&out), None);
        assert_eq!(request.emit(&mut [0; 6]), None);
        let answer = [0x81, 0x1c, 0x63, 0x20, 0x04, 0x01, 0xc1, 0x1a];
        let read = Response::parse(&answer).expect("a response");
        assert_eq!(Completion(read.completion), Completion::UNKNOWN_COMMAND);
        assert_eq!(
            (read.net_fn, read.number, read.command, read.data),
            (7, 1, 1, &[][..])
        );
        let mut out = [0; 8];
        assert_eq!(read.emit(&mut out), Some(8));
        assert_eq!(out, answer);
    }

    #[test]
    fn a_wrong_byte_is_no_message() {
        let answer = [0x81, 0x1c, 0x63, 0x20, 0x04, 0x01, 0xc1, 0x1a];
        for at in 0..answer.len() {
            assert_eq!(Response::parse(&answer[..at]), None, "{at} bytes");
            let mut wrong = answer;
            wrong[at] ^= 1;
            assert_eq!(Response::parse(&wrong), None, "byte {at}");
        }
    }
}
