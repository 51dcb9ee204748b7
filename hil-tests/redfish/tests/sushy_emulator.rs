//! The client against sushy-emulator of sushy-tools, with its fake driver, over
//! loopback. Skipped, with a reason, where its packages can't be installed.
//!
//! The emulator obeys 1 to 11 s late and only when it is looked at, shows each
//! boot override as `Continuous`, and has neither ETags nor sessions.

mod common;
mod peers;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use farrier_redfish::{
    Auth, Bmc, BootEnabled, BootMode, BootOverride, BootTarget, FailureKind, Outcome, PowerState,
    Request, ResetType, Scheme, Settings, SystemState, Target, Which,
};
use peers::{output, python, run};

const UUID: &str = "27946b59-9e44-4fa7-8e91-f3527a1ef094";
const USER: &str = "operator";
const PASSWORD: &str = "pa:ss \"word\"";

struct Emulator {
    child: Child,
    address: SocketAddr,
    host: String,
    folder: PathBuf,
    notes: Receiver<String>,
    notes_port: u16,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Takes the emulator's notes of changes: a PUT each.
fn listen() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            stream
                .set_read_timeout(Some(Duration::from_secs(2)))
                .unwrap();
            // A PUT ends with its document, a GET with its head.
            while !text.ends_with(if text.starts_with(b"PUT") {
                b"}"
            } else {
                b"\r\n\r\n"
            }) {
                match stream.read(&mut buffer) {
                    Ok(length @ 1..) => text.extend_from_slice(&buffer[..length]),
                    _ => break,
                }
            }
            drop(
                stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                ),
            );
            if send
                .send(String::from_utf8_lossy(&text).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    (port, receive)
}

fn start(python: &Path) -> Emulator {
    let folder = std::env::temp_dir().join(format!("farrier-sushy-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let hash = "import bcrypt, sys; print(bcrypt.hashpw(sys.argv[1].encode(), bcrypt.gensalt(4)).decode())";
    let hash = output(Command::new(python).args(["-c", hash, PASSWORD])).unwrap();
    fs::write(folder.join("users"), format!("{USER}:{}\n", hash.trim())).unwrap();
    let (port, notes) = listen();
    let config = format!(
        "SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\n\
         SUSHY_EMULATOR_LISTEN_PORT = 0\n\
         SUSHY_EMULATOR_STATE_DIR = '{folder}'\n\
         SUSHY_EMULATOR_AUTH_FILE = '{folder}/users'\n\
         SUSHY_EMULATOR_FAKE_DRIVER = True\n\
         SUSHY_EMULATOR_FAKE_SYSTEMS = [{{'uuid': '{UUID}', 'name': 'fake',\n\
             'power_state': 'Off', 'external_notifier': True,\n\
             'nics': [{{'mac': '00:5c:52:31:3a:9c', 'ip': '172.22.0.100'}}]}}]\n\
         EXTERNAL_NOTIFICATION_URL = 'http://127.0.0.1:{port}/'\n",
        folder = folder.display(),
    );
    fs::write(folder.join("config.py"), config).unwrap();
    let mut child = Command::new(python)
        .args(["-m", "sushy_tools.emulator.main", "--config"])
        .arg(folder.join("config.py"))
        .env("TMPDIR", &folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let host = loop {
        let line = lines.next().expect("the emulator runs").unwrap();
        if let Some((_, host)) = line.split_once("Running on http://") {
            break host.trim().to_owned();
        }
    };
    // What it says later is of no interest, and must not block it.
    std::thread::spawn(move || lines.for_each(drop));
    let address = host.parse().unwrap();
    Emulator {
        child,
        address,
        host,
        folder,
        notes,
        notes_port: port,
    }
}

#[test]
fn client_works_with_sushy_emulator() {
    let Some(python) = python() else { return };
    let emulator = start(&python);
    let target = Target {
        host: &emulator.host,
        scheme: Scheme::Http,
        user: USER,
        password: PASSWORD,
        auth: Auth::Basic,
        which: Which::Only,
    };
    let settings = Settings {
        poll_ms: 300,
        settle_ms: 2_000,
        ..Settings::default()
    };
    let mut bmc = Bmc::new();
    let ask = |bmc: &mut Bmc, request: &Request<'_>| {
        run(emulator.address, &target, bmc, request, &settings)
    };

    // A wrong password is told, and not tried twice.
    let wrong = Target {
        password: "wrong",
        ..target
    };
    let end = run(
        emulator.address,
        &wrong,
        &mut bmc,
        &Request::ReadSystem,
        &settings,
    );
    assert_eq!(end.result, Err(FailureKind::Unauthorized), "{}", end.text);

    let Outcome::System(system) = ask(&mut bmc, &Request::Identify).ok() else {
        panic!()
    };
    assert_eq!(system.power, Some(PowerState::Off));
    assert_eq!(system.uuid.map(|uuid| uuid[0]), Some(0x27));
    assert!(system.resets.contains(ResetType::On.into()));
    assert_eq!(
        bmc.system(),
        Some(format!("/redfish/v1/Systems/{UUID}").as_str())
    );

    // By its name the emulator redirects to it.
    let named = Target {
        which: Which::Path("/redfish/v1/Systems/fake"),
        ..target
    };
    let mut other = Bmc::new();
    let end = run(
        emulator.address,
        &named,
        &mut other,
        &Request::ReadSystem,
        &settings,
    );
    assert!(end.result.is_ok(), "{}", end.text);

    let power = |bmc: &mut Bmc, reset, wanted| {
        ask(bmc, &Request::Reset(reset)).ok();
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let Outcome::System(system) = ask(bmc, &Request::ReadSystem).ok() else {
                panic!()
            };
            if system.power == Some(wanted) {
                break;
            }
            assert!(Instant::now() < until, "the power does not follow");
            std::thread::sleep(Duration::from_millis(500));
        }
    };
    power(&mut bmc, ResetType::On, PowerState::On);
    power(&mut bmc, ResetType::ForceOff, PowerState::Off);
    // The rig behind the emulator hears of it.
    let notes: Vec<String> = emulator.notes.try_iter().collect();
    assert!(
        notes
            .iter()
            .any(|note| note.contains("\"power_state\": \"On\"")),
        "{notes:?}"
    );
    // It allows an NMI and can't raise one.
    let end = ask(&mut bmc, &Request::Reset(ResetType::Nmi));
    assert_eq!(end.result, Err(FailureKind::Refused), "{}", end.text);
    assert!(end.text.contains("status 501"), "{}", end.text);

    let boot = |enabled, target, mode| {
        Request::SetBoot(BootOverride {
            enabled,
            target,
            mode,
            http_uri: None,
        })
    };
    let target_of = |system: &SystemState| (system.boot.enabled, system.boot.target);
    for target in [BootTarget::Pxe, BootTarget::Hdd, BootTarget::Cd] {
        let request = boot(BootEnabled::Continuous, target, Some(BootMode::Uefi));
        let Outcome::System(system) = ask(&mut bmc, &request).ok() else {
            panic!()
        };
        assert_eq!(
            target_of(&system),
            (Some(BootEnabled::Continuous), Some(target))
        );
        assert!(
            emulator
                .notes
                .try_iter()
                .any(|note| note.contains(target.as_str()))
        );
    }
    // `Once` reads back as `Continuous`: the lie is told, with what was found.
    let end = ask(&mut bmc, &boot(BootEnabled::Once, BootTarget::Pxe, None));
    assert_eq!(end.result, Err(FailureKind::NotApplied), "{}", end.text);
    assert_eq!(
        target_of(&end.system),
        (Some(BootEnabled::Continuous), Some(BootTarget::Pxe))
    );
    let request = boot(
        BootEnabled::Continuous,
        BootTarget::Hdd,
        Some(BootMode::Legacy),
    );
    let Outcome::System(system) = ask(&mut bmc, &request).ok() else {
        panic!()
    };
    assert_eq!(system.boot.mode, Some(BootMode::Legacy));

    let end = ask(&mut bmc, &Request::ReadSensors);
    assert!(
        matches!(end.result, Ok(Outcome::Sensors { rows: 1.., .. })),
        "{}",
        end.text
    );
    assert!(
        end.rows
            .sensors
            .iter()
            .any(|row| row.reading == Some(41_000)),
        "{:?}",
        end.rows
    );
    let image = format!("http://127.0.0.1:{}/rescue.iso", emulator.notes_port);
    let insert = Request::InsertMedia { image: &image };
    assert_eq!(ask(&mut bmc, &insert).ok(), Outcome::Media(true));
    assert_eq!(ask(&mut bmc, &insert).ok(), Outcome::Media(false));
    assert_eq!(
        ask(&mut bmc, &Request::EjectMedia).ok(),
        Outcome::Media(true)
    );
    assert_eq!(
        ask(&mut bmc, &Request::EjectMedia).ok(),
        Outcome::Media(false)
    );

    let Outcome::SecureBoot(state) = ask(&mut bmc, &Request::ReadSecureBoot).ok() else {
        panic!()
    };
    assert_eq!(state.enabled, Some(false));
    let Outcome::SecureBoot(state) = ask(&mut bmc, &Request::SetSecureBoot(true)).ok() else {
        panic!()
    };
    assert_eq!(state.enabled, Some(true));
}
