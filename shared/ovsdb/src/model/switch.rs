//! The switch behind the server: its database, and what its data path does.

use crate::rows::{Table, Uuid};
use crate::vlan::{PortName, PortVlan};

/// What the switch does wrong with changes, until another fault is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It refuses every change with a constraint violation.
    Refuses,
    /// It takes a change and neither makes it nor answers it or anything else.
    Hangs,
    /// It makes the change and answers nothing any more.
    HangsAfterCommit,
    /// It closes the connection in place of the change.
    Drops,
    /// It makes the change and closes the connection in place of the answer.
    DropsAfterCommit,
    /// Of the columns it stores only `tag`.
    Half,
    /// It acknowledges the change, counts it as applied, and does not make it.
    Lies,
    /// It stores the change, counts it as applied, and its data path goes on as
    /// before. Only frames show this one.
    LiesInDataPath,
    /// It stores the change and never applies it.
    NeverApplies,
}

/// When the data path follows the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Pace {
    /// After the change was answered, as Open vSwitch.
    #[default]
    AfterReply,
    /// Before it is answered.
    AtOnce,
    /// When [`Switch::apply`] is called.
    WhenTold,
}

/// What a switch has after its restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Startup {
    /// All of its configuration.
    Kept,
    /// The VLANs that each port was added with.
    Lost,
}

/// A port.
#[derive(Debug, Clone)]
pub struct Port {
    pub(super) name: PortName,
    pub(super) uuid: Uuid,
    pub(super) interface: Uuid,
    pub(super) mac: [u8; 6],
    pub(super) ofport: u16,
    pub(super) vlan: PortVlan,
    running: PortVlan,
    startup: PortVlan,
    pub(super) link_up: bool,
    pub(super) received: u64,
    pub(super) transmitted: u64,
    /// When rows of `Port` and `Interface` changed.
    changed: [u32; 2],
}

impl Port {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &PortName {
        &self.name
    }

    /// What the database has.
    #[must_use]
    pub const fn vlan(&self) -> &PortVlan {
        &self.vlan
    }

    /// What frames meet.
    #[must_use]
    pub const fn running(&self) -> &PortVlan {
        &self.running
    }
}

/// A switch of up to `PORTS` ports.
#[derive(Debug, Clone)]
pub struct Switch<const PORTS: usize> {
    pub(super) ports: [Option<Port>; PORTS],
    pub(super) cur_cfg: i64,
    pub(super) next_cfg: i64,
    /// Counts changes of rows.
    pub(super) revision: u32,
    cfg_changed: u32,
    /// Counts restarts: connections of another run are closed.
    pub(super) run: u32,
    fault: Fault,
    pace: Pace,
    commits: u32,
}

impl<const PORTS: usize> Default for Switch<PORTS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const PORTS: usize> Switch<PORTS> {
    /// A switch without ports.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ports: [const { None }; PORTS],
            cur_cfg: 1,
            next_cfg: 1,
            revision: 1,
            cfg_changed: 1,
            run: 0,
            fault: Fault::None,
            pace: Pace::AfterReply,
            commits: 0,
        }
    }

    /// Adds a port whose link is up; `false` where there is no room or the name
    /// is taken.
    pub fn add_port(&mut self, name: PortName, vlan: PortVlan) -> bool {
        if self.port(name.as_str()).is_some() {
            return false;
        }
        self.revision += 1;
        let changed = [self.revision; 2];
        let Some((at, place)) = (1_u16..).zip(&mut self.ports).find(|(_, p)| p.is_none()) else {
            return false;
        };
        let [hi, lo] = at.to_be_bytes();
        let uuid = |kind| {
            Uuid([
                0xfa, 0x44, kind, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, hi, lo,
            ])
        };
        *place = Some(Port {
            name,
            uuid: uuid(1),
            interface: uuid(2),
            mac: [2, 0xfa, 0x44, 0, hi, lo],
            ofport: at,
            vlan,
            running: vlan,
            startup: vlan,
            link_up: true,
            received: 0,
            transmitted: 0,
            changed,
        });
        true
    }

    /// A port by its name.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<&Port> {
        let mut ports = self.ports.iter().flatten();
        ports.find(|port| port.name.is(name))
    }

    /// The ports in the order in which they were added.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().flatten()
    }

    /// Does changes wrong from now on.
    pub fn set_fault(&mut self, fault: Fault) {
        self.fault = fault;
    }

    /// What it does wrong.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// Follows the database at this pace from now on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Changes that the database took.
    #[must_use]
    pub const fn commits(&self) -> u32 {
        self.commits
    }

    /// Another operator changes a port, in the database and the data path.
    pub fn set_vlan(&mut self, name: &str, vlan: PortVlan) -> bool {
        self.change(name, 0, |port| {
            port.vlan = vlan;
            port.running = vlan;
        })
    }

    /// A link comes up or goes down.
    pub fn set_link(&mut self, name: &str, up: bool) -> bool {
        self.change(name, 1, |port| port.link_up = up)
    }

    /// Counts frames of a port: received by the switch and transmitted by it.
    pub fn count(&mut self, name: &str, received: u32, transmitted: u32) -> bool {
        self.change(name, 1, |port| {
            port.received += u64::from(received);
            port.transmitted += u64::from(transmitted);
        })
    }

    fn change(&mut self, name: &str, row: usize, change: impl FnOnce(&mut Port)) -> bool {
        let mut ports = self.ports.iter_mut().flatten();
        let Some(port) = ports.find(|port| port.name.is(name)) else {
            return false;
        };
        self.revision += 1;
        if let Some(changed) = port.changed.get_mut(row) {
            *changed = self.revision;
        }
        change(port);
        true
    }

    /// When the data path follows the database.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        self.pace
    }

    /// Lets the data path follow the database. A change whose client did not ask
    /// to be told, by `next_cfg`, is made too.
    pub fn apply(&mut self) {
        if self.fault == Fault::NeverApplies {
            return;
        }
        for port in self.ports.iter_mut().flatten() {
            if self.fault != Fault::LiesInDataPath {
                port.running = port.vlan;
            }
        }
        if self.cur_cfg == self.next_cfg {
            return;
        }
        self.revision += 1;
        self.cfg_changed = self.revision;
        self.cur_cfg = self.next_cfg;
    }

    /// Loses power and starts again: all connections are closed.
    pub fn restart(&mut self, startup: Startup) {
        self.run += 1;
        self.revision += 1;
        for port in self.ports.iter_mut().flatten() {
            if startup == Startup::Lost {
                port.vlan = port.startup;
            }
            port.running = port.vlan;
            port.changed = [self.revision; 2];
        }
        self.cur_cfg = self.next_cfg;
        self.cfg_changed = self.revision;
    }

    pub(super) fn applies_after_reply(&mut self) {
        if self.pace == Pace::AfterReply {
            self.apply();
        }
    }

    /// Stores what a transaction left, as the fault has it.
    pub(super) fn commit(&mut self, vlans: &[PortVlan; PORTS], next_cfg: i64) {
        self.commits += 1;
        self.revision += 1;
        for (port, &new) in self.ports.iter_mut().zip(vlans) {
            let Some(port) = port.as_mut().filter(|port| port.vlan != new) else {
                continue;
            };
            match self.fault {
                Fault::Lies => continue,
                Fault::Half => port.vlan.tag = new.tag,
                _ => port.vlan = new,
            }
            if let Some(changed) = port.changed.first_mut() {
                *changed = self.revision;
            }
        }
        if self.next_cfg != next_cfg {
            self.next_cfg = next_cfg;
            self.cfg_changed = self.revision;
        }
        if self.pace == Pace::AtOnce {
            self.apply();
        }
    }

    /// Whether a row is newer than this.
    pub(super) fn is_newer(&self, table: Table, at: usize, since: u32) -> bool {
        let port = self.ports.get(at).and_then(Option::as_ref);
        let changed = match table {
            Table::OpenVSwitch => (at == 0).then_some(self.cfg_changed),
            Table::Port => port.map(|port| port.changed[0]),
            Table::Interface => port.map(|port| port.changed[1]),
        };
        changed.is_some_and(|changed| changed > since)
    }
}
