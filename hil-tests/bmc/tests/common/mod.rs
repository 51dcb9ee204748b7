//! A client and a BMC in virtual time.
#![allow(dead_code, reason = "each test uses a part of it")]

use farrier_bmc::{Bmc, Config, Faults, VirtualMachine};
use farrier_ipmi::command::chassis::{BootDevice, BootFlags, ChassisControl, ChassisStatus};
use farrier_ipmi::command::sdr::{Step, Walk};
use farrier_ipmi::command::sensor::Sensor;
use farrier_ipmi::command::{Answer, Command};
use farrier_ipmi::console::ConsoleEvent;
use farrier_ipmi::{Client, Credentials, Event, Failure, MAX_SENT, Output, Privilege, Settings};
use std::net::SocketAddr;

pub const CONSOLE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 40_000);

/// What a client has said, without what it borrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Up,
    Down(Failure, Option<u64>),
    Done,
    Failed(Failure),
    Present(bool),
    Absent,
    Console,
    /// Characters, and some before them were lost.
    Overrun,
    Unavailable,
    Deactivated,
}

/// What an attacker makes of a datagram of the BMC.
pub type Attacker = fn(&[u8]) -> Vec<Vec<u8>>;

pub struct Lab {
    pub client: Client,
    pub bmc: Bmc<VirtualMachine>,
    pub now_ms: u64,
    /// Characters of the machine.
    pub console: Vec<u8>,
    pub said: Vec<Said>,
    /// Datagrams to and from the BMC.
    pub to_bmc: Vec<Vec<u8>>,
    pub from_bmc: Vec<Vec<u8>>,
    /// Comes before each datagram of the BMC.
    pub attacker: Option<Attacker>,
    random: u64,
}

pub fn settings() -> Settings {
    Settings {
        privilege: Privilege::Administrator,
        ..Settings::default()
    }
}

pub fn credentials() -> Credentials {
    Credentials::new(b"farrier", b"farrier").unwrap()
}

impl Lab {
    pub fn new() -> Self {
        Self::with(Config::default(), credentials(), settings())
    }

    pub fn faulty(faults: Faults) -> Self {
        let mut lab = Self::new();
        lab.bmc.faults = faults;
        lab
    }

    pub fn with(config: Config, credentials: Credentials, settings: Settings) -> Self {
        let random = config.seed;
        Self {
            client: Client::new(credentials, settings),
            bmc: Bmc::new(config, VirtualMachine::new()),
            now_ms: 1_000_000,
            console: Vec::new(),
            said: Vec::new(),
            to_bmc: Vec::new(),
            from_bmc: Vec::new(),
            attacker: None,
            random,
        }
    }

    /// Runs until `until` says so of an event, or until `limit_ms` have passed.
    /// Returns whether it said so.
    pub fn run(&mut self, limit_ms: u64, until: &mut dyn FnMut(&Event<'_>) -> bool) -> bool {
        let end = self.now_ms + limit_ms;
        let mut out = [0; MAX_SENT];
        loop {
            let mut random = self.random;
            let mut fill = |bytes: &mut [u8]| {
                for byte in bytes {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    *byte = (random >> 56) as u8;
                }
            };
            let output = self.client.poll(self.now_ms, &mut out, &mut fill);
            self.random = random;
            let wake = match output {
                Output::Datagram(len) => {
                    self.to_bmc.push(out[..len].to_vec());
                    self.bmc.receive(self.now_ms, CONSOLE, &out[..len]);
                    continue;
                }
                Output::Event(event) => {
                    let is_it = until(&event);
                    note(&mut self.said, &mut self.console, event);
                    if is_it {
                        return true;
                    }
                    continue;
                }
                Output::Wait(wake) => wake,
            };
            assert_eq!(wake, self.client.wake_at());
            assert!(wake.is_none_or(|at| at > self.now_ms), "nothing is overdue");
            if let Some(datagram) = self.bmc.transmit(self.now_ms) {
                assert_eq!(datagram.to, CONSOLE);
                self.from_bmc.push(datagram.bytes.clone());
                let mut all = self
                    .attacker
                    .map_or(Vec::new(), |attacker| attacker(&datagram.bytes));
                all.push(datagram.bytes);
                for mut bytes in all {
                    let Some(event) = self.client.input(&mut bytes, self.now_ms) else {
                        continue;
                    };
                    let is_it = until(&event);
                    note(&mut self.said, &mut self.console, event);
                    if is_it {
                        return true;
                    }
                }
                continue;
            }
            if self.now_ms >= end {
                return false;
            }
            let wakes = [wake, self.bmc.wake_at(), Some(end)];
            let next = wakes.into_iter().flatten().min().unwrap_or(end);
            self.now_ms = next.max(self.now_ms + 1);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) {
        self.run(ms, &mut |_| false);
    }

    /// Asks, and gives how it ended.
    pub fn ask(&mut self, command: Command) -> Result<Answer<'static>, Failure> {
        self.ask_with(command, &mut |answer| match answer {
            Ok(Answer::Sdr(_)) => panic!("use a walk"),
            Ok(Answer::Done) => Ok(Answer::Done),
            Ok(Answer::ChassisStatus(it)) => Ok(Answer::ChassisStatus(it)),
            Ok(Answer::BootFlags(it)) => Ok(Answer::BootFlags(it)),
            Ok(Answer::DeviceId(it)) => Ok(Answer::DeviceId(it)),
            Ok(Answer::SystemGuid(it)) => Ok(Answer::SystemGuid(it)),
            Ok(Answer::SelInfo(it)) => Ok(Answer::SelInfo(it)),
            Ok(Answer::SelEntry(it)) => Ok(Answer::SelEntry(it)),
            Ok(Answer::Reservation(it)) => Ok(Answer::Reservation(it)),
            Ok(Answer::Reading(it)) => Ok(Answer::Reading(it)),
            Ok(Answer::ConsoleActive(it)) => Ok(Answer::ConsoleActive(it)),
            Err(failure) => Err(failure),
        })
    }

    pub fn ask_with<R>(
        &mut self,
        command: Command,
        with: &mut dyn FnMut(Result<Answer<'_>, Failure>) -> R,
    ) -> R {
        self.client.request(command).expect("one at a time");
        let mut result = None;
        let ended = self.run(120_000, &mut |event| {
            match event {
                Event::Done(answer) => result = Some(with(Ok(*answer))),
                Event::Failed(failure) => result = Some(with(Err(*failure))),
                _ => {}
            }
            result.is_some()
        });
        assert!(ended, "{command:?} ends: {:?}", self.said);
        assert!(!self.client.is_busy());
        result.unwrap()
    }

    pub fn status(&mut self) -> Result<ChassisStatus, Failure> {
        match self.ask(Command::ChassisStatus)? {
            Answer::ChassisStatus(status) => Ok(status),
            other => panic!("{other:?}"),
        }
    }

    pub fn boot_flags(&mut self) -> Result<BootFlags, Failure> {
        match self.ask(Command::BootFlags)? {
            Answer::BootFlags(flags) => Ok(flags),
            other => panic!("{other:?}"),
        }
    }

    pub fn control(&mut self, control: ChassisControl) -> Result<(), Failure> {
        self.ask(Command::ChassisControl(control)).map(|answer| {
            assert_eq!(answer, Answer::Done);
        })
    }

    /// Asks as a patient owner does: again where an answer was lost.
    pub fn insist(&mut self, command: Command) -> Answer<'static> {
        for _ in 0..20 {
            match self.ask(command) {
                Ok(answer) => return answer,
                Err(failure) if failure.is_final() => panic!("{command:?}: {failure:?}"),
                Err(_) => {}
            }
        }
        panic!("{command:?} never succeeds: {:?}", self.client.counters());
    }

    /// Names, types and readings of all sensors.
    pub fn sensors(&mut self) -> Result<Vec<(String, Option<i64>)>, Failure> {
        let mut walk = Walk::new();
        let mut found = Vec::new();
        for _ in 0..1000 {
            match walk.step() {
                Step::Ask(command) => self.ask_with(command, &mut |answer| walk.take(answer)),
                Step::Record(record) => {
                    let record = record.to_vec();
                    let sensor = Sensor::parse(&record).expect("a sensor");
                    let name = String::from_utf8(sensor.name.to_vec()).unwrap();
                    let command = Command::SensorReading {
                        sensor: sensor.number,
                        lun: sensor.lun,
                    };
                    let Answer::Reading(reading) = self.ask(command)? else {
                        panic!("a reading");
                    };
                    let milli = sensor
                        .conversion
                        .zip(reading.raw)
                        .map(|(conversion, raw)| conversion.milli(raw));
                    found.push(
                        (
                            name,
                            milli
                                .or(Some(reading.states.into())
                                    .filter(|_| sensor.conversion.is_none())),
                        ),
                    );
                    walk.next();
                }
                Step::End => return Ok(found),
                Step::Failed(failure) => return Err(failure),
            }
        }
        panic!("the walk does not end");
    }
}

fn note(said: &mut Vec<Said>, console: &mut Vec<u8>, event: Event<'_>) {
    said.push(match event {
        Event::Up => Said::Up,
        Event::Down {
            failure,
            reopens_at_ms,
        } => Said::Down(failure, reopens_at_ms),
        Event::Absent => Said::Absent,
        Event::Done(_) => Said::Done,
        Event::Failed(failure) => Said::Failed(failure),
        Event::Present { ipmi } => Said::Present(ipmi),
        Event::Console(ConsoleEvent::Data { bytes, overrun, .. }) => {
            console.extend(bytes);
            match overrun {
                true => Said::Overrun,
                false => Said::Console,
            }
        }
        Event::Console(ConsoleEvent::Unavailable) => Said::Unavailable,
        Event::Console(ConsoleEvent::Deactivated) => Said::Deactivated,
    });
}

pub fn flags(device: BootDevice, persistent: bool, uefi: bool) -> BootFlags {
    BootFlags {
        valid: true,
        persistent,
        uefi,
        device,
    }
}

/// What an owner does to deploy a machine: read, boot from the network, start,
/// look, boot from the disk, restart, look, stop.
pub fn deploy(lab: &mut Lab) {
    let read = |lab: &mut Lab| match lab.insist(Command::ChassisStatus) {
        Answer::ChassisStatus(status) => status.is_on(),
        other => panic!("{other:?}"),
    };
    assert!(!read(lab));
    let pxe = flags(BootDevice::Pxe, false, true);
    lab.insist(Command::SetBootFlags(pxe));
    assert_eq!(lab.insist(Command::BootFlags), Answer::BootFlags(pxe));
    lab.insist(Command::ChassisControl(ChassisControl::On));
    assert!(read(lab));
    assert_eq!(lab.bmc.machine.booted, Some(pxe));
    let disk = flags(BootDevice::Disk, true, true);
    lab.insist(Command::SetBootFlags(disk));
    assert_eq!(lab.insist(Command::BootFlags), Answer::BootFlags(disk));
    lab.insist(Command::ChassisControl(ChassisControl::HardReset));
    assert_eq!(lab.bmc.machine.booted, Some(disk));
    lab.insist(Command::ChassisControl(ChassisControl::Off));
    assert!(!read(lab));
}
