//! Python programs as peers, and the client over TCP in real time.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use farrier_redfish::{
    Bmc, FailureKind, Operation, Outcome, Request, Settings, SystemState, Target, Wants,
};

use crate::common::Rows;

/// What the peers are, from the Python Package Index.
const PACKAGES: [&str; 3] = ["sushy-tools==2.2.0", "sushy==5.14.0", "bcrypt==5.0.0"];

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Returns a Python that has the peers: that of the variable `PYTHON` where it has
/// them, else one in an environment of its own in the target folder, into which
/// they are installed once. `None`, with a reason, where that can't be had.
pub fn python() -> Option<PathBuf> {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let given = std::env::var_os("PYTHON").map(PathBuf::from);
    if let Some(python) = given.filter(|python| has_peers(python)) {
        return Some(python);
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redfish-peers");
    let (python, done) = (
        environment.join("bin/python"),
        environment.join("installed"),
    );
    if fs::read_to_string(&done).is_ok_and(|text| text == PACKAGES.join(" ")) {
        return Some(python);
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&environment);
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet"]).args(PACKAGES);
    for command in [&mut venv, &mut pip] {
        if let Err(error) = output(command) {
            println!(
                "skipped: no environment with {}: {error}",
                PACKAGES.join(" ")
            );
            return None;
        }
    }
    fs::write(done, PACKAGES.join(" ")).unwrap();
    Some(python)
}

fn has_peers(python: &Path) -> bool {
    let mut command = Command::new(python);
    output(command.args(["-c", "import sushy, sushy_tools, bcrypt"])).is_ok()
}

/// What a command printed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(printed),
        false => Err(format!(
            "{printed}{}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The end of an operation over TCP.
#[derive(Debug)]
pub struct TcpEnd {
    pub result: Result<Outcome, FailureKind>,
    pub text: String,
    pub system: SystemState,
    pub rows: Rows,
}

impl TcpEnd {
    pub fn ok(self) -> Outcome {
        match self.result {
            Ok(outcome) => outcome,
            Err(_) => panic!("{self:#?}"),
        }
    }
}

/// Runs an operation against a service.
pub fn run(
    address: SocketAddr,
    target: &Target<'_>,
    bmc: &mut Bmc,
    request: &Request<'_>,
    settings: &Settings,
) -> TcpEnd {
    let start = Instant::now();
    let now = || u64::try_from(start.elapsed().as_millis()).unwrap();
    let mut rows = Rows::default();
    let mut operation = Operation::new(bmc, target, request, settings, now());
    let mut stream: Option<TcpStream> = None;
    loop {
        match operation.wants() {
            Wants::Nothing => break,
            Wants::Connect => match TcpStream::connect(address) {
                Ok(new) => {
                    new.set_read_timeout(Some(Duration::from_millis(50)))
                        .unwrap();
                    stream = Some(new);
                    operation.connected();
                }
                Err(_) => operation.closed(now()),
            },
            Wants::Send => {
                let mut buffer = [0; 100];
                let length = operation.output(&mut buffer);
                let sent = stream.as_mut().unwrap().write_all(&buffer[..length]);
                if sent.is_err() {
                    operation.closed(now());
                }
            }
            Wants::Receive => {
                let mut buffer = [0; 700];
                match stream.as_mut().unwrap().read(&mut buffer) {
                    Ok(0) => operation.closed(now()),
                    Ok(length) => operation.input(&buffer[..length], now(), &mut rows),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => operation.closed(now()),
                }
            }
            Wants::Wait => std::thread::sleep(Duration::from_millis(20)),
        }
        operation.tick(now());
    }
    let system = *operation.system();
    let end = operation.end().unwrap();
    TcpEnd {
        result: end.map_err(|failure| failure.kind),
        text: end
            .map_err(|failure| failure.to_string())
            .err()
            .unwrap_or_default(),
        system,
        rows,
    }
}
