//! The members of a message: id, method, parameters, error; and the written
//! copy of what an answer must repeat.

use farrier_json::Writer;

use super::{After, Asked, Capture, Id, MAX_REPEATED, MONITOR, Message, Method, Place, expect};
use crate::error::ErrorKind;
use crate::text::Text;
use crate::token::{MAX_TOKEN, Token};

impl Message {
    pub(super) fn member(
        &mut self,
        token: Token,
        text: &Text<MAX_TOKEN>,
    ) -> Result<bool, ErrorKind> {
        self.capture = Capture::None;
        if token == Token::ObjectEnd {
            return Ok(true);
        }
        expect(token, Token::Key)?;
        let (bit, place) = match text.as_str() {
            "id" => (1, Place::Id),
            "method" => (2, Place::Method),
            "params" => (4, Place::Params),
            "result" => (8, Place::Result),
            "error" => (16, Place::Error),
            _ => {
                self.skip_next(After::Members);
                return Ok(false);
            }
        };
        // The second would overwrite what the first said.
        if self.seen & bit != 0 {
            return Err(ErrorKind::Shape);
        }
        self.seen |= bit;
        self.place = place;
        self.capture = match place {
            Place::Id => Capture::Id,
            Place::Params if matches!(self.method, Method::None | Method::Echo) => Capture::Params,
            _ => Capture::None,
        };
        Ok(false)
    }

    /// The value of a member begins.
    pub(super) fn value(
        &mut self,
        token: Token,
        text: &Text<MAX_TOKEN>,
        asked: Asked,
    ) -> Result<(), ErrorKind> {
        match (self.place, token) {
            (Place::Id, Token::Key) => return Err(ErrorKind::Shape),
            (Place::Id, _) => {
                self.id = match token {
                    Token::Null => Id::Null,
                    Token::Int(number) => Id::Number(number),
                    _ => Id::Other,
                };
                self.skip_from(token, After::Members);
            }
            (Place::Method, Token::Str) => {
                self.method = match text.as_str() {
                    "echo" => Method::Echo,
                    "update" => Method::Update,
                    _ => Method::Other,
                };
                self.place = Place::Members;
            }
            (Place::Method, _) => return Err(ErrorKind::Shape),
            (Place::Params, Token::ArrayStart)
                if matches!(self.method, Method::None | Method::Update) =>
            {
                self.index = 0;
                self.in_result = false;
                self.place = Place::ParamItems;
            }
            (Place::Error | Place::Result, Token::Null) => self.place = Place::Members,
            (Place::Error, Token::ObjectStart) => {
                self.refused = true;
                self.place = Place::ErrorMembers;
            }
            (Place::Error, _) => {
                self.refused = true;
                if token == Token::Str {
                    self.error = Text::new(text.as_str());
                }
                self.skip_from(token, After::Members);
            }
            (Place::Result, _) => {
                self.result = true;
                self.in_result = true;
                self.place = match (asked, token) {
                    (Asked::Databases, Token::ArrayStart) => Place::Names,
                    (Asked::Schema, Token::ObjectStart) => Place::SchemaMembers,
                    (Asked::Monitor, Token::ObjectStart) => Place::Tables,
                    (Asked::Commit | Asked::Port, Token::ArrayStart) => {
                        self.index = 0;
                        Place::Operations
                    }
                    (Asked::Nothing, _) => {
                        self.skip_from(token, After::Members);
                        return Ok(());
                    }
                    _ => return Err(ErrorKind::Shape),
                };
            }
            _ => self.skip_from(token, After::Members),
        }
        Ok(())
    }

    /// The parameters of an update: the monitor's name and the tables.
    pub(super) fn param(&mut self, token: Token, text: &Text<MAX_TOKEN>) -> Result<(), ErrorKind> {
        let index = self.index;
        self.index = index.saturating_add(1);
        match (index, token) {
            (_, Token::ArrayEnd) => self.place = Place::Members,
            (0, Token::Str) => self.named = text == MONITOR,
            (1, Token::ObjectStart) if self.named => self.place = Place::Tables,
            _ => self.skip_from(token, After::ParamItems),
        }
        Ok(())
    }

    /// The members of an error: `{"error": …, "details": …}`.
    pub(super) fn error(&mut self, token: Token, text: &Text<MAX_TOKEN>) -> Result<(), ErrorKind> {
        match (self.place, token) {
            (Place::ErrorMembers, Token::ObjectEnd) => self.place = Place::Members,
            (Place::ErrorMembers, Token::Key) => match text.as_str() {
                "error" => self.place = Place::ErrorText,
                "details" => self.place = Place::DetailsText,
                _ => self.skip_next(After::ErrorMembers),
            },
            (Place::ErrorText, Token::Str) => {
                self.error = Text::new(text.as_str());
                self.place = Place::ErrorMembers;
            }
            (Place::DetailsText, Token::Str) => {
                self.details.clear();
                self.details.push(text.as_str());
                self.place = Place::ErrorMembers;
            }
            (Place::ErrorText | Place::DetailsText, _) => {
                self.skip_from(token, After::ErrorMembers);
            }
            _ => return Err(ErrorKind::Shape),
        }
        Ok(())
    }

    /// Writes the token down for the answer.
    pub(super) fn capture(&mut self, token: Token, text: &Text<MAX_TOKEN>) {
        match self.capture {
            // The key or the end behind the value.
            _ if self.place == Place::Members => {}
            Capture::None => {}
            Capture::Id => copy(&mut self.id_json, token, text),
            Capture::Params => copy(&mut self.params_json, token, text),
        }
    }
}

/// Appends a token to a document. One that does not fit cuts it for good.
fn copy(out: &mut Text<MAX_REPEATED>, token: Token, text: &Text<MAX_TOKEN>) {
    let last = out.as_str().as_bytes().last().copied().unwrap_or(b':');
    if text.is_cut() {
        out.cut();
    }
    let mut writer = Writer::resume(out, last);
    match token {
        Token::ObjectStart => writer.object(),
        Token::ObjectEnd => writer.end_object(),
        Token::ArrayStart => writer.array(),
        Token::ArrayEnd => writer.end_array(),
        Token::Key => writer.key(text.as_str()),
        Token::Str => writer.string(text.as_str()),
        Token::Int(_) | Token::Number => writer.verbatim(text.as_str()),
        Token::Bool(value) => writer.bool(value),
        Token::Null => writer.null(),
    };
}
