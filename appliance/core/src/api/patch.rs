//! The body of `PATCH /v1/nodes/{node}`: a JSON patch (RFC 6902) of `add`,
//! `replace` and `remove`, read while it arrives and boiled down to what
//! shall be changed.

use super::text::Text;
use super::{Error, Facts, MAX_PATCH, uuid};
use crate::flags::Mark;
use crate::input::Operator;
use crate::json::{Event, Reader};
use crate::life::{Refused, changes_in_use, deployed};
use crate::node::{
    DRIVER_KEY_LEN, DRIVER_VALUE_LEN, InstanceInfo, MAX_DRIVER_INFO, NAME_LEN, Node, String,
};
use crate::texts::{Kind, TEXT_MAX, Texts};
use crate::words::WORD_LEN;
use farrier_http::Status;
use farrier_lifecycle::State;
use farrier_protocol::message::NodeId;
use heapless::Vec;

/// Longest value in a patch, in bytes.
const VALUE_LEN: usize = 160;
/// Most members of an object that replaces `instance_info`.
const MAX_MEMBERS: usize = 2;

/// What a patch changes, once it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Changes {
    name: Option<String<NAME_LEN>>,
    image_source: Option<String<64>>,
    display_name: Option<String<NAME_LEN>>,
    instance_uuid: Option<Option<NodeId>>,
    driver_info: Vec<DriverInfo, MAX_DRIVER_INFO>,
    class: Option<String<WORD_LEN>>,
    /// By [`MARKS`].
    marks: [Option<bool>; 3],
    reason: Option<(Mark, String<TEXT_MAX>)>,
}

/// One pair of `driver_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DriverInfo {
    key: String<DRIVER_KEY_LEN>,
    value: String<DRIVER_VALUE_LEN>,
}

/// The marks of a node, and the fields that set them.
const MARKS: [(Mark, &str, &str); 3] = [
    (Mark::Maintenance, "maintenance", "maintenance_reason"),
    (Mark::Protected, "protected", "protected_reason"),
    (Mark::Retired, "retired", "retired_reason"),
];

/// The body so far.
#[derive(Debug)]
pub(super) struct Patch {
    reader: Reader,
    taken: usize,
    key: Text<24>,
    text: Text<VALUE_LEN>,
    operation: Operation,
    changes: Changes,
}

/// One operation, its members in any order.
#[derive(Debug, Default)]
struct Operation {
    op: Text<8>,
    path: Text<64>,
    value: Value,
    members: Vec<(Text<24>, Text<VALUE_LEN>), MAX_MEMBERS>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Value {
    #[default]
    Nothing,
    Text(Text<VALUE_LEN>),
    Object,
}

impl Patch {
    pub(super) fn new() -> Self {
        Self {
            reader: Reader::new(),
            taken: 0,
            key: Text::default(),
            text: Text::default(),
            operation: Operation::default(),
            changes: Changes::default(),
        }
    }

    /// Takes all bytes of `input`.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        self.taken = self.taken.saturating_add(input.len());
        if self.taken > MAX_PATCH {
            return Err(Error::new(
                Status::CONTENT_TOO_LARGE,
                format_args!("A patch has at most {MAX_PATCH} bytes here."),
            ));
        }
        while let Some(event) = self.reader.next(input)? {
            self.event(event)?;
        }
        Ok(())
    }

    /// Tells that the body is complete.
    pub(super) fn finish(&mut self) -> Result<Changes, Error> {
        self.reader.finish()?;
        Ok(core::mem::take(&mut self.changes))
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Error> {
        let depth = self.reader.depth();
        match event {
            Event::ArrayStart if depth == 1 => {}
            Event::ArrayEnd if depth == 0 => {}
            Event::ObjectStart if depth == 2 => self.operation = Operation::default(),
            Event::ObjectEnd if depth == 1 => self.changes.apply(&self.operation)?,
            Event::KeyStart | Event::StringStart | Event::NumberStart => self.text.clear(),
            Event::Text(_) | Event::Char(_) => self.text.take(event),
            Event::KeyEnd => {
                self.key.clear();
                // Keys are short; a longer one is none of those that count.
                self.key.take(Event::Text(self.text.shown()));
            }
            Event::StringEnd | Event::NumberEnd if depth > 1 => {
                let text = self.text.clone();
                self.member(depth, Value::Text(text))?;
            }
            Event::Bool(value) if depth > 1 => {
                self.text.clear();
                self.text
                    .take(Event::Text(if value { "true" } else { "false" }));
                let text = self.text.clone();
                self.member(depth, Value::Text(text))?;
            }
            Event::Null if depth > 1 => self.member(depth, Value::Nothing)?,
            Event::ObjectStart if depth == 3 && self.key.get() == Some("value") => {
                self.operation.value = Value::Object;
            }
            Event::ObjectEnd if depth == 2 => {}
            _ if depth > 2 => {
                return Err(Error::bad(
                    "Values are texts, numbers and booleans, or one object of these.",
                ));
            }
            _ => return Err(Error::bad("The body is not a JSON patch.")),
        }
        Ok(())
    }

    /// A member of an operation, or of the object that is its value.
    fn member(&mut self, depth: u8, value: Value) -> Result<(), Error> {
        let text = match &value {
            Value::Text(text) => text.clone(),
            _ => Text::default(),
        };
        if depth == 3 {
            return self
                .operation
                .members
                .push((self.key.clone(), text))
                .map_err(|_| Error::bad("The object has more members than are known here."));
        }
        match self.key.get() {
            Some("op") => {
                self.operation.op.clear();
                self.operation.op.take(Event::Text(text.shown()));
            }
            Some("path") => {
                self.operation.path.clear();
                self.operation.path.take(Event::Text(text.shown()));
            }
            Some("value") => self.operation.value = value,
            _ => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!("{:?} is no part of an operation here.", self.key.shown()),
                ));
            }
        }
        Ok(())
    }
}

impl Changes {
    fn apply(&mut self, operation: &Operation) -> Result<(), Error> {
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
                let id = uuid::parse(text).ok_or_else(|| unfit("that is no UUID."))?;
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
            (key, "") if MARKS.iter().any(|(_, on, why)| key == *on || key == *why) => {
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
        for ((mark, on, why), wanted) in MARKS.iter().zip(&mut self.marks) {
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
    /// a patch is carried out whole or not at all. (A name may still be
    /// refused; that wish comes first.)
    pub(super) fn check(&self, facts: &Facts<'_>, place: usize, node: &Node) -> Result<(), Error> {
        let refused = |refused| Err(Error::refused(refused, Some(node)));
        let [maintenance, protected, retired] = self.marks;
        let only_maintenance = Changes {
            marks: [maintenance, None, None],
            reason: self.reason.clone().filter(|(m, _)| *m == Mark::Maintenance),
            ..Changes::default()
        };
        if node.state.is_busy() && *self != only_maintenance {
            return refused(Refused::Locked(node.state));
        }
        if protected == Some(true) && !deployed(node.state) {
            return refused(Refused::NotDeployed(node.state));
        }
        if retired == Some(true) && node.state == State::Available {
            return refused(Refused::Offered);
        }
        let reason = self.reason.iter().map(|(_, reason)| reason.len());
        let pairs = self.pairs(false).map(|i| i.key.len() + 1 + i.value.len());
        let needed: usize = reason.chain(pairs).map(Texts::cost).sum();
        if needed > facts.texts.free() {
            return refused(Refused::TextsFull);
        }
        if let Some(info) = self.instance(node)
            && changes_in_use(node, &info)
        {
            return Err(Error::refused(Refused::InUse(node.state), Some(node)));
        }
        if !self.driver_info_fits(facts, place) {
            return Err(Error::refused(Refused::TooManyKeys, Some(node)));
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

    /// The wish of that number for the brain, in an order in which only the
    /// first can be refused. `None` behind the last.
    pub(super) fn operator(&self, node: &Node, number: usize) -> Option<Operator<'_>> {
        let (id, flags) = (node.id, node.flags);
        let name = self.name.as_deref();
        let rename = name.map(|name| Operator::Rename { node: id, name });
        let info = self.instance(node);
        let instance = info.map(|info| Operator::InstanceInfo { node: id, info });
        // Removals first: they make room.
        let (gone, set) = (self.pairs(true), self.pairs(false));
        let driver = gone.chain(set).map(|info| Operator::DriverInfo {
            node: id,
            key: &info.key,
            value: &info.value,
        });
        let class = self.class.as_ref();
        let class = class.map(|name| Operator::Class { node: id, name });
        let marks = MARKS.iter().zip(self.marks).filter_map(move |(mark, on)| {
            let (mark, ..) = *mark;
            let reason = self.reason.as_ref().filter(|(of, _)| *of == mark);
            if on.is_none() && reason.is_none() {
                return None;
            }
            Some(Operator::Mark {
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
