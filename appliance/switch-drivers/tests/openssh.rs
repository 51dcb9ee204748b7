//! Operations on a real server: netconfd behind OpenSSH's sshd (Debian packages
//! `netconfd` and `openssh-server`), on the loopback interface. Skipped, with a reason,
//! where they are absent or the test does not run as root: the account is root's, which
//! every machine has.
#![cfg(feature = "ssh")]

#[path = "../../../shared/netconf/tests/programs/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod programs;

use farrier_core::interface::{HostKey, SwitchLogin, SwitchSecret};
use farrier_switch_drivers::ssh::{self, SshBuffers, SshDriver};
use farrier_switch_drivers::{
    Driver, Instant, Learned, OperationError, Order, Report, Seen, SwitchAction, SwitchDetails,
    SwitchKind,
};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant as Clock};
use sunset::ed25519_dalek::SigningKey;

const LIMIT: Duration = Duration::from_secs(15);
const PROGRAMS: [(&str, &str); 4] = [
    ("netconfd", "netconfd"),
    ("netconf-subsystem", "netconfd"),
    ("sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
];
const USER_SEED: [u8; 32] = [9; 32];
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The digits of base64 as numbers: 6 bits each.
fn decode(text: &str) -> Vec<u8> {
    let digits = text
        .bytes()
        .filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let bits: Vec<u8> = digits
        .flat_map(|digit| (0..6).rev().map(move |bit| (digit >> bit & 1) as u8))
        .collect();
    let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
    bits.chunks_exact(8).map(byte).collect()
}

fn encode(bytes: &[u8]) -> String {
    let bits: Vec<usize> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| usize::from(byte >> bit & 1)))
        .collect();
    let digit = |bits: &[usize]| {
        let value = bits.iter().fold(0, |value, bit| value << 1 | bit);
        char::from(DIGITS[value << (6 - bits.len())])
    };
    let mut text: String = bits.chunks(6).map(digit).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// netconfd and sshd, in a folder of their own.
struct Server {
    netconfd: Child,
    sshd: Child,
    folder: PathBuf,
    port: u16,
    host_key: HostKey,
}

impl Server {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("openssh-{}", std::process::id()));
        // netconfd lets everybody in who reaches its socket.
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(&folder).unwrap();
        // What a confirmed commit goes back to. Without this file in its own folder it
        // takes the one in the user's home, which all of them would share.
        fs::write(folder.join("backup-cfg.xml"), "").unwrap();
        let socket = folder.join("socket");
        let yang = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/netconf/tests/yang"
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let netconfd = Command::new("netconfd")
            .args(["--superuser=root", "--target=candidate", "--no-startup"])
            .args(["--with-startup=false", "--log-level=info"])
            .arg("--module=farrier-junos-min")
            .arg(format!("--port={port}"))
            .arg(format!("--modpath=/usr/share/yuma/modules:{yang}"))
            .arg(format!("--ncxserver-sockname={}", socket.display()))
            .arg(format!("--log={}", folder.join("log").display()))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .spawn()
            .expect("netconfd is installed");
        let (sshd, host_key) = sshd(&folder, &socket, port);
        let server = Self {
            netconfd,
            sshd,
            folder,
            port,
            host_key,
        };
        let until = Clock::now() + LIMIT;
        while !socket.exists() || TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Clock::now() < until, "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn does(&self, login: &SwitchLogin, action: SwitchAction) -> (Report, Option<HostKey>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let begin = Clock::now();
        let now = || Instant::from_millis(u64::try_from(begin.elapsed().as_millis()).unwrap());
        let order = Order {
            kind: SwitchKind::Netconf,
            port: "ge-0/0/1",
            action,
            token: 0x5eed,
            details: SwitchDetails::default(),
        };
        let mut buffers = SshBuffers::new();
        let deadline = Instant::from_millis(60_000);
        let mut driver = SshDriver::new(now(), deadline, &order, login, &mut buffers).unwrap();
        let mut waiting = Vec::new();
        while driver.report().is_none() {
            let mut out = [0; 512];
            let length = driver.send(now(), &mut out);
            stream.write_all(&out[..length]).unwrap();
            let mut input = &waiting[..];
            driver.receive(now(), &mut input);
            waiting = input.to_vec();
            if length > 0 {
                continue;
            }
            let mut piece = [0; 700];
            match stream.read(&mut piece) {
                Ok(0) => driver.closed(),
                Ok(length) => waiting.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => driver.tick(now()),
                Err(_) => driver.closed(),
            }
        }
        println!(
            "{action:?}: {:?} after {:?}",
            driver.report(),
            begin.elapsed()
        );
        (driver.report().unwrap(), driver.host_key())
    }
}

fn sshd(folder: &Path, socket: &Path, port: u16) -> (Child, HostKey) {
    let host = folder.join("host");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&host)
        .status();
    assert!(made.expect("OpenSSH is installed").success());
    let line = fs::read_to_string(folder.join("host.pub")).unwrap();
    let blob = decode(line.split(' ').nth(1).unwrap());
    let host_key = ssh::host_key(&blob[blob.len() - 32..].try_into().unwrap());
    let user = SigningKey::from_bytes(&USER_SEED)
        .verifying_key()
        .to_bytes();
    let blob = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &user].concat();
    let keys = folder.join("authorized_keys");
    fs::write(&keys, format!("ssh-ed25519 {}\n", encode(&blob))).unwrap();
    let subsystem = format!(
        "/usr/sbin/netconf-subsystem --ncxserver-sockname={port}@{}",
        socket.display()
    );
    // Keys are exchanged anew every few requests. Whoever knows the key of this test
    // gets nothing else of root's.
    let configuration = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nUsePAM no\n\
         StrictModes no\nPermitRootLogin prohibit-password\nRekeyLimit 2K\nPidFile none\n\
         DisableForwarding yes\nPermitTTY no\n\
         ForceCommand {subsystem}\nSubsystem netconf {subsystem}\n",
        host.display(),
        keys.display(),
    );
    let file = folder.join("sshd_config");
    fs::write(&file, configuration).unwrap();
    fs::create_dir_all("/run/sshd").unwrap();
    let child = Command::new("/usr/sbin/sshd")
        .arg("-D")
        .arg("-E")
        .arg(folder.join("sshd.log"))
        .arg("-f")
        .arg(&file)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    (child, host_key)
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in [&mut self.sshd, &mut self.netconfd] {
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            for log in ["sshd.log", "log"] {
                let text = fs::read_to_string(self.folder.join(log));
                println!("{log}: {}", text.unwrap_or_default());
            }
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn ok(vlan: u16) -> Report {
    Report {
        result: Ok(()),
        port: Seen::Vlan(vlan),
        link: None,
        learned: Learned::Unknown,
    }
}

#[test]
fn a_port_of_netconfd_is_moved_kept_and_moved_back() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    let user = Command::new("id").arg("-u").output().unwrap();
    if user.stdout != b"0\n" {
        println!("skipped: the test needs root");
        return;
    }
    let server = Server::start();
    let mut login = SwitchLogin {
        user: "root".try_into().unwrap(),
        secret: SwitchSecret::Key(USER_SEED),
        host_key: None,
    };
    let (report, key) = server.does(&login, SwitchAction::Read);
    assert_eq!(report.result, Err(OperationError::HostKey));
    assert_eq!(key, Some(server.host_key));
    login.host_key = key;
    for (action, vlan) in [
        (SwitchAction::Read, 0),
        (SwitchAction::Move { from: 0, to: 20 }, 20),
        (SwitchAction::Keep { from: 0, to: 20 }, 20),
        (SwitchAction::Keep { from: 0, to: 20 }, 20),
        (SwitchAction::Move { from: 20, to: 30 }, 30),
        (SwitchAction::Read, 30),
        (SwitchAction::Undo { from: 20, to: 30 }, 20),
        (SwitchAction::Undo { from: 20, to: 30 }, 20),
        (SwitchAction::Move { from: 20, to: 30 }, 30),
        (SwitchAction::Keep { from: 20, to: 30 }, 30),
        (SwitchAction::Undo { from: 20, to: 30 }, 20),
        (SwitchAction::Read, 20),
    ] {
        assert_eq!(server.does(&login, action).0, ok(vlan), "{action:?}");
    }
    let (late, _) = server.does(&login, SwitchAction::Keep { from: 20, to: 30 });
    assert_eq!(late.result, Err(OperationError::Unexpected));
    assert_eq!(late.port, Seen::Vlan(20));
    login.secret = SwitchSecret::Key([1; 32]);
    let (report, _) = server.does(&login, SwitchAction::Read);
    assert_eq!(report.result, Err(OperationError::Login));
}
