//! One system of a service: its state, and what is shown of it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::machine::{Boot, Machine};

/// What of a system can be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The boot override.
    pub boot: Boot,
    /// BIOS attributes.
    pub bios: BTreeMap<String, Value>,
    /// Those that are pending, and whether they apply at the next boot.
    pub pending: BTreeMap<String, Value>,
    /// The pending ones have a job, where the model needs one.
    pub scheduled: bool,
    /// The defaults come at the next boot.
    pub bios_reset: bool,
    /// Secure Boot at the next boot.
    pub secure_boot: bool,
    /// Secure Boot now.
    pub secure_boot_now: bool,
    /// The image in the drive for CDs.
    pub image: Option<String>,
}

/// One system.
pub struct System {
    /// Identity.
    pub id: String,
    /// UUID.
    pub uuid: String,
    /// The state.
    pub state: State,
    /// An earlier state, which is shown until a time, with the power then.
    pub(crate) shown: Option<(u64, State, bool)>,
    /// The machine.
    pub machine: Box<dyn Machine>,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

pub(crate) fn defaults() -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("BootMode".to_owned(), Value::from("Uefi")),
        ("NumLock".to_owned(), Value::from(true)),
        ("ProcVirtualization".to_owned(), Value::from("Enabled")),
        ("PxeDev1VlanId".to_owned(), Value::from(1)),
        ("HttpDev1Uri".to_owned(), Value::from("")),
    ])
}

impl System {
    pub(crate) fn new(id: String, uuid: String, machine: Box<dyn Machine>) -> Self {
        Self {
            id,
            uuid,
            state: State {
                boot: Boot::default(),
                bios: defaults(),
                pending: BTreeMap::new(),
                scheduled: false,
                bios_reset: false,
                secure_boot: false,
                secure_boot_now: false,
                image: None,
            },
            shown: None,
            machine,
        }
    }

    /// What is shown at `now`, with the power.
    pub(crate) fn view(&mut self, now: u64) -> (State, bool) {
        match &self.shown {
            Some((until, state, on)) if now < *until => (state.clone(), *on),
            _ => {
                self.shown = None;
                (self.state.clone(), self.machine.is_on(now))
            }
        }
    }

    /// The machine starts: what waited for that happens.
    pub(crate) fn starts(&mut self, needs_schedule: bool) {
        let state = &mut self.state;
        if state.boot.enabled == "Once" {
            state.boot = Boot {
                mode: state.boot.mode.clone(),
                ..Boot::default()
            };
        }
        if state.bios_reset {
            state.bios = defaults();
            state.bios_reset = false;
        }
        if state.scheduled || !needs_schedule {
            state.bios.append(&mut state.pending);
            state.scheduled = false;
        }
        state.secure_boot_now = state.secure_boot;
    }
}
