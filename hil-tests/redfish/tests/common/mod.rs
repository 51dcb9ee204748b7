//! The client and the service in virtual time, without sockets.

#![allow(dead_code, reason = "each test uses a part of it")]

use farrier_redfish::{
    AttributeValue, Auth, Bmc, BootEnabled, BootOverride, BootTarget, FailureKind, Operation,
    Outcome, Request, Scheme, Sensor, Settings, Step, SystemState, Target, Visitor, Wants, Which,
};
use farrier_redfish_service::{Connection, Model, Service, Simulated};

pub const UUID: [u8; 16] = [
    0xc3, 0xb1, 0xf2, 0xde, 0x0f, 0x5a, 0x4d, 0x3e, 0x9b, 0x6a, 0x2f, 0x6f, 0x2f, 0x0e, 0x8a, 0x11,
];
pub const UUID_TEXT: &str = "c3b1f2de-0f5a-4d3e-9b6a-2f6f2f0e8a11";

pub const TARGET: Target<'static> = Target {
    host: "bmc.test",
    scheme: Scheme::Http,
    user: "admin",
    password: "s3cret:\"pass",
    auth: Auth::Session,
    which: Which::Only,
};

pub const PXE_ONCE: Request<'static> = Request::SetBoot(BootOverride {
    enabled: BootEnabled::Once,
    target: BootTarget::Pxe,
    mode: None,
    http_uri: None,
});

/// A service with one system that is off and obeys in 3 s.
pub fn service(model: &Model) -> Service {
    let machine = Simulated::new(false).delay(3_000);
    Service::new(model.clone(), TARGET.user, TARGET.password).system(UUID_TEXT, machine)
}

/// What a visitor was shown.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Rows {
    pub sensors: Vec<Sensor>,
    pub attributes: Vec<(String, String)>,
}

impl Visitor for Rows {
    fn sensor(&mut self, sensor: &Sensor) {
        self.sensors.push(*sensor);
    }
    fn attribute(&mut self, name: &str, value: AttributeValue<'_>) {
        self.attributes.push((name.into(), format!("{value:?}")));
    }
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub result: Result<Outcome, FailureKind>,
    pub step: Step,
    pub open: bool,
    pub status: u16,
    pub message_id: String,
    pub message: String,
    pub system: SystemState,
    pub rows: Rows,
}

impl End {
    pub fn ok(self) -> Outcome {
        match self.result {
            Ok(outcome) => outcome,
            Err(_) => panic!("{self:#?}"),
        }
    }
}

/// A rig of a service, a BMC's state, and a clock.
pub struct Rig {
    pub service: Service,
    pub bmc: Bmc,
    pub now: u64,
    pub settings: Settings,
    /// Lengths of pieces, in turn; 0 is all.
    pub cuts: Vec<usize>,
    pub connections: usize,
    /// Bytes of answers.
    pub received: usize,
    /// Requests, as they were sent.
    pub sent: String,
    /// Largest number of turns of one operation.
    pub most_turns: usize,
}

impl Rig {
    pub fn new(model: &Model) -> Self {
        Self {
            service: service(model),
            bmc: Bmc::new(),
            now: 1_000_000,
            settings: Settings::default(),
            cuts: vec![0],
            connections: 0,
            received: 0,
            sent: String::new(),
            most_turns: 2_000_000,
        }
    }

    pub fn run(&mut self, request: &Request<'_>) -> End {
        self.run_at(&TARGET, request)
    }

    pub fn run_at(&mut self, target: &Target<'_>, request: &Request<'_>) -> End {
        let settings = self.settings;
        let mut rows = Rows::default();
        let mut operation = Operation::new(&mut self.bmc, target, request, &settings, self.now);
        let mut connection: Option<Connection> = None;
        let mut cuts = self.cuts.iter().cycle();
        let mut turns = 0;
        let begun = self.now;
        loop {
            turns += 1;
            assert!(
                turns < self.most_turns,
                "it does not end: {:?}",
                operation.step()
            );
            let most = match cuts.next() {
                Some(0) | None => usize::MAX,
                Some(most) => *most,
            };
            match operation.wants() {
                Wants::Nothing => break,
                Wants::Connect => {
                    connection = Some(Connection::new());
                    self.connections += 1;
                    operation.connected();
                    continue;
                }
                Wants::Send => {
                    let mut buffer = vec![0; most.min(4096)];
                    let length = operation.output(&mut buffer);
                    assert!(length > 0, "it wants to send and does not");
                    self.sent
                        .push_str(&String::from_utf8_lossy(&buffer[..length]));
                    if let Some(connection) = &mut connection {
                        connection.receive(&mut self.service, &buffer[..length], self.now);
                    }
                    continue;
                }
                Wants::Receive => {
                    let open = connection.as_mut().expect("it is connected");
                    let bytes = open.transmit(most);
                    self.received += bytes.len();
                    if !bytes.is_empty() {
                        operation.input(&bytes, self.now, &mut rows);
                        continue;
                    }
                    if open.is_closed() {
                        operation.closed(self.now);
                        continue;
                    }
                }
                Wants::Wait => {}
            }
            let deadline = operation.deadline();
            assert!(deadline > self.now, "a deadline in the past");
            self.now = deadline;
            operation.tick(self.now);
        }
        let most = u64::from(settings.total_ms) + 1;
        assert!(self.now - begun <= most, "longer than its bound");
        let system = *operation.system();
        match operation.end().expect("it is over") {
            Ok(outcome) => End {
                result: Ok(outcome),
                step: Step::Over,
                open: false,
                status: 0,
                message_id: String::new(),
                message: String::new(),
                system,
                rows,
            },
            Err(failure) => End {
                result: Err(failure.kind),
                step: failure.step,
                open: failure.open,
                status: failure.status,
                message_id: failure.message_id.into(),
                message: failure.message.into(),
                system,
                rows,
            },
        }
    }

    /// What was asked of the service since the last look, without the root.
    pub fn asked(&mut self) -> Vec<String> {
        let log = std::mem::take(&mut self.service.log);
        log.into_iter()
            .map(|(method, path)| format!("{method} {path}"))
            .collect()
    }
}
