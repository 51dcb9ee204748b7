//! The boot ticket: what lets one machine, once, speak for one node.
//!
//! The appliance makes a ticket when it hands out the ramdisk's kernel
//! command line, and puts it there as `farrier.ticket=<64 hex digits>`. The
//! first handshake that proves knowledge of the secret uses the ticket up;
//! keeping that book is the appliance's part, not this module's.

use core::fmt;

use crate::crypto::equal;

/// Name of the kernel command line's parameter.
pub const PARAMETER: &str = "farrier.ticket";
/// Length of a ticket's hexadecimal form.
pub const HEX_LEN: usize = 64;

/// Public name of a ticket: how the appliance finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketId(pub [u8; 8]);

/// A ticket: an identity in the clear and a secret of 192 random bits.
///
/// `Debug` prints the identity only, and comparing takes the same time
/// wherever two tickets differ.
#[derive(Clone, Copy)]
pub struct Ticket {
    /// Sent in the clear.
    pub id: TicketId,
    /// Keys the gate's MAC, and travels only inside the encryption.
    pub secret: [u8; 24],
}

/// A text is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketError {
    /// It is not [`HEX_LEN`] characters long.
    Length,
    /// A character is no hexadecimal digit.
    Digit,
}

impl Ticket {
    /// Makes a ticket out of 32 random bytes.
    pub fn from_random(random: [u8; 32]) -> Self {
        let mut id = [0; 8];
        let mut secret = [0; 24];
        id.copy_from_slice(&random[..8]);
        secret.copy_from_slice(&random[8..]);
        Self {
            id: TicketId(id),
            secret,
        }
    }

    /// Reads the hexadecimal form; both cases of letters are taken.
    pub fn parse(hex: &str) -> Result<Self, TicketError> {
        let hex = hex.as_bytes();
        if hex.len() != HEX_LEN {
            return Err(TicketError::Length);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self::from_random(bytes))
    }

    /// Finds the ticket in a kernel command line. `None` where there is no
    /// `farrier.ticket=`; the last one wins where there are several, as the
    /// kernel treats its own parameters.
    pub fn from_command_line(line: &str) -> Option<Result<Self, TicketError>> {
        line.split_ascii_whitespace()
            .filter_map(|word| word.strip_prefix(PARAMETER)?.strip_prefix('='))
            .next_back()
            .map(Self::parse)
    }

    /// The hexadecimal form, in lower case: ASCII, [`HEX_LEN`] bytes.
    pub fn to_hex(&self) -> [u8; HEX_LEN] {
        let mut out = [0; HEX_LEN];
        let bytes = self.id.0.iter().chain(&self.secret);
        for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out
    }

    /// The hexadecimal form as something that can be printed into a command
    /// line. Not `Display` of the ticket itself: printing a secret shall not
    /// happen by accident.
    pub fn reveal(&self) -> Revealed {
        Revealed(self.to_hex())
    }
}

/// A ticket's hexadecimal form, secret included.
#[derive(Clone, Copy)]
pub struct Revealed([u8; HEX_LEN]);

impl fmt::Display for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revealed(..)")
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        // Not short-circuiting: the id is public, the secret is not.
        equal(&self.id.0, &other.id.0) & equal(&self.secret, &other.secret)
    }
}

impl Eq for Ticket {}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn digit(c: u8) -> Result<u8, TicketError> {
    match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        b'A'..=b'F' => Ok(c - b'A' + 10),
        _ => Err(TicketError::Digit),
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn counting() -> Ticket {
        Ticket::from_random(core::array::from_fn(|i| i as u8))
    }

    #[test]
    fn hex_form_round_trips() {
        let ticket = counting();
        assert_eq!(ticket.reveal().to_string(), HEX);
        assert_eq!(Ticket::parse(HEX), Ok(ticket));
        assert_eq!(Ticket::parse(&HEX.to_uppercase()), Ok(ticket));
    }

    #[test]
    fn refuses_what_is_no_ticket() {
        assert_eq!(Ticket::parse(&HEX[..63]), Err(TicketError::Length));
        assert_eq!(Ticket::parse(""), Err(TicketError::Length));
        let bad = HEX.replace("1f", "1g");
        assert_eq!(Ticket::parse(&bad), Err(TicketError::Digit));
        // 64 bytes, but not 64 characters.
        let wide = HEX.replace("1f", "é");
        assert_eq!(Ticket::parse(&wide), Err(TicketError::Digit));
    }

    #[test]
    fn finds_itself_in_a_command_line() {
        let line = std::format!("quiet {PARAMETER}=bad x={PARAMETER}= {PARAMETER}={HEX}\n");
        assert_eq!(Ticket::from_command_line(&line), Some(Ok(counting())));
        assert_eq!(Ticket::from_command_line("quiet farrier.tickets=1"), None);
        assert_eq!(
            Ticket::from_command_line("farrier.ticket="),
            Some(Err(TicketError::Length))
        );
    }

    #[test]
    fn debug_keeps_the_secret() {
        let text = std::format!("{:?} {:?}", counting(), counting().reveal());
        assert!(!text.contains("31") && !text.contains("1f"), "{text}");
    }
}
