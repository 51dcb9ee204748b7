//! One message of JSON-RPC 1.0, token by token.
//!
//! The members of a message come in any order: a result may stand ahead of
//! the id that says whose it is. So what is inside is read as the reply to the
//! one request that is open, or as an update; at the end of the message the
//! session judges whether it was one.

mod members;
mod operations;
mod schema;
mod tables;

use crate::error::ErrorKind;
use crate::rows::{Row, Visitor};
use crate::text::Text;
use crate::token::{MAX_TOKEN, Token};

/// Longest id of a peer's request, and longest parameters of its `echo`, as JSON.
/// Open vSwitch has `"echo"` and `[]`.
pub(crate) const MAX_REPEATED: usize = 60;
/// Longest error of a peer that is kept.
pub(crate) const MAX_ERROR: usize = 32;
/// Longest details of an error that are kept.
pub(crate) const MAX_DETAILS: usize = 96;
/// The name of the client's monitor.
pub(crate) const MONITOR: &str = "farrier";

/// What the open request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing, or a reply that nobody reads.
    Nothing,
    Databases,
    Schema,
    Monitor,
    /// Wait, update, mutate, select of `next_cfg`.
    Commit,
    /// Select of a port.
    Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    None,
    Echo,
    Update,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    None,
    Null,
    Number(i64),
    Other,
}

/// What the message said.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) id: Id,
    /// The id as JSON, to be sent back.
    pub(crate) id_json: Text<MAX_REPEATED>,
    /// The parameters as JSON, to be sent back.
    pub(crate) params_json: Text<MAX_REPEATED>,
    /// Whether there is a result that is not `null`.
    pub(crate) result: bool,
    /// Whether something was refused: the whole, or one operation.
    pub(crate) refused: bool,
    /// The number of the operation, where it was one.
    pub(crate) refused_at: Option<u8>,
    pub(crate) error: Text<MAX_ERROR>,
    pub(crate) details: Text<MAX_DETAILS>,
    /// Whether the wanted name is among the names of a result, or the first
    /// of the parameters.
    pub(crate) named: bool,
    /// Which of the needed columns the schema has, a bit each.
    pub(crate) columns: u16,
    /// Whether rows of tables were shown.
    pub(crate) shown: bool,
    /// Rows changed by the update of a commit.
    pub(crate) updated: Option<i64>,
    /// Rows that a select gave.
    pub(crate) selected: u8,
    pub(crate) next_cfg: Option<i64>,
    pub(crate) cur_cfg: Option<i64>,
    pub(crate) row: Row,

    place: Place,
    /// Members of the message that came, a bit each.
    seen: u8,
    /// Where parameters or operations stand.
    index: u8,
    /// Whether what is read belongs to the result.
    in_result: bool,
    /// Whether the object of tables is open.
    in_tables: bool,
    /// Whether a row came with its present columns.
    current: bool,
    capture: Capture,
    /// Levels that are open within what is passed over.
    skipped: u8,
    after: After,
}

/// What is written down as JSON while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Capture {
    None,
    Id,
    Params,
}

/// What must come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Members,
    Id,
    Method,
    Error,
    ErrorMembers,
    ErrorText,
    DetailsText,
    Params,
    ParamItems,
    Result,
    Names,
    SchemaMembers,
    SchemaTables,
    SchemaTable,
    SchemaTableMembers,
    SchemaColumns,
    SchemaColumnNames,
    Tables,
    TableStart,
    Uuids,
    RowStart,
    RowMembers,
    ColumnsStart,
    Columns,
    Value,
    Operations,
    OperationMembers,
    OperationError,
    OperationDetails,
    OperationCount,
    OperationRows,
    OperationRowItems,
    Skip,
}

/// Where reading goes on after what is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Members,
    ErrorMembers,
    ParamItems,
    Names,
    SchemaMembers,
    SchemaTables,
    SchemaTableMembers,
    SchemaColumnNames,
    Tables,
    RowMembers,
    Columns,
    OperationMembers,
}

impl Message {
    pub(crate) const fn new() -> Self {
        Self {
            method: Method::None,
            id: Id::None,
            id_json: Text::EMPTY,
            params_json: Text::EMPTY,
            result: false,
            refused: false,
            refused_at: None,
            error: Text::EMPTY,
            details: Text::EMPTY,
            named: false,
            columns: 0,
            shown: false,
            updated: None,
            selected: 0,
            next_cfg: None,
            cur_cfg: None,
            row: Row::new(),
            place: Place::Top,
            seen: 0,
            index: 0,
            in_result: false,
            in_tables: false,
            current: false,
            capture: Capture::None,
            skipped: 0,
            after: After::Members,
        }
    }

    /// Takes a token; `true` when the message is complete.
    pub(crate) fn take(
        &mut self,
        token: Token,
        text: &Text<MAX_TOKEN>,
        asked: Asked,
        visitor: &mut impl Visitor,
    ) -> Result<bool, ErrorKind> {
        if self.capture != Capture::None {
            self.capture(token, text);
        }
        match self.place {
            Place::Top => {
                expect(token, Token::ObjectStart)?;
                self.place = Place::Members;
            }
            Place::Members => return self.member(token, text),
            Place::Skip => self.skip(token),
            Place::Id | Place::Method | Place::Error | Place::Params | Place::Result => {
                self.value(token, text, asked)?;
            }
            Place::ErrorMembers | Place::ErrorText | Place::DetailsText => {
                self.error(token, text)?;
            }
            Place::ParamItems => self.param(token, text)?,
            Place::Names => match token {
                Token::ArrayEnd => self.place = Place::Members,
                Token::Str => self.named |= text == "Open_vSwitch",
                _ => self.skip_from(token, After::Names),
            },
            Place::SchemaMembers
            | Place::SchemaTables
            | Place::SchemaTable
            | Place::SchemaTableMembers
            | Place::SchemaColumns
            | Place::SchemaColumnNames => self.schema(token, text)?,
            Place::Tables
            | Place::TableStart
            | Place::Uuids
            | Place::RowStart
            | Place::RowMembers
            | Place::ColumnsStart
            | Place::Columns
            | Place::Value => self.tables(token, text, visitor)?,
            Place::Operations
            | Place::OperationMembers
            | Place::OperationError
            | Place::OperationDetails
            | Place::OperationCount
            | Place::OperationRows
            | Place::OperationRowItems => self.operations(token, text, asked)?,
        }
        Ok(false)
    }

    /// Passes over the value that begins with this token.
    fn skip_from(&mut self, token: Token, after: After) {
        self.after = after;
        self.place = Place::Skip;
        self.skipped = 0;
        self.skip(token);
    }

    /// Passes over the value that comes next.
    fn skip_next(&mut self, after: After) {
        self.after = after;
        self.place = Place::Skip;
        self.skipped = 0;
    }

    fn skip(&mut self, token: Token) {
        match token {
            Token::ObjectStart | Token::ArrayStart => self.skipped += 1,
            Token::ObjectEnd | Token::ArrayEnd => self.skipped = self.skipped.saturating_sub(1),
            _ => {}
        }
        if self.skipped == 0 {
            self.place = match self.after {
                After::Members => Place::Members,
                After::ErrorMembers => Place::ErrorMembers,
                After::ParamItems => Place::ParamItems,
                After::Names => Place::Names,
                After::SchemaMembers => Place::SchemaMembers,
                After::SchemaTables => Place::SchemaTables,
                After::SchemaTableMembers => Place::SchemaTableMembers,
                After::SchemaColumnNames => Place::SchemaColumnNames,
                After::Tables => Place::Tables,
                After::RowMembers => Place::RowMembers,
                After::Columns => Place::Columns,
                After::OperationMembers => Place::OperationMembers,
            };
        }
    }
}

fn expect(token: Token, wanted: Token) -> Result<(), ErrorKind> {
    match token == wanted {
        true => Ok(()),
        false => Err(ErrorKind::Shape),
    }
}
