//! A config drive as the Ironic API takes it ready-made: the text of a JSON
//! string that holds base64 of a gzip of a file-system image.
//!
//! Read as a stream: the image never lies in memory as a whole.

use std::io::{self, BufRead, Read};

use flate2::read::MultiGzDecoder;

/// Largest file-system image of a config drive.
pub const MAX_IMAGE: u64 = 64 << 20;

/// The image inside `text`; `text` may or may not have its quotes. Reading
/// past [`MAX_IMAGE`] bytes is an error, as are bytes that are no base64 and
/// whatever reading `text` comes to.
pub fn image_reader(text: impl BufRead) -> impl Read {
    Bounded {
        inner: MultiGzDecoder::new(Base64::new(JsonString::new(text))),
        left: MAX_IMAGE,
    }
}

/// Fails where a gzip would grow past all bounds.
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

/// Bytes of a JSON string, escapes undone. Only ASCII matters here: anything
/// else is no base64 and fails one layer above.
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
        loop {
            let Some(byte) = self.bytes.next().transpose()? else {
                return Ok(None);
            };
            match byte {
                b'"' if !self.begun => self.begun = true,
                b'"' => {
                    self.ended = true;
                    return Ok(None);
                }
                b'\\' => return self.escaped().map(Some),
                _ => {
                    self.begun |= !byte.is_ascii_whitespace();
                    return Ok(Some(byte));
                }
            }
        }
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
                    let digit = digit.ok_or_else(|| invalid("an escape is malformed"))?;
                    value = value << 4 | digit;
                }
                u8::try_from(value).unwrap_or(u8::MAX)
            }
            other => other,
        })
    }
}

impl<R: BufRead> Iterator for JsonString<R> {
    type Item = io::Result<u8>;

    fn next(&mut self) -> Option<io::Result<u8>> {
        if self.ended {
            return None;
        }
        self.next_byte().transpose()
    }
}

/// RFC 4648 base64, line breaks allowed, over any source of bytes.
struct Base64<I> {
    text: I,
    /// Bits that were read and not yet handed out, and how many.
    bits: u32,
    count: u8,
    padded: bool,
}

impl<I: Iterator<Item = io::Result<u8>>> Base64<I> {
    fn new(text: I) -> Self {
        Self {
            text,
            bits: 0,
            count: 0,
            padded: false,
        }
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            if self.count >= 8 {
                self.count -= 8;
                return Ok(Some((self.bits >> self.count) as u8));
            }
            let Some(digit) = self.text.next().transpose()? else {
                return Ok(None);
            };
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' => {
                    self.padded = true;
                    continue;
                }
                b' ' | b'\n' | b'\r' | b'\t' => continue,
                _ => return Err(invalid("the config drive is no base64")),
            };
            if self.padded {
                return Err(invalid("the config drive's base64 goes on behind its end"));
            }
            self.bits = self.bits << 6 | u32::from(value);
            self.count += 6;
        }
    }
}

impl<I: Iterator<Item = io::Result<u8>>> Read for Base64<I> {
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
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    /// Independent of the decoder: digits by table, three bytes at a time.
    fn encode(bytes: &[u8], line: usize) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for triple in bytes.chunks(3) {
            let word = triple
                .iter()
                .chain([&0, &0])
                .take(3)
                .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
            for place in 0..4 {
                if place <= triple.len() {
                    let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
                    text.push_str(&char::from(digit).to_string().replace('/', "\\/"));
                } else {
                    text.push('=');
                }
            }
            if line > 0 && (text.len() / 4).is_multiple_of(line) {
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
        fn comes_out_as_it_went_in(image in any::<Vec<u8>>(), line in 0_usize..5) {
            let text = encode(&gzip(&image), line);
            let mut read = Vec::new();
            image_reader(text.as_bytes()).read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, image);
        }

        #[test]
        fn any_text_is_survived(text in any::<Vec<u8>>()) {
            let _size = image_reader(text.as_slice()).read_to_end(&mut Vec::new());
        }
    }

    #[test]
    fn a_bomb_ends_at_the_bound() {
        let text = encode(&gzip(&vec![0; MAX_IMAGE as usize + 1]), 0);
        let error = io::copy(&mut image_reader(text.as_bytes()), &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let text = encode(&gzip(&vec![0; MAX_IMAGE as usize]), 0);
        io::copy(&mut image_reader(text.as_bytes()), &mut io::sink()).unwrap();
    }

    #[test]
    fn what_is_no_base64_or_cut_off_fails() {
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
