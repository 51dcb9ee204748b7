//! What a patch of a node changes: boiled down from its operations, looked
//! at as a whole, and told to the brain wish by wish.

use super::patch::{Operation, Value};
use super::{Error, Facts, ident};
use farrier_core::interface::Command;
use farrier_core::interface::CommandError;
use farrier_core::node::flags::{AdminFlag, Flags};
use farrier_core::node::{
    DRIVER_KEY_LEN, DRIVER_VALUE_LEN, InstanceInfo, MAX_DRIVER_INFO, NAME_LEN, Node, String,
};
use farrier_core::provisioning::commands::{check_name, has_instance};
use farrier_core::provisioning::{changes_in_use, deployed};
use farrier_core::strings::traits::TRAIT_LEN;
use farrier_core::strings::{Kind, StringPool, TEXT_MAX};
use farrier_http::Status;
use farrier_lifecycle::State;
use farrier_protocol::message::NodeId;
use heapless::Vec;

/// What a patch changes, once it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Changes {
    name: Option<String<NAME_LEN>>,
    image_source: Option<String<64>>,
    display_name: Option<String<NAME_LEN>>,
    instance_uuid: Option<Option<NodeId>>,
    driver_info: Vec<DriverInfo, MAX_DRIVER_INFO>,
    class: Option<String<TRAIT_LEN>>,
    /// By [`ADMIN_FLAGS`].
    marks: [Option<bool>; 3],
    reason: Option<(AdminFlag, String<TEXT_MAX>)>,
}

/// One pair of `driver_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DriverInfo {
    key: String<DRIVER_KEY_LEN>,
    value: String<DRIVER_VALUE_LEN>,
}

/// The marks of a node, and the fields that set them.
const ADMIN_FLAGS: [(AdminFlag, &str, &str); 3] = [
    (AdminFlag::Maintenance, "maintenance", "maintenance_reason"),
    (AdminFlag::Protected, "protected", "protected_reason"),
    (AdminFlag::Retired, "retired", "retired_reason"),
];

impl Changes {
    pub(super) fn apply(&mut self, operation: &Operation) -> Result<(), Error> {
        let path = operation.path.shown();
        let unfit = |why: &str| {
            Error::new(
                Status::BAD_REQUEST,
                format_args!("The patch of {path:?} is refused: {why}"),
            )
        };
        let remove = match operation.op.get() {
            Some("add" | "replace") => operation.value == Value::Nothing,
            Some("remove") => true,
            _ => return Err(unfit("only add, replace and remove are known.")),
        };
        let text = match &operation.value {
            _ if remove => "",
            Value::Text(text) => text.get().ok_or_else(|| unfit("the value is too long."))?,
            Value::Nothing => "",
            Value::Object if path == "/instance_info" => "",
            Value::Object => return Err(unfit("the value is an object.")),
        };
        if text.chars().any(char::is_control) {
            return Err(unfit("the value has control characters."));
        }
        let path = path.strip_prefix('/').unwrap_or_default();
        match path.split_once('/').unwrap_or((path, "")) {
            ("name", "") => {
                let name = String::try_from(text).map_err(|_| unfit("the name is too long."))?;
                self.name = Some(name);
            }
            ("instance_uuid", "") if text.is_empty() => self.instance_uuid = Some(None),
            ("instance_uuid", "") => {
                let id = ident::parse(text).ok_or_else(|| unfit("that is no UUID."))?;
                self.instance_uuid = Some(Some(id));
            }
            ("instance_info", "") => {
                if !remove && operation.value != Value::Object {
                    return Err(unfit("the value is not an object."));
                }
                self.image_source = Some(String::new());
                self.display_name = Some(String::new());
                for (key, value) in operation.members.iter().filter(|_| !remove) {
                    let value = value.get().ok_or_else(|| unfit("a value is too long."))?;
                    self.instance_info(key.shown(), value)?;
                }
            }
            ("instance_info", key) => self.instance_info(key, text)?,
            ("driver_info", "") => return Err(unfit("driver_info is changed key by key.")),
            ("driver_info", key) => {
                let info = DriverInfo {
                    key: String::try_from(key).map_err(|_| unfit("the key is too long."))?,
                    value: String::try_from(text).map_err(|_| unfit("the value is too long."))?,
                };
                self.driver_info.retain(|known| known.key != info.key);
                self.driver_info
                    .push(info)
                    .map_err(|_| unfit("too many keys of driver_info at once."))?;
            }
            (key, "")
                if ADMIN_FLAGS
                    .iter()
                    .any(|(_, on, why)| key == *on || key == *why) =>
            {
                self.mark(key, text).ok_or_else(|| {
                    unfit("marks are true or false, and one reason is told at a time.")
                })?;
            }
            ("properties", _) => {
                return Err(unfit("properties come from the inspection of the node."));
            }
            ("resource_class", "") => {
                let class = String::try_from(text).map_err(|_| unfit("the class is too long."))?;
                self.class = Some(class);
            }
            ("extra" | "traits" | "description" | "owner" | "lessee", _) => {
                return Err(unfit("this appliance does not keep that field."));
            }
            _ => return Err(unfit("that field can't be changed.")),
        }
        Ok(())
    }

    /// Takes the value of a mark or of its reason.
    fn mark(&mut self, key: &str, text: &str) -> Option<()> {
        for ((mark, on, why), wanted) in ADMIN_FLAGS.iter().zip(&mut self.marks) {
            if key == *on {
                *wanted = Some(match text {
                    "true" | "True" => true,
                    "" | "false" | "False" => false,
                    _ => return None,
                });
            } else if key == *why {
                if self.reason.as_ref().is_some_and(|(other, _)| other != mark) {
                    return None;
                }
                self.reason = Some((*mark, String::try_from(text).ok()?));
            }
        }
        Some(())
    }

    fn instance_info(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let too_long = |key| {
            move |_| {
                Error::new(
                    Status::BAD_REQUEST,
                    format_args!("The value of instance_info/{key} is too long."),
                )
            }
        };
        match key {
            "image_source" => {
                let name = image_name(value);
                self.image_source = Some(String::try_from(name).map_err(too_long(key))?);
            }
            "display_name" => {
                self.display_name = Some(String::try_from(value).map_err(too_long(key))?);
            }
            // Taking away what was never there is done at once.
            _ if value.is_empty() => {}
            _ => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!(
                        "instance_info/{key} is not supported: an image is chosen by \
                         image_source alone, the name of an image in the appliance's store, \
                         and checked against its signed manifest."
                    ),
                ));
            }
        }
        Ok(())
    }

    /// What `instance_info` of this node becomes; `None` where it stays.
    pub(super) fn instance(&self, node: &Node) -> Option<InstanceInfo> {
        if self.image_source.is_none()
            && self.display_name.is_none()
            && self.instance_uuid.is_none()
        {
            return None;
        }
        let mut info = node.instance.clone();
        if let Some(image) = &self.image_source {
            info.image_source = image.clone();
        }
        if let Some(name) = &self.display_name {
            info.display_name = name.clone();
        }
        if let Some(id) = self.instance_uuid {
            info.instance_uuid = id;
        }
        Some(info)
    }

    /// Whether the brain will take the whole patch: asked beforehand, since
    /// a patch is carried out whole or not at all.
    pub(super) fn check(&self, facts: &Facts<'_>, place: usize, node: &Node) -> Result<(), Error> {
        let refused = |refused| Err(Error::refused(refused, Some(node)));
        let [maintenance, protected, retired] = self.marks;
        let only_maintenance = Changes {
            marks: [maintenance, None, None],
            reason: self
                .reason
                .clone()
                .filter(|(m, _)| *m == AdminFlag::Maintenance),
            ..Changes::default()
        };
        if node.state.is_busy() && *self != only_maintenance {
            return refused(CommandError::Locked(node.state));
        }
        if protected == Some(true) && !deployed(node.state) {
            return refused(CommandError::NotDeployed(node.state));
        }
        if retired == Some(true) && node.state == State::Available {
            return refused(CommandError::NodeAvailable);
        }
        let told = |refused| Error::refused(refused, Some(node));
        if let Some(name) = &self.name {
            check_name(facts.nodes, name, Some(place)).map_err(told)?;
        }
        let class = match self.class.as_deref() {
            None | Some("") => 0,
            Some(class) => facts.texts.room_for(class).map_err(told)?,
        };
        let other = |class: &String<TRAIT_LEN>| facts.texts.class(node.class) != class;
        if node.flags.has(Flags::ALLOCATED) && self.class.as_ref().is_some_and(other) {
            return refused(CommandError::Associated);
        }
        let reason = self.reason.iter().map(|(_, reason)| reason.len());
        let pairs = self.pairs(false).map(|i| i.key.len() + 1 + i.value.len());
        let needed: usize = reason.chain(pairs).map(StringPool::cost).sum();
        if needed + class > facts.texts.free() {
            return refused(CommandError::StringsFull);
        }
        if let Some(info) = self.instance(node) {
            let instance = info.instance_uuid;
            if instance.is_some_and(|id| has_instance(facts.nodes, id, place)) {
                return refused(CommandError::InstanceTaken);
            }
            if changes_in_use(node, &info) {
                return refused(CommandError::InUse(node.state));
            }
        }
        if !self.driver_info_fits(facts, place) {
            return Err(Error::refused(CommandError::TooManyKeys, Some(node)));
        }
        Ok(())
    }

    /// Whether the brain has room for all keys of `driver_info`.
    fn driver_info_fits(&self, facts: &Facts<'_>, place: usize) -> bool {
        let pairs = || facts.texts.pairs(place, Kind::DriverInfo);
        let removed = |key: &str| {
            self.driver_info
                .iter()
                .any(|info| info.key == key && info.value.is_empty())
        };
        let new =
            |info: &&DriverInfo| !info.value.is_empty() && pairs().all(|(key, _)| key != info.key);
        let kept = pairs().filter(|(key, _)| !removed(key));
        kept.count() + self.driver_info.iter().filter(new).count() <= MAX_DRIVER_INFO
    }

    /// The wish of that number for the brain, which refuses none of what was
    /// [looked at](Self::check) ahead. `None` behind the last.
    pub(super) fn operator(&self, node: &Node, number: usize) -> Option<Command<'_>> {
        let (id, flags) = (node.id, node.flags);
        let name = self.name.as_deref();
        let rename = name.map(|name| Command::RenameNode { node: id, name });
        let info = self.instance(node);
        let instance = info.map(|info| Command::SetInstanceInfo { node: id, info });
        // Removals first: they make room.
        let (gone, set) = (self.pairs(true), self.pairs(false));
        let driver = gone.chain(set).map(|info| Command::SetDriverInfo {
            node: id,
            key: &info.key,
            value: &info.value,
        });
        let class = self.class.as_ref();
        let class = class.map(|name| Command::SetResourceClass { node: id, name });
        let marks = ADMIN_FLAGS
            .iter()
            .zip(self.marks)
            .filter_map(move |(mark, on)| {
                let (mark, ..) = *mark;
                let reason = self.reason.as_ref().filter(|(of, _)| *of == mark);
                if on.is_none() && reason.is_none() {
                    return None;
                }
                Some(Command::SetAdminFlag {
                    node: id,
                    mark,
                    on: on.unwrap_or(flags.has(mark.flag())),
                    reason: reason.map_or("", |(_, reason)| reason),
                })
            });
        rename
            .into_iter()
            .chain(instance)
            .chain(class)
            .chain(marks)
            .chain(driver)
            .nth(number)
    }

    fn pairs(&self, gone: bool) -> impl Iterator<Item = &DriverInfo> {
        let wanted = move |info: &&DriverInfo| info.value.is_empty() == gone;
        self.driver_info.iter().filter(wanted)
    }
}

/// The name of an image out of what operators write: the name itself,
/// `farrier://name`, or a URL that ends in it.
fn image_name(source: &str) -> &str {
    let name = source.trim_end_matches('/');
    name.rsplit('/').next().unwrap_or(name)
}
