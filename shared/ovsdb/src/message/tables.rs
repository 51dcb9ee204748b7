//! Rows by table and identity, as `monitor` and `update` give them (RFC 7047,
//! section 4.1.6).

use super::{After, Message, Place, expect};
use crate::error::ErrorKind;
use crate::rows::{Table, Uuid, Visitor};
use crate::text::Text;
use crate::token::{MAX_TOKEN, Token};

impl Message {
    pub(super) fn tables(
        &mut self,
        token: Token,
        text: &Text<MAX_TOKEN>,
        visitor: &mut impl Visitor,
    ) -> Result<(), ErrorKind> {
        match (self.place, token) {
            (Place::Tables, Token::Key) => match text.whole().and_then(Table::parse) {
                Some(table) => {
                    self.row.table = table;
                    self.in_tables = true;
                    self.place = Place::TableStart;
                }
                None => self.skip_next(After::Tables),
            },
            (Place::Tables, Token::ObjectEnd) => {
                self.shown = true;
                // Within a result the tables are all; within parameters, one
                // of them.
                self.place = match self.in_result {
                    true => Place::Members,
                    false => Place::ParamItems,
                };
            }
            (Place::TableStart, _) => {
                expect(token, Token::ObjectStart)?;
                self.place = Place::Uuids;
            }
            (Place::Uuids, Token::Key) => {
                let uuid = text.whole().and_then(Uuid::parse);
                self.row.uuid = uuid.ok_or(ErrorKind::Shape)?;
                self.row.clear();
                self.current = false;
                self.place = Place::RowStart;
            }
            (Place::Uuids, Token::ObjectEnd) => self.place = Place::Tables,
            (Place::RowStart, _) => {
                expect(token, Token::ObjectStart)?;
                self.place = Place::RowMembers;
            }
            (Place::RowMembers, Token::Key) => match text.as_str() {
                "new" => {
                    self.row.clear();
                    self.current = true;
                    self.place = Place::ColumnsStart;
                }
                // Of a row that is gone, its name is wanted.
                "old" if !self.current => self.place = Place::ColumnsStart,
                "old" => self.skip_next(After::RowMembers),
                _ => return Err(ErrorKind::Shape),
            },
            (Place::RowMembers, Token::ObjectEnd) => {
                self.shown = true;
                self.row.show(self.current, visitor);
                if self.current && self.row.table == Table::OpenVSwitch {
                    self.cur_cfg = self.row.cur_cfg;
                    self.next_cfg = self.row.next_cfg;
                }
                self.place = Place::Uuids;
            }
            (Place::ColumnsStart, Token::Null) => self.place = Place::RowMembers,
            (Place::ColumnsStart, _) => {
                expect(token, Token::ObjectStart)?;
                self.place = Place::Columns;
            }
            (Place::Columns, Token::Key) => match text.whole().is_some_and(|c| self.row.begin(c)) {
                true => self.place = Place::Value,
                false => self.skip_next(After::Columns),
            },
            (Place::Columns, Token::ObjectEnd) => {
                self.place = match self.in_tables {
                    true => Place::RowMembers,
                    false => Place::OperationRowItems,
                };
            }
            (Place::Value, _) => {
                let current = self.current && self.in_tables;
                if self.row.take(token, text, current, visitor)? {
                    self.place = Place::Columns;
                }
            }
            _ => return Err(ErrorKind::Shape),
        }
        Ok(())
    }
}
