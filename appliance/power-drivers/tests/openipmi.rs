//! The driver on OpenIPMI's simulator (Debian package `openipmi`), an independent BMC
//! that shares no code with the client, over a socket. It has suite 3 alone, and a
//! shell script for a machine. Skipped, with a reason, where it is absent.

use farrier_ipmi::Suites;
use farrier_power_drivers::PowerAction::{Off, On, Reboot, SoftOff, SoftReboot};
use farrier_power_drivers::{
    Access, Action, BootDevice, BootSeen, DATAGRAM, Driver, Endpoint, Firmware, Instant,
    IpmiAccess, MIN_OUT, OperationError, Order, Output, PowerAction, PowerDriver, PowerState,
    Report, StartFrom,
};
use farrier_redfish::Bmc;
use std::io::Read as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

const PROGRAM: &str = "/usr/bin/ipmi_sim";

/// The machine: its power and boot device are files beside the script, and each change
/// of the power is a line of a third one.
const MACHINE: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
shift
verb=$1
shift
case $verb in
get)
    for name in "$@"; do echo "$name:$(cat "$name")"; done ;;
set)
    while [ $# -gt 1 ]; do
        case $1 in
        power) echo "$2" > power; echo "power $2 $(cat boot)" >> log ;;
        boot) echo "$2" > boot ;;
        shutdown) echo 0 > power; echo shutdown >> log ;;
        esac
        shift 2
    done ;;
esac
"#;

/// The simulator, in a folder of its own.
struct Simulator {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Simulator {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("power-ipmi-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("state")).unwrap();
        let script = folder.join("machine");
        std::fs::write(&script, MACHINE).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        for (name, text) in [("power", "0\n"), ("boot", "default\n"), ("log", "")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        // The simulator can't choose a port by itself.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let config = format!(
            "name \"node1\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\n\
             priv_limit admin\nallowed_auths_admin none md5\nallowed_auths_operator none md5\n\
             allowed_auths_user none md5\nguid a123456789abcdefa123456789abcdef\nendlan\n\
             chassis_control \"{} node1\"\n\
             user 2 true \"farrier\" \"sixteen-letters!\" admin 10 none md5\n",
            script.display(),
        );
        std::fs::write(folder.join("lan.conf"), config).unwrap();
        let commands = "mc_setbmc 0x20\n\
             mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
             mc_enable 0x20\n";
        std::fs::write(folder.join("commands"), commands).unwrap();
        let child = std::process::Command::new(PROGRAM)
            .arg("-n")
            .args(["-c", "lan.conf", "-f", "commands", "-s", "state"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            folder,
            port,
        }
    }

    fn file(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join(name)).unwrap();
        text.trim().to_owned()
    }

    fn log(&self) -> Vec<String> {
        let log = self.file("log");
        std::fs::write(self.folder.join("log"), "").unwrap();
        log.lines().map(str::to_owned).collect()
    }

    fn does_with(&self, order: Order, password: &[u8], suites: Suites) -> Report {
        let access = Access::Ipmi(IpmiAccess {
            address: Ipv4Addr::LOCALHOST,
            port: self.port,
            user: b"farrier",
            password,
            kg: b"",
            suites,
        });
        let Endpoint::Udp(address, port) = access.endpoint() else {
            panic!("IPMI goes over UDP");
        };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect((address, port)).unwrap();
        let begin = std::time::Instant::now();
        let clock = || Instant::from_millis(begin.elapsed().as_millis() as u64);
        let mut random = |bytes: &mut [u8]| {
            let mut source = std::fs::File::open("/dev/urandom").unwrap();
            source.read_exact(bytes).unwrap();
        };
        let deadline = clock().plus_millis(60_000);
        let mut bmc = Bmc::new();
        let mut driver = PowerDriver::new(clock(), deadline, order, &access, &mut bmc).unwrap();
        let (mut out, mut buffer) = ([0; MIN_OUT], [0; DATAGRAM]);
        loop {
            match driver.poll(clock(), &mut out, &mut random) {
                // Refused while the simulator starts.
                Output::Datagram(length) => drop(socket.send(&out[..length])),
                Output::Wait => {
                    let pause = driver.wake_at().since(clock()).clamp(1, 50);
                    let pause = Duration::from_millis(pause);
                    socket.set_read_timeout(Some(pause)).unwrap();
                    if let Ok(length) = socket.recv(&mut buffer) {
                        driver.input(clock(), &mut buffer[..length]);
                    }
                }
                Output::Connect | Output::Stream(_) => panic!("IPMI has no streams"),
                Output::End => return driver.report().unwrap(),
            }
        }
    }

    fn does(&self, order: Order) -> Report {
        self.does_with(order, b"sixteen-letters!", Suites::Sha1)
    }

    fn power(&self, action: PowerAction) -> (Result<(), OperationError>, PowerState) {
        let report = self.does(Order::new(Action::Power(action)));
        (report.result, report.power)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn a_bmc_of_others_is_looked_at_and_switched() {
    if !Path::new(PROGRAM).exists() {
        println!("skipped: ipmi_sim is absent: apt-get install openipmi");
        return;
    }
    let simulator = Simulator::start();
    // The stronger suite is refused twice before the other one is tried.
    let look = Order::new(Action::Look);
    let report = simulator.does_with(look, b"sixteen-letters!", Suites::StrongOrSha1);
    assert_eq!((report.result, report.power), (Ok(()), PowerState::Off));
    let written = 0xa123_4567_89ab_cdef_a123_4567_89ab_cdef_u128;
    assert_eq!(report.is_machine(written.to_be_bytes()), Some(true));
    assert_eq!(simulator.log(), [""; 0]);

    let start_from = Some(StartFrom {
        device: BootDevice::Network,
        firmware: Firmware::Bios,
    });
    let report = simulator.does(Order {
        action: Action::Power(On),
        start_from,
    });
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
    // The simulator keeps the device, and not the bit that makes it count.
    assert_eq!(report.boot_device, BootSeen::Own);
    assert!(report.reason.is_some());
    assert_eq!(simulator.log(), ["power 1 pxe"]);

    assert_eq!(simulator.power(Reboot), (Ok(()), PowerState::On));
    let log = simulator.log();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[0].starts_with("power 0") && log[1].starts_with("power 1"));

    assert_eq!(simulator.power(SoftReboot), (Ok(()), PowerState::On));
    let log = simulator.log();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[0] == "shutdown" && log[1].starts_with("power 1"));

    assert_eq!(simulator.power(SoftOff), (Ok(()), PowerState::Unknown));
    assert_eq!(simulator.log(), ["shutdown"]);
    assert_eq!(simulator.power(SoftOff), (Ok(()), PowerState::Off));
    assert_eq!(simulator.power(On), (Ok(()), PowerState::On));
    assert_eq!(simulator.power(Off), (Ok(()), PowerState::Off));
    assert_eq!(simulator.file("power"), "0");

    let order = Order::new(Action::Power(On));
    let report = simulator.does_with(order, b"another", Suites::Sha1);
    assert_eq!(report.result, Err(OperationError::Login));
    let report = simulator.does_with(order, b"sixteen-letters!", Suites::Strong);
    assert_eq!(report.result, Err(OperationError::Unsupported));
    assert_eq!(simulator.file("power"), "0");
}
