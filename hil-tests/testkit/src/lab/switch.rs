//! A switch that answers at once: what the drivers of switches ask for is carried
//! out on a table of ports.

use std::collections::BTreeMap;

use farrier_core::Input;
use farrier_core::interface::{Learned, OperationError, OperationId, SwitchAction};

use super::Lab;
use crate::outcome::{Details, Outcome};

/// A port of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabPort {
    /// The VLAN that it has; 0 for none.
    pub vlan: u16,
    /// Whether it has a link.
    pub link: bool,
}

/// The switch of a lab.
#[derive(Debug, Default)]
pub struct LabSwitch {
    /// Its ports by name.
    pub ports: BTreeMap<String, LabPort>,
    /// What it was asked for, in order.
    pub asked: Vec<(String, SwitchAction)>,
    /// The details of each.
    pub details: Vec<Details>,
    /// Where it says that it has learned an address.
    pub learned: Learned,
    /// It answers nothing.
    pub silent: bool,
    /// It refuses everything but reading.
    pub refuses: bool,
    /// It says that it did what it did not do.
    pub lies: bool,
    /// The driver has no room for so many of the next operations.
    pub busy: usize,
}

impl LabSwitch {
    /// What a driver finds out: the VLAN, the link, and how the operation ended.
    fn carry_out(
        &mut self,
        port: &str,
        action: SwitchAction,
    ) -> (Option<LabPort>, Result<(), OperationError>) {
        let lies = self.lies;
        let Some(known) = self.ports.get_mut(port) else {
            return (None, Err(OperationError::Unexpected));
        };
        if self.refuses && action != SwitchAction::Read {
            return (Some(*known), Err(OperationError::Refused));
        }
        let result = match action {
            SwitchAction::Read => Ok(()),
            SwitchAction::Move { from, to } => match known.vlan {
                at if at == from || at == to => {
                    known.vlan = if lies { at } else { to };
                    match lies {
                        true => Err(OperationError::NotApplied),
                        false => Ok(()),
                    }
                }
                _ => Err(OperationError::Unexpected),
            },
            SwitchAction::Keep { to, .. } if known.vlan == to => Ok(()),
            SwitchAction::Keep { .. } => Err(OperationError::Unexpected),
            SwitchAction::Undo { from, to } if known.vlan == from || known.vlan == to => {
                known.vlan = from;
                Ok(())
            }
            SwitchAction::Undo { .. } => Err(OperationError::Unexpected),
        };
        (Some(*known), result)
    }
}

impl Lab {
    /// Answers an operation as the lab's switch does, and returns what the rack does
    /// then.
    pub(super) fn answer_switch(
        &mut self,
        id: OperationId,
        port: &str,
        (action, details): (SwitchAction, Details),
    ) -> Vec<Outcome> {
        let Some(switch) = &mut self.switch else {
            return Vec::new();
        };
        switch.asked.push((port.to_owned(), action));
        let learned = match details.mac {
            Some(_) => switch.learned,
            None => Learned::Unknown,
        };
        switch.details.push(details);
        if switch.silent {
            return Vec::new();
        }
        if switch.busy > 0 {
            switch.busy -= 1;
            let result = Err(OperationError::Busy);
            return self.step(Input::OperationDone { id, result });
        }
        let (read, result) = switch.carry_out(port, action);
        let mut outcomes = Vec::new();
        if let Some(LabPort { vlan, link }) = read {
            outcomes.extend(self.step(Input::PortRead {
                id,
                vlan: Some(vlan),
                link: Some(link),
                learned,
            }));
        }
        outcomes.extend(self.step(Input::OperationDone { id, result }));
        outcomes
    }
}
