//! What a request with a short body, or with none, wishes of the brain.

use super::allocations::{self, PARTS};
use super::form::Form;
use super::target::Target;
use super::{Error, Facts, Ident, ident};
use core::net::Ipv4Addr;
use farrier_core::allocation::Requirements;
use farrier_core::interface::CommandError;
use farrier_core::interface::{Allocate, Command};
use farrier_core::ipam::Network;
use farrier_core::node::flags::AdminFlag;
use farrier_core::node::{DRIVER_KEY_LEN, DRIVER_VALUE_LEN, MAX_DRIVER_INFO};
use farrier_core::strings::StringPool;
use farrier_http::Status;
use farrier_protocol::message::{Mac, NodeId};

/// Whether a request's body is a [`Form`], or there is none and the brain is
/// asked nevertheless.
pub(super) const fn takes_form(target: &Target) -> bool {
    matches!(
        target,
        Target::Maintenance(..)
            | Target::NewNode(_)
            | Target::DeleteNode(_)
            | Target::NewPort(_)
            | Target::DeletePort(_)
            | Target::SetTraits(_)
            | Target::Trait(..)
            | Target::NewAllocation(_)
            | Target::DeleteAllocation(_)
            | Target::DeleteNodeAllocation(_)
            | Target::PutFlavor(_)
            | Target::DeleteFlavor(_)
            | Target::Network(..)
            | Target::Address(..)
    )
}

/// Looks at a body that is complete. New things get their identity in
/// `target`: the one in the body, or one made of the random bytes.
pub(super) fn finish(
    target: &mut Target,
    form: &mut Form,
    random: &[u8; 32],
    facts: &Facts<'_>,
) -> Result<(), Error> {
    let known: &[&str] = match target {
        Target::Maintenance(_, true) => &["reason"],
        Target::NewNode(_) => &[
            "driver",
            "name",
            "uuid",
            "resource_class",
            "driver_info/",
            "properties/serial_number",
        ],
        Target::NewPort(_) => &["node_uuid", "address", "pxe_enabled"],
        Target::SetTraits(_) => &["traits"],
        Target::NewAllocation(_) => &[
            "name",
            "uuid",
            "resource_class",
            "traits",
            "candidate_nodes",
            "node",
        ],
        Target::PutFlavor(_) => &[
            "resource_class",
            "traits",
            "cpus",
            "memory_mb",
            "local_gb",
            "link_mbps",
            "parts",
        ],
        Target::Network(_, true) => &["vlan", "prefix", "pool_first", "pool_len"],
        Target::Address(_, _, true) => &["address"],
        _ => &[],
    };
    form.finish(known)?;
    match target {
        Target::NewNode(id) => {
            *id = identity(form, random)?;
            new_node(form, facts)?;
        }
        Target::NewAllocation(id) => {
            *id = identity(form, random)?;
            if form.get("resource_class").is_empty() && form.get("node").is_empty() {
                return Err(Error::bad("An allocation needs a resource_class."));
            }
            let named = Some(form.get("node")).filter(|node| !node.is_empty());
            if let Some(node) = named
                && find(facts, node).is_none()
            {
                return Err(Error::not_found("Node", node));
            }
        }
        Target::NewPort(id) => {
            let bad = || Error::bad("A port needs an address: six pairs of hexadecimal digits.");
            let mac = ident::parse_mac(form.get("address")).ok_or_else(bad)?;
            *id = ident::of_port(mac);
            let node = form.get("node_uuid");
            if ident::parse(node).is_none() {
                return Err(Error::bad("A port needs a node_uuid."));
            }
        }
        Target::SetTraits(_) => traits(form, facts)?,
        Target::PutFlavor(_) => {
            need(form)?;
        }
        Target::Network(_, true) => {
            network(form)?;
        }
        Target::Address(_, _, true) => {
            address(form, "address")?;
        }
        _ => {}
    }
    Ok(())
}

fn identity(form: &Form, random: &[u8; 32]) -> Result<NodeId, Error> {
    match form.get("uuid") {
        "" => {
            let (bytes, _) = random.split_first_chunk::<16>().unwrap_or((&[1; 16], &[]));
            let mut bytes = *bytes;
            // RFC 9562: version 4, variant 10.
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            Ok(NodeId(bytes))
        }
        text => ident::parse(text).ok_or_else(|| Error::bad("uuid is no UUID.")),
    }
}

/// Everything but the name and the UUID of a new node is looked at ahead, so
/// that it is made whole or not at all.
fn new_node(form: &Form, facts: &Facts<'_>) -> Result<(), Error> {
    match form.get("driver") {
        "farrier" => {}
        "" => return Err(Error::bad("A node needs a driver: farrier.")),
        other => {
            return Err(Error::new(
                Status::BAD_REQUEST,
                format_args!("There is no driver {other:?} here, only farrier."),
            ));
        }
    }
    let info = || driver_info(form);
    let long = info().any(|(k, v)| k.len() > DRIVER_KEY_LEN || v.len() > DRIVER_VALUE_LEN);
    if long {
        return Err(Error::refused(CommandError::TooLong, None));
    }
    if info().count() > MAX_DRIVER_INFO {
        return Err(Error::refused(CommandError::TooManyKeys, None));
    }
    let class = match form.get("resource_class") {
        "" => 0,
        class => word_room(facts, class)?,
    };
    let pairs = info().map(|(key, value)| key.len() + 1 + value.len());
    let needed = pairs.map(StringPool::cost).sum::<usize>() + class;
    if needed > facts.texts.free() {
        return Err(Error::refused(CommandError::StringsFull, None));
    }
    Ok(())
}

/// Room that a word takes; an error where the brain would refuse it.
fn word_room(facts: &Facts<'_>, word: &str) -> Result<usize, Error> {
    let room = facts.texts.room_for(word);
    room.map_err(|refused| Error::refused(refused, None))
}

/// All traits of a node are replaced or none: the brain is told one by one.
fn traits(form: &Form, facts: &Facts<'_>) -> Result<(), Error> {
    let (mut needed, mut new) = (0, 0);
    for word in form.all("traits") {
        let room = word_room(facts, word)?;
        needed += room;
        new += usize::from(room > 0);
    }
    if new > facts.texts.free_traits() {
        return Err(Error::refused(CommandError::TraitsFull, None));
    }
    if needed > facts.texts.free() {
        return Err(Error::refused(CommandError::StringsFull, None));
    }
    Ok(())
}

fn driver_info(form: &Form) -> impl Iterator<Item = (&str, &str)> {
    form.pairs()
        .filter_map(|(key, value)| Some((key.strip_prefix("driver_info/")?, value)))
}

/// The quantities and parts of a flavor.
fn need(form: &Form) -> Result<Requirements, Error> {
    let number = |key: &str| match form.get(key) {
        "" => Ok(0),
        text => text.parse::<u32>().map_err(|_| {
            Error::new(
                Status::BAD_REQUEST,
                format_args!("{key} is a whole number."),
            )
        }),
    };
    let short = |key: &str, value: u32| {
        u16::try_from(value).map_err(|_| {
            Error::new(
                Status::BAD_REQUEST,
                format_args!("{key} is larger than any machine."),
            )
        })
    };
    let mut need = Requirements {
        memory_mib: number("memory_mb")?,
        local_gib: number("local_gb")?,
        cpus: short("cpus", number("cpus")?)?,
        link: short("link_mbps", number("link_mbps")?.div_ceil(100))?,
        ..Requirements::default()
    };
    for name in form.all("parts") {
        let part = PARTS.iter().find(|(known, _)| *known == name);
        let unknown = || {
            Error::bad("The parts that are known are hdd, ssd, nvme, infiniband, roce and tpm2.")
        };
        need.parts.add(part.ok_or_else(unknown)?.1, true);
    }
    Ok(need)
}

fn address(form: &Form, key: &str) -> Result<Option<Ipv4Addr>, Error> {
    match form.get(key) {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Error::bad("An address is four numbers with dots.")),
    }
}

fn network(form: &Form) -> Result<Network, Error> {
    let number = |key: &str, default: u16| match form.get(key) {
        "" => Ok(default),
        text => text
            .parse::<u16>()
            .map_err(|_| Error::bad("vlan, prefix and pool_len are whole numbers.")),
    };
    let first = address(form, "pool_first")?;
    Ok(Network {
        place: 0,
        prefix: u8::try_from(number("prefix", 24)?).unwrap_or(u8::MAX),
        vlan: number("vlan", 0)?,
        pool_len: number("pool_len", 0)?,
        pool_first: first.ok_or_else(|| Error::bad("A network needs a pool_first."))?,
    })
}

fn find(facts: &Facts<'_>, name: &str) -> Option<NodeId> {
    let found = facts.nodes.iter().find(|node| {
        !node.is_vacant() && (node.name == name || ident::parse(name) == Some(node.id))
    });
    found.filter(|_| !name.is_empty()).map(|node| node.id)
}

/// The wish of that number for the brain; `None` behind the last.
pub(super) fn operator<'f>(
    target: &'f Target,
    node: Option<NodeId>,
    form: &'f Form,
    number: usize,
    facts: &Facts<'_>,
) -> Option<Command<'f>> {
    if number > 0 {
        return later(target, node, form, number - 1);
    }
    let gone = |ident: &Ident| {
        let allocation = match (allocations::find(facts, ident), ident) {
            (Some((_, _, id)), _) => id,
            (None, Ident::Uuid(id)) => *id,
            (None, Ident::Name(_)) => NodeId([0; 16]),
        };
        Command::Deallocate { allocation }
    };
    Some(match target {
        Target::Maintenance(_, on) => Command::SetAdminFlag {
            node: node?,
            mark: AdminFlag::Maintenance,
            on: *on,
            reason: form.get("reason"),
        },
        Target::NewNode(id) => Command::CreateNode {
            node: *id,
            name: form.get("name"),
            serial: form.get("properties/serial_number"),
        },
        Target::DeleteNode(_) => Command::DeleteNode { node: node? },
        Target::NewPort(_) => Command::CreatePort {
            node: ident::parse(form.get("node_uuid"))?,
            mac: ident::parse_mac(form.get("address"))?,
        },
        Target::DeletePort(id) => Command::DeletePort {
            mac: ident::mac_of_port(*id).unwrap_or(Mac([0; 6])),
        },
        Target::SetTraits(_) => Command::SetTrait {
            node: node?,
            name: "",
            on: false,
        },
        Target::Trait(_, name, on) => Command::SetTrait {
            node: node?,
            name,
            on: *on,
        },
        Target::NewAllocation(id) => Command::Allocate(Allocate {
            id: *id,
            name: form.get("name"),
            class: form.get("resource_class"),
            node: find(facts, form.get("node")),
            lists: form.lists(),
        }),
        Target::DeleteAllocation(ident) => gone(ident),
        Target::DeleteNodeAllocation(_) => {
            let all = allocations::allocations(facts);
            let mut own = all.filter(|(_, of, _)| Some(of.id) == node);
            let allocation = own.next().map_or(NodeId([0; 16]), |(_, _, id)| id);
            Command::Deallocate { allocation }
        }
        Target::PutFlavor(name) => Command::PutFlavor {
            name,
            need: need(form).ok()?,
            class: form.get("resource_class"),
            lists: form.lists(),
        },
        Target::DeleteFlavor(name) => Command::DeleteFlavor { name },
        Target::Network(name, true) => Command::PutNetwork {
            name,
            network: network(form).ok()?,
        },
        Target::Network(name, false) => Command::DeleteNetwork { name },
        Target::Address(network, mac, true) => Command::ReserveAddress {
            network,
            mac: *mac,
            address: address(form, "address").ok()?,
        },
        Target::Address(network, mac, false) => Command::ReleaseAddress { network, mac: *mac },
        _ => return None,
    })
}

/// Wishes behind the first.
fn later<'f>(
    target: &'f Target,
    node: Option<NodeId>,
    form: &'f Form,
    number: usize,
) -> Option<Command<'f>> {
    match target {
        Target::NewNode(id) => {
            let class = Some(form.get("resource_class")).filter(|class| !class.is_empty());
            let class = class.map(|name| Command::SetResourceClass { node: *id, name });
            let info = driver_info(form).map(|(key, value)| Command::SetDriverInfo {
                node: *id,
                key,
                value,
            });
            class.into_iter().chain(info).nth(number)
        }
        Target::SetTraits(_) => form.all("traits").nth(number).and_then(|name| {
            Some(Command::SetTrait {
                node: node?,
                name,
                on: true,
            })
        }),
        _ => None,
    }
}
