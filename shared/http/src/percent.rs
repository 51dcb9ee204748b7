//! Percent-encoding (RFC 3986, section 2.1) and queries.

use crate::Error;

/// Decodes a path segment into `buffer`.
///
/// # Errors
///
/// [`Error::Percent`], [`Error::PercentTooLong`].
pub fn decode<'b>(text: &str, buffer: &'b mut [u8]) -> Result<&'b str, Error> {
    decode_with(text, buffer, false)
}

/// Decodes a name or a value of a query into `buffer` as [`decode`], and `+` as a
/// blank.
///
/// # Errors
///
/// [`Error::Percent`], [`Error::PercentTooLong`].
pub fn decode_query<'b>(text: &str, buffer: &'b mut [u8]) -> Result<&'b str, Error> {
    decode_with(text, buffer, true)
}

fn decode_with<'b>(text: &str, buffer: &'b mut [u8], plus: bool) -> Result<&'b str, Error> {
    let mut bytes = text.bytes();
    let mut used = 0;
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || {
                    let byte = bytes.next().ok_or(Error::Percent)?;
                    char::from(byte).to_digit(16).ok_or(Error::Percent)
                };
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).map_err(|_| Error::Percent)?
            }
            b'+' if plus => b' ',
            byte => byte,
        };
        if byte == 0 {
            return Err(Error::Percent);
        }
        *buffer.get_mut(used).ok_or(Error::PercentTooLong)? = byte;
        used += 1;
    }
    let decoded = buffer.get(..used).unwrap_or_default();
    core::str::from_utf8(decoded).map_err(|_| Error::Percent)
}

/// Iterates over the encoded names and values of a query. A name without `=` has an
/// empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}
