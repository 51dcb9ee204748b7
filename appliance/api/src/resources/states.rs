//! `/v1/nodes/{node}/states`: the fields of a node that change by
//! themselves.

use crate::reply::Cursor;
use crate::resource::{Ask, Out, Route};
use crate::resources::nodes::{self, Fields};

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/v1/nodes/{node}/states", show),
    Route::read("/v1/nodes/{node}/states/provision", show),
    Route::read("/v1/nodes/{node}/states/power", show),
];

const STATES: Fields = Fields::of(&[
    "provision_state",
    "target_provision_state",
    "provision_updated_at",
    "power_state",
    "target_power_state",
    "last_error",
    "boot_mode",
    "secure_boot",
    "console_enabled",
    "clean_step",
    "deploy_step",
    "service_step",
    "raid_config",
    "target_raid_config",
]);

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    nodes::one(&ask.view, ask.node(), STATES, at, w);
}
