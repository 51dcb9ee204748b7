//! What a patch of a node may change, and the command that it becomes.

use super::REASONS;
use crate::body::{Body, Full, Operation, Pairs, Value};
use crate::resource::Call;
use crate::{Error, View, ident};
use farrier_core::interface::Command;
use farrier_core::node::{NAME_LEN, String};
use farrier_core::interface::{DRIVER_INFO, DriverKind, FlagPatch, NodePatch};
use farrier_http::Status;

/// Fields that are flags, and take `true` and `false`.
const FLAGS: [&str; 3] = ["maintenance", "protected", "retired"];
/// Fields that say whose and what the node is, beside `driver_info`: a member
/// does not change them.
const ADMINS: [&str; 6] = ["driver", "owner", "lessee", "resource_class", "retired", "retired_reason"];
/// Members of `instance_info`, with the longest text of each.
const INSTANCE_INFO: [&str; 2] = ["image_source", "display_name"];

/// Takes an operation into the pairs: a field is its key, one that is removed
/// has an empty value.
pub(super) fn apply(operation: &Operation<'_>, pairs: &mut Pairs) -> Result<(), Error> {
    let refused = |why| Err(operation.refused(why));
    let no_room = |_: Full| operation.refused(format_args!("there is no room for it. Send it alone."));
    let (field, key) = operation
        .path
        .split_once('/')
        .unwrap_or((operation.path, ""));
    if (field, key) == ("instance_info", "") {
        return instance_info(operation, pairs);
    }
    let text = match operation.value {
        Value::Nothing => "",
        Value::Text(text) => text,
        Value::Object => return refused(format_args!("the value is an object. Patch its keys one by one.")),
    };
    match (field, key) {
        ("name" | "resource_class", "") => pairs.put(&[field], text).map_err(no_room),
        ("instance_uuid", "") if text.is_empty() || ident::parse(text).is_some() => {
            pairs.put(&[field], text).map_err(no_room)
        }
        ("instance_uuid", "") => refused(format_args!("{text:?} is no UUID. Send one, or remove it.")),
        ("instance_info", key) => member(operation, pairs, key, text),
        ("driver", "") if DriverKind::named(text).is_some() => {
            pairs.put(&[field], text).map_err(no_room)
        }
        ("driver", "") => Err(no_driver(text)),
        ("driver_info", "") => refused(format_args!("driver_info is changed key by key.")),
        ("driver_info", key) => pairs.put(&[DRIVER_INFO, key], text).map_err(no_room),
        (field, "") if FLAGS.contains(&field) => {
            let on = match text {
                "true" | "True" => "true",
                "" | "false" | "False" => "false",
                _ => return refused(format_args!("{text:?} is neither true nor false.")),
            };
            pairs.put(&[field], on).map_err(no_room)
        }
        (field, "") if REASONS.contains(&field) => pairs.put(&[field], text).map_err(no_room),
        ("properties", _) => refused(format_args!(
            "properties come from the inspection of the node. Inspect it again."
        )),
        ("owner" | "lessee", "") => pairs.put(&[field], text).map_err(no_room),
        ("extra" | "traits" | "description", _) => refused(format_args!(
            "this appliance does not keep that field. Leave it out."
        )),
        _ => refused(format_args!("that field can't be changed. Leave it out.")),
    }
}

/// There is no such driver.
pub(super) fn no_driver(name: &str) -> Error {
    Error::new(
        Status::BAD_REQUEST,
        format_args!(
            "the driver {name:?} is not here. Send driver ipmi, redfish, wol, snmp or manual."
        ),
    )
}

/// All of `instance_info` at once.
fn instance_info(operation: &Operation<'_>, pairs: &mut Pairs) -> Result<(), Error> {
    if matches!(operation.value, Value::Text(_)) {
        return Err(operation.refused(format_args!("the value is not an object.")));
    }
    // Members that are not named are removed.
    let mut new = INSTANCE_INFO.map(|_| String::<64>::new());
    for (key, text) in Operation::members(pairs) {
        let known = INSTANCE_INFO.iter().position(|known| *known == key);
        match known.and_then(|known| new.get_mut(known)) {
            Some(room) => {
                *room = String::try_from(value_of(key, text)).map_err(|_| {
                    operation.refused(format_args!("the value of {key} is too long. Shorten it."))
                })?;
            }
            None => unknown(operation, key, text)?,
        }
    }
    for (key, text) in INSTANCE_INFO.iter().zip(&new) {
        member(operation, pairs, key, text)?;
    }
    Ok(())
}

/// One member of `instance_info`.
fn member(
    operation: &Operation<'_>,
    pairs: &mut Pairs,
    key: &str,
    text: &str,
) -> Result<(), Error> {
    let text = value_of(key, text);
    let most = match key {
        "image_source" => 64,
        "display_name" => NAME_LEN,
        _ => return unknown(operation, key, text),
    };
    if text.len() > most {
        return Err(operation.refused(format_args!("the value of {key} is too long. It has at most {most} bytes.")));
    }
    pairs
        .put(&["instance_info/", key], text)
        .map_err(|_| operation.refused(format_args!("there is no room for it. Send it alone.")))
}

fn unknown(operation: &Operation<'_>, key: &str, text: &str) -> Result<(), Error> {
    // Removing what was never there is done at once.
    if text.is_empty() {
        return Ok(());
    }
    Err(operation.refused(format_args!(
        "instance_info/{key} is not supported. An image is chosen by image_source alone, and \
         checked against its signed manifest."
    )))
}

/// An image is named by its name, by `farrier://name`, or by a URL that ends
/// in it.
fn value_of<'t>(key: &str, text: &'t str) -> &'t str {
    if key != "image_source" {
        return text;
    }
    let name = text.trim_end_matches('/');
    name.rsplit('/').next().unwrap_or(name)
}

/// The command of a patch.
pub(super) fn command<'f>(
    _: &View<'_>,
    call: &'f Call,
    body: &'f Body,
) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    if !call.who.is_admin() {
        let others = |key: &str| {
            ADMINS.contains(&key) || key.starts_with(DRIVER_INFO)
        };
        if let Some((key, _)) = pairs.iter().find(|(key, _)| others(key)) {
            return Err(Error::new(
                Status::FORBIDDEN,
                format_args!("only the role admin may change {key}. Leave it out."),
            ));
        }
    }
    let flag = |on: &str, reason: &str| FlagPatch {
        on: pairs.find(on).map(|on| on == "true"),
        reason: pairs.find(reason),
    };
    let [maintenance, protected, retired] = FLAGS;
    let [maintenance_reason, protected_reason, retired_reason] = REASONS;
    Ok(Command::PatchNode {
        node: call.node_id(),
        patch: NodePatch {
            name: pairs.find("name"),
            resource_class: pairs.find("resource_class"),
            image_source: pairs.find("instance_info/image_source"),
            display_name: pairs.find("instance_info/display_name"),
            instance_uuid: pairs.find("instance_uuid").map(ident::parse),
            maintenance: flag(maintenance, maintenance_reason),
            protected: flag(protected, protected_reason),
            retired: flag(retired, retired_reason),
            owner: pairs.find("owner"),
            lessee: pairs.find("lessee"),
            driver: pairs.find("driver").and_then(DriverKind::named),
            driver_info: pairs.lists(),
        },
    })
}
