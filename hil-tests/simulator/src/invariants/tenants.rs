//! The invariants of tenants: what a machine's disks hold when it is offered,
//! handed over and released, and who gets which config drive.

use farrier_core::ipam::PROVISIONING;
use farrier_core::node::Node;
use farrier_core::node::flags::Flags;
use farrier_lifecycle::ProvisionState;

use super::Invariants;
use crate::appliance::Appliance;
use crate::image;
use crate::machine::Machine;

impl Invariants {
    /// The tenancy that a machine's node is in.
    pub fn tenancy(&self, machine: usize) -> u64 {
        self.tenancy.get(machine).copied().unwrap_or(0)
    }

    /// An operator was granted something, with that text in a config drive
    /// where there was one: what was asked before does not count any more.
    pub fn asked(&mut self, slot: usize, text: Option<Vec<u8>>) {
        if self.texts.len() <= slot {
            self.texts.resize(slot + 1, None);
        }
        self.texts[slot] = text;
    }

    /// A machine is given the config drive in this slot.
    pub fn drive_served(&mut self, now: u64, slot: usize, appliance: &Appliance, to: &Machine) {
        let rack = appliance.rack();
        let own = to.macs.iter().find_map(|mac| rack.find_by_mac(*mac));
        if own != Some(slot) {
            self.wrong(now, || {
                format!(
                    "machine {} is given the config drive of node {slot}",
                    to.index
                )
            });
        }
    }

    pub(super) fn changed(
        &mut self,
        now: u64,
        slot: usize,
        from: ProvisionState,
        node: &Node,
        machines: &[Machine],
    ) {
        let machine = machines
            .iter()
            .find(|machine| node.macs.iter().any(|mac| machine.macs.contains(mac)));
        let Some(machine) = machine else {
            return;
        };
        match node.state {
            ProvisionState::Available => {
                self.cleaned += 1;
                if let Some(place) = machine.disks.iter().position(|disk| !disk.is_empty()) {
                    self.wrong(now, || {
                        format!(
                            "node {slot} is available (after {from}) and disk {place} of machine \
                             {} is not empty",
                            machine.index
                        )
                    });
                }
            }
            ProvisionState::Deploying | ProvisionState::WaitCallBack
                if from == ProvisionState::Available =>
            {
                self.tenancies += 1;
                if let Some(tenancy) = self.tenancy.get_mut(machine.index) {
                    *tenancy = self.tenancies;
                }
            }
            ProvisionState::Active
                if matches!(
                    from,
                    ProvisionState::Deploying | ProvisionState::WaitCallBack
                ) =>
            {
                self.deployed += 1;
                self.handed_over(now, slot, machine);
            }
            _ => {}
        }
    }

    /// A tenant's use is over: nothing of it is kept.
    pub(super) fn released(&mut self, now: u64, slot: usize, node: &Node, appliance: &Appliance) {
        let claimed = node.instance.instance_uuid.is_some()
            || node.flags.contains(Flags::ALLOCATED)
            || node.wanted != 0;
        if claimed || node.config_drive.is_some() || node.written.is_some() {
            self.wrong(now, || {
                format!("node {slot} was released and keeps what was its tenant's")
            });
        }
        let leaks = appliance.rack().ipam().entries().iter().find(|entry| {
            entry.is_held()
                && !entry.is_named()
                && entry.network != PROVISIONING
                && node.macs.contains(&entry.mac)
        });
        if let Some(entry) = leaks {
            let address = entry.address;
            self.wrong(now, || {
                format!("node {slot} was released and keeps {address} of its tenant")
            });
        }
    }

    /// A machine goes to its tenant: with the image, the whole image, and
    /// nothing of the tenant before.
    fn handed_over(&mut self, now: u64, slot: usize, machine: &Machine) {
        let tenancy = self.tenancy(machine.index);
        if machine
            .disks
            .iter()
            .any(|disk| disk.holds_others_than(tenancy))
        {
            self.wrong(now, || {
                format!("node {slot} goes to a tenant with another tenant's data")
            });
        }
        let image = image::catalogue();
        let mut disks = machine.disks.iter();
        let written = disks.any(|disk| image.is_on(&disk.peek(0, image.raw.len())));
        let text = self.texts.get(slot).cloned().flatten();
        let found = |text| {
            machine
                .disks
                .iter()
                .any(|disk| disk.texts().contains(&text))
        };
        if text.is_some_and(|text| !found(text)) {
            self.wrong(now, || {
                format!("node {slot} is active and its config drive is on no disk")
            });
        }
        if !written {
            self.wrong(now, || {
                format!("node {slot} is active and its image is on no disk")
            });
        }
    }

    /// An agent has begun an order that destroys.
    pub fn destroys(&mut self, now: u64, appliance: &Appliance, machine: &Machine) {
        self.ports.destroyed(machine.index);
        let rack = appliance.rack();
        let node = machine.macs.iter().find_map(|mac| rack.find_by_mac(*mac));
        let state = node
            .and_then(|slot| rack.nodes().get(slot))
            .map(|n| n.state);
        if let Some(
            ProvisionState::Active
            | ProvisionState::Rescue
            | ProvisionState::Adopting
            | ProvisionState::Servicing
            | ProvisionState::ServiceWait
            | ProvisionState::ServiceHold,
        )
        | None = state
        {
            self.wrong(now, || {
                format!(
                    "machine {} is told to destroy its disks while its node is in {state:?}",
                    machine.index
                )
            });
        }
    }

    /// An agent has done a piece of its work.
    pub fn worked(&mut self, now: u64, machine: &Machine) {
        if machine.disks.iter().any(|disk| disk.strays() > 0) {
            self.wrong(now, || {
                format!(
                    "a disk of machine {} was written that no order named",
                    machine.index
                )
            });
        }
    }
}

/// Whether a tenant has the node.
pub(super) fn is_in_use(state: ProvisionState) -> bool {
    matches!(
        state,
        ProvisionState::Active
            | ProvisionState::Error
            | ProvisionState::WaitCallBack
            | ProvisionState::DeployHold
            | ProvisionState::DeployFailed
            | ProvisionState::ServiceWait
            | ProvisionState::ServiceHold
            | ProvisionState::ServiceFailed
    )
}

/// Whether the node is on its way from a tenant to the next one.
pub(super) fn is_cleaned(state: ProvisionState) -> bool {
    matches!(
        state,
        ProvisionState::Cleaning | ProvisionState::CleanWait | ProvisionState::CleanFailed
    )
}
