//! Commands about what switches a machine, and the settings of that.

use crate::interface::{CommandError, DriverKind, Effects, Instant, Setting};
use crate::node::power::jitter;
use crate::persist::record::Record;
use crate::rack::{Rack, edit};
use farrier_protocol::message::NodeId;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Another driver switches the machine from now on.
    pub(super) fn set_driver(
        &mut self,
        now: Instant,
        index: usize,
        driver: DriverKind,
    ) -> Result<(), CommandError> {
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        if node.driver == driver {
            return Ok(());
        }
        node.driver = driver;
        // What the one before was asked for is not this one's.
        let jitter = jitter(node.id);
        node.power_control.forget_operation();
        node.power_control.hold_off(now);
        node.power_control.looks.begin(now, jitter);
        Ok(())
    }

    /// Another value of a setting; an empty one removes it. Its form was looked at.
    pub(super) fn set_setting(
        &mut self,
        index: usize,
        setting: Setting,
        value: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let old = self.texts.setting(index, setting);
        if old == value && (!value.is_empty() || self.texts.former(index, setting).is_empty()) {
            return Ok(());
        }
        let was_there = !old.is_empty();
        let now = self.now;
        // The way to the machine is another one.
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        let (id, jitter) = (node.id, jitter(node.id));
        node.power_control.looks.begin(now, jitter);
        self.texts.set_setting(index, setting, value)?;
        if !setting.is_secret() {
            Record::DriverInfo {
                node: id,
                key: setting.key(),
                value,
            }
            .emit(out);
            return Ok(());
        }
        for former in [false, true] {
            if (setting.rotates() || !former)
                && let Some(record) = self.bmc_secret_record(index, setting, former)
            {
                record.emit(out);
            }
        }
        if was_there {
            self.sealing.note_end();
        }
        Ok(())
    }

    /// A BMC or an outlet took a login. Where it was the present one, the one before is
    /// needed no more.
    pub(crate) fn login_worked(&mut self, node: NodeId, former: bool, out: &mut Effects) {
        let Some(index) = self.find(node) else {
            return;
        };
        let login = self.nodes.get(index).and_then(|node| node.driver.login());
        let Some(setting) = login else {
            return;
        };
        if let Some(mut node) = self.nodes.volatile(index) {
            node.power_control().looks.answered();
        }
        if former || self.texts.former(index, setting).is_empty() {
            return;
        }
        self.texts.forget_former(index, setting);
        if let Some(record) = self.bmc_secret_record(index, setting, true) {
            record.emit(out);
        }
        self.sealing.note_end();
    }
}
