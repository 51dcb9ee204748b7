//! The schema: whether it has the columns that the client needs. It may be as
//! long as it likes.

use super::{After, Message, Place, expect};
use crate::error::ErrorKind;
use crate::rows::{Column, Table};
use crate::text::Text;
use crate::token::{MAX_TOKEN, Token};

impl Message {
    pub(super) fn schema(&mut self, token: Token, text: &Text<MAX_TOKEN>) -> Result<(), ErrorKind> {
        let start = Token::ObjectStart;
        self.place = match (self.place, token) {
            (Place::SchemaMembers, Token::ObjectEnd) => Place::Members,
            (Place::SchemaTables, Token::ObjectEnd) if self.in_tables => {
                self.in_tables = false;
                Place::SchemaMembers
            }
            (Place::SchemaTableMembers, Token::ObjectEnd) => Place::SchemaTables,
            (Place::SchemaColumnNames, Token::ObjectEnd) => Place::SchemaTableMembers,
            (Place::SchemaMembers, Token::Key) if text == "tables" => {
                self.in_tables = false;
                Place::SchemaTables
            }
            (Place::SchemaMembers, Token::Key) => {
                self.skip_next(After::SchemaMembers);
                return Ok(());
            }
            (Place::SchemaTables, Token::ObjectStart) if !self.in_tables => {
                self.in_tables = true;
                Place::SchemaTables
            }
            (Place::SchemaTables, Token::Key) if self.in_tables => {
                match text.whole().and_then(Table::parse) {
                    Some(table) => {
                        self.row.table = table;
                        Place::SchemaTable
                    }
                    None => {
                        self.skip_next(After::SchemaTables);
                        return Ok(());
                    }
                }
            }
            (Place::SchemaTable, _) => {
                expect(token, start)?;
                Place::SchemaTableMembers
            }
            (Place::SchemaTableMembers, Token::Key) if text == "columns" => Place::SchemaColumns,
            (Place::SchemaTableMembers, Token::Key) => {
                self.skip_next(After::SchemaTableMembers);
                return Ok(());
            }
            (Place::SchemaColumns, _) => {
                expect(token, start)?;
                Place::SchemaColumnNames
            }
            (Place::SchemaColumnNames, Token::Key) => {
                let name = text.whole().unwrap_or_default();
                if let Some(at) = Column::find(self.row.table, name) {
                    self.columns |= 1 << at;
                }
                self.skip_next(After::SchemaColumnNames);
                return Ok(());
            }
            _ => return Err(ErrorKind::Shape),
        };
        Ok(())
    }
}
