//! An HTTP server that serves ranges of files in memory and can corrupt them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

#[derive(Debug, Default)]
struct State {
    files: Mutex<HashMap<String, Vec<u8>>>,
    /// Number of responses to corrupt, by path.
    corrupt: Mutex<HashMap<String, u32>>,
    /// Number of responses to truncate.
    cut: AtomicU32,
    served: Mutex<Vec<String>>,
    over: AtomicBool,
}

/// The server. It stops when it is dropped.
#[derive(Debug)]
pub struct FakeHttpServer {
    pub address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl FakeHttpServer {
    pub fn open(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&shared, stream.unwrap()));
            }
        });
        Self {
            address,
            state,
            thread: Some(thread),
        }
    }

    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        self.state.files.lock().unwrap().insert(path.into(), bytes);
    }

    /// Flips a bit in the next `count` responses for `path`.
    pub fn corrupt(&self, path: &str, count: u32) {
        self.state
            .corrupt
            .lock()
            .unwrap()
            .insert(path.into(), count);
    }

    /// Truncates the next `count` responses.
    pub fn cut(&self, count: u32) {
        self.state.cut.store(count, Ordering::SeqCst);
    }

    /// Returns the requested paths in order.
    pub fn served(&self) -> Vec<String> {
        self.state.served.lock().unwrap().clone()
    }
}

impl Drop for FakeHttpServer {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(state: &State, stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut path = String::new();
        let mut range = None;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("GET ") {
                path = rest.split(' ').next().unwrap().into();
            } else if let Some(rest) = line.strip_prefix("Range: bytes=") {
                let (first, last) = rest.split_once('-').unwrap();
                range = Some((
                    first.parse::<usize>().unwrap(),
                    last.parse::<usize>().unwrap(),
                ));
            }
        }
        state.served.lock().unwrap().push(path.clone());
        let stream = reader.get_mut();
        let files = state.files.lock().unwrap();
        let (Some(file), Some((first, last))) = (files.get(&path), range) else {
            drop(files);
            let sent = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            if sent.is_err() {
                return;
            }
            continue;
        };
        let total = file.len();
        let mut body = file.get(first..=last).unwrap_or_default().to_vec();
        drop(files);
        if let Some(left) = state.corrupt.lock().unwrap().get_mut(&path)
            && *left > 0
        {
            *left -= 1;
            let middle = body.len() / 2;
            body[middle] ^= 0x20;
        }
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n\
             Content-Range: bytes {first}-{last}/{total}\r\n\r\n",
            body.len()
        );
        let cut = state
            .cut
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok();
        if cut {
            body.truncate(body.len() / 2);
        }
        if stream.write_all(head.as_bytes()).is_err() || stream.write_all(&body).is_err() || cut {
            return;
        }
    }
}
