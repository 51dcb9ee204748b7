//! Decodes a config drive that the Ironic API takes ready-made: the text of a
//! JSON string that holds base64 of a gzip of a file-system image.
//!
//! The decoder is a stream. The image is never in memory as a whole.

use std::io::{self, BufRead, Read};

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::read::DecoderReader;
use flate2::read::MultiGzDecoder;

/// Largest file-system image of a config drive, in bytes.
pub const MAX_IMAGE: u64 = 64 << 20;

/// RFC 4648 base64, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns a reader of the image inside `text`. The quotes around `text` are
/// optional.
///
/// # Errors
/// The reader fails after [`MAX_IMAGE`] bytes, where the text is not base64,
/// where the base64 is not a gzip, and where reading `text` fails.
pub fn image_reader(text: impl BufRead) -> impl Read {
    Bounded {
        inner: MultiGzDecoder::new(DecoderReader::new(JsonString::new(text), &BASE64)),
        left: MAX_IMAGE,
    }
}

/// Fails after `left` bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| invalid("the config drive is larger than 64 MiB"))?;
        Ok(count)
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The bytes of a JSON string without escapes and white space. It maps every
/// character outside ASCII to a byte that is not base64.
struct JsonString<R> {
    bytes: io::Bytes<R>,
    begun: bool,
    ended: bool,
}

impl<R: BufRead> JsonString<R> {
    fn new(text: R) -> Self {
        Self {
            bytes: text.bytes(),
            begun: false,
            ended: false,
        }
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        while !self.ended {
            let Some(byte) = self.bytes.next().transpose()? else {
                return Ok(None);
            };
            let byte = match byte {
                b'"' if !self.begun => {
                    self.begun = true;
                    continue;
                }
                b'"' => {
                    self.ended = true;
                    return Ok(None);
                }
                b'\\' => self.escaped()?,
                _ => byte,
            };
            if !byte.is_ascii_whitespace() {
                self.begun = true;
                return Ok(Some(byte));
            }
        }
        Ok(None)
    }

    fn escaped(&mut self) -> io::Result<u8> {
        let mut next = || {
            let byte = self.bytes.next().transpose()?;
            byte.ok_or_else(|| invalid("the config drive ends within an escape"))
        };
        Ok(match next()? {
            b'n' | b'r' | b't' => b' ',
            b'u' => {
                let mut value = 0_u32;
                for _ in 0..4 {
                    let digit = char::from(next()?).to_digit(16);
                    let digit =
                        digit.ok_or_else(|| invalid("the config drive has a malformed escape"))?;
                    value = value << 4 | digit;
                }
                u8::try_from(value).unwrap_or(u8::MAX)
            }
            other => other,
        })
    }
}

impl<R: BufRead> Read for JsonString<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        for slot in buffer {
            match self.next_byte()? {
                Some(byte) => *slot = byte,
                None => break,
            }
            filled += 1;
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    /// A JSON string of base64, with escaped slashes and an escaped line break
    /// after every `line` groups of four digits.
    fn encode(bytes: &[u8], line: usize) -> String {
        let digits = STANDARD.encode(bytes);
        let mut text = String::new();
        for (index, group) in digits.as_bytes().chunks(4).enumerate() {
            let group = std::str::from_utf8(group).unwrap();
            text.push_str(&group.replace('/', "\\/"));
            if line > 0 && (index + 1).is_multiple_of(line) {
                text.push_str("\\n");
            }
        }
        format!("\"{text}\"")
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn image_decodes_equal(image in any::<Vec<u8>>(), line in 0_usize..5) {
            let text = encode(&gzip(&image), line);
            let mut read = Vec::new();
            image_reader(text.as_bytes()).read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, image);
        }

        #[test]
        fn any_text_decodes_or_fails(text in any::<Vec<u8>>()) {
            let _size = image_reader(text.as_slice()).read_to_end(&mut Vec::new());
        }
    }

    #[test]
    fn image_above_the_bound_fails() {
        let text = encode(&gzip(&vec![0; MAX_IMAGE as usize + 1]), 0);
        let error = io::copy(&mut image_reader(text.as_bytes()), &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let text = encode(&gzip(&vec![0; MAX_IMAGE as usize]), 0);
        io::copy(&mut image_reader(text.as_bytes()), &mut io::sink()).unwrap();
    }

    #[test]
    fn malformed_or_truncated_text_fails() {
        let whole = encode(&gzip(b"drive"), 0);
        for text in ["\"H4sI?\"", "\"AA==AA\"", &whole[..whole.len() / 2]] {
            assert!(
                image_reader(text.as_bytes())
                    .read_to_end(&mut Vec::new())
                    .is_err()
            );
        }
    }
}
