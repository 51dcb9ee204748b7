//! Requests, as the model reads them.

use super::PortName;
use super::config::Config;
use crate::dialect::{Dialect, Field, Scope};
use crate::text::clip;
use crate::xml::name::Name;
use crate::xml::{Event, Token};
use heapless::String;

/// The operation of an element of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EditOperation {
    Merge,
    Replace,
    Delete,
}

/// A request, complete or being read.
#[derive(Debug, Clone)]
pub(super) struct Rpc {
    pub(super) operation: Name,
    pub(super) message_id: String<64, u8>,
    pub(super) target: Name,
    pub(super) confirmed: bool,
    pub(super) timeout_s: u32,
    pub(super) persist: Option<String<32, u8>>,
    pub(super) persist_id: Option<String<32, u8>>,
    /// The edited configuration, or the tag of an error.
    pub(super) edit: Result<Config, &'static str>,
    /// The first port of an edit or filter; empty: none.
    pub(super) port: PortName,
    /// The second one.
    pub(super) other: PortName,
    /// The port whose elements are being read.
    present: PortName,
    /// The next member is taken out.
    delete_member: bool,
    /// A filter has the table of VLANs.
    pub(super) vlan_table: bool,
    /// A filter asks for LLDP.
    pub(super) lldp: bool,
    /// A filter asks for links.
    pub(super) links: bool,
    pending: EditOperation,
    in_unit: bool,
    delete_vlan: bool,
    vlan_id: Option<u16>,
    vlan_ours: bool,
}

impl Rpc {
    /// Creates an empty request. Edits change a copy of `config`.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            operation: Name::Other,
            message_id: String::new(),
            target: Name::Other,
            confirmed: false,
            timeout_s: 600,
            persist: None,
            persist_id: None,
            edit: Ok(config.clone()),
            port: PortName::new(),
            other: PortName::new(),
            present: PortName::new(),
            delete_member: false,
            vlan_table: false,
            lldp: false,
            links: false,
            pending: EditOperation::Merge,
            in_unit: false,
            delete_vlan: false,
            vlan_id: None,
            vlan_ours: false,
        }
    }

    /// Reads a token of the request.
    pub(super) fn token(&mut self, dialect: &Dialect, token: Token<'_>) {
        match (token.path, token.event) {
            (
                [],
                Event::Attribute {
                    name: "message-id",
                    value,
                    ..
                },
            ) => {
                self.message_id = clip(value);
            }
            (
                _,
                Event::Attribute {
                    name: "operation",
                    value,
                    ..
                },
            ) => {
                self.pending = match value {
                    "replace" => EditOperation::Replace,
                    "delete" | "remove" => EditOperation::Delete,
                    _ => EditOperation::Merge,
                };
            }
            ([Name::Rpc, operation], Event::Start { .. }) => self.operation = *operation,
            ([Name::Rpc, _, Name::Target | Name::Source, target], Event::Start { .. }) => {
                self.target = *target;
            }
            ([Name::Rpc, Name::Commit, Name::Confirmed], Event::Start { .. }) => {
                self.confirmed = true;
            }
            ([Name::Rpc, Name::Commit, Name::ConfirmTimeout], Event::Text { text, .. }) => {
                self.timeout_s = text.parse().unwrap_or(0);
            }
            ([Name::Rpc, Name::Commit, Name::Persist], Event::Text { text, .. }) => {
                self.persist = Some(clip(text));
            }
            ([Name::Rpc, _, Name::PersistId], Event::Text { text, .. }) => {
                self.persist_id = Some(clip(text));
            }
            ([Name::Rpc, Name::EditConfig, Name::Config, path @ ..], event) => {
                self.edit_token(dialect, path, event);
            }
            ([Name::Rpc, Name::Get, Name::Filter, Name::Lldp], Event::Start { .. }) => {
                self.lldp = true;
            }
            ([Name::Rpc, Name::Get, Name::Filter, .., Name::OperStatus], Event::Start { .. }) => {
                self.links = true;
            }
            (
                [
                    Name::Rpc,
                    Name::Get,
                    Name::Filter,
                    Name::Interfaces,
                    Name::Interface,
                    Name::Name,
                ]
                | [
                    Name::Rpc,
                    Name::GetInterfaceInformation,
                    Name::InterfaceName,
                ],
                Event::Text { text, .. },
            ) => self.port = clip(text),
            ([Name::Rpc, Name::GetConfig, Name::Filter, path @ ..], event) => {
                self.filter_token(dialect, path, event);
            }
            _ => {}
        }
    }

    fn filter_token(&mut self, dialect: &Dialect, path: &[Name], event: Event<'_>) {
        let scope = |wanted| {
            let mut scopes = dialect.scopes.iter();
            scopes.any(|&(known, scope)| scope == wanted && path == known)
        };
        match event {
            Event::Start { .. } if scope(Scope::Vlan) => self.vlan_table = true,
            Event::Text { text, .. } if field(dialect, path) == Some(Field::PortName) => {
                self.name(text);
            }
            _ => {}
        }
    }

    fn edit_token(&mut self, dialect: &Dialect, path: &[Name], event: Event<'_>) {
        let mut scopes = dialect.scopes.iter();
        let scope = scopes
            .find(|(known, _)| *known == path)
            .map(|found| found.1);
        match event {
            Event::Start { .. } => {
                let operation = core::mem::replace(&mut self.pending, EditOperation::Merge);
                match (scope, operation) {
                    (Some(Scope::Vlan), operation) => {
                        self.delete_vlan = operation == EditOperation::Delete;
                        self.vlan_id = None;
                        self.vlan_ours = false;
                    }
                    (_, EditOperation::Merge) => {}
                    (None, EditOperation::Delete) if is_list(dialect, path) => {
                        self.delete_member = true;
                    }
                    (_, operation) => self.clear(dialect, path, operation),
                }
            }
            Event::Text { text, .. } => {
                if let Some(field) = field(dialect, path) {
                    self.edit_text(dialect, field, text);
                }
            }
            Event::End if scope == Some(Scope::Vlan) => self.end_vlan(),
            _ => {}
        }
    }

    /// Clears what lies in an element that is replaced or deleted.
    fn clear(&mut self, dialect: &Dialect, path: &[Name], operation: EditOperation) {
        let Ok(config) = &mut self.edit else {
            return;
        };
        let place = config.place(&self.present);
        let Some(port) = place.and_then(|place| config.ports.get_mut(place)) else {
            return;
        };
        let mut had = false;
        for &(known, field) in dialect.fields {
            if known.starts_with(path) {
                had |= port.clear(field);
            }
        }
        if !had && operation == EditOperation::Delete {
            self.edit = Err("data-missing");
        }
    }

    fn edit_text(&mut self, dialect: &Dialect, field: Field, text: &str) {
        let Ok(config) = &mut self.edit else {
            return;
        };
        match field {
            Field::PortName => {
                let known = config.place(text).is_some();
                self.name(text);
                let units = |&(_, scope): &(&[Name], Scope)| scope == Scope::Unit;
                self.in_unit = !dialect.scopes.iter().any(units);
                if !known {
                    self.edit = Err("bad-element");
                }
            }
            Field::UnitName => self.in_unit = text == "0",
            Field::VlanId => self.vlan_id = text.parse().ok(),
            Field::VlanName => {
                let own = text.strip_prefix("farrier-");
                self.vlan_ours = own.is_some();
                // Junos deletes by name.
                self.vlan_id = self.vlan_id.or(own.and_then(|own| own.parse().ok()));
            }
            Field::Description => {}
            Field::OtherMode => self.edit = Err("bad-element"),
            Field::Mode | Field::Access | Field::Tagged | Field::Member | Field::Native => {
                let place = config.place(&self.present);
                let delete = core::mem::take(&mut self.delete_member);
                if let Some(port) = place.and_then(|place| config.ports.get_mut(place))
                    && let Err(tag) = match delete {
                        true => port.drop_member(text),
                        false => port.set(field, text),
                    }
                {
                    self.edit = Err(tag);
                }
            }
        }
    }

    /// Takes the name of a port.
    fn name(&mut self, text: &str) {
        self.present = clip(text);
        if self.port.is_empty() {
            self.port = clip(text);
        } else if self.port != text {
            self.other = clip(text);
        }
    }

    fn end_vlan(&mut self) {
        let (Ok(config), Some(number)) = (&mut self.edit, self.vlan_id) else {
            return;
        };
        let place = config.vlans.iter().position(|&(vlan, _)| vlan == number);
        match (place, self.delete_vlan) {
            (Some(place), true) => {
                config.vlans.swap_remove(place);
            }
            (None, true) => self.edit = Err("data-missing"),
            (Some(_), false) => {}
            (None, false) => {
                if config.vlans.push((number, self.vlan_ours)).is_err() {
                    self.edit = Err("too-big");
                }
            }
        }
    }
}

/// Whether an element is one of a list's.
fn is_list(dialect: &Dialect, path: &[Name]) -> bool {
    matches!(field(dialect, path), Some(Field::Member | Field::Tagged))
}

fn field(dialect: &Dialect, path: &[Name]) -> Option<Field> {
    let mut fields = dialect.fields.iter();
    fields
        .find(|(known, _)| *known == path)
        .map(|found| found.1)
}
