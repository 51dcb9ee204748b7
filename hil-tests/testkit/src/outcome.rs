//! Effects of a step as owned values, which outlive the next step.

use farrier_asset_store::SlotPart;
use farrier_core::interface::{
    CommandError, OperationId, PowerAction, PowerOperation, SwitchAction, SwitchAddress,
    SwitchDetails,
};
use farrier_core::{Effect, Endpoint, Rack, Serve};
use farrier_dhcp::route::Route;
use farrier_protocol::message::{Mac, NodeId};

/// An effect without its records.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A DHCP reply to this interface, or to all of them.
    Dhcp(Option<Mac>, Vec<u8>),
    /// A datagram to an agent.
    Agent(Endpoint, Vec<u8>),
    /// A report to be kept in a node's slot.
    Keep(usize, Vec<u8>),
    /// A file to serve.
    Serve(Served),
    /// The power driver of a node is asked to switch its machine.
    Power(OperationId, NodeId, PowerAction),
    /// The power driver of a node is asked for something else.
    Beside(OperationId, NodeId, PowerOperation),
    /// The driver of a switch is asked for an operation on this port. The number
    /// names a move.
    Switch(
        OperationId,
        SwitchAddress,
        String,
        SwitchAction,
        u64,
        Details,
    ),
    /// The answer to a command.
    Answer(Result<(), CommandError>),
}

/// What an operation of a switch takes beside port and action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// The VLAN that the port goes to is made.
    pub make_vlan: bool,
    /// The VLAN that the port leaves is removed.
    pub remove_vlan: bool,
    /// The move is permanent at once.
    pub at_once: bool,
    /// The trunk that carries these VLANs.
    pub trunk: String,
    /// The address that is looked for.
    pub mac: Option<Mac>,
}

impl Details {
    /// The same, as the driver takes it.
    pub fn borrowed(&self) -> SwitchDetails<'_> {
        SwitchDetails {
            make_vlan: self.make_vlan,
            remove_vlan: self.remove_vlan,
            at_once: self.at_once,
            trunk: &self.trunk,
            mac: self.mac,
        }
    }
}

/// What is served to a machine that asked for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// A text.
    Text(String),
    /// The asset of that name.
    Asset(String),
    /// So many bytes of a part of a node's slot.
    Slot(usize, SlotPart, u32),
    /// There is no such file.
    NotFound,
    /// The tables are full.
    Busy,
}

impl Outcome {
    /// The owned value of an effect; `None` for a record.
    pub fn of<const N: usize, const L: usize, const D: usize>(
        effect: Effect<'_>,
        rack: &Rack<N, L, D>,
    ) -> Option<Self> {
        Some(match effect {
            Effect::Record(_) => return None,
            Effect::Dhcp { route, payload } => {
                let to = match route {
                    Route::RawUnicast { mac, .. } => Some(Mac(mac)),
                    Route::Unicast(_) | Route::Broadcast | Route::Relay(_) => None,
                };
                Outcome::Dhcp(to, payload.to_vec())
            }
            Effect::Agent { to, datagram } => Outcome::Agent(to, datagram.to_vec()),
            Effect::StoreStatement {
                slot, statement, ..
            } => Outcome::Keep(slot, rack.statement(statement).to_vec()),
            Effect::Serve(serve) => Outcome::Serve(match serve {
                Serve::Text(text) => Served::Text(String::from_utf8_lossy(text).into_owned()),
                Serve::Asset(name) => Served::Asset(name.to_owned()),
                Serve::Slot { slot, part, len } => Served::Slot(slot, part, len),
                Serve::NotFound => Served::NotFound,
                Serve::Busy => Served::Busy,
            }),
            Effect::Power {
                id,
                node,
                operation,
                deadline: _,
            } => match operation {
                PowerOperation::Do(action) => Outcome::Power(id, node, action),
                other => Outcome::Beside(id, node, other),
            },
            Effect::Switch {
                id,
                switch,
                port,
                action,
                token,
                details,
                deadline: _,
            } => {
                let details = Details {
                    make_vlan: details.make_vlan,
                    remove_vlan: details.remove_vlan,
                    at_once: details.at_once,
                    trunk: details.trunk.to_owned(),
                    mac: details.mac,
                };
                Outcome::Switch(id, switch, port.to_owned(), action, token, details)
            }
            Effect::Answer(answer) => Outcome::Answer(answer),
        })
    }
}
