//! The things of the API, and what is wanted of them.

use super::{ident, wish};
use farrier_core::node::{NAME_LEN, String};
use farrier_core::strings::traits::TRAIT_LEN;
use farrier_http::Status;
use farrier_protocol::message::{Mac, NodeId};

/// How a path names a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ident {
    /// By its UUID.
    Uuid(NodeId),
    /// By its name.
    Name(String<NAME_LEN>),
}

impl core::fmt::Display for Ident {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Uuid(id) => ident::text(*id).fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The things of the API. Those that name a node end in what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `GET /`
    Root,
    /// `GET /v1`
    V1,
    /// `GET /v1/nodes`, `GET /v1/nodes/detail`
    Nodes,
    /// `GET /v1/nodes/{node}`
    Node(Ident),
    /// `GET /v1/nodes/{node}/states`
    States(Ident),
    /// `GET /v1/nodes/{node}/validate`
    Validate(Ident),
    /// `GET /v1/nodes/{node}/inventory`
    Inventory(Ident),
    /// A list of a node that is always empty: traits, VIFs, history, …
    NodeEmpty(Ident, &'static str),
    /// `GET /v1/ports`, `GET /v1/ports/detail`, `GET /v1/nodes/{node}/ports`
    Ports(Option<Ident>),
    /// `GET /v1/ports/{port}`
    Port(NodeId),
    /// `GET /v1/drivers`
    Drivers,
    /// `GET /v1/drivers/farrier`
    Driver,
    /// `GET /v1/conductors`
    Conductors,
    /// `GET /v1/conductors/farrier`
    Conductor,
    /// A list that is always empty: chassis, allocations, port groups, …
    Empty(&'static str),
    /// `GET /farrier/v1/status`
    Status,
    /// `GET /farrier/v1/images`
    Images,
    /// `PATCH /v1/nodes/{node}`
    Patch(Ident),
    /// `PUT /v1/nodes/{node}/states/provision`
    Provision(Ident),
    /// `PUT /v1/nodes/{node}/states/power`
    Power(Ident),
    /// `PUT` (`true`) and `DELETE` of `/v1/nodes/{node}/maintenance`
    Maintenance(Ident, bool),
    /// `POST /v1/nodes`; the identity is known once the body was read.
    NewNode(NodeId),
    /// `DELETE /v1/nodes/{node}`
    DeleteNode(Ident),
    /// `POST /v1/ports`; as above.
    NewPort(NodeId),
    /// `DELETE /v1/ports/{port}`
    DeletePort(NodeId),
    /// `GET /v1/nodes/{node}/traits`
    Traits(Ident),
    /// `PUT /v1/nodes/{node}/traits`
    SetTraits(Ident),
    /// `PUT` (`true`) and `DELETE` of `/v1/nodes/{node}/traits/{trait}`, and
    /// `DELETE` of all, with an empty name.
    Trait(Ident, String<TRAIT_LEN>, bool),
    /// `GET /v1/allocations`
    Allocations,
    /// `GET /v1/allocations/{allocation}`
    Allocation(Ident),
    /// `GET /v1/nodes/{node}/allocation`
    NodeAllocation(Ident),
    /// `POST /v1/allocations`; the identity is known once the body was read.
    NewAllocation(NodeId),
    /// `DELETE /v1/allocations/{allocation}`
    DeleteAllocation(Ident),
    /// `DELETE /v1/nodes/{node}/allocation`
    DeleteNodeAllocation(Ident),
    /// `GET /farrier/v1/flavors`
    Flavors,
    /// `PUT /farrier/v1/flavors/{flavor}`
    PutFlavor(String<NAME_LEN>),
    /// `DELETE /farrier/v1/flavors/{flavor}`
    DeleteFlavor(String<NAME_LEN>),
    /// `GET /farrier/v1/networks`
    Networks,
    /// `PUT` (`true`) and `DELETE` of `/farrier/v1/networks/{network}`
    Network(String<NAME_LEN>, bool),
    /// `GET /farrier/v1/addresses`
    Addresses,
    /// `PUT` (`true`) and `DELETE` of
    /// `/farrier/v1/addresses/{network}/{mac}`
    Address(String<NAME_LEN>, Mac, bool),
}

impl Target {
    /// Whether the request wants something changed; a target that does not
    /// is for reading.
    pub(super) const fn changes(&self) -> bool {
        matches!(self, Self::Patch(_) | Self::Provision(_) | Self::Power(_))
            || wish::takes_form(self)
    }

    /// The status of a reply to a request that was carried out.
    pub const fn status(&self) -> Status {
        match self {
            Self::Provision(_) | Self::Maintenance(..) => Status::ACCEPTED,
            Self::NewNode(_) | Self::NewPort(_) | Self::NewAllocation(_) => Status::CREATED,
            Self::Patch(_) => Status::OK,
            _ if wish::takes_form(self) => Status::NO_CONTENT,
            _ => Status::OK,
        }
    }

    /// Whether that reply has a body.
    pub const fn has_reply(&self) -> bool {
        !matches!(self.status(), Status::ACCEPTED | Status::NO_CONTENT)
    }

    /// The node that is meant, where it is one.
    pub const fn node(&self) -> Option<&Ident> {
        match self {
            Self::Node(node)
            | Self::States(node)
            | Self::Validate(node)
            | Self::Inventory(node)
            | Self::NodeEmpty(node, _)
            | Self::Ports(Some(node))
            | Self::Patch(node)
            | Self::Provision(node)
            | Self::Power(node)
            | Self::Maintenance(node, _)
            | Self::DeleteNode(node)
            | Self::Traits(node)
            | Self::SetTraits(node)
            | Self::Trait(node, ..)
            | Self::NodeAllocation(node)
            | Self::DeleteNodeAllocation(node) => Some(node),
            _ => None,
        }
    }

    pub(super) const fn node_mut(&mut self) -> Option<&mut Ident> {
        match self {
            Self::Node(node)
            | Self::States(node)
            | Self::Validate(node)
            | Self::Inventory(node)
            | Self::NodeEmpty(node, _)
            | Self::Ports(Some(node))
            | Self::Patch(node)
            | Self::Provision(node)
            | Self::Power(node)
            | Self::Maintenance(node, _)
            | Self::DeleteNode(node)
            | Self::Traits(node)
            | Self::SetTraits(node)
            | Self::Trait(node, ..)
            | Self::NodeAllocation(node)
            | Self::DeleteNodeAllocation(node) => Some(node),
            _ => None,
        }
    }
}
