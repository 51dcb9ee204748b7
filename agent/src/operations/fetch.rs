//! Fetches byte ranges from the appliance's HTTP server over one persistent
//! connection.
//!
//! The client is small: it requests ranges of known length from one server, every
//! wait has a bound, and the bytes arrive in the buffer in which the caller
//! verifies them. A general HTTP client needs several times the code in the
//! ramdisk and one more copy.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest response head in bytes.
const MAX_HEAD: usize = 4096;
/// Largest number of headers in a response.
const MAX_HEADERS: usize = 32;
/// Timeout of a connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Timeout of each read and write.
const STALL: Duration = Duration::from_secs(20);

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The connection failed or stalled.
    #[error("HTTP connection to the appliance: {0}")]
    Io(#[from] io::Error),
    /// The head is not an HTTP/1.1 response, or it is too long.
    #[error("the appliance's response is not HTTP")]
    Malformed,
    /// The status is neither 206 nor, for a whole file, 200.
    #[error("the appliance answers {path} with status {status}")]
    Status {
        /// The requested path.
        path: String,
        /// The status.
        status: u16,
    },
    /// The response has another range than the request.
    #[error("the appliance answers with another range than requested")]
    Range,
}

/// A source of byte ranges of files.
pub trait Ranges {
    /// Fills `out` with the bytes of the file at `path` from `offset`.
    ///
    /// # Errors
    /// See [`FetchError`].
    fn range(&mut self, path: &str, offset: u64, out: &mut [u8]) -> Result<(), FetchError>;
}

/// An HTTP client of one appliance.
#[derive(Debug)]
pub struct HttpClient {
    address: SocketAddr,
    connection: Option<TcpStream>,
}

impl HttpClient {
    /// Creates a client. The first fetch connects.
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
        // One write, so that the request is one segment.
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
            // The server may have closed a persistent connection that was
            // idle. Retries once, and only on a connection that was reused.
            Err(FetchError::Io(_)) if kept => self.try_range(path, offset, out),
            result => result,
        }
    }
}

/// Reads a response. Returns whether the connection can be reused.
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
    // Excess bytes would be parsed as the head of the next response.
    let (front, back) = out
        .split_at_mut_checked(early.len())
        .ok_or(FetchError::Range)?;
    front.copy_from_slice(early);
    stream.read_exact(back)?;
    Ok(keep)
}

/// The relevant fields of a response's head.
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
            // A whole file answers a range that covers it.
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

/// Parses a response head. Returns `None` if it is not complete.
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
            // Chunked responses are not supported: a range has a length.
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
    fn partial_response_is_read() {
        let response = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\
                         content-range: bytes 7-9/20\r\n\r\nabc";
        assert_eq!(get(response, 7, 3).unwrap(), (b"abc".to_vec(), true));
        assert!(matches!(get(response, 6, 3), Err(FetchError::Range)));
        assert!(matches!(get(response, 7, 2), Err(FetchError::Range)));
    }

    #[test]
    fn whole_file_answers_a_range_from_its_start() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        assert_eq!(get(response, 0, 3).unwrap(), (b"abc".to_vec(), false));
        assert!(matches!(get(response, 1, 3), Err(FetchError::Range)));
    }

    #[test]
    fn other_responses_fail() {
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
                "connection",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
                "not HTTP",
            ),
            (b"SSH-2.0-x\r\n", "not HTTP"),
            (b"", "connection"),
        ] {
            let error = get(response, 0, 3).unwrap_err().to_string();
            assert!(error.contains(want), "{error} / {want}");
        }
    }

    proptest! {
        #[test]
        fn any_response_parses_or_fails(bytes in any::<Vec<u8>>(), offset: u64, length in 0_usize..9) {
            let _result = get(&bytes, offset, length);
        }
    }
}
