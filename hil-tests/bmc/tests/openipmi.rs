//! The client on OpenIPMI's simulator (Debian package `openipmi`), an independent
//! BMC. It has suite 3 alone, and a shell script for a machine. Skipped, with a
//! reason, where it is absent.

mod programs;

use farrier_ipmi::command::chassis::{BootDevice, BootFlags, ChassisControl, ChassisStatus};
use farrier_ipmi::command::device::GuidOrder;
use farrier_ipmi::command::sdr::{Step, Walk};
use farrier_ipmi::command::sensor::{Health, Sensor, Unit};
use farrier_ipmi::command::{Answer, Command, sel};
use farrier_ipmi::console::ConsoleEvent;
use farrier_ipmi::{
    Client, Credentials, Event, Failure, MAX_SENT, Output, Privilege, RECEIVE_BUFFER, Settings,
    Suites, Timing,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// The machine: its power and boot device are files beside the script.
const MACHINE: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
shift
while [ $# -gt 0 ]; do
    verb=$1
    shift
    case $verb in
    get)
        for name in "$@"; do echo "$name:$(cat "$name")"; done
        exit ;;
    set)
        while [ $# -gt 1 ]; do
            case $1 in
            power | boot) echo "$2" > "$1" ;;
            shutdown) echo 0 > power ;;
            reset) echo "$2" >> reset ;;
            esac
            shift 2
        done ;;
    esac
done
"#;

/// The record of a temperature: 0.5 °C a step from −10 °C on, with an upper critical
/// threshold of 90 °C. Sensor `number` has the name `CPU number`.
fn record(number: u8) -> String {
    format!(
        "{number} 0 0x51 1 0x30 0x20 0 {number} 3 {number} 0x7f 0x68 1 1 0 2 0 0x10 0x10 0x10 \
         0 1 0 0 5 0 0x9c 0xc0 0 0xf0 0 0 0 0 0xff 0 0 200 0 0 0 0 0 0 0 0 0 \
         0xc5 0x43 0x50 0x55 0x20 {}",
        b'0' + number
    )
}

/// The commands that bring such a sensor into the simulator, with a raw reading.
fn sensor(number: u8, raw: u8) -> String {
    format!(
        "main_sdr_add 0x20 {}\nsensor_add 0x20 0 {number} 1 1\n\
         sensor_set_threshold 0x20 0 {number} readable 010000 0 200 0 0 0 0\n\
         sensor_set_value 0x20 0 {number} {raw} 0\n",
        record(number)
    )
}

/// The simulator, in a folder of its own.
struct Simulator {
    child: Child,
    folder: PathBuf,
    port: u16,
    serial: TcpListener,
}

impl Simulator {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("openipmi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("state")).unwrap();
        let script = folder.join("machine");
        std::fs::write(&script, MACHINE).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(folder.join("power"), "0\n").unwrap();
        std::fs::write(folder.join("boot"), "default\n").unwrap();
        let serial = TcpListener::bind("127.0.0.1:0").unwrap();
        // The simulator can't choose a port by itself.
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr();
        let port = port.unwrap().port();
        let config = format!(
            "name \"node1\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\n\
             priv_limit admin\nallowed_auths_admin none md5\nallowed_auths_operator none md5\n\
             allowed_auths_user none md5\nguid a123456789abcdefa123456789abcdef\nendlan\n\
             chassis_control \"{} node1\"\nsol \"tcp:{}\" 115200\n\
             user 2 true \"farrier\" \"sixteen-letters!\" admin 10 none md5\n",
            script.display(),
            serial.local_addr().unwrap(),
        );
        std::fs::write(folder.join("lan.conf"), config).unwrap();
        let commands = format!(
            "mc_setbmc 0x20\n\
             mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
             sel_enable 0x20 1000 0x0a\n\
             sel_add 0x20 2 0x10 0x20 0x30 0x60 0x20 0 4 1 1 1 0x59 0x5f 0x5a\n\
             {}{}mc_enable 0x20\n",
            sensor(1, 0x60),
            sensor(2, 0xd0),
        );
        std::fs::write(folder.join("commands"), commands).unwrap();
        let child = std::process::Command::new("ipmi_sim")
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
            serial,
        }
    }

    fn file(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join(name)).unwrap();
        text.trim().to_owned()
    }

    fn connect(&self, suites: Suites, password: &[u8]) -> Live {
        let settings = Settings {
            suites,
            privilege: Privilege::Administrator,
            timing: Timing {
                // It may not have started yet.
                first_pause_ms: 200,
                longest_pause_ms: 2000,
                tries: 8,
                ..Timing::default()
            },
        };
        let credentials = Credentials::new(b"farrier", password).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", self.port)).unwrap();
        Live {
            client: Client::new(credentials, settings),
            socket,
            begin: Instant::now(),
            console: Vec::new(),
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A client at a socket.
struct Live {
    client: Client,
    socket: UdpSocket,
    begin: Instant,
    console: Vec<u8>,
}

impl Live {
    /// Runs until `until` says so of an event, or for this long.
    fn run(&mut self, limit: Duration, until: &mut dyn FnMut(&Event<'_>) -> bool) -> bool {
        let end = Instant::now() + limit;
        let (mut out, mut buffer) = ([0; MAX_SENT], [0; RECEIVE_BUFFER]);
        let mut random = |bytes: &mut [u8]| {
            let mut source = std::fs::File::open("/dev/urandom").unwrap();
            source.read_exact(bytes).unwrap();
        };
        while Instant::now() < end {
            let now_ms = self.begin.elapsed().as_millis() as u64;
            let wake = match self.client.poll(now_ms, &mut out, &mut random) {
                Output::Datagram(len) => {
                    // Refused while the simulator starts.
                    drop(self.socket.send(&out[..len]));
                    continue;
                }
                Output::Event(event) => match until(&event) {
                    true => return true,
                    false => continue,
                },
                Output::Wait(wake) => wake.unwrap_or(u64::MAX),
            };
            let pause = wake.saturating_sub(now_ms).clamp(1, 50);
            self.socket
                .set_read_timeout(Some(Duration::from_millis(pause)))
                .unwrap();
            let Ok(len) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let now_ms = self.begin.elapsed().as_millis() as u64;
            if let Some(event) = self.client.input(&mut buffer[..len], now_ms) {
                if let Event::Console(ConsoleEvent::Data { bytes, .. }) = event {
                    self.console.extend(bytes);
                }
                if until(&event) {
                    return true;
                }
            }
        }
        false
    }

    fn ask<R>(
        &mut self,
        command: Command,
        with: &mut dyn FnMut(Result<Answer<'_>, Failure>) -> R,
    ) -> R {
        self.client.request(command).unwrap();
        let mut result = None;
        self.run(LIMIT, &mut |event| {
            match event {
                Event::Done(answer) => result = Some(with(Ok(*answer))),
                Event::Failed(failure) => result = Some(with(Err(*failure))),
                _ => {}
            }
            result.is_some()
        });
        result.unwrap_or_else(|| panic!("{command:?}: {:?}", self.client.counters()))
    }

    fn status(&mut self) -> Result<ChassisStatus, Failure> {
        self.ask(Command::ChassisStatus, &mut |answer| match answer? {
            Answer::ChassisStatus(status) => Ok(status),
            other => panic!("{other:?}"),
        })
    }

    fn done(&mut self, command: Command) {
        self.ask(command, &mut |answer| assert_eq!(answer, Ok(Answer::Done)));
    }
}

#[test]
fn the_simulator_is_switched_and_read() {
    if !programs::are_there(&[("ipmi_sim", "openipmi")]) {
        return;
    }
    let simulator = Simulator::start("commands");
    let mut live = simulator.connect(Suites::StrongOrSha1, b"sixteen-letters!");
    assert!(!live.status().unwrap().is_on());
    live.done(Command::ChassisControl(ChassisControl::On));
    assert!(live.status().unwrap().is_on());
    assert_eq!(simulator.file("power"), "1");
    live.done(Command::ChassisControl(ChassisControl::HardReset));
    assert_eq!(simulator.file("reset"), "1");
    // It keeps the device and drops the flags beside it.
    for (device, name) in [(BootDevice::Pxe, "pxe"), (BootDevice::Cdrom, "cdrom")] {
        live.done(Command::SetBootFlags(BootFlags {
            valid: true,
            persistent: true,
            uefi: true,
            device,
        }));
        assert_eq!(simulator.file("boot"), name);
        live.ask(Command::BootFlags, &mut |answer| match answer {
            Ok(Answer::BootFlags(flags)) => assert_eq!(flags.device, device),
            other => panic!("{other:?}"),
        });
    }
    live.ask(Command::DeviceId, &mut |answer| match answer {
        Ok(Answer::DeviceId(id)) => {
            assert_eq!((id.manufacturer, id.product), (0x1291, 0xf02));
            assert_eq!((id.ipmi, id.firmware), ((2, 0), (9, 8)));
        }
        other => panic!("{other:?}"),
    });
    live.ask(Command::SystemGuid, &mut |answer| match answer {
        Ok(Answer::SystemGuid(guid)) => {
            let written = 0xa123_4567_89ab_cdef_a123_4567_89ab_cdef_u128;
            let order = guid.order_of(written.to_be_bytes());
            assert_eq!(order, Some(GuidOrder::Rfc9562));
        }
        other => panic!("{other:?}"),
    });
    live.ask(Command::SelInfo, &mut |answer| match answer {
        Ok(Answer::SelInfo(info)) => assert_eq!(info.entries, 1),
        other => panic!("{other:?}"),
    });
    live.ask(Command::SelEntry(sel::FIRST), &mut |answer| match answer {
        Ok(Answer::SelEntry(entry)) => {
            let event = entry.event().unwrap();
            assert_eq!((event.sensor_type, event.sensor), (1, 1));
            assert_eq!((entry.next, event.data), (sel::END, [0x59, 0x5f, 0x5a]));
        }
        other => panic!("{other:?}"),
    });
    live.done(Command::ChassisControl(ChassisControl::Off));
    assert!(!live.status().unwrap().is_on());
    let counters = *live.client.counters();
    assert_eq!((counters.forged, counters.replayed), (0, 0));
    live.client.close();
    let closed = |event: &Event<'_>| matches!(event, Event::Down { .. });
    assert!(live.run(LIMIT, &mut { closed }));
}

#[test]
fn the_sensors_of_the_simulator_are_found_and_read() {
    if !programs::are_there(&[("ipmi_sim", "openipmi")]) {
        return;
    }
    let simulator = Simulator::start("sensors");
    let mut live = simulator.connect(Suites::Sha1, b"sixteen-letters!");
    let (mut walk, mut found) = (Walk::new(), 0);
    loop {
        match walk.step() {
            Step::Ask(command) => live.ask(command, &mut |answer| walk.take(answer)),
            Step::End => break,
            Step::Failed(failure) => panic!("{failure:?}"),
            Step::Record(record) => {
                let sensor = Sensor::parse(record).expect("a full record");
                let names = [&b"CPU 1"[..], b"CPU 2"];
                assert_eq!((sensor.name, sensor.unit), (names[found], Unit::Celsius));
                let conversion = sensor.conversion.unwrap();
                assert_eq!(sensor.limits, [None, Some(200), None, None, None, None]);
                assert_eq!(conversion.milli(200), 90_000);
                let command = Command::SensorReading {
                    sensor: sensor.number,
                    lun: sensor.lun,
                };
                live.ask(command, &mut |answer| match answer {
                    Ok(Answer::Reading(reading)) => {
                        let expected = [(38_000, Health::Good), (94_000, Health::Critical)];
                        let milli = conversion.milli(reading.raw.unwrap());
                        assert_eq!((milli, reading.health()), expected[found]);
                    }
                    other => panic!("{other:?}"),
                });
                found += 1;
                walk.next();
            }
        }
    }
    assert_eq!(found, 2);
}

#[test]
fn the_console_of_the_simulator_leads_to_the_machine() {
    if !programs::are_there(&[("ipmi_sim", "openipmi")]) {
        return;
    }
    let simulator = Simulator::start("console");
    let mut live = simulator.connect(Suites::Sha1, b"sixteen-letters!");
    live.done(Command::ChassisControl(ChassisControl::On));
    let (mut machine, _) = simulator.serial.accept().unwrap();
    live.ask(Command::ActivateConsole, &mut |answer| {
        assert!(matches!(answer, Ok(Answer::ConsoleActive(_))), "{answer:?}");
    });
    let text: Vec<u8> = (0..3000).map(|at| b' ' + (at % 90) as u8).collect();
    machine.write_all(&text).unwrap();
    let mut rest = &text[..];
    let end = Instant::now() + LIMIT;
    let mut heard = Vec::new();
    machine.set_nonblocking(true).unwrap();
    while heard.len() < text.len() || live.console.len() < text.len() {
        assert!(
            Instant::now() < end,
            "{} and {}",
            heard.len(),
            live.console.len()
        );
        let taken = live.client.console_write(rest);
        rest = &rest[taken..];
        live.run(Duration::from_millis(20), &mut |_| false);
        read_some(&mut machine, &mut heard);
    }
    assert_eq!(heard, text);
    assert_eq!(live.console, text);
    live.done(Command::DeactivateConsole);
    assert!(!live.client.has_console());
}

fn read_some(stream: &mut TcpStream, into: &mut Vec<u8>) {
    let mut buffer = [0; 500];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        into.extend(&buffer[..len]);
    }
}

#[test]
fn the_simulator_tells_wrong_passwords_and_the_strong_suite_apart() {
    if !programs::are_there(&[("ipmi_sim", "openipmi")]) {
        return;
    }
    let simulator = Simulator::start("refusals");
    let mut live = simulator.connect(Suites::Strong, b"sixteen-letters!");
    assert_eq!(live.status(), Err(Failure::NoSuite));
    let mut live = simulator.connect(Suites::Sha1, b"another-password");
    assert_eq!(live.status(), Err(Failure::Password));
}
