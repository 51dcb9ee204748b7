//! The operations of each step, as XML.

use super::tasks::Work;
use super::{Settings, Step};
use crate::dialect::{Dialect, Values};
use crate::hello::Capabilities;
use crate::out::Window;
use crate::vlan::{PortVlans, VlanChange};

/// A request, to be written as often as needed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) step: Step,
    pub(super) work: &'a Work,
    pub(super) settings: &'a Settings,
    pub(super) dialect: Option<&'static Dialect>,
    pub(super) capabilities: Capabilities,
}

impl Request<'_> {
    fn has(&self, capabilities: Capabilities) -> bool {
        self.capabilities.intersects(capabilities)
    }

    fn target(&self) -> &'static str {
        match self.has(Capabilities::CANDIDATE) {
            true => "<target><candidate/></target>",
            false => "<target><running/></target>",
        }
    }

    /// Writes the operation.
    pub(super) fn write(&self, out: &mut Window<'_>) {
        match self.step {
            Step::Lock => {
                out.raw("<lock>");
                out.raw(self.target());
                out.raw("</lock>");
            }
            Step::Unlock => {
                out.raw("<unlock>");
                out.raw(self.target());
                out.raw("</unlock>");
            }
            Step::ReadBefore
            | Step::ReadBack
            | Step::ReadConfirmed
            | Step::ReadRestored
            | Step::ReadPort => self.get_config(out),
            Step::Edit => {
                let work = self.work;
                self.edit(Some(&work.desired), work.change, work.trunk_change, out);
            }
            Step::UndoEdit => {
                let work = self.work;
                self.edit(work.old.as_ref(), work.way_back, work.trunk_back, out);
            }
            Step::Validate => out.raw("<validate><source><candidate/></source></validate>"),
            Step::Commit => self.commit(out),
            Step::Confirm => self.confirm(self.settings.persists(self.capabilities), out),
            Step::UndoCommit => self.confirm(self.work.undo_by_id, out),
            Step::Cancel => {
                out.raw("<cancel-commit>");
                self.persist_id(out);
                out.raw("</cancel-commit>");
            }
            Step::Discard => out.raw("<discard-changes/>"),
            Step::ReadTable => self.table(out),
            Step::Close => out.raw("<close-session/>"),
            Step::Hello | Step::Ready | Step::Evidence | Step::Over => {}
        }
    }

    fn get_config(&self, out: &mut Window<'_>) {
        let Some(dialect) = self.dialect else {
            return;
        };
        out.raw("<get-config><source><running/></source><filter type=\"subtree\">");
        let values = Values {
            interface: &self.work.interface,
            trunk: &self.work.trunk,
            vlan_table: dialect.names || self.work.change != VlanChange::NONE,
            ..Values::default()
        };
        values.write(dialect.filter, out);
        out.raw("</filter></get-config>");
    }

    fn edit(
        &self,
        vlans: Option<&PortVlans>,
        change: VlanChange,
        trunk_change: VlanChange,
        out: &mut Window<'_>,
    ) {
        let (Some(dialect), Some(vlans)) = (self.dialect, vlans) else {
            return;
        };
        out.raw("<edit-config>");
        out.raw(self.target());
        out.raw("<default-operation>merge</default-operation>");
        if self.has(Capabilities::VALIDATE_1_0 | Capabilities::VALIDATE_1_1) {
            out.raw("<test-option>test-then-set</test-option>");
        }
        if self.has(Capabilities::ROLLBACK_ON_ERROR) {
            out.raw("<error-option>rollback-on-error</error-option>");
        }
        out.raw("<config>");
        out.raw(dialect.edit.0);
        let values = Values {
            interface: &self.work.interface,
            vlans: Some(vlans),
            drop_native: self.drops_native(vlans),
            edit: true,
            trunk: &self.work.trunk,
            trunk_change,
            ..Values::default()
        };
        if let (Some(edit), true) = (dialect.vlan_edit, change != VlanChange::NONE) {
            out.raw(edit.before);
            for (vlan, template) in [(change.make, edit.make), (change.remove, edit.remove)] {
                if vlan.is_some() {
                    Values { vlan, ..values }.write(template, out);
                }
            }
            out.raw(edit.behind);
        }
        let port = match vlans.tagged() {
            [] => dialect.access,
            _ => dialect.trunk.unwrap_or(""),
        };
        out.raw(dialect.ports.0);
        values.write(port, out);
        if let (Some(trunk), true) = (dialect.trunk_edit, trunk_change != VlanChange::NONE) {
            values.write(trunk, out);
        }
        out.raw(dialect.ports.1);
        out.raw(dialect.edit.1);
        out.raw("</config></edit-config>");
    }

    /// The port has a native VLAN that the edit's port does not have.
    fn drops_native(&self, new: &PortVlans) -> bool {
        let before = match self.step {
            Step::UndoEdit => Some(&self.work.desired),
            _ => self.work.old.as_ref(),
        };
        let native = |vlans: &PortVlans| !vlans.tagged().is_empty() && vlans.untagged().is_some();
        before.is_some_and(native) && !native(new)
    }

    fn commit(&self, out: &mut Window<'_>) {
        let confirmed =
            Capabilities::CONFIRMED_COMMIT_1_0.union(Capabilities::CONFIRMED_COMMIT_1_1);
        if !self.settings.confirmed_commit || !self.has(confirmed) {
            out.raw("<commit/>");
            return;
        }
        let unit = self.dialect.map_or(1, |dialect| dialect.confirm_unit_s);
        let timeout = self.work.timeout_s.checked_next_multiple_of(unit.max(1));
        out.raw("<commit><confirmed/><confirm-timeout>");
        out.value(timeout.unwrap_or(self.work.timeout_s));
        out.raw("</confirm-timeout>");
        if self.settings.persists(self.capabilities) {
            out.raw("<persist>");
            self.persist_text(out);
            out.raw("</persist>");
        }
        out.raw("</commit>");
    }

    fn confirm(&self, by_id: bool, out: &mut Window<'_>) {
        if !by_id {
            out.raw("<commit/>");
            return;
        }
        out.raw("<commit>");
        self.persist_id(out);
        out.raw("</commit>");
    }

    fn persist_id(&self, out: &mut Window<'_>) {
        out.raw("<persist-id>");
        self.persist_text(out);
        out.raw("</persist-id>");
    }

    fn persist_text(&self, out: &mut Window<'_>) {
        out.raw("farrier-");
        out.value(format_args!("{:016x}", self.work.persist_id));
    }

    fn table(&self, out: &mut Window<'_>) {
        let table = self
            .dialect
            .and_then(|dialect| self.work.task.table(dialect));
        if let Some(table) = table {
            let values = Values {
                interface: &self.work.interface,
                ..Values::default()
            };
            values.write(table.request, out);
        }
    }
}
