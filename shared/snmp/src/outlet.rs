//! Families of outlets as data: the objects that switch an outlet, the one that
//! says how it is, and the values of both. The facts are those of the families'
//! MIBs. No code depends on which family it is.
//!
//! A power cycle is one command of the device, with an off time of the device's own
//! configuration. Where there is none, the owner switches off and on.

use crate::message::Request;
use crate::oid::Oid;
use crate::value::Value;

/// What is done to an outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Switches it on.
    On,
    /// Switches it off at once.
    Off,
    /// Switches it off at once, and on after a while.
    Cycle,
}

/// How an outlet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutletState {
    /// It is on.
    On,
    /// It is off.
    Off,
    /// It waits for a delay of the device, or is in a power cycle.
    Changing,
    /// It is broken, or the device can't tell.
    Fault,
    /// A value that the family does not have.
    Unknown,
}

/// A command of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// The column of the object; the outlet's index comes behind it.
    pub column: &'static [u32],
    /// The value that it is set to.
    pub value: i32,
}

/// A family of outlets.
#[derive(Debug)]
pub struct Family {
    /// Name in configurations.
    pub name: &'static str,
    /// What an outlet's index is made of.
    pub index: &'static [&'static str],
    /// Switches an outlet on.
    pub on: Command,
    /// Switches it off.
    pub off: Command,
    /// Cycles it, if the family can.
    pub cycle: Option<Command>,
    /// The column of the state.
    pub state: &'static [u32],
    /// Its values.
    pub states: &'static [(i32, OutletState)],
}

/// A command of each action in one column.
const fn commands(column: &'static [u32], on: i32, off: i32, cycle: i32) -> [Command; 3] {
    [
        Command { column, value: on },
        Command { column, value: off },
        Command {
            column,
            value: cycle,
        },
    ]
}

const APC_MASTERSWITCH_COMMANDS: [Command; 3] =
    commands(&[1, 3, 6, 1, 4, 1, 318, 1, 1, 4, 4, 2, 1, 3], 1, 2, 3);

/// APC MasterSwitch (PowerNet-MIB, `sPDUOutletCtl`): the same object is command and
/// state.
pub static APC_MASTERSWITCH: Family = Family {
    name: "apc-masterswitch",
    index: &["outlet"],
    on: APC_MASTERSWITCH_COMMANDS[0],
    off: APC_MASTERSWITCH_COMMANDS[1],
    cycle: Some(APC_MASTERSWITCH_COMMANDS[2]),
    state: APC_MASTERSWITCH_COMMANDS[0].column,
    states: &[
        (1, OutletState::On),
        (2, OutletState::Off),
        (3, OutletState::Changing),
        (4, OutletState::Fault),
    ],
};

const APC_COMMANDS: [Command; 3] =
    commands(&[1, 3, 6, 1, 4, 1, 318, 1, 1, 12, 3, 3, 1, 1, 4], 1, 2, 3);

/// APC Switched Rack PDU (PowerNet-MIB, `rPDUOutletControlOutletCommand` and
/// `rPDUOutletStatusOutletState`).
pub static APC: Family = Family {
    name: "apc",
    index: &["outlet"],
    on: APC_COMMANDS[0],
    off: APC_COMMANDS[1],
    cycle: Some(APC_COMMANDS[2]),
    state: &[1, 3, 6, 1, 4, 1, 318, 1, 1, 12, 3, 5, 1, 1, 4],
    states: &[(1, OutletState::On), (2, OutletState::Off)],
};

const APC2_COMMANDS: [Command; 3] =
    commands(&[1, 3, 6, 1, 4, 1, 318, 1, 1, 26, 9, 2, 4, 1, 5], 1, 2, 3);

/// APC Rack PDU 2G (PowerNet-MIB, `rPDU2OutletSwitchedControlCommand` and
/// `rPDU2OutletSwitchedStatusState`). Its states are the other way round than its
/// commands.
pub static APC2: Family = Family {
    name: "apc2",
    index: &["outlet"],
    on: APC2_COMMANDS[0],
    off: APC2_COMMANDS[1],
    cycle: Some(APC2_COMMANDS[2]),
    state: &[1, 3, 6, 1, 4, 1, 318, 1, 1, 26, 9, 2, 3, 1, 5],
    states: &[(1, OutletState::Off), (2, OutletState::On)],
};

const RARITAN_COMMANDS: [Command; 3] =
    commands(&[1, 3, 6, 1, 4, 1, 13742, 6, 4, 1, 2, 1, 2], 1, 0, 2);

/// Raritan PX2 and PX3 (PDU2-MIB, `switchingOperation` and `outletSwitchingState`).
pub static RARITAN: Family = Family {
    name: "raritan",
    index: &["PDU", "outlet"],
    on: RARITAN_COMMANDS[0],
    off: RARITAN_COMMANDS[1],
    cycle: Some(RARITAN_COMMANDS[2]),
    state: &[1, 3, 6, 1, 4, 1, 13742, 6, 4, 1, 2, 1, 3],
    states: &[
        (7, OutletState::On),
        (8, OutletState::Off),
        (-1, OutletState::Fault),
    ],
};

const SENTRY3_COMMANDS: [Command; 3] = commands(&[1, 3, 6, 1, 4, 1, 1718, 3, 2, 3, 1, 11], 1, 2, 3);

/// Server Technology (Sentry3-MIB, `outletControlAction` and `outletStatus`).
pub static SENTRY3: Family = Family {
    name: "sentry3",
    index: &["tower", "infeed", "outlet"],
    on: SENTRY3_COMMANDS[0],
    off: SENTRY3_COMMANDS[1],
    cycle: Some(SENTRY3_COMMANDS[2]),
    state: &[1, 3, 6, 1, 4, 1, 1718, 3, 2, 3, 1, 5],
    states: &[
        (0, OutletState::Off),
        (1, OutletState::On),
        (2, OutletState::Changing),
        (3, OutletState::Changing),
        (4, OutletState::Fault),
        (5, OutletState::Fault),
        (6, OutletState::Fault),
        (7, OutletState::Changing),
    ],
};

const CYBERPOWER_COMMANDS: [Command; 3] =
    commands(&[1, 3, 6, 1, 4, 1, 3808, 1, 1, 3, 3, 3, 1, 1, 4], 1, 2, 3);

/// CyberPower (CPS-MIB, `ePDUOutletControlOutletCommand` and
/// `ePDUOutletStatusOutletState`).
pub static CYBERPOWER: Family = Family {
    name: "cyberpower",
    index: &["outlet"],
    on: CYBERPOWER_COMMANDS[0],
    off: CYBERPOWER_COMMANDS[1],
    cycle: Some(CYBERPOWER_COMMANDS[2]),
    state: &[1, 3, 6, 1, 4, 1, 3808, 1, 1, 3, 3, 5, 1, 1, 4],
    states: &[(1, OutletState::On), (2, OutletState::Off)],
};

/// Eaton ePDU (EATON-EPDU-MIB, `outletControlOnCmd`, `outletControlOffCmd`,
/// `outletControlRebootCmd` and `outletControlStatus`): an object for each action,
/// whose value is a delay in seconds. Some programs have on and off the other way
/// round.
pub static EATON: Family = Family {
    name: "eaton",
    index: &["strapping", "outlet"],
    on: Command {
        column: &[1, 3, 6, 1, 4, 1, 534, 6, 6, 7, 6, 6, 1, 4],
        value: 0,
    },
    off: Command {
        column: &[1, 3, 6, 1, 4, 1, 534, 6, 6, 7, 6, 6, 1, 3],
        value: 0,
    },
    cycle: Some(Command {
        column: &[1, 3, 6, 1, 4, 1, 534, 6, 6, 7, 6, 6, 1, 5],
        value: 0,
    }),
    state: &[1, 3, 6, 1, 4, 1, 534, 6, 6, 7, 6, 6, 1, 2],
    states: &[
        (0, OutletState::Off),
        (1, OutletState::On),
        (2, OutletState::Changing),
        (3, OutletState::Changing),
    ],
};

const POE_ENABLE: &[u32] = &[1, 3, 6, 1, 2, 1, 105, 1, 1, 1, 3];

/// Power over Ethernet (RFC 3621, `pethPsePortAdminEnable`): what the port may do.
/// Whether it delivers power is `pethPsePortDetectionStatus`, [`POE_DETECTION`].
pub static POE: Family = Family {
    name: "poe",
    index: &["group", "port"],
    on: Command {
        column: POE_ENABLE,
        value: 1,
    },
    off: Command {
        column: POE_ENABLE,
        value: 2,
    },
    cycle: None,
    state: POE_ENABLE,
    states: &[(1, OutletState::On), (2, OutletState::Off)],
};

/// The column of `pethPsePortDetectionStatus` (RFC 3621): disabled (1), searching
/// (2), delivering power (3), fault (4), test (5), other fault (6).
pub const POE_DETECTION: &[u32] = &[1, 3, 6, 1, 2, 1, 105, 1, 1, 1, 6];

/// All families.
pub static FAMILIES: [&Family; 8] = [
    &APC_MASTERSWITCH,
    &APC,
    &APC2,
    &RARITAN,
    &SENTRY3,
    &CYBERPOWER,
    &EATON,
    &POE,
];

impl Family {
    /// Returns the family of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.into_iter().find(|family| family.name == name)
    }
}

/// Largest number of arcs of an outlet's index.
pub const MAX_INDEX: usize = 3;

/// One outlet.
#[derive(Debug, Clone, Copy)]
pub struct Outlet {
    family: &'static Family,
    index: [u32; MAX_INDEX],
}

impl Outlet {
    /// Creates an outlet; `None` if the index is none of this family.
    #[must_use]
    pub fn new(family: &'static Family, index: &[u32]) -> Option<Self> {
        if index.len() != family.index.len() || index.len() > MAX_INDEX {
            return None;
        }
        let mut new = [0; MAX_INDEX];
        for (place, arc) in new.iter_mut().zip(index) {
            *place = *arc;
        }
        Some(Self { family, index: new })
    }

    /// Reads an index with dots, such as `1.1.8`.
    #[must_use]
    pub fn parse(family: &'static Family, index: &str) -> Option<Self> {
        let mut arcs = [0; MAX_INDEX];
        let mut count = 0;
        for arc in index.split('.') {
            let digits = !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
            *arcs.get_mut(count)? = arc.parse().ok().filter(|_| digits)?;
            count += 1;
        }
        Self::new(family, arcs.get(..count)?)
    }

    /// Returns its family.
    #[must_use]
    pub const fn family(&self) -> &'static Family {
        self.family
    }

    fn instance(&self, column: &[u32]) -> Option<Oid> {
        let index = self.index.get(..self.family.index.len())?;
        Oid::joined(column, index)
    }

    /// Returns the request of an action; `None` if the family has none for it. A
    /// cycle is never repeated.
    #[must_use]
    pub fn command(&self, action: Action) -> Option<Request> {
        let command = match action {
            Action::On => self.family.on,
            Action::Off => self.family.off,
            Action::Cycle => self.family.cycle?,
        };
        Some(Request::Set {
            name: self.instance(command.column)?,
            value: command.value,
            repeat: action != Action::Cycle,
        })
    }

    /// Returns the request of its state.
    #[must_use]
    pub fn read(&self) -> Option<Request> {
        self.instance(self.family.state).map(Request::Get)
    }

    /// Returns the state that a value says.
    #[must_use]
    pub fn state(&self, value: &Value) -> OutletState {
        let number = value.number();
        let mut states = self.family.states.iter();
        let found = states.find(|(known, _)| Some(i64::from(*known)) == number);
        found.map_or(OutletState::Unknown, |(_, state)| *state)
    }
}
