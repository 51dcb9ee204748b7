//! Byte ranges from the appliance's HTTP client, over one kept connection.
//!
//! An own client of a page: ranges of known length from one peer are all
//! that is asked for, every wait needs a bound, and the bytes shall arrive
//! in the buffer in which they are verified. A general client costs several
//! times its code in the ramdisk and copies once more.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest response head that is read.
const MAX_HEAD: usize = 4096;
/// Headers that a response may have.
const MAX_HEADERS: usize = 32;
/// Bound on connecting.
const CONNECT: Duration = Duration::from_secs(10);
/// Bound on every single read and write.
const STALL: Duration = Duration::from_secs(20);

/// Why a range did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The connection failed or stalled.
    #[error("the appliance's HTTP client: {0}")]
    Io(#[from] io::Error),
    /// The head is no HTTP/1.1 response, or too long.
    #[error("the appliance's HTTP client answers with something that is no HTTP")]
    Malformed,
    /// Another status than 206 (or 200 for the whole of a file).
    #[error("the appliance's HTTP client answers {path} with status {status}")]
    Status {
        /// The path that was asked for.
        path: String,
        /// The status.
        status: u16,
    },
    /// Another range than was asked for.
    #[error("the appliance's HTTP client answers with another range than asked for")]
    Range,
}

/// Where ranges of files come from.
pub trait Ranges {
    /// Fills `out` from `offset` of the file at `path`.
    ///
    /// # Errors
    /// See [`FetchError`].
    fn range(&mut self, path: &str, offset: u64, out: &mut [u8]) -> Result<(), FetchError>;
}

/// The HTTP client of one appliance.
#[derive(Debug)]
pub struct HttpClient {
    address: SocketAddr,
    connection: Option<TcpStream>,
}

impl HttpClient {
    /// Nothing is connected yet.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    fn try_range(&mut self, path: &str, offset: u64, out: &mut [u8]) -> Result<(), FetchError> {
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, CONNECT)?;
                stream.set_read_timeout(Some(STALL))?;
                stream.set_write_timeout(Some(STALL))?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        let last = (out.len() as u64)
            .checked_sub(1)
            .and_then(|length| offset.checked_add(length))
            .ok_or(FetchError::Range)?;
        // One write: one segment.
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nRange: bytes={offset}-{last}\r\n\
             Accept-Encoding: identity\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes())?;
        let keep = receive(&mut stream, path, offset, out)?;
        if keep {
            self.connection = Some(stream);
        }
        Ok(())
    }
}

impl Ranges for HttpClient {
    /// After an error the connection is closed; the next call opens a new
    /// one.
    fn range(&mut self, path: &str, offset: u64, out: &mut [u8]) -> Result<(), FetchError> {
        let kept = self.connection.is_some();
        match self.try_range(path, offset, out) {
            // A kept connection may have been closed in the meantime: that is
            // no failure of the appliance. Once, and only then.
            Err(FetchError::Io(_)) if kept => self.try_range(path, offset, out),
            result => result,
        }
    }
}

/// Reads a response; says whether the connection can be used again.
fn receive(
    stream: &mut impl Read,
    path: &str,
    offset: u64,
    out: &mut [u8],
) -> Result<bool, FetchError> {
    let mut head = [0; MAX_HEAD];
    let mut filled = 0;
    let (head_length, keep) = loop {
        let room = head.get_mut(filled..).unwrap_or_default();
        if room.is_empty() {
            return Err(FetchError::Malformed);
        }
        let count = stream.read(room)?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        filled += count;
        if let Some(head) = parse_head(&head[..filled])? {
            break (head.length, head.check(path, offset, out.len() as u64)?);
        }
    };
    let early = &head[head_length..filled];
    // More than was asked for would be taken for the next response's head.
    let (front, back) = out
        .split_at_mut_checked(early.len())
        .ok_or(FetchError::Range)?;
    front.copy_from_slice(early);
    stream.read_exact(back)?;
    Ok(keep)
}

/// What matters of a response's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    length: usize,
    status: u16,
    content_length: Option<u64>,
    range_start: Option<u64>,
    close: bool,
}

impl Head {
    fn check(&self, path: &str, offset: u64, length: u64) -> Result<bool, FetchError> {
        match self.status {
            206 if self.range_start == Some(offset) => {}
            // The whole of a file is an answer to a range that covers it.
            200 if offset == 0 => {}
            200 | 206 => return Err(FetchError::Range),
            status => {
                return Err(FetchError::Status {
                    path: path.into(),
                    status,
                });
            }
        }
        if self.content_length != Some(length) {
            return Err(FetchError::Range);
        }
        Ok(!self.close)
    }
}

/// `None` where the head has not arrived as a whole.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, FetchError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(FetchError::Malformed),
    };
    let mut head = Head {
        length,
        status: response.code.unwrap_or(0),
        content_length: None,
        range_start: None,
        close: response.version != Some(1),
    };
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            head.content_length = value.parse().ok();
        } else if header.name.eq_ignore_ascii_case("content-range") {
            head.range_start = value
                .strip_prefix("bytes ")
                .and_then(|range| range.split_once('-'))
                .and_then(|(start, _)| start.parse().ok());
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.close |= value.eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            // Ranges of known length have no use for chunks.
            return Err(FetchError::Malformed);
        }
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(response: &[u8], offset: u64, length: usize) -> Result<(Vec<u8>, bool), FetchError> {
        let mut out = vec![0; length];
        let keep = receive(&mut &*response, "/x", offset, &mut out)?;
        Ok((out, keep))
    }

    #[test]
    fn reads_a_range() {
        let response = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\
                         content-range: bytes 7-9/20\r\n\r\nabc";
        assert_eq!(get(response, 7, 3).unwrap(), (b"abc".to_vec(), true));
        assert!(matches!(get(response, 6, 3), Err(FetchError::Range)));
        assert!(matches!(get(response, 7, 2), Err(FetchError::Range)));
    }

    #[test]
    fn a_whole_file_will_do_from_its_start() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        assert_eq!(get(response, 0, 3).unwrap(), (b"abc".to_vec(), false));
        assert!(matches!(get(response, 1, 3), Err(FetchError::Range)));
    }

    #[test]
    fn refuses_the_rest() {
        for (response, want) in [
            (
                &b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..],
                "404",
            ),
            (
                b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-2/3\r\n\r\nabc",
                "range",
            ),
            (
                b"HTTP/1.1 206 P\r\nContent-Length: 3\r\nContent-Range: bytes 0-2/3\r\n\r\nab",
                "client",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
                "no HTTP",
            ),
            (b"SSH-2.0-x\r\n", "no HTTP"),
            (b"", "client"),
        ] {
            let error = get(response, 0, 3).unwrap_err().to_string();
            assert!(error.contains(want), "{error} / {want}");
        }
    }

    proptest! {
        #[test]
        fn any_response_is_survived(bytes in any::<Vec<u8>>(), offset: u64, length in 0_usize..9) {
            let _result = get(&bytes, offset, length);
        }
    }
}
