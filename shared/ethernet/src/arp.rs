//! ARP over Ethernet and IPv4 (RFC 826): who says which address is whose. The
//! stack answers requests; this is for whoever watches.

use core::net::Ipv4Addr;

/// Bytes of the headers: Ethernet and ARP.
pub const FRAME_LEN: usize = 14 + 28;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Who has this address?
    Request,
    /// I have it.
    Reply,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// What it is.
    pub operation: Operation,
    /// The hardware address that the sender says it has.
    pub sender_mac: [u8; 6],
    /// The sender's address; unspecified in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The hardware address of whom it asks or answers.
    pub target_mac: [u8; 6],
    /// The address that it is about.
    pub target: Ipv4Addr,
}

impl Arp {
    /// The message in an untagged frame; `None` for any other frame.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (ethernet, rest) = frame.split_first_chunk::<14>()?;
        let [.., type_hi, type_lo] = *ethernet;
        let (fixed, rest) = rest.split_first_chunk::<8>()?;
        // Hardware Ethernet, protocol IPv4, lengths 6 and 4.
        let [0, 1, 8, 0, 6, 4, 0, operation] = *fixed else {
            return None;
        };
        if [type_hi, type_lo] != [0x08, 0x06] {
            return None;
        }
        let (sender_mac, rest) = rest.split_first_chunk::<6>()?;
        let (sender, rest) = rest.split_first_chunk::<4>()?;
        let (target_mac, rest) = rest.split_first_chunk::<6>()?;
        let (target, _) = rest.split_first_chunk::<4>()?;
        Some(Arp {
            operation: match operation {
                1 => Operation::Request,
                2 => Operation::Reply,
                _ => return None,
            },
            sender_mac: *sender_mac,
            sender: Ipv4Addr::from(*sender),
            target_mac: *target_mac,
            target: Ipv4Addr::from(*target),
        })
    }

    /// Writes the message as a frame from its sender to `to`. Returns its length;
    /// `None` where the buffer is shorter than [`FRAME_LEN`].
    #[must_use]
    pub fn emit(&self, to: [u8; 6], buffer: &mut [u8]) -> Option<usize> {
        let frame = buffer.first_chunk_mut::<FRAME_LEN>()?;
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&self.sender_mac);
        frame[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation]);
        frame[22..28].copy_from_slice(&self.sender_mac);
        frame[28..32].copy_from_slice(&self.sender.octets());
        frame[32..38].copy_from_slice(&self.target_mac);
        frame[38..42].copy_from_slice(&self.target.octets());
        Some(FRAME_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Arp = Arp {
        operation: Operation::Request,
        sender_mac: [2, 0, 0, 0, 0, 1],
        sender: Ipv4Addr::new(172, 22, 0, 20),
        target_mac: [0; 6],
        target: Ipv4Addr::new(172, 22, 0, 1),
    };

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for operation in [Operation::Request, Operation::Reply] {
            let message = Arp { operation, ..ASK };
            let mut frame = [0xee; 60];
            assert_eq!(message.emit([0xff; 6], &mut frame), Some(FRAME_LEN));
            assert_eq!(Arp::parse(&frame), Some(message), "padding behind it");
            assert_eq!(Arp::parse(&frame[..FRAME_LEN]), Some(message));
            for length in 0..FRAME_LEN {
                assert_eq!(Arp::parse(&frame[..length]), None);
                let mut short = frame;
                assert_eq!(message.emit([0; 6], &mut short[..length]), None);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_rfc_826() {
        let mut frame = [0; FRAME_LEN];
        assert!(ASK.emit([0xff; 6], &mut frame).is_some());
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, // Ethernet
            0, 1, 8, 0, 6, 4, 0, 1, // Ethernet, IPv4, request
            2, 0, 0, 0, 0, 1, 172, 22, 0, 20, 0, 0, 0, 0, 0, 0, 172, 22, 0, 1,
        ];
        assert_eq!(frame, expected);
    }

    #[test]
    fn other_hardware_protocols_and_operations_are_not_read() {
        let mut frame = [0; FRAME_LEN];
        assert!(ASK.emit([0xff; 6], &mut frame).is_some());
        for at in 12..22 {
            let mut other = frame;
            other[at] ^= 0x40;
            assert_eq!(Arp::parse(&other), None, "byte {at}");
        }
    }
}
