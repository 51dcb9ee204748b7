//! The ports of the virtual switch that its management configures, by name.

use anyhow::{Result, ensure};

use crate::switch::{Control, Counters, PortId, PortMode};

/// Ports by the names that clients call them.
#[derive(Debug, Clone)]
pub struct Ports {
    control: Control,
    ports: Vec<(String, PortId)>,
}

impl Ports {
    /// These ports, by the names that they have on the switch.
    ///
    /// # Errors
    /// Two of them have one name.
    pub fn new(control: Control, ports: impl IntoIterator<Item = PortId>) -> Result<Self> {
        let mut named: Vec<(String, PortId)> = Vec::new();
        for port in ports {
            let name = control.name(port);
            let taken = named.iter().any(|(known, _)| *known == name);
            ensure!(!taken, "two ports have the name {name}");
            named.push((name, port));
        }
        Ok(Self {
            control,
            ports: named,
        })
    }

    /// Each port's name and what it carries.
    pub fn modes(&self) -> impl Iterator<Item = (String, PortMode)> {
        self.ports
            .iter()
            .map(|(name, port)| (name.clone(), self.control.mode(*port)))
    }

    /// Names and numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, PortId)> {
        self.ports.iter().map(|(name, port)| (name.as_str(), *port))
    }

    /// The handle of the switch.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Changes what a port carries, if it carries anything else. A name that
    /// is not among the ports changes nothing.
    pub fn set(&self, name: &str, mode: &PortMode) {
        let port = self.ports.iter().find(|(known, _)| known == name);
        if let Some((_, port)) = port {
            self.control.set_mode(*port, mode.clone());
        }
    }

    /// Shows what each port has carried since the last time that `counted` was
    /// here: its name, whether it has a link, frames in and out.
    pub(super) fn count(
        &self,
        counted: &mut Vec<Counters>,
        mut show: impl FnMut(&str, bool, u32, u32),
    ) {
        counted.resize(self.ports.len(), Counters::default());
        for ((name, port), before) in self.ports.iter().zip(counted) {
            let now = self.control.counters(*port);
            // A few seconds' frames fit.
            let received = (now.frames_in - before.frames_in) as u32;
            let transmitted = (now.frames_out - before.frames_out) as u32;
            show(name, self.control.is_linked(*port), received, transmitted);
            *before = now;
        }
    }
}
