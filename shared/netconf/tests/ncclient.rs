//! The model server, judged by ncclient (PyPI, 0.7) over a Unix socket.
//!
//! Skipped, with a reason, where no Python has it: the variable `PYTHON` names an
//! interpreter that has, else it is `python3`.

mod common;
#[allow(dead_code, reason = "other tests use more of it")]
mod programs;

use common::{PORT, access, config};
use farrier_netconf::dialect::{JUNOS, OPENCONFIG};
use farrier_netconf::model::{Model, Profile};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// Serves clients until the child ends; returns whether it ended well.
fn serve(model: &mut Model, listener: &UnixListener, child: &mut std::process::Child) -> bool {
    let mut streams: Vec<(UnixStream, farrier_netconf::model::SessionKey)> = Vec::new();
    let until = Instant::now() + Duration::from_secs(60);
    let mut buffer = [0; 4096];
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).unwrap();
            let key = model.connect().expect("a session is free");
            streams.push((stream, key));
        }
        streams.retain_mut(|(stream, key)| {
            match stream.read(&mut buffer) {
                Ok(0) => {
                    model.disconnect(*key);
                    return false;
                }
                Ok(length) => model.receive(*key, &buffer[..length]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            loop {
                let length = model.transmit(*key, &mut buffer);
                if length == 0 {
                    break;
                }
                stream.write_all(&buffer[..length]).unwrap();
            }
            model.is_open(*key)
        });
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        assert!(Instant::now() < until, "the client does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn ncclient_flips_ports_of_the_model() {
    let Some(python) = programs::python_with_ncclient() else {
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference_client.py");
    for dialect in [&JUNOS, &OPENCONFIG] {
        let name = format!("farrier-ncclient-{}-{}", dialect.name, std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut child = Command::new(&python)
            .arg(script)
            .arg(&path)
            .arg(dialect.name)
            .spawn()
            .unwrap();
        let mut model = Model::new(Profile::full(dialect), config());
        let good = serve(&mut model, &listener, &mut child);
        drop(std::fs::remove_file(&path));
        assert!(good, "{}", dialect.name);
        assert_eq!(model.port(PORT), Some(access(20)));
        assert!(model.lock_holder().is_none() && !model.is_waiting());
    }
}
