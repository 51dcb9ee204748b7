//! The task of the firmware that carries out operations on ports: one after the
//! other, with the shipping driver's state machine, over a stream with delays.

use farrier_core::Input;
use farrier_core::interface::{
    HostKey, OperationError, OperationId, SwitchAction, SwitchAddress, SwitchKind,
};
use farrier_core::switch::OPERATION_MILLIS;
use farrier_switch_drivers::{
    Driver, Instant, Learned, MIN_OUT, Order, Report, Seen, SwitchDriver,
};
use farrier_testkit::outcome::Details;

use super::Managed;
use super::device::Session;
use crate::faults::Fault;
use crate::machine::Stage;
use crate::simulation::{Event, Simulation};

/// Operations that wait, as in the firmware.
const QUEUE: usize = 4;
/// Longest wait for a connection, in milliseconds.
const CONNECT: u64 = 10_000;
/// Bytes that arrive at a time.
const PIECE: usize = 4096;

/// One operation on one port.
#[derive(Debug)]
pub(super) struct Request {
    id: OperationId,
    device: usize,
    port: String,
    action: SwitchAction,
    token: u64,
    details: Details,
    /// In the appliance's time.
    deadline: Instant,
}

/// An operation that is being carried out.
#[derive(Debug)]
pub(super) struct Running {
    request: Request,
    /// What is done until then has no driver: it ends so.
    ends: Option<(u64, OperationError)>,
    driver: Option<Box<SwitchDriver>>,
    session: Option<Session>,
    /// Bytes on their way to the driver: when they come, and what comes.
    arriving: Option<(u64, Vec<u8>)>,
    inbox: Vec<u8>,
}

impl Simulation {
    /// The rack asks for an operation on a port.
    pub(crate) fn ask_switch(
        &mut self,
        id: OperationId,
        address: SwitchAddress,
        port: String,
        (action, token, details): (SwitchAction, u64, Details),
    ) {
        let deadline = self.appliance.clock(self.now).plus_millis(OPERATION_MILLIS);
        let Some(managed) = &mut self.managed else {
            return;
        };
        let device = managed.device_at(address);
        match device.filter(|_| managed.queue.len() < QUEUE) {
            Some(device) => {
                managed.queue.push_back(Request {
                    id,
                    device,
                    port,
                    action,
                    token,
                    details,
                    deadline,
                });
                if managed.running.is_none() {
                    self.wire_in(1);
                }
            }
            None => {
                let index = device.and_then(|device| managed.machine_in(device, &port));
                if let Some(index) = index {
                    self.invariants.ports.struck(index, self.now);
                }
                let result = Err(OperationError::Busy);
                self.at(1, Event::OperationDone(crate::bmc::Answer { id, result }));
            }
        }
    }

    /// The task goes on that much later, and not before.
    fn wire_in(&mut self, delay: u64) {
        if let Some(managed) = &mut self.managed {
            managed.wire += 1;
            let number = managed.wire;
            self.at(delay, Event::Wire(number));
        }
    }

    /// Whether a wake-up of the task counts.
    pub(crate) fn wire_counts(&self, number: u64) -> bool {
        let managed = self.managed.as_ref();
        managed.is_some_and(|managed| managed.wire == number)
    }

    /// The task goes on.
    pub(crate) fn wire(&mut self) {
        let Some(mut managed) = self.managed.take() else {
            return;
        };
        let before = self.events.switches;
        let (delay, ended) = self.run_task(&mut managed);
        let busy = managed
            .running
            .as_ref()
            .map(|running| running.request.device);
        let device = busy.or(ended.as_ref().map(|(request, _)| request.device));
        if let Some(device) = device {
            managed.look_at(device);
        }
        self.managed = Some(managed);
        if let Some(delay) = delay {
            self.wire_in(delay);
        }
        self.watch_switches();
        if let Some(device) = device {
            self.look_for_taken_back(device);
        }
        if self.events.switches != before || ended.is_some() {
            self.check_ports();
        }
        if let Some((request, report)) = ended {
            self.operation_ended(&request, report);
        }
    }

    /// When to go on, and what has ended.
    fn run_task(&mut self, managed: &mut Managed) -> (Option<u64>, Option<(Request, Report)>) {
        if self.appliance.is_down() {
            return (None, None);
        }
        if managed.running.is_none() {
            let rack = self.appliance.rack();
            let next = loop {
                match managed.queue.pop_front() {
                    Some(request) if rack.awaits_switch(request.id) => break request,
                    // It has waited for a slow switch.
                    Some(_) => {}
                    None => return (None, None),
                }
            };
            managed.running = Some(self.begin(managed, next));
        }
        let Some(mut running) = managed.running.take() else {
            return (None, None);
        };
        match self.exchange(managed, &mut running) {
            Ok(due) => {
                managed.running = Some(running);
                (Some(due.saturating_sub(self.now).max(1)), None)
            }
            Err(report) => {
                if let Some(session) = running.session.take()
                    && let Some(device) = managed.devices.get_mut(running.request.device)
                {
                    device.disconnect(session, None);
                }
                // The next one has its turn.
                (Some(1), Some((running.request, report)))
            }
        }
    }

    /// Calls the switch.
    fn begin(&mut self, managed: &mut Managed, request: Request) -> Running {
        let now = self.appliance.clock(self.now);
        let mut running = Running {
            ends: None,
            driver: None,
            session: None,
            arriving: None,
            inbox: Vec::new(),
            request,
        };
        let request = &running.request;
        let Some(device) = managed.devices.get_mut(request.device) else {
            return running;
        };
        let kind = device.address.kind;
        device.set_time(self.now);
        let order = Order {
            kind,
            port: &request.port,
            action: request.action,
            token: request.token,
            details: request.details.borrowed(),
        };
        let ends = if kind == SwitchKind::ByHand {
            Some((0, OperationError::ByHand))
        } else if device.off_until > 0 {
            Some((CONNECT, OperationError::Unreachable))
        } else if kind == SwitchKind::Netconf && device.other_key_until > self.now {
            self.faults.count(Fault::SwitchKey);
            Some((800, OperationError::HostKey))
        } else {
            match (
                SwitchDriver::new(now, request.deadline, &order),
                device.connect(),
            ) {
                (Ok(driver), Some(session)) => {
                    running.driver = Some(Box::new(driver));
                    running.session = Some(session);
                    None
                }
                (Ok(_), None) => Some((CONNECT, OperationError::Unreachable)),
                (Err(error), session) => {
                    if let Some(session) = session {
                        device.disconnect(session, None);
                    }
                    Some((0, error))
                }
            }
        };
        running.ends = ends.map(|(delay, error)| (self.now + delay, error));
        running
    }

    /// Lets driver and switch talk. When they go on, or how it ended.
    fn exchange(&mut self, managed: &mut Managed, running: &mut Running) -> Result<u64, Report> {
        let now = self.now;
        if let Some((at, error)) = running.ends {
            return match at <= now {
                true => Err(not_begun(error)),
                false => Ok(at),
            };
        }
        let at = self.appliance.clock(now);
        self.tell_links(managed, running.request.device);
        let device = managed.devices.get_mut(running.request.device);
        let (Some(device), Some(driver), Some(session)) =
            (device, &mut running.driver, &mut running.session)
        else {
            return Err(not_begun(OperationError::NoDriver));
        };
        device.set_time(now);
        if let Some((_, bytes)) = running.arriving.take_if(|(due, _)| *due <= now) {
            running.inbox.extend(bytes);
        }
        driver.tick(at);
        loop {
            if let Some(report) = driver.report() {
                return Err(report);
            }
            let mut out = [0; MIN_OUT];
            let sent = driver.send(at, &mut out);
            device.take(session, &out[..sent]);
            self.events.switches += u64::from(sent > 0);
            let mut input = &running.inbox[..];
            driver.receive(at, &mut input);
            let taken = running.inbox.len() - input.len();
            running.inbox.drain(..taken);
            self.events.switches += u64::from(taken > 0);
            if sent + taken == 0 {
                break;
            }
        }
        if running.arriving.is_none() {
            let most = match managed.random.below(8) {
                0 => 1 + managed.random.below(200) as usize,
                _ => PIECE,
            };
            let bytes = device.give(session, most);
            if !bytes.is_empty() {
                let delay = 1 + managed.random.below(device.slow);
                running.arriving = Some((now + delay, bytes));
            } else if !device.is_open(session) {
                driver.closed();
            }
        }
        if let Some(report) = driver.report() {
            return Err(report);
        }
        let wake = self.appliance.time_of(driver.wake_at());
        let arrives = running.arriving.as_ref().map_or(u64::MAX, |(at, _)| *at);
        Ok(wake.min(arrives))
    }

    /// Tells a switch which of its ports have a link.
    fn tell_links(&self, managed: &mut Managed, switch: usize) {
        for index in 0..self.machines.len() {
            if managed.cables.get(index).is_none_or(|c| c.switch != switch) {
                continue;
            }
            let up = managed.in_port_of(index).is_some_and(|inside| {
                let machine = self.machines.get(inside);
                let off = machine.is_none_or(|machine| matches!(machine.stage, Stage::Off));
                !off || managed.standby[inside]
            });
            if managed.links[index].replace(up) != Some(up)
                && let Some(device) = managed.devices.get_mut(switch)
            {
                device.set_link(&managed.names[index], up);
            }
        }
    }

    /// The rack is told how an operation ended, as the firmware does it.
    fn operation_ended(&mut self, request: &Request, report: Report) {
        let id = request.id;
        self.trace(|| {
            let Report {
                result,
                port,
                link,
                learned,
            } = report;
            format!(
                "switch {}: port {}: {:?}: {result:?}, {port:?}, link {link:?}, {learned:?}",
                request.device, request.port, request.action
            )
        });
        let Some(managed) = &mut self.managed else {
            return;
        };
        match report.result {
            Ok(()) | Err(OperationError::ByHand) => managed.done += 1,
            Err(_) => managed.failed += 1,
        }
        managed.kept +=
            u64::from(matches!(request.action, SwitchAction::Keep { .. }) && report.result.is_ok());
        managed.undone +=
            u64::from(matches!(request.action, SwitchAction::Undo { .. }) && report.result.is_ok());
        if let Some(index) = managed.machine_in(request.device, &request.port) {
            // The link is that of another machine's cable, or of none.
            if report.link == Some(false) && managed.in_port_of(index) != Some(index) {
                self.invariants.ports.said_off(index);
            }
            let is_last = matches!(
                request.action,
                SwitchAction::Keep { .. } | SwitchAction::Undo { .. }
            );
            match report.result {
                Ok(()) | Err(OperationError::ByHand) if is_last => {
                    self.invariants.ports.ended(self.now, index);
                }
                Ok(()) | Err(OperationError::ByHand) => {}
                Err(_) => self.invariants.ports.struck(index, self.now),
            }
        }
        let moved = matches!(request.action, SwitchAction::Move { .. }) && report.result.is_ok();
        let cut = managed.cut.take_if(|_| moved);
        if report.result == Err(OperationError::ByHand) {
            self.person_is_asked(request.device, &request.port, request.action);
        }
        if let Some(dark) = cut {
            self.cut_behind_move(dark);
            return;
        }
        if report.result == Err(OperationError::HostKey)
            && let Some(managed) = &self.managed
            && let Some(device) = managed.devices.get(request.device)
        {
            let switch = device.address;
            self.step(Input::HostKey {
                switch,
                key: HostKey([7; 32]),
            });
        }
        let vlan = match report.port {
            Seen::Unread => None,
            Seen::Vlan(vlan) => Some(Some(vlan)),
            Seen::Other => Some(None),
        };
        if let Some(vlan) = vlan {
            self.step(Input::PortRead {
                id,
                vlan,
                link: report.link,
                learned: report.learned,
            });
        }
        let result = report.result;
        self.step(Input::OperationDone { id, result });
    }

    /// The appliance is gone, and its sessions with it; switches notice that late.
    pub(crate) fn switch_task_lost(&mut self) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        managed.queue.clear();
        managed.wire += 1;
        if let Some(mut running) = managed.running.take()
            && let Some(session) = running.session.take()
            && let Some(device) = managed.devices.get_mut(running.request.device)
        {
            let until = self.now + managed.random.below(120_000);
            device.disconnect(session, Some(until));
        }
        self.watch_switches();
    }

    /// Switches look at what waits when it is due.
    pub(crate) fn watch_switches(&mut self) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        let mut due = Vec::new();
        for (place, device) in managed.devices.iter_mut().enumerate() {
            if let Some(at) = device.wake_at()
                && device.due != at
            {
                device.due = at;
                due.push((place, at.saturating_sub(self.now)));
            }
        }
        for (place, delay) in due {
            self.at(delay, Event::SwitchClock(place));
        }
    }

    /// A switch looks at what waits.
    pub(crate) fn switch_clock(&mut self, place: usize) {
        let now = self.now;
        let Some(managed) = &mut self.managed else {
            return;
        };
        let Some(device) = managed.devices.get_mut(place) else {
            return;
        };
        device.set_time(now);
        self.look_for_taken_back(place);
        self.ports_changed();
        self.watch_switches();
    }

    /// What a switch takes back that nobody confirmed is no act of the appliance.
    fn look_for_taken_back(&mut self, place: usize) {
        let managed = self.managed.as_mut();
        let device = managed.and_then(|managed| managed.devices.get_mut(place));
        if device.is_some_and(|device| std::mem::take(&mut device.took_back)) {
            self.trace(|| format!("switch {place}: takes back what nobody confirmed"));
            self.faults.count(Fault::ConfirmRunsOut);
            self.not_by_the_appliance(place);
            self.struck(Some(place), self.now);
        }
    }

    /// Frames of machines may be on other VLANs by now.
    pub(crate) fn ports_changed(&mut self) {
        if let Some(managed) = &mut self.managed {
            managed.look();
        }
        self.check_ports();
    }
}

const fn not_begun(error: OperationError) -> Report {
    Report {
        result: Err(error),
        port: Seen::Unread,
        link: None,
        learned: Learned::Unknown,
    }
}
