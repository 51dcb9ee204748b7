//! From a request line to a [`Call`]: which thing is meant, what is wanted
//! of it, and which part of a list.

use super::fields::Fields;
use super::target::{Ident, Target};
use super::{Error, Version, ident};
use core::str::FromStr;
use farrier_core::node::{NAME_LEN, String};
use farrier_http::{Method, Status, percent};
use farrier_lifecycle::State;
use farrier_protocol::message::NodeId;

/// What a request asks for. Owned: the request's bytes are not needed any
/// more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The microversion to answer in.
    pub version: Version,
    /// The thing, and what is wanted of it.
    pub target: Target,
    pub(super) list: List,
}

/// Which part of a list, and how much of each item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    pub(super) fields: Fields,
    pub(super) detail: bool,
    pub(super) limit: u16,
    pub(super) marker: Option<NodeId>,
    pub(super) state: Option<State>,
    pub(super) instance: Option<NodeId>,
    pub(super) associated: Option<bool>,
    pub(super) maintenance: Option<bool>,
    pub(super) retired: Option<bool>,
    /// A filter that no node passes, as `driver=ipmi`.
    pub(super) nothing: bool,
}

impl List {
    const ALL: Self = Self {
        fields: Fields::ALL,
        detail: true,
        limit: u16::MAX,
        marker: None,
        state: None,
        instance: None,
        associated: None,
        maintenance: None,
        retired: None,
        nothing: false,
    };
}

/// Whether a path is the API's; any other is a file's.
pub fn is_ours(path: &str) -> bool {
    let below = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path == "/" || below("/v1") || below("/farrier/v1")
}

/// Finds out what a request asks for. `path` and `query` are as in the
/// request line, `version` is the value of [`super::version::HEADER`].
///
/// # Errors
///
/// 404 for a path without a thing behind it, 405 for a thing that has no such
/// method, 406 for a version that is not spoken, 400 for everything else.
pub fn route(
    method: Method,
    path: &str,
    query: &str,
    version: Option<&str>,
) -> Result<Call, Error> {
    let version = Version::negotiate(version).ok_or_else(|| {
        Error::new(
            Status::NOT_ACCEPTABLE,
            format_args!(
                "Version {} was requested but the supported versions are {} to {}.",
                version.unwrap_or_default(),
                Version::MIN,
                Version::MAX
            ),
        )
    })?;
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let mut part = || segments.next().unwrap_or("");
    let parts = [part(), part(), part(), part(), part(), part()];
    let missing = || Error::not_found("Resource", path);
    let wrong = || {
        Error::new(
            Status::METHOD_NOT_ALLOWED,
            format_args!("{} has no method {}.", path, method.as_str()),
        )
    };
    let get = matches!(method, Method::Get | Method::Head);
    let reading = |target: Target| if get { Ok(target) } else { Err(wrong()) };
    let mut detail = false;

    let target = match parts {
        ["", ..] => reading(Target::Root)?,
        ["v1", "", ..] => reading(Target::V1)?,
        ["v1", "nodes", "", ..] if method == Method::Post => Target::NewNode(NodeId([0; 16])),
        ["v1", "ports", "", ..] if method == Method::Post => Target::NewPort(NodeId([0; 16])),
        ["v1", "allocations", "", ..] if method == Method::Post => {
            Target::NewAllocation(NodeId([0; 16]))
        }
        ["v1", "allocations", "", ..] => reading(Target::Allocations)?,
        ["v1", "allocations", name, "", ..] if method == Method::Delete => {
            Target::DeleteAllocation(ident(name)?)
        }
        ["v1", "allocations", name, "", ..] => reading(Target::Allocation(ident(name)?))?,
        ["v1", "nodes", "", ..] => reading(Target::Nodes)?,
        ["v1", "nodes", "detail", "", ..] if get => {
            detail = true;
            Target::Nodes
        }
        ["v1", "nodes", node, rest @ ..] => match of_node(method, ident(node)?, &rest) {
            Some(target) if target.changes() => target,
            Some(target) => reading(target)?,
            None => return Err(missing()),
        },
        ["v1", "ports", "", ..] => reading(Target::Ports(None))?,
        ["v1", "ports", "detail", "", ..] => {
            detail = true;
            reading(Target::Ports(None))?
        }
        ["v1", "ports", port, "", ..] => {
            let port = ident::parse(port).ok_or_else(|| Error::not_found("Port", port))?;
            if method == Method::Delete {
                Target::DeletePort(port)
            } else {
                reading(Target::Port(port))?
            }
        }
        ["v1", "drivers", "", ..] => reading(Target::Drivers)?,
        ["v1", "drivers", "farrier", "", ..] => reading(Target::Driver)?,
        ["v1", "conductors", "", ..] => reading(Target::Conductors)?,
        ["v1", "conductors", "farrier", "", ..] => reading(Target::Conductor)?,
        ["v1", kind, "", ..] => {
            let kind = ["chassis", "portgroups", "deploy_templates", "shards"]
                .into_iter()
                .find(|known| *known == kind)
                .ok_or_else(missing)?;
            reading(Target::Empty(kind))?
        }
        ["farrier", "v1", "status", "", ..] => reading(Target::Status)?,
        ["farrier", "v1", "images", "", ..] => reading(Target::Images)?,
        ["farrier", "v1", "networks", "", ..] => reading(Target::Networks)?,
        ["farrier", "v1", "networks", name, "", ..] => {
            let name = String::try_from(name).map_err(|_| missing())?;
            match method {
                Method::Put => Target::Network(name, true),
                Method::Delete => Target::Network(name, false),
                _ => return Err(wrong()),
            }
        }
        ["farrier", "v1", "addresses", "", ..] => reading(Target::Addresses)?,
        ["farrier", "v1", "addresses", network, mac, ""] => {
            let network = String::try_from(network).map_err(|_| missing())?;
            let mac = ident::parse_mac(mac).ok_or_else(missing)?;
            match method {
                Method::Put => Target::Address(network, mac, true),
                Method::Delete => Target::Address(network, mac, false),
                _ => return Err(wrong()),
            }
        }
        ["farrier", "v1", "flavors", "", ..] => reading(Target::Flavors)?,
        ["farrier", "v1", "flavors", name, "", ..] => {
            let name = String::try_from(name).map_err(|_| missing())?;
            match method {
                Method::Put => Target::PutFlavor(name),
                Method::Delete => Target::DeleteFlavor(name),
                _ => return Err(wrong()),
            }
        }
        _ => return Err(missing()),
    };
    let (list, port_owner) = list(&target, query, detail)?;
    let target = match target {
        Target::Ports(None) => Target::Ports(port_owner),
        target => target,
    };
    Ok(Call {
        version,
        target,
        list,
    })
}

/// What is wanted of a node. Gives a target with a body only for a method
/// that brings one.
fn of_node(method: Method, node: Ident, rest: &[&str]) -> Option<Target> {
    let put = method == Method::Put;
    Some(match rest {
        ["", ..] if method == Method::Patch => Target::Patch(node),
        ["", ..] if method == Method::Delete => Target::DeleteNode(node),
        ["traits", "", ..] if put => Target::SetTraits(node),
        ["traits", "", ..] if method == Method::Delete => Target::Trait(node, String::new(), false),
        ["traits", "", ..] => Target::Traits(node),
        ["traits", name, "", ..] if put || method == Method::Delete => {
            Target::Trait(node, String::try_from(*name).ok()?, put)
        }
        ["allocation", "", ..] if method == Method::Delete => Target::DeleteNodeAllocation(node),
        ["allocation", "", ..] => Target::NodeAllocation(node),
        ["", ..] => Target::Node(node),
        ["states", "", ..] => Target::States(node),
        ["states", "provision", "", ..] if put => Target::Provision(node),
        ["states", "power", "", ..] if put => Target::Power(node),
        ["maintenance", "", ..] if put => Target::Maintenance(node, true),
        ["maintenance", "", ..] if method == Method::Delete => Target::Maintenance(node, false),
        ["states", "provision" | "power", "", ..] => Target::States(node),
        ["validate", "", ..] => Target::Validate(node),
        ["inventory", "", ..] => Target::Inventory(node),
        ["ports", "", ..] => Target::Ports(Some(node)),
        [kind, "", ..] => {
            let kind = ["vifs", "history", "portgroups", "bios", "firmware"]
                .into_iter()
                .find(|known| known == kind)?;
            Target::NodeEmpty(node, kind)
        }
        _ => return None,
    })
}

/// A node's UUID or name out of a path or a query.
fn ident(text: &str) -> Result<Ident, Error> {
    let mut buffer = [0; NAME_LEN];
    let missing = || Error::not_found("Node", text);
    let text = percent::decode(text, &mut buffer).map_err(|_| missing())?;
    match ident::parse(text) {
        Some(id) => Ok(Ident::Uuid(id)),
        None => String::from_str(text)
            .map(Ident::Name)
            .map_err(|_| missing()),
    }
}

/// Reads a query. Beside the list, gives the node of `?node=`.
fn list(target: &Target, query: &str, detail: bool) -> Result<(List, Option<Ident>), Error> {
    let mut list = List::ALL;
    list.detail = detail;
    let mut fields = None;
    let mut owner = None;
    let listing = matches!(
        target,
        Target::Nodes | Target::Ports(_) | Target::Status | Target::Allocations | Target::Empty(_)
    );

    for (key, value) in percent::pairs(query) {
        let mut buffer = [0; 1024];
        let value = percent::decode_query(value, &mut buffer)?;
        let unfit = || {
            Error::new(
                Status::BAD_REQUEST,
                format_args!("Invalid value {value:?} of {key}."),
            )
        };
        match key {
            "fields" if matches!(target, Target::Nodes | Target::Node(_)) => {
                let mut wanted = fields.unwrap_or(Fields::NONE);
                for name in value.split(',').map(str::trim) {
                    wanted = wanted.with(name).ok_or_else(|| {
                        Error::new(
                            Status::BAD_REQUEST,
                            format_args!("A node has no field {name:?}."),
                        )
                    })?;
                }
                fields = Some(wanted);
            }
            // What the fields of other things are is fixed.
            "fields" => {}
            "detail" if listing => list.detail |= boolean(value).ok_or_else(unfit)?,
            "limit" if listing => {
                let limit: u32 = value.parse().map_err(|_| unfit())?;
                if limit > 0 {
                    list.limit = u16::try_from(limit).unwrap_or(u16::MAX);
                }
            }
            "marker" if listing => list.marker = Some(ident::parse(value).ok_or_else(unfit)?),
            // Nodes are always in the order of their discovery.
            "sort_key" | "sort_dir" if listing => {}
            "node" | "node_uuid" | "node_ident" if matches!(target, Target::Ports(_)) => {
                owner = Some(ident(value)?);
            }
            "address" if matches!(target, Target::Ports(_)) => {
                return Err(Error::bad("Ports can be listed by node, not by address."));
            }
            "provision_state" if *target == Target::Nodes => {
                list.state = Some(State::from_str(value).map_err(|_| unfit())?);
            }
            "instance_uuid" if *target == Target::Nodes => {
                list.instance = Some(ident::parse(value).ok_or_else(unfit)?);
            }
            "associated" if *target == Target::Nodes => {
                list.associated = Some(boolean(value).ok_or_else(unfit)?);
            }
            "maintenance" if *target == Target::Nodes => {
                list.maintenance = Some(boolean(value).ok_or_else(unfit)?);
            }
            "retired" if *target == Target::Nodes => {
                list.retired = Some(boolean(value).ok_or_else(unfit)?);
            }
            // None is waited for, and none has an owner.
            "state" if *target == Target::Allocations => list.nothing |= value != "active",
            "owner" if *target == Target::Allocations => list.nothing = true,
            "driver" if *target == Target::Nodes => list.nothing |= value != "farrier",
            _ if !listing || matches!(target, Target::Empty(_)) => {}
            _ => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!("There is no filter {key:?} here."),
                ));
            }
        }
    }
    list.fields = match fields {
        Some(_) if list.detail => {
            return Err(Error::bad("Either fields or detail, not both."));
        }
        Some(fields) => fields,
        None if *target == Target::Nodes && !list.detail => Fields::summary(),
        None => Fields::ALL,
    };
    Ok((list, owner))
}

fn boolean(value: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is(&["true", "1", "yes", "on", "t", "y"]) {
        Some(true)
    } else if is(&["false", "0", "no", "off", "f", "n"]) {
        Some(false)
    } else {
        None
    }
}
