//! The value of a column (RFC 7047, section 5.1): an atom, a set or a map, as
//! one atom or pair after the other.

use crate::error::ErrorKind;
use crate::text::Text;
use crate::token::Token;

/// Longest key of a map that is looked at.
pub(crate) const MAX_KEY: usize = 32;

/// What a token completed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Part {
    Nothing,
    /// This atom: the value, or one more of a set. The text of a UUID comes
    /// as [`Token::Str`].
    Atom(Token),
    /// This value of a map's pair; its key is [`ValueReader::key`].
    Pair(Token),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Word,
    SetOpen,
    Item,
    ItemWord,
    ItemUuid,
    ItemClose,
    MapOpen,
    PairOrEnd,
    PairKey,
    PairValue,
    PairClose,
    Uuid,
    Close,
    Done,
}

#[derive(Debug, Clone)]
pub(crate) struct ValueReader {
    place: Place,
    key: Text<MAX_KEY>,
}

impl ValueReader {
    pub(crate) const fn new() -> Self {
        Self {
            place: Place::Start,
            key: Text::EMPTY,
        }
    }

    pub(crate) const fn restart(&mut self) {
        self.place = Place::Start;
    }

    pub(crate) const fn key(&self) -> &Text<MAX_KEY> {
        &self.key
    }

    pub(crate) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    pub(crate) fn take(&mut self, token: Token, text: &str) -> Result<Part, ErrorKind> {
        let atom = !matches!(
            token,
            Token::ObjectStart
                | Token::ObjectEnd
                | Token::ArrayStart
                | Token::ArrayEnd
                | Token::Key
                | Token::Null
        );
        let (place, part) = match (self.place, token) {
            (Place::Start, _) if atom => (Place::Done, Part::Atom(token)),
            (Place::Start, Token::ArrayStart) => (Place::Word, Part::Nothing),
            (Place::Word, Token::Str) => match text {
                "set" => (Place::SetOpen, Part::Nothing),
                "map" => (Place::MapOpen, Part::Nothing),
                "uuid" | "named-uuid" => (Place::Uuid, Part::Nothing),
                _ => return Err(ErrorKind::Column),
            },
            (Place::SetOpen, Token::ArrayStart) | (Place::ItemClose, Token::ArrayEnd) => {
                (Place::Item, Part::Nothing)
            }
            (Place::Item, _) if atom => (Place::Item, Part::Atom(token)),
            (Place::Item, Token::ArrayStart) => (Place::ItemWord, Part::Nothing),
            (Place::ItemWord, Token::Str) if matches!(text, "uuid" | "named-uuid") => {
                (Place::ItemUuid, Part::Nothing)
            }
            (Place::ItemUuid, Token::Str) => (Place::ItemClose, Part::Atom(token)),
            (Place::MapOpen, Token::ArrayStart) | (Place::PairClose, Token::ArrayEnd) => {
                (Place::PairOrEnd, Part::Nothing)
            }
            (Place::PairOrEnd, Token::ArrayStart) => (Place::PairKey, Part::Nothing),
            (Place::PairKey, _) if atom => {
                self.key = Text::new(text);
                (Place::PairValue, Part::Nothing)
            }
            (Place::PairValue, _) if atom => (Place::PairClose, Part::Pair(token)),
            (Place::Uuid, Token::Str) => (Place::Close, Part::Atom(token)),
            (Place::Item | Place::PairOrEnd, Token::ArrayEnd) => (Place::Close, Part::Nothing),
            (Place::Close, Token::ArrayEnd) => (Place::Done, Part::Nothing),
            _ => return Err(ErrorKind::Column),
        };
        self.place = place;
        Ok(part)
    }
}
