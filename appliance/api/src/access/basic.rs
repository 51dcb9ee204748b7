//! Credentials out of a request's head (RFC 7617).

use super::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farrier_core::accounts::password::MAX_PASSWORD;
use farrier_core::interface::ACCOUNT_LEN;
use farrier_http::Head;

/// Longest name and password with the colon between them. Decoding wants room
/// for whole groups of three.
const MOST: usize = (ACCOUNT_LEN + 1 + MAX_PASSWORD).next_multiple_of(3);

/// A name and a password.
pub(super) struct Credentials {
    bytes: [u8; MOST],
    length: usize,
    colon: usize,
}

impl Credentials {
    /// The credentials of a request, or why there are none.
    pub(super) fn of(head: &Head<'_>) -> Result<Self, Refusal> {
        let mut headers = head.headers("Authorization");
        let value = headers.next().ok_or(Refusal::Anonymous)?;
        if headers.next().is_some() {
            return Err(Refusal::Unreadable);
        }
        let (scheme, token) = value.split_once(' ').ok_or(Refusal::Unreadable)?;
        if !scheme.eq_ignore_ascii_case("Basic") {
            return Err(Refusal::OtherScheme);
        }
        let token = token.trim_start_matches(' ');
        let mut bytes = [0; MOST];
        let length = match STANDARD.decode_slice(token, &mut bytes) {
            Ok(length) => length,
            // Longer than any that is right.
            Err(base64::DecodeSliceError::OutputSliceTooSmall) => return Err(Refusal::Wrong),
            Err(base64::DecodeSliceError::DecodeError(_)) => return Err(Refusal::Undecodable),
        };
        let used = bytes.get(..length).unwrap_or_default();
        let colon = used.iter().position(|byte| *byte == b':');
        Ok(Self {
            bytes,
            length,
            colon: colon.ok_or(Refusal::Undecodable)?,
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        let name = self.bytes.get(..self.colon).unwrap_or_default();
        core::str::from_utf8(name).unwrap_or("")
    }

    pub(super) fn password(&self) -> &[u8] {
        self.bytes
            .get(self.colon + 1..self.length)
            .unwrap_or_default()
    }
}
