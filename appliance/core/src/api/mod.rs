//! The operator's HTTP API: what `baremetal`, the stock client of OpenStack
//! Ironic, speaks, and a status page of our own.
//!
//! The engine moves no bytes and decides nothing: it reads requests, asks
//! the brain through [`crate::Operator`], and writes replies out of what the
//! brain knows. It holds 2 KiB a connection, however long a list or
//! a config drive is.
//!
//! # What the glue does
//!
//! Once [`farrier_http::Head::parse`] gave a head whose path [`is_ours`]:
//!
//! ```text
//! let mut exchange = Exchange::begin(&head, &Facts::of(&rack, now));
//! if head.expect_continue && exchange.wants_body() { send(CONTINUE) }
//! let mut body = farrier_http::Body::new(head.body);
//! while !exchange.gives_up() {
//!     match body.next(&mut input) {
//!         Ok(Piece::Data(mut data)) => {
//!             while let Some(text) = exchange.push(&mut data) {
//!                 // seal `text` under a fresh key, keep it in exchange.slot()
//!             }
//!         }
//!         Ok(Piece::More) => /* read more into `input`, with a deadline */,
//!         Ok(Piece::End) => break,
//!         Err(error) => { exchange.fail(error.into()); break }
//!     }
//! }
//! exchange.end(key, &Facts::of(&rack, now));
//! // where exchange.config_drive() is Some: seal and keep its last piece
//! while let Some(wish) = exchange.operator(&Facts::of(&rack, now)) {
//!     rack.step(now, Input::Command { actor: Actor::OPERATOR, command: wish }, entropy, out);
//!     // carry the outputs out; one of them is Effect::Answer(answer)
//!     exchange.answered(answer, &Facts::of(&rack, now));
//! }
//! // where exchange.inspection(&facts) is Some((slot, length)): read it
//! loop {
//!     match exchange.reply(&Facts::of(&rack, now), inspection, buffer) {
//!         0 => break,
//!         length => send(&buffer[..length]),
//!     }
//! }
//! if !exchange.keep_alive() { close() }
//! ```
//!
//! A head's bytes may be dropped right behind [`Exchange::begin`]. Between
//! any two calls the rack may change. `key` is 32 fresh random bytes for
//! every request; two requests with a config drive for one node are to be
//! taken in one after the other, since a node has one slot.
//!
//! # What there is
//!
//! | request | reply |
//! |---|---|
//! | `GET /`, `/v1` | versions |
//! | `GET /v1/nodes` | nodes; `fields`, `detail`, `limit`, `marker`, `provision_state`, `instance_uuid`, `associated`; always in the order of discovery |
//! | `GET /v1/nodes/detail` | the same with all fields |
//! | `GET /v1/nodes/{node}` | one, by UUID or name; `fields` |
//! | `GET /v1/nodes/{node}/states`, `/validate`, `/ports` | |
//! | `GET /v1/nodes/{node}/inventory` | of the last inspection; 404 before it |
//! | `GET /v1/nodes/{node}/traits`, `/allocation` | |
//! | `GET /v1/nodes/{node}/vifs`, `/history`, … | empty |
//! | `POST /v1/nodes` | 201 and the node; `driver`, `name`, `uuid`, `resource_class`, `driver_info`, `properties/serial_number` |
//! | `DELETE /v1/nodes/{node}` | 204 |
//! | `PUT`, `DELETE /v1/nodes/{node}/maintenance` | 202; `reason` |
//! | `PUT`, `DELETE /v1/nodes/{node}/traits`, `/traits/{trait}` | 204; `traits` |
//! | `POST /v1/ports`, `DELETE /v1/ports/{port}` | 201 and the port, 204; `node_uuid`, `address` |
//! | `POST /v1/allocations` | 201 and the allocation, 409 where nothing fits; `name`, `uuid`, `resource_class` (a flavor or a class), `traits`, `candidate_nodes`, `node` |
//! | `GET /v1/allocations`, `/v1/allocations/{allocation}` | by UUID or name; `limit`, `marker`, `state` |
//! | `DELETE /v1/allocations/{allocation}`, `/v1/nodes/{node}/allocation` | 204 |
//! | `GET /farrier/v1/flavors` | the flavors |
//! | `PUT`, `DELETE /farrier/v1/flavors/{flavor}` | 204; `resource_class`, `traits`, `cpus`, `memory_mb`, `local_gb`, `link_mbps`, `parts` (of `hdd`, `ssd`, `nvme`, `infiniband`, `roce`, `tpm2`) |
//! | `PUT /v1/nodes/{node}/states/provision` | 202; `target`, `configdrive` (a string or an object, ≤ [`MAX_CONFIG_DRIVE`]), `clean_steps`, `deploy_steps`, `service_steps` |
//! | `PUT /v1/nodes/{node}/states/power` | 400: there is no power driver |
//! | `PATCH /v1/nodes/{node}` | the node; `name`, `instance_uuid`, `instance_info` (`image_source`, `display_name`), `driver_info`, `resource_class`, `maintenance`, `protected`, `retired` and their reasons |
//! | `GET /v1/ports`, `/v1/ports/{port}` | interfaces; `node`, `limit`, `marker` |
//! | `GET /v1/drivers`, `/v1/conductors` | one, `farrier` |
//! | `GET /v1/chassis`, … | empty |
//! | `GET /farrier/v1/networks`, `/farrier/v1/addresses` | tenants' networks; addresses of interfaces |
//! | `PUT`, `DELETE /farrier/v1/networks/{network}` | 204; `vlan`, `prefix`, `pool_first`, `pool_len` |
//! | `PUT`, `DELETE /farrier/v1/addresses/{network}/{mac}` | 204; `address`, without it one out of the pool. The network `provisioning` has addresses outside of the leased pool only |
//! | `GET /farrier/v1/status` | see [`status`] |
//! | `GET /farrier/v1/images` | the images of the store: name, version, bytes |
//!
//! # Where it differs from Ironic
//!
//! - There is no wall clock: `created_at`, `updated_at` and their like are
//!   null. What a node waits for, since when and until when stands in
//!   `driver_internal_info`, in seconds.
//! - Fields are not held back from clients of older microversions.
//! - `power_state` is null where nothing is known, and otherwise told by the
//!   machine's own packets.
//! - An allocation is found or refused at once: none is ever `allocating`
//!   or in `error`.
#![allow(
    clippy::result_large_err,
    reason = "an error carries its sentence, there is no heap to put it on, and requests are rare"
)]

mod allocations;
mod book;
mod changes;
mod documents;
mod error;
mod exchange;
mod fields;
mod form;
mod inventory;
mod patch;
mod ports;
mod provision;
mod render;
mod route;
pub mod status;
mod target;
mod text;
pub mod uuid;
pub mod version;
mod wish;

pub use crate::interface::CommandError;
pub use error::Error;
pub use exchange::{Exchange, REPLY_BUFFER};
pub use render::{Cursor, MIN_BUFFER, check, render};
pub use route::{Call, is_ours, route};
pub use target::{Ident, Target};
pub use version::Version;

use crate::allocation::Flavor;
use crate::interface::Image;
use crate::interface::Instant;
use crate::ipam::Ipam;
use crate::node::Node;
use crate::rack::{Counters, Rack};
use crate::strings::StringPool;

/// Longest config drive in bytes of its JSON text, as it stands in the
/// request.
pub const MAX_CONFIG_DRIVE: u32 = 64 * 1024;
/// Longest body of a `PATCH` in bytes.
pub const MAX_PATCH: usize = 2048;
/// Longest body of any request in bytes: a config drive, and what stands
/// around it.
pub const MAX_BODY: u64 = MAX_CONFIG_DRIVE as u64 + 4096;

/// What the services around the brain have counted.
pub trait Services: core::fmt::Debug {
    /// Reports every counter by a name that is the program's own.
    fn counters(&self, report: &mut dyn FnMut(&'static str, u32));
}

/// What the API sees of the rack. Cheap: make a new one for every call.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    now: Instant,
    nodes: &'a [Node],
    images: &'a [Image],
    counters: &'a Counters,
    texts: &'a StringPool,
    ipam: &'a Ipam,
    flavors: &'a [Flavor],
    /// Addresses in the pool, and how many of them are bound.
    leases: (usize, usize),
    services: Option<&'a dyn Services>,
}

impl<'a> Facts<'a> {
    /// The rack as it is now.
    pub fn of<const N: usize, const L: usize, const D: usize>(
        rack: &'a Rack<N, L, D>,
        now: Instant,
    ) -> Self {
        Self {
            now,
            nodes: rack.nodes(),
            images: rack.images(),
            counters: rack.counters(),
            texts: rack.texts(),
            ipam: rack.ipam(),
            flavors: rack.flavors(),
            leases: rack.lease_usage(now),
            services: None,
        }
    }

    /// With the counters of the services around the brain, for the status.
    #[must_use]
    pub fn with_services(self, services: &'a dyn Services) -> Self {
        Self {
            services: Some(services),
            ..self
        }
    }

    /// A node and its place.
    fn find(&self, ident: &Ident) -> Result<(usize, &'a Node), Error> {
        let nodes = self.nodes.iter().enumerate();
        let mut nodes = nodes.filter(|(_, node)| !node.is_vacant());
        let found = match ident {
            Ident::Uuid(id) => nodes.find(|(_, node)| node.id == *id),
            Ident::Name(name) => nodes.find(|(_, node)| node.name == *name),
        };
        found.ok_or_else(|| {
            Error::new(
                farrier_http::Status::NOT_FOUND,
                format_args!("Node {ident} could not be found."),
            )
        })
    }
}
