//! Rows of the monitored tables: what of them is kept, and who is shown them.

use crate::error::ErrorKind;
use crate::text::Text;
use crate::token::{MAX_TOKEN, Token};
use crate::value::{Part, ValueReader};
use crate::vlan::{MAX_NAME, PortVlan, VlanMode, VlanSet};

/// The identity of a row, which it keeps as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut uuid = [0; 16];
        let mut digits = 0_usize;
        for (at, &byte) in bytes.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                (byte == b'-').then_some(())?;
                continue;
            }
            let digit = char::from(byte).to_digit(16)?;
            let place = uuid.get_mut(digits / 2)?;
            *place = *place << 4 | digit as u8;
            digits += 1;
        }
        (bytes.len() == 36).then_some(Self(uuid))
    }
}

impl core::fmt::Display for Uuid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// A table that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Table {
    /// `Open_vSwitch`: one row, with the numbers of configurations.
    OpenVSwitch = 0,
    /// `Port`: the VLANs.
    Port = 1,
    /// `Interface`: what a port consists of. A bond has several; any other
    /// port has one, of the port's name.
    Interface = 2,
}

impl Table {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Open_vSwitch" => Self::OpenVSwitch,
            "Port" => Self::Port,
            "Interface" => Self::Interface,
            _ => return None,
        })
    }

    /// Its name in the schema.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenVSwitch => "Open_vSwitch",
            Self::Port => "Port",
            Self::Interface => "Interface",
        }
    }
}

/// A row of `Port`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PortRow {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name; cut where it is longer than [`MAX_NAME`].
    pub name: Text<MAX_NAME>,
    /// Its VLANs.
    pub vlan: PortVlan,
}

/// A row of `Interface`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InterfaceRow {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name; cut where it is longer than [`MAX_NAME`].
    pub name: Text<MAX_NAME>,
    /// Its OpenFlow port number; -1 where the switch could not open it.
    pub ofport: Option<i32>,
    /// Whether the link is up.
    pub link_up: Option<bool>,
    /// The hardware address of the switch's end.
    pub mac_in_use: Option<[u8; 6]>,
}

/// Is shown the rows of the initial state and of every update, as they arrive.
/// A row is shown whole whenever something of it changed.
///
/// What is shown before a session fails may be part of the fault.
pub trait Visitor {
    /// A port is so now.
    fn port(&mut self, row: &PortRow) {
        let _ = row;
    }
    /// An interface is so now.
    fn interface(&mut self, row: &InterfaceRow) {
        let _ = row;
    }
    /// A counter of an interface (`rx_packets`, `tx_bytes`, …), ahead of the
    /// interface itself.
    fn statistic(&mut self, interface: &Uuid, name: &str, value: i64) {
        let _ = (interface, name, value);
    }
    /// An entry of an interface's `status` (`driver_name`, …), ahead of the
    /// interface itself. Long texts are cut.
    fn status(&mut self, interface: &Uuid, key: &str, value: &str) {
        let _ = (interface, key, value);
    }
    /// A row does not exist any more.
    fn removed(&mut self, table: Table, uuid: &Uuid, name: &Text<MAX_NAME>) {
        let _ = (table, uuid, name);
    }
}

/// Is interested in nothing.
impl Visitor for () {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    Tag,
    Trunks,
    VlanMode,
    Ofport,
    LinkState,
    MacInUse,
    Statistics,
    Status,
    CurCfg,
    NextCfg,
}

impl Column {
    /// The columns of each table that the schema must have.
    pub(crate) const NEEDED: [(Table, &'static str, Self); 12] = [
        (Table::OpenVSwitch, "cur_cfg", Self::CurCfg),
        (Table::OpenVSwitch, "next_cfg", Self::NextCfg),
        (Table::Port, "name", Self::Name),
        (Table::Port, "tag", Self::Tag),
        (Table::Port, "trunks", Self::Trunks),
        (Table::Port, "vlan_mode", Self::VlanMode),
        (Table::Interface, "name", Self::Name),
        (Table::Interface, "ofport", Self::Ofport),
        (Table::Interface, "link_state", Self::LinkState),
        (Table::Interface, "mac_in_use", Self::MacInUse),
        (Table::Interface, "statistics", Self::Statistics),
        (Table::Interface, "status", Self::Status),
    ];

    /// The place in [`Column::NEEDED`].
    pub(crate) fn find(table: Table, name: &str) -> Option<usize> {
        let mut all = Self::NEEDED.iter();
        all.position(|needed| needed.0 == table && needed.1 == name)
    }
}

/// A row that is being read.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) table: Table,
    pub(crate) uuid: Uuid,
    pub(crate) name: Text<MAX_NAME>,
    pub(crate) vlan: PortVlan,
    pub(crate) cur_cfg: Option<i64>,
    pub(crate) next_cfg: Option<i64>,
    ofport: Option<i32>,
    link_up: Option<bool>,
    mac_in_use: Option<[u8; 6]>,
    column: Column,
    value: ValueReader,
}

impl Row {
    pub(crate) const fn new() -> Self {
        Self {
            table: Table::Port,
            uuid: Uuid([0; 16]),
            name: Text::EMPTY,
            vlan: PortVlan::UNSET,
            cur_cfg: None,
            next_cfg: None,
            ofport: None,
            link_up: None,
            mac_in_use: None,
            column: Column::Name,
            value: ValueReader::new(),
        }
    }

    /// Forgets the columns.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            table: self.table,
            uuid: self.uuid,
            ..Self::new()
        };
    }

    /// Gets ready for the value of this column; `false` for a column that
    /// nobody looks at.
    pub(crate) fn begin(&mut self, name: &str) -> bool {
        let found = Column::find(self.table, name).and_then(|at| Column::NEEDED.get(at));
        let Some(&(_, _, column)) = found else {
            return false;
        };
        self.column = column;
        self.value.restart();
        match column {
            Column::Name => self.name.clear(),
            Column::Tag => self.vlan.tag = None,
            Column::Trunks => self.vlan.trunks = VlanSet::EMPTY,
            Column::VlanMode => self.vlan.mode = None,
            Column::Ofport => self.ofport = None,
            Column::LinkState => self.link_up = None,
            Column::MacInUse => self.mac_in_use = None,
            Column::CurCfg => self.cur_cfg = None,
            Column::NextCfg => self.next_cfg = None,
            Column::Statistics | Column::Status => {}
        }
        true
    }

    /// Takes a token of the column's value; `true` when it was the last.
    pub(crate) fn take(
        &mut self,
        token: Token,
        text: &Text<MAX_TOKEN>,
        current: bool,
        visitor: &mut impl Visitor,
    ) -> Result<bool, ErrorKind> {
        match self.value.take(token, text.as_str())? {
            Part::Nothing => {}
            Part::Atom(atom) => self.atom(atom, text)?,
            Part::Pair(value) => match (self.column, value) {
                (Column::Statistics, Token::Int(value)) if current => {
                    visitor.statistic(&self.uuid, self.value.key().as_str(), value);
                }
                (Column::Status, Token::Str) if current => {
                    visitor.status(&self.uuid, self.value.key().as_str(), text.as_str());
                }
                (Column::Statistics, Token::Int(_) | Token::Number)
                | (Column::Status, Token::Str) => {}
                _ => return Err(ErrorKind::Column),
            },
        }
        Ok(self.value.is_done())
    }

    fn atom(&mut self, atom: Token, text: &Text<MAX_TOKEN>) -> Result<(), ErrorKind> {
        let vlan = |number: i64| match number {
            0..=4095 => Ok(number as u16),
            _ => Err(ErrorKind::Column),
        };
        match (self.column, atom) {
            (Column::Name, Token::Str) => {
                self.name = Text::new(text.as_str());
            }
            (Column::Tag, Token::Int(number)) if self.vlan.tag.is_none() => {
                self.vlan.tag = Some(vlan(number)?);
            }
            (Column::Trunks, Token::Int(number)) => self.vlan.trunks.insert(vlan(number)?),
            (Column::VlanMode, Token::Str) if self.vlan.mode.is_none() => {
                let known = text.whole().and_then(VlanMode::parse);
                self.vlan.mode = Some(known.unwrap_or(VlanMode::Other));
            }
            (Column::Ofport, Token::Int(number)) => {
                self.ofport = Some(i32::try_from(number).map_err(|_| ErrorKind::Column)?);
            }
            (Column::LinkState, Token::Str) => self.link_up = Some(text == "up"),
            (Column::MacInUse, Token::Str) => self.mac_in_use = mac(text.as_str()),
            (Column::CurCfg, Token::Int(number)) => self.cur_cfg = Some(number),
            (Column::NextCfg, Token::Int(number)) => self.next_cfg = Some(number),
            _ => return Err(ErrorKind::Column),
        }
        Ok(())
    }

    /// Shows the row, or that it is gone.
    pub(crate) fn show(&self, exists: bool, visitor: &mut impl Visitor) {
        match self.table {
            table if !exists => visitor.removed(table, &self.uuid, &self.name),
            Table::OpenVSwitch => {}
            Table::Port => visitor.port(&PortRow {
                uuid: self.uuid,
                name: self.name,
                vlan: self.vlan,
            }),
            Table::Interface => visitor.interface(&InterfaceRow {
                uuid: self.uuid,
                name: self.name,
                ofport: self.ofport,
                link_up: self.link_up,
                mac_in_use: self.mac_in_use,
            }),
        }
    }
}

/// `aa:bb:cc:dd:ee:ff`.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}
