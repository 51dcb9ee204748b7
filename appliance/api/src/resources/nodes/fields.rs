//! The fields of a node, as the Ironic API names them, and their values.
//!
//! Fields that belong to features which are not here keep the value that
//! Ironic gives a node that does not use them.

use super::bmc;
use crate::ident;
use crate::reply::links;
use crate::resource::Out;
use crate::resources::drivers;
use crate::View;
use farrier_core::interface::PowerState;
use farrier_core::node::flags::Flags;
use farrier_core::node::{Hop, Node};
use farrier_core::provisioning::deadlines;
use farrier_core::provisioning::steps::Step;
use farrier_core::strings::Kind;
use farrier_lifecycle::ProvisionState;

/// All fields of a node, in the order in which they are shown.
pub(crate) const NAMES: [&str; 62] = [
    "uuid",
    "name",
    "provision_state",
    "target_provision_state",
    "power_state",
    "target_power_state",
    "last_error",
    "maintenance",
    "maintenance_reason",
    "fault",
    "instance_uuid",
    "instance_info",
    "driver",
    "driver_info",
    "driver_internal_info",
    "properties",
    "extra",
    "resource_class",
    "traits",
    "boot_mode",
    "secure_boot",
    "reservation",
    "conductor",
    "conductor_group",
    "chassis_uuid",
    "allocation_uuid",
    "owner",
    "lessee",
    "shard",
    "parent_node",
    "description",
    "protected",
    "protected_reason",
    "retired",
    "retired_reason",
    "automated_clean",
    "clean_step",
    "deploy_step",
    "service_step",
    "raid_config",
    "target_raid_config",
    "network_data",
    "console_enabled",
    "bios_interface",
    "boot_interface",
    "console_interface",
    "deploy_interface",
    "firmware_interface",
    "inspect_interface",
    "management_interface",
    "network_interface",
    "power_interface",
    "raid_interface",
    "rescue_interface",
    "storage_interface",
    "vendor_interface",
    "inspection_started_at",
    "inspection_finished_at",
    "provision_updated_at",
    "created_at",
    "updated_at",
    "links",
];

/// A selection of fields: bit *n* is `NAMES[n]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields(u64);

const _: () = assert!(NAMES.len() < 64);

impl Fields {
    /// Every field.
    pub(crate) const ALL: Self = Self((1 << NAMES.len()) - 1);
    /// None.
    pub(crate) const NONE: Self = Self(0);
    /// What a list shows where nothing else is asked for.
    pub(crate) const SUMMARY: Self = Self::of(&[
        "uuid",
        "name",
        "instance_uuid",
        "power_state",
        "provision_state",
        "maintenance",
        "links",
    ]);

    /// The fields of these names, all of which there must be.
    pub(crate) const fn of(names: &[&str]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < names.len() {
            let mut place = 0;
            while !same(names[at], NAMES[place]) {
                place += 1;
            }
            bits |= 1 << place;
            at += 1;
        }
        Self(bits)
    }

    /// This selection and one more field; `None` where there is no such.
    pub(crate) fn with(self, name: &str) -> Option<Self> {
        let place = NAMES.iter().position(|known| *known == name)?;
        Some(Self(self.0 | 1 << place))
    }

    /// The first selected field at or behind this place.
    pub(crate) fn next(self, from: usize) -> Option<usize> {
        (from..NAMES.len()).find(|place| self.0 >> place & 1 == 1)
    }

    /// The names of the selected fields.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let all = NAMES.iter().enumerate();
        all.filter(move |(place, _)| self.0 >> place & 1 == 1)
            .map(|(_, name)| *name)
    }
}

/// Whether two texts are the same, at compile time.
const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Writes one field of a node, key and value.
pub(crate) fn write(
    view: &View<'_>,
    index: usize,
    node: &Node,
    place: usize,
    w: &mut Out<'_>,
) {
    let Some(name) = NAMES.get(place) else {
        return;
    };
    let text = |kind| view.texts.get(index, kind);
    w.key(name);
    match *name {
        "uuid" => w.text(ident::text(node.id)),
        "name" => w.string_or_null(&node.name),
        "provision_state" => w.string(node.state.as_str()),
        "target_provision_state" => match node.state.target() {
            Some(target) => w.string(target.as_str()),
            None => w.null(),
        },
        "power_state" => power_state(node.power_now(view.now), w),
        "target_power_state" => {
            let request = node.power_request;
            let target = request.map(|request| request.action.target());
            power_state(target.unwrap_or_default(), w)
        }
        "last_error" => w.string_or_null(&node.last_error),
        "instance_uuid" => match node.instance.instance_uuid {
            Some(id) => w.text(ident::text(id)),
            None => w.null(),
        },
        "instance_info" => instance_info(node, w),
        "driver" => w.string(node.driver.name()),
        "conductor" => w.string("farrier"),
        "driver_info" => driver_info(view, index, w),
        "driver_internal_info" => driver_internal_info(view, index, node, w),
        "properties" => properties(node, w),
        "reservation" if node.state.is_busy() => w.string("farrier"),
        "boot_mode" => match node.boot.mode {
            Some(mode) => w.string(boot_mode(mode)),
            None => w.null(),
        },
        "conductor_group" => w.string(""),
        "maintenance" => w.bool(node.flags.contains(Flags::MAINTENANCE)),
        "protected" => w.bool(node.flags.contains(Flags::PROTECTED)),
        "retired" => w.bool(node.flags.contains(Flags::RETIRED)),
        "maintenance_reason" => match text(Kind::MaintenanceReason) {
            "" if node.flags.contains(Flags::CLEAN_FAULT) => {
                w.string("Cleaning failed: the disks may hold a former tenant's data.")
            }
            "" if node.flags.contains(Flags::RECORDS_LOST) => w.string(
                "The appliance's journal has lost records. Check the fields of this node \
                 before you end the maintenance.",
            ),
            reason => w.string_or_null(reason),
        },
        "protected_reason" => w.string_or_null(text(Kind::ProtectedReason)),
        "retired_reason" => w.string_or_null(text(Kind::RetiredReason)),
        "owner" => w.string_or_null(text(Kind::Owner)),
        "lessee" => w.string_or_null(text(Kind::Lessee)),
        "fault" if node.flags.contains(Flags::CLEAN_FAULT) => w.string("clean failure"),
        "fault" if node.flags.contains(Flags::RECORDS_LOST) => w.string("records lost"),
        "console_enabled" => w.bool(false),
        "automated_clean" => w.bool(true),
        "traits" => {
            w.array();
            for word in view.texts.words(node.traits) {
                w.string(word);
            }
            w.end_array()
        }
        "resource_class" => w.string_or_null(view.texts.class(node.class)),
        "allocation_uuid" => match node.instance.instance_uuid {
            Some(id) if node.flags.contains(Flags::ALLOCATED) => w.text(ident::text(id)),
            _ => w.null(),
        },
        "clean_step" => step(node, ProvisionState::Available, w),
        "deploy_step" => step(node, ProvisionState::Deploying, w),
        "service_step" => step(node, ProvisionState::Servicing, w),
        "extra" | "raid_config" | "target_raid_config" | "network_data" => w.object().end_object(),
        "links" => links(w, "nodes", node.id),
        name => match name.strip_suffix("_interface") {
            Some(kind) => w.string(drivers::interface(node.driver, kind)),
            None => w.null(),
        },
    };
}

/// What Ironic calls a power state.
fn power_state<'w, 'b>(power: PowerState, w: &'w mut Out<'b>) -> &'w mut Out<'b> {
    match power {
        PowerState::On => w.string("power on"),
        PowerState::Off => w.string("power off"),
        PowerState::Unknown => w.null(),
    }
}

/// What Ironic calls the ways to boot.
pub(crate) fn boot_mode(mode: farrier_protocol::message::BootMode) -> &'static str {
    match mode {
        farrier_protocol::message::BootMode::Bios => "bios",
        farrier_protocol::message::BootMode::Uefi => "uefi",
    }
}

fn instance_info<'w, 'b>(node: &Node, w: &'w mut Out<'b>) -> &'w mut Out<'b> {
    w.object();
    if !node.instance.image_source.is_empty() {
        w.key("image_source").string(&node.instance.image_source);
    }
    if !node.instance.display_name.is_empty() {
        w.key("display_name").string(&node.instance.display_name);
    }
    if node.config_drive.is_some() {
        // As Ironic does: its content is secret.
        w.key("configdrive").string("******");
    }
    w.end_object()
}

/// What is shown of a secret, as by Ironic.
const MASK: &str = "******";

/// Whether the value of a key of `driver_info` opens something. Ironic masks passwords,
/// secrets and tokens in the same way; who set them need not read them here.
fn is_secret(key: &str) -> bool {
    const PARTS: [&str; 9] = [
        "pass", // password, passwd, passphrase
        "pwd",
        "secret",
        "community",
        "kg",
        "key",
        "token",
        "credential",
        "cookie",
    ];
    let key = key.as_bytes();
    PARTS.iter().any(|part| {
        key.windows(part.len())
            .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    })
}

fn driver_info<'w, 'b>(
    view: &View<'_>,
    index: usize,
    w: &'w mut Out<'b>,
) -> &'w mut Out<'b> {
    w.object();
    for (setting, value) in view.texts.settings(index) {
        let value = if setting.is_secret() { MASK } else { value };
        w.key(setting.key()).string(value);
    }
    for (key, value) in view.texts.pairs(index, Kind::DriverInfo) {
        let value = if is_secret(key) { MASK } else { value };
        w.key(key).string(value);
    }
    w.end_object()
}

/// The step that is due, in the field of the work that it belongs to:
/// `kind` is one of that work's states.
fn step<'w, 'b>(
    node: &Node,
    kind: ProvisionState,
    w: &'w mut Out<'b>,
) -> &'w mut Out<'b> {
    let at_work = match node.state {
        ProvisionState::Cleaning | ProvisionState::CleanWait | ProvisionState::CleanHold => ProvisionState::Available,
        ProvisionState::Deploying | ProvisionState::WaitCallBack | ProvisionState::DeployHold => ProvisionState::Deploying,
        ProvisionState::Servicing | ProvisionState::ServiceWait | ProvisionState::ServiceHold => ProvisionState::Servicing,
        _ => return w.object().end_object(),
    };
    w.object();
    if at_work == kind
        && let Some(step) = node.step()
    {
        w.key("interface").string_or_null(Step::interface(step));
        w.key("step").string(step.as_str());
        w.key("args").object().end_object();
    }
    w.end_object()
}

/// The warning of a node that stays on one network.
const FLAT: &str = "flat: no port of this node is in a known switch, so it stays on one network \
    while it is cleaned and deployed and while a tenant uses it. Set local_link_connection of its \
    ports";

/// What the node waits for and until when: Ironic's field for what only the
/// driver understands.
fn driver_internal_info<'w, 'b>(
    view: &View<'_>,
    index: usize,
    node: &Node,
    w: &'w mut Out<'b>,
) -> &'w mut Out<'b> {
    w.object().key("reason").string(node.reason.as_str());
    w.key("state_seconds")
        .number(view.now.since(node.since) / 1000);
    if let Some(deadline) = node.deadline {
        w.key("deadline_seconds")
            .number(deadline.since(view.now) / 1000);
    }
    w.key("agent_is_live").bool(node.agent_is_live(view.now));
    if let Some((hop, until)) = deadlines::due(node, view.now) {
        w.key("next_hop").string(hop.as_str());
        w.key("next_hop_seconds")
            .number(until.since(view.now) / 1000);
    }
    match node.timeline.last() {
        Some(hop) => w.key("last_hop").string(Hop::as_str(hop)),
        None => w,
    };
    bmc::write(view, index, node, w);
    if view.is_flat(node) {
        w.key("network_warning").string(FLAT);
    }
    w.end_object()
}

fn properties<'w, 'b>(node: &Node, w: &'w mut Out<'b>) -> &'w mut Out<'b> {
    w.object();
    if node.hardware.cpus > 0 {
        w.key("cpus").number(node.hardware.cpus);
        w.key("cpu_arch")
            .string(node.hardware.architecture.as_str());
        w.key("memory_mb").number(node.hardware.memory_mib);
        w.key("local_gb").number(node.hardware.local_gib);
    }
    w.end_object()
}
