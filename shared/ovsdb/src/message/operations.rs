//! The result of `transact`: one object an operation, and one more where the
//! commit failed (RFC 7047, section 4.1.3).

use super::{After, Asked, Message, Place};
use crate::error::ErrorKind;
use crate::rows::Table;
use crate::text::Text;
use crate::token::{MAX_TOKEN, Token};

/// The number of a commit's update.
const UPDATE: u8 = 1;
/// The number of a commit's select of `next_cfg`.
const SELECT_CFG: u8 = 3;

impl Message {
    pub(super) fn operations(
        &mut self,
        token: Token,
        text: &Text<MAX_TOKEN>,
        asked: Asked,
    ) -> Result<(), ErrorKind> {
        match (self.place, token) {
            (Place::Operations, Token::ArrayEnd) => self.place = Place::Members,
            // An operation that was not tried.
            (Place::Operations, Token::Null) => self.index = self.index.saturating_add(1),
            (Place::Operations, Token::ObjectStart) => self.place = Place::OperationMembers,
            (Place::OperationMembers, Token::ObjectEnd) => {
                self.index = self.index.saturating_add(1);
                self.place = Place::Operations;
            }
            (Place::OperationMembers, Token::Key) => match text.as_str() {
                "error" => self.place = Place::OperationError,
                "details" => self.place = Place::OperationDetails,
                "count" => self.place = Place::OperationCount,
                "rows" => {
                    let wanted = match asked {
                        Asked::Commit if self.index == SELECT_CFG => Some(Table::OpenVSwitch),
                        Asked::Port if self.index == 0 => Some(Table::Port),
                        _ => None,
                    };
                    match wanted {
                        Some(table) => {
                            self.row.table = table;
                            self.place = Place::OperationRows;
                        }
                        None => self.skip_next(After::OperationMembers),
                    }
                }
                _ => self.skip_next(After::OperationMembers),
            },
            (Place::OperationError, Token::Str) => {
                if !self.refused {
                    self.error = Text::new(text.as_str());
                    self.refused_at = Some(self.index);
                }
                self.refused = true;
                self.place = Place::OperationMembers;
            }
            (Place::OperationDetails, Token::Str) => {
                // Of the first error; they may stand ahead of it.
                if self.refused_at.is_none_or(|at| at == self.index) {
                    self.details.clear();
                    self.details.push(text.as_str());
                }
                self.place = Place::OperationMembers;
            }
            (Place::OperationCount, Token::Int(count)) => {
                if asked == Asked::Commit && self.index == UPDATE {
                    self.updated = Some(count);
                }
                self.place = Place::OperationMembers;
            }
            (Place::OperationRows, Token::ArrayStart) => {
                self.selected = 0;
                self.place = Place::OperationRowItems;
            }
            (Place::OperationRowItems, Token::ArrayEnd) => {
                if asked == Asked::Commit {
                    self.next_cfg = self.row.next_cfg;
                }
                self.place = Place::OperationMembers;
            }
            (Place::OperationRowItems, Token::ObjectStart) => {
                self.selected = self.selected.saturating_add(1);
                self.in_tables = false;
                self.row.clear();
                self.place = Place::Columns;
            }
            _ => return Err(ErrorKind::Shape),
        }
        Ok(())
    }
}
