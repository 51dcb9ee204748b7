//! The power drivers' task: takes the controller's power operations one by
//! one to the board's driver and its answers back to the controller. A
//! driver that is slow holds up other operations only.

use core::fmt::Write;

use embassy_time::{Instant, with_deadline};
use farrier_core::interface::{
    DriverKind, OperationError, OperationId, PowerAction, PowerOperation, PowerState,
};
use farrier_core::node::{NAME_LEN, Node, String};
use farrier_protocol::message::{Mac, NodeId};

use crate::fmt::info;
use crate::queues::DriverEvent;
use crate::{Board, Context};

/// One power operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerRequest {
    /// Names it.
    pub id: OperationId,
    /// The node.
    pub node: NodeId,
    /// What is to be done.
    pub operation: PowerOperation,
    /// When the rack gives it up.
    pub deadline: Instant,
}

/// What a person or a driver finds a machine by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The node's name; its UUID where it has none.
    pub name: String<NAME_LEN>,
    /// Its first interface.
    pub mac: Mac,
}

impl Machine {
    fn of(node: &Node) -> Self {
        let mut name = String::new();
        let written = match node.name.as_str() {
            "" => write!(name, "{}", uuid::Uuid::from_bytes(node.id.0)),
            known => name.push_str(known).map_err(|_| core::fmt::Error),
        };
        debug_assert!(written.is_ok(), "names and UUIDs fit");
        Machine {
            name,
            mac: node.macs.first().copied().unwrap_or(Mac([0; 6])),
        }
    }
}

/// How a power operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerAnswer {
    /// Whether the driver carried it out.
    pub result: Result<(), OperationError>,
    /// The power state that it saw afterwards; unknown where it sees none.
    pub observed: PowerState,
}

/// A driver that switches machines: of a BMC or an outlet.
pub trait PowerDriver {
    /// Carries out one operation. Dropped at its deadline.
    fn perform(
        &mut self,
        request: &PowerRequest,
        machine: &Machine,
    ) -> impl Future<Output = PowerAnswer>;
}

/// No driver: the console asks a person at the rack to switch the machine.
/// What became of it shows in the machine's own packets.
#[derive(Debug, Clone, Copy, Default)]
pub struct ManualPower;

impl PowerDriver for ManualPower {
    async fn perform(&mut self, request: &PowerRequest, machine: &Machine) -> PowerAnswer {
        let [a, b, c, d, e, f] = machine.mac.0;
        let action = match request.operation {
            PowerOperation::Do(PowerAction::On) => "on",
            PowerOperation::Do(PowerAction::Off | PowerAction::SoftOff) => "off",
            PowerOperation::Do(PowerAction::Reboot | PowerAction::SoftReboot) => "off and on",
            PowerOperation::Look | PowerOperation::SetBoot(_) | PowerOperation::Nmi => {
                return PowerAnswer {
                    result: Err(OperationError::NoDriver),
                    observed: PowerState::Unknown,
                };
            }
        };
        info!(
            "power: node {} has no power interface. Switch the machine with the MAC address \
             {:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x} {} by hand",
            machine.name.as_str(),
            a,
            b,
            c,
            d,
            e,
            f,
            action
        );
        PowerAnswer {
            result: Err(OperationError::ByHand),
            observed: PowerState::Unknown,
        }
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Carries out one power operation after the other.
    pub async fn run_power(&self, mut driver: B::Power) -> ! {
        let queues = self.queues;
        loop {
            let request = queues.power.receive().await;
            // It may have waited for a slow driver: meanwhile the rack may
            // have given it up, or need something else.
            let machine = self.shared.look(|rack| {
                let node = rack.find(request.node);
                node.and_then(|index| rack.nodes().get(index))
                    .filter(|node| node.power_control.operation() == Some(request.id))
                    .map(|node| (Machine::of(node), node.driver))
            });
            let Some((machine, kind)) = machine else {
                continue;
            };
            // There are no drivers for BMCs and outlets here yet.
            if kind != DriverKind::Manual {
                let none = DriverEvent::Done(request.id, Err(OperationError::NoDriver));
                queues.events.send(none).await;
                continue;
            }
            // After its deadline the rack asks for it anew.
            let Ok(answer) =
                with_deadline(request.deadline, driver.perform(&request, &machine)).await
            else {
                continue;
            };
            // In this order: what is seen proves what was done before.
            let done = DriverEvent::Done(request.id, answer.result);
            queues.events.send(done).await;
            if answer.observed != PowerState::Unknown {
                let seen = DriverEvent::Observed(request.node, answer.observed);
                queues.events.send(seen).await;
            }
        }
    }
}
