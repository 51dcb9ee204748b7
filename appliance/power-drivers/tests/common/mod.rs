//! A driver and a device in virtual time, without sockets.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod ipmi;
pub mod outlet;
pub mod redfish;

use farrier_power_drivers::{
    Access, Action, BootDevice, Driver, Firmware, Instant, MIN_OUT, OperationError, Order, Output,
    PowerAction, PowerDriver, Report, StartFrom,
};
use farrier_redfish::Bmc;

pub const NETWORK: StartFrom = StartFrom {
    device: BootDevice::Network,
    firmware: Firmware::Uefi,
};
pub const DISK: StartFrom = StartFrom {
    device: BootDevice::Disk,
    firmware: Firmware::Bios,
};

/// An RFC 9562 UUID whose bytes all differ.
pub const UUID: [u8; 16] = [
    0xc3, 0xb1, 0xf2, 0xde, 0x0f, 0x5a, 0x4d, 0x3e, 0x9b, 0x6a, 0x2f, 0x6f, 0x2e, 0x0d, 0x8a, 0x11,
];
pub const UUID_TEXT: &str = "c3b1f2de-0f5a-4d3e-9b6a-2f6f2e0d8a11";

pub const LOOK: Order = Order::new(Action::Look);
pub const NMI: Order = Order::new(Action::Nmi);

pub const fn power(action: PowerAction) -> Order {
    Order::new(Action::Power(action))
}

pub const fn from(action: PowerAction, start: StartFrom) -> Order {
    Order {
        action: Action::Power(action),
        start_from: Some(start),
    }
}

/// The far end of a driver's bytes.
pub trait Device {
    /// Takes a datagram.
    fn datagram(&mut self, _now: u64, _bytes: &[u8]) {
        panic!("it speaks over streams");
    }
    /// Takes a connection, or refuses it.
    fn connect(&mut self, _now: u64) -> bool {
        panic!("it speaks in datagrams");
    }
    /// Takes bytes of the stream.
    fn stream(&mut self, _now: u64, _bytes: &[u8]) {
        panic!("it speaks in datagrams");
    }
    /// Gives what is due.
    fn give(&mut self, now: u64) -> Option<Vec<u8>>;
    /// Whether it has closed the stream.
    fn is_closed(&self) -> bool {
        false
    }
    /// The driver knows that it has.
    fn was_told(&mut self) {}
    /// When it has something to give, or to do.
    fn wake_at(&self) -> Option<u64> {
        None
    }
}

pub struct Clock {
    pub now: u64,
    /// State of the random bytes.
    pub random: u64,
}

impl Clock {
    pub fn new(seed: u64) -> Self {
        Self {
            now: 1_000_000,
            random: seed,
        }
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.random = self
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.random >> 56) as u8;
        }
    }

    /// Drives a driver to its end.
    pub fn drive(&mut self, driver: &mut dyn Driver, device: &mut dyn Device) -> Report {
        let mut out = [0; MIN_OUT];
        for _ in 0..2_000_000 {
            let at = Instant::from_millis(self.now);
            let output = driver.poll(at, &mut out, &mut |bytes| self.fill(bytes));
            match output {
                Output::End => return driver.report().expect("it has ended"),
                Output::Datagram(length) => device.datagram(self.now, &out[..length]),
                Output::Stream(length) => {
                    assert!(length > 0, "it sends something");
                    device.stream(self.now, &out[..length]);
                }
                Output::Connect => match device.connect(self.now) {
                    true => driver.connected(at),
                    false => driver.closed(at),
                },
                Output::Wait => {
                    assert_eq!(driver.report(), None);
                    if let Some(mut bytes) = device.give(self.now) {
                        driver.input(at, &mut bytes);
                    } else if device.is_closed() {
                        device.was_told();
                        driver.closed(at);
                    } else {
                        let wake = driver.wake_at().millis();
                        assert!(wake > self.now, "it waits for the past: {wake}");
                        let other = device.wake_at().unwrap_or(u64::MAX);
                        self.now = wake.min(other.max(self.now + 1));
                    }
                }
            }
        }
        panic!("it does not end");
    }

    /// Carries out an order.
    pub fn carry_out(
        &mut self,
        device: &mut dyn Device,
        access: &Access<'_>,
        order: Order,
        within_ms: u64,
    ) -> Report {
        self.carry_out_with(device, access, order, within_ms, &mut Bmc::new())
    }

    /// The same with what Redfish keeps.
    pub fn carry_out_with(
        &mut self,
        device: &mut dyn Device,
        access: &Access<'_>,
        order: Order,
        within_ms: u64,
        bmc: &mut Bmc,
    ) -> Report {
        let begin = self.now;
        let deadline = Instant::from_millis(begin + within_ms);
        let now = Instant::from_millis(begin);
        let mut driver = match PowerDriver::new(now, deadline, order, access, bmc) {
            Ok(driver) => driver,
            Err(error) => return refused(error),
        };
        let report = self.drive(&mut driver, device);
        assert!(
            self.now <= begin + within_ms,
            "{order:?} ends {} ms late",
            self.now - begin - within_ms
        );
        report
    }
}

/// What an order that can't begin ends in.
pub fn refused(error: OperationError) -> Report {
    Report {
        result: Err(error),
        power: farrier_power_drivers::PowerState::Unknown,
        boot_device: farrier_power_drivers::BootSeen::Unknown,
        uuid: None,
        reason: None,
    }
}
