//! A Redfish service as a device.

use super::{Clock, Device, UUID_TEXT};
use farrier_power_drivers::{Access, Order, PowerAction, RedfishAccess, Report};
use farrier_redfish::{Auth, Bmc, Scheme, Target, Which};
use farrier_redfish_service::{Connection, Injected, Model, PowerLog, Service, Simulated};
use std::net::Ipv4Addr;

pub const ACCESS: RedfishAccess<'static> = RedfishAccess {
    address: Ipv4Addr::new(192, 0, 2, 8),
    port: 80,
    target: Target {
        host: "bmc.test",
        scheme: Scheme::Http,
        user: "admin",
        password: "s3cret:\"pass",
        auth: Auth::Session,
        which: Which::Only,
    },
    keep_session: false,
};

pub struct Line {
    pub service: Service,
    connection: Option<Connection>,
    /// Connections that were opened.
    pub connections: usize,
    /// Nothing listens.
    pub refuses: bool,
    /// Nothing listens behind so many connections.
    pub most_connections: usize,
    /// Bytes of an answer at a time.
    pub piece: usize,
    /// The stream was closed, and the driver knows.
    told: bool,
}

impl Device for Line {
    fn connect(&mut self, _: u64) -> bool {
        self.told = false;
        self.connections += 1;
        let refuses = self.refuses || self.connections > self.most_connections;
        self.connection = (!refuses).then(Connection::new);
        !refuses
    }
    fn stream(&mut self, now: u64, bytes: &[u8]) {
        let connection = self.connection.as_mut().expect("it is connected");
        connection.receive(&mut self.service, bytes, now);
    }
    fn give(&mut self, _: u64) -> Option<Vec<u8>> {
        let bytes = self.connection.as_mut()?.transmit(self.piece);
        (!bytes.is_empty()).then_some(bytes)
    }
    fn is_closed(&self) -> bool {
        let closed = self.connection.as_ref().is_some_and(Connection::is_closed);
        closed && !self.told
    }
    fn was_told(&mut self) {
        self.told = true;
    }
}

pub struct Rig {
    pub line: Line,
    pub clock: Clock,
    pub access: RedfishAccess<'static>,
    pub bmc: Bmc,
    pub log: PowerLog,
    pub within_ms: u64,
}

impl Rig {
    /// A machine that obeys in three seconds.
    pub fn new(model: &Model, on: bool) -> Self {
        Self::with(model, Simulated::new(on).delay(3_000))
    }

    pub fn with(model: &Model, machine: Simulated) -> Self {
        let log = machine.log.clone();
        let service = Service::new(model.clone(), ACCESS.target.user, ACCESS.target.password);
        Self {
            line: Line {
                service: service.system(UUID_TEXT, machine),
                connection: None,
                connections: 0,
                refuses: false,
                most_connections: usize::MAX,
                piece: usize::MAX,
                told: false,
            },
            clock: Clock::new(1),
            access: ACCESS,
            bmc: Bmc::new(),
            log,
            within_ms: 60_000,
        }
    }

    pub fn faulty(model: &Model, on: bool, fault: Injected) -> Self {
        let mut rig = Self::new(model, on);
        rig.line.service.inject(fault);
        rig
    }

    pub fn does(&mut self, order: Order) -> Report {
        let access = Access::Redfish(self.access);
        self.clock.carry_out_with(
            &mut self.line,
            &access,
            order,
            self.within_ms,
            &mut self.bmc,
        )
    }

    pub fn power(&mut self, action: PowerAction) -> Report {
        self.does(super::power(action))
    }

    pub fn is_on(&mut self) -> bool {
        let now = self.clock.now;
        self.line.service.systems_mut()[0].machine.is_on(now)
    }

    /// What was done to the machine since the last look.
    pub fn done(&mut self) -> Vec<(farrier_redfish_service::PowerAction, Option<String>)> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}
