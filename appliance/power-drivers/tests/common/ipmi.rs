//! A BMC with IPMI as a device.

use super::{Clock, Device};
use farrier_bmc::{Bmc, Config, Faults, Machine as _, VirtualMachine};
use farrier_ipmi::Suites;
use farrier_ipmi::command::chassis::BootFlags;
use farrier_power_drivers::{Access, IpmiAccess, Order, PowerAction, Report};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

const OWNER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000);

pub const ACCESS: IpmiAccess<'static> = IpmiAccess {
    address: Ipv4Addr::new(192, 0, 2, 7),
    port: 623,
    user: b"farrier",
    password: b"farrier",
    kg: b"",
    suites: Suites::Strong,
};

impl Device for Bmc<VirtualMachine> {
    fn datagram(&mut self, now: u64, bytes: &[u8]) {
        self.receive(now, OWNER, bytes);
    }
    fn give(&mut self, now: u64) -> Option<Vec<u8>> {
        self.transmit(now).map(|datagram| datagram.bytes)
    }
    fn wake_at(&self) -> Option<u64> {
        Bmc::wake_at(self)
    }
}

/// A BMC whose network is down for a while.
struct Line<'a> {
    bmc: &'a mut Bmc<VirtualMachine>,
    silence: Range<u64>,
}

impl Device for Line<'_> {
    fn datagram(&mut self, now: u64, bytes: &[u8]) {
        if !self.silence.contains(&now) {
            self.bmc.datagram(now, bytes);
        }
    }
    fn give(&mut self, now: u64) -> Option<Vec<u8>> {
        let bytes = self.bmc.give(now)?;
        (!self.silence.contains(&now)).then_some(bytes)
    }
    fn wake_at(&self) -> Option<u64> {
        Bmc::wake_at(self.bmc)
    }
}

pub struct Rig {
    /// When nothing comes through.
    pub silence: Range<u64>,
    pub bmc: Bmc<VirtualMachine>,
    pub clock: Clock,
    pub access: IpmiAccess<'static>,
    pub within_ms: u64,
}

impl Rig {
    pub fn with(config: Config, faults: Faults) -> Self {
        let clock = Clock::new(config.seed);
        let mut bmc = Bmc::new(config, VirtualMachine::new());
        bmc.faults = faults;
        Self {
            silence: 0..0,
            bmc,
            clock,
            access: ACCESS,
            within_ms: 60_000,
        }
    }

    /// A machine that is off.
    pub fn off(faults: Faults) -> Self {
        Self::with(Config::default(), faults)
    }

    /// A machine that is on.
    pub fn on(faults: Faults) -> Self {
        let mut rig = Self::off(faults);
        let flags = BootFlags::parse(&[0, 0]).unwrap();
        rig.bmc.machine.power_on(&flags);
        rig.bmc.machine.done.clear();
        rig
    }

    pub fn does(&mut self, order: Order) -> Report {
        let access = Access::Ipmi(self.access);
        let mut line = Line {
            bmc: &mut self.bmc,
            silence: self.silence.clone(),
        };
        self.clock
            .carry_out(&mut line, &access, order, self.within_ms)
    }

    pub fn power(&mut self, action: PowerAction) -> Report {
        self.does(super::power(action))
    }

    pub fn is_on(&mut self) -> bool {
        self.bmc.machine.is_on()
    }
}
