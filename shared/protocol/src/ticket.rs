//! The boot ticket. It authorises one handshake for one boot of one node.
//!
//! The appliance puts a ticket on the ramdisk's kernel command line as
//! `farrier.ticket=<64 hex digits>`. The first handshake that proves knowledge of
//! the secret uses the ticket up. The appliance records that; this module does
//! not.

use core::fmt;

use crate::crypto::equal;

/// Name of the parameter on the kernel command line.
pub const PARAMETER: &str = "farrier.ticket";
/// Length of a ticket's hexadecimal form in characters.
pub const HEX_LEN: usize = 64;

/// Public identifier of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketId(pub [u8; 8]);

/// A ticket: a public identifier and a secret of 192 random bits.
///
/// `Debug` prints only the identifier. The comparison takes constant time.
#[derive(Clone, Copy)]
pub struct Ticket {
    /// The identifier, sent in the clear.
    pub id: TicketId,
    /// The secret. It keys the gate's MAC and is sent only encrypted.
    pub secret: [u8; 24],
}

/// Why a text is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketError {
    /// The text does not have [`HEX_LEN`] characters.
    Length,
    /// A character is not a hexadecimal digit.
    Digit,
}

impl Ticket {
    /// Creates a ticket from 32 random bytes.
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

    /// Parses the hexadecimal form in either case.
    ///
    /// # Errors
    /// See [`TicketError`].
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

    /// Finds the ticket on a kernel command line. Returns `None` if there is no
    /// `farrier.ticket=`. The last one counts, as for the kernel's parameters.
    pub fn from_command_line(line: &str) -> Option<Result<Self, TicketError>> {
        line.split_ascii_whitespace()
            .filter_map(|word| word.strip_prefix(PARAMETER)?.strip_prefix('='))
            .next_back()
            .map(Self::parse)
    }

    /// Returns the hexadecimal form: ASCII in lower case.
    pub fn to_hex(&self) -> [u8; HEX_LEN] {
        let mut out = [0; HEX_LEN];
        let bytes = self.id.0.iter().chain(&self.secret);
        for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out
    }

    /// Returns the hexadecimal form for a command line. The ticket itself has no
    /// `Display`, so that the secret is not printed by accident.
    pub fn reveal(&self) -> Revealed {
        Revealed(self.to_hex())
    }
}

/// A ticket's hexadecimal form with the secret.
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
        // No short circuit: the comparison takes constant time.
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
    fn hex_form_parses_equal() {
        let ticket = counting();
        assert_eq!(ticket.reveal().to_string(), HEX);
        assert_eq!(Ticket::parse(HEX), Ok(ticket));
        assert_eq!(Ticket::parse(&HEX.to_uppercase()), Ok(ticket));
    }

    #[test]
    fn malformed_text_is_not_a_ticket() {
        assert_eq!(Ticket::parse(&HEX[..63]), Err(TicketError::Length));
        assert_eq!(Ticket::parse(""), Err(TicketError::Length));
        let bad = HEX.replace("1f", "1g");
        assert_eq!(Ticket::parse(&bad), Err(TicketError::Digit));
        // 64 bytes, but not 64 characters.
        let wide = HEX.replace("1f", "é");
        assert_eq!(Ticket::parse(&wide), Err(TicketError::Digit));
    }

    #[test]
    fn ticket_is_found_on_a_command_line() {
        let line = std::format!("quiet {PARAMETER}=bad x={PARAMETER}= {PARAMETER}={HEX}\n");
        assert_eq!(Ticket::from_command_line(&line), Some(Ok(counting())));
        assert_eq!(Ticket::from_command_line("quiet farrier.tickets=1"), None);
        assert_eq!(
            Ticket::from_command_line("farrier.ticket="),
            Some(Err(TicketError::Length))
        );
    }

    #[test]
    fn debug_does_not_print_the_secret() {
        let text = std::format!("{:?} {:?}", counting(), counting().reveal());
        assert!(!text.contains("31") && !text.contains("1f"), "{text}");
    }
}
