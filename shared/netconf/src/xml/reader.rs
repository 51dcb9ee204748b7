//! The reader: bytes in, at most one token for each.

use super::chars::{self, Utf8};
use super::name::{Name, Namespace};
use super::token::{
    Event, MAX_ATTRIBUTE, MAX_DEPTH, MAX_NAME, MAX_NAMESPACES, MAX_TEXT, Token, XmlError,
    XmlErrorKind,
};

/// Longest reference between `&` and `;`.
const MAX_REFERENCE: usize = 8;
/// What follows `<!` of a CDATA section.
const CDATA: &[u8; 7] = b"[CDATA[";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Content,
    Open,
    StartName,
    InTag,
    AttributeName,
    AttributeEquals,
    AttributeQuote,
    AttributeValue(u8),
    /// Behind the `/` of an empty element.
    Empty,
    EndName,
    EndSpace,
    Bang,
    BangDash,
    /// In a comment, behind this many dashes.
    Comment(u8),
    CdataOpen(u8),
    /// In a CDATA section, behind this many brackets.
    Cdata(u8),
    /// In the target of a processing instruction: ahead of it (0), in it (1), behind a
    /// question mark that follows it (2).
    Target(u8),
    /// In a processing instruction, behind a question mark or not.
    Instruction(bool),
    /// In a reference of content (0) or of a quoted value.
    Reference(u8),
    Failed(XmlErrorKind),
}

/// What a byte completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Nothing,
    Attribute,
    Start,
    Text,
    End,
}

/// A buffer for the bytes of a name or text.
#[derive(Debug, Clone, Copy)]
struct Bytes<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Bytes<N> {
    const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    fn push(&mut self, byte: u8) -> Result<(), XmlErrorKind> {
        let slot = self.bytes.get_mut(usize::from(self.len));
        *slot.ok_or(XmlErrorKind::Name)? = byte;
        self.len += 1;
        Ok(())
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The longest prefix that is text; all of it unless it was cut.
    fn text(&self) -> &str {
        let bytes = self.get();
        core::str::from_utf8(bytes).unwrap_or_else(|error| {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or(&[]);
            core::str::from_utf8(valid).unwrap_or("")
        })
    }
}

/// Splits a qualified name into prefix and local name.
fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A namespace declaration.
#[derive(Debug, Clone, Copy)]
struct Binding {
    prefix: u32,
    namespace: Namespace,
    /// Depth of the element that has it.
    depth: u8,
}

const NO_BINDING: Binding = Binding {
    prefix: 0,
    namespace: Namespace::None,
    depth: 0,
};

/// Reads documents, one after the other.
#[derive(Debug, Clone)]
pub struct Reader {
    state: State,
    utf8: Utf8,
    offset: u32,
    names: [Name; MAX_DEPTH],
    hashes: [u32; MAX_DEPTH],
    depth: u8,
    bindings: [Binding; MAX_NAMESPACES],
    bound: u8,
    name: Bytes<MAX_NAME>,
    attribute: Bytes<MAX_ATTRIBUTE>,
    reference: Bytes<MAX_REFERENCE>,
    text: Bytes<MAX_TEXT>,
    cut: bool,
    /// The text was returned and is dropped with the next byte.
    text_taken: bool,
    /// The element was ended and is left with the next byte.
    ended: bool,
    had_root: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Creates a reader in front of a document.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Content,
            utf8: Utf8::new(),
            offset: 0,
            names: [Name::Other; MAX_DEPTH],
            hashes: [0; MAX_DEPTH],
            depth: 0,
            bindings: [NO_BINDING; MAX_NAMESPACES],
            bound: 0,
            name: Bytes::EMPTY,
            attribute: Bytes::EMPTY,
            reference: Bytes::EMPTY,
            text: Bytes::EMPTY,
            cut: false,
            text_taken: false,
            ended: false,
            had_root: false,
        }
    }

    /// Ends the document; the next byte begins another one.
    ///
    /// # Errors
    /// [`XmlErrorKind::Incomplete`], or the error of an earlier byte.
    pub fn finish(&mut self) -> Result<(), XmlError> {
        let offset = self.offset;
        let kind = match self.state {
            State::Failed(kind) => Some(kind),
            _ => {
                self.leave();
                let whole = self.state == State::Content && self.depth == 0 && self.had_root;
                (!whole || !self.utf8.complete()).then_some(XmlErrorKind::Incomplete)
            }
        };
        *self = Self::new();
        kind.map_or(Ok(()), |kind| Err(XmlError { kind, offset }))
    }

    /// Reads a byte and returns what it completes.
    ///
    /// # Errors
    /// [`XmlError`]; every later byte of the document returns the same kind.
    pub fn push(&mut self, byte: u8) -> Result<Option<Token<'_>>, XmlError> {
        match self.step(byte) {
            Ok(done) => {
                self.offset = self.offset.saturating_add(1);
                Ok(self.token(done))
            }
            Err(kind) => {
                self.state = State::Failed(kind);
                Err(XmlError {
                    kind,
                    offset: self.offset,
                })
            }
        }
    }

    fn path(&self) -> &[Name] {
        self.names.get(..usize::from(self.depth)).unwrap_or(&[])
    }

    fn token(&self, done: Done) -> Option<Token<'_>> {
        let (prefix, local) = split(self.name.text());
        let event = match done {
            Done::Nothing => return None,
            Done::Attribute => Event::Attribute {
                element: local,
                name: split(self.attribute.text()).1,
                value: self.text.text(),
                cut: self.cut,
            },
            Done::Start => Event::Start {
                namespace: self.resolve(prefix),
                local,
            },
            Done::Text => Event::Text {
                text: self.text.text(),
                cut: self.cut,
            },
            Done::End => Event::End,
        };
        Some(Token {
            path: self.path(),
            event,
        })
    }

    fn resolve(&self, prefix: &str) -> Namespace {
        let bound = self.bindings.get(..usize::from(self.bound)).unwrap_or(&[]);
        let hash = hash(prefix.as_bytes());
        let found = bound.iter().rev().find(|binding| binding.prefix == hash);
        match found {
            Some(binding) => binding.namespace,
            None if prefix.is_empty() => Namespace::None,
            None => Namespace::Other,
        }
    }

    /// Leaves the element whose end was returned.
    fn leave(&mut self) {
        if !self.ended {
            return;
        }
        self.ended = false;
        while let Some(last) = usize::from(self.bound).checked_sub(1) {
            if self.bindings.get(last).is_none_or(|b| b.depth < self.depth) {
                break;
            }
            self.bound -= 1;
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn clear_text(&mut self) {
        self.text = Bytes {
            len: 0,
            ..self.text
        };
        self.cut = false;
    }

    fn push_text(&mut self, byte: u8, trim: bool) {
        let space = trim && chars::is_space(byte);
        if self.cut || (space && self.text.len == 0) {
            return;
        }
        if self.text.push(byte).is_err() && !space {
            self.cut = true;
        }
    }

    /// Ends a text in front of a tag.
    fn end_text(&mut self) -> Done {
        while self
            .text
            .get()
            .last()
            .is_some_and(|&last| chars::is_space(last))
        {
            self.text.len -= 1;
        }
        self.text_taken = true;
        if self.text.len == 0 {
            return Done::Nothing;
        }
        Done::Text
    }

    fn step(&mut self, byte: u8) -> Result<Done, XmlErrorKind> {
        if let State::Failed(kind) = self.state {
            return Err(kind);
        }
        self.leave();
        if self.text_taken {
            self.text_taken = false;
            self.clear_text();
        }
        if !self.utf8.push(byte) || (byte < b' ' && !chars::is_space(byte)) {
            return Err(XmlErrorKind::Character);
        }
        match self.state {
            State::Content => self.content(byte),
            State::Open => self.open(byte),
            State::StartName | State::InTag | State::Empty => self.start_tag(byte),
            State::AttributeName | State::AttributeEquals | State::AttributeQuote => {
                self.attribute(byte)
            }
            State::AttributeValue(quote) => self.value(byte, quote),
            State::EndName | State::EndSpace => self.end_tag(byte),
            State::Reference(quote) => self.read_reference(byte, quote),
            State::Bang
            | State::BangDash
            | State::Comment(_)
            | State::CdataOpen(_)
            | State::Cdata(_)
            | State::Target(_)
            | State::Instruction(_)
            | State::Failed(_) => self.markup(byte),
        }
    }

    fn content(&mut self, byte: u8) -> Result<Done, XmlErrorKind> {
        match byte {
            b'<' => self.state = State::Open,
            _ if self.depth == 0 && !chars::is_space(byte) => {
                return Err(XmlErrorKind::OutsideRoot);
            }
            b'&' => {
                self.reference.len = 0;
                self.state = State::Reference(0);
            }
            _ => self.push_text(byte, true),
        }
        Ok(Done::Nothing)
    }

    fn open(&mut self, byte: u8) -> Result<Done, XmlErrorKind> {
        self.state = match byte {
            b'!' => State::Bang,
            b'?' => State::Target(0),
            b'/' => {
                self.name.len = 0;
                self.state = State::EndName;
                return Ok(self.end_text());
            }
            _ if chars::begins_name(byte) => {
                if self.depth == 0 && self.had_root {
                    return Err(XmlErrorKind::OutsideRoot);
                }
                if usize::from(self.depth) == MAX_DEPTH {
                    return Err(XmlErrorKind::Depth);
                }
                self.name.len = 0;
                self.name.push(byte)?;
                self.state = State::StartName;
                return Ok(self.end_text());
            }
            _ => return Err(XmlErrorKind::Syntax),
        };
        Ok(Done::Nothing)
    }

    fn start_tag(&mut self, byte: u8) -> Result<Done, XmlErrorKind> {
        match (self.state, byte) {
            (State::StartName, _) if chars::is_name(byte) => self.name.push(byte)?,
            (State::StartName | State::InTag, _) if chars::is_space(byte) => {
                self.state = State::InTag;
            }
            (State::StartName | State::InTag, b'>') => {
                self.state = State::Content;
                return self.enter();
            }
            (State::StartName | State::InTag, b'/') => {
                self.state = State::Empty;
                return self.enter();
            }
            (State::InTag, _) if chars::begins_name(byte) => {
                self.attribute.len = 0;
                self.attribute.push(byte)?;
                self.state = State::AttributeName;
            }
            (State::Empty, b'>') => {
                self.state = State::Content;
                return Ok(self.end());
            }
            _ => return Err(XmlErrorKind::Syntax),
        }
        Ok(Done::Nothing)
    }

    fn enter(&mut self) -> Result<Done, XmlErrorKind> {
        let depth = usize::from(self.depth);
        let name = Name::of(split(self.name.text()).1);
        let hash = hash(self.name.get());
        if let Some(slot) = self.names.get_mut(depth) {
            *slot = name;
        }
        *self.hashes.get_mut(depth).ok_or(XmlErrorKind::Depth)? = hash;
        self.depth += 1;
        self.had_root = true;
        Ok(Done::Start)
    }

    fn end(&mut self) -> Done {
        self.ended = true;
        Done::End
    }

    fn attribute(&mut self, byte: u8) -> Result<Done, XmlErrorKind> {
        self.state = match (self.state, byte) {
            (State::AttributeName, _) if chars::is_name(byte) => {
                self.attribute.push(byte)?;
                State::AttributeName
            }
            (State::AttributeName | State::AttributeEquals, b'=') => State::AttributeQuote,
            (State::AttributeName | State::AttributeEquals, _) if chars::is_space(byte) => {
                State::AttributeEquals
            }
            (State::AttributeQuote, _) if chars::is_space(byte) => State::AttributeQuote,
            (State::AttributeQuote, b'"' | b'\'') => {
                self.clear_text();
                State::AttributeValue(byte)
            }
            _ => return Err(XmlErrorKind::Syntax),
        };
        Ok(Done::Nothing)
    }

    fn value(&mut self, byte: u8, quote: u8) -> Result<Done, XmlErrorKind> {
        match byte {
            _ if byte == quote => {
                self.state = State::InTag;
                self.text_taken = true;
                return self.declare();
            }
            b'<' => return Err(XmlErrorKind::Syntax),
            b'&' => {
                self.reference.len = 0;
                self.state = State::Reference(quote);
            }
            _ => self.push_text(byte, false),
        }
        Ok(Done::Nothing)
    }

    /// Takes an attribute that declares a namespace.
    fn declare(&mut self) -> Result<Done, XmlErrorKind> {
        let prefix = match split(self.attribute.text()) {
            ("", "xmlns") => "",
            ("xmlns", prefix) => prefix,
            _ => return Ok(Done::Attribute),
        };
        let binding = Binding {
            prefix: hash(prefix.as_bytes()),
            namespace: match self.cut {
                true => Namespace::Other,
                false => Namespace::of(self.text.text()),
            },
            depth: self.depth + 1,
        };
        let slot = self.bindings.get_mut(usize::from(self.bound));
        *slot.ok_or(XmlErrorKind::Namespaces)? = binding;
        self.bound += 1;
        Ok(Done::Nothing)
    }

    fn end_tag(&mut self, byte: u8) -> Result<Done, XmlErrorKind> {
        match (self.state, byte) {
            (State::EndName, _)
                if chars::is_name(byte) && (self.name.len > 0 || chars::begins_name(byte)) =>
            {
                self.name.push(byte)?;
            }
            (State::EndName | State::EndSpace, b'>') if self.name.len > 0 => {
                let last = usize::from(self.depth).checked_sub(1);
                let open = last.and_then(|last| self.hashes.get(last));
                if open != Some(&hash(self.name.get())) {
                    return Err(XmlErrorKind::EndTag);
                }
                self.state = State::Content;
                return Ok(self.end());
            }
            (State::EndName | State::EndSpace, _) if chars::is_space(byte) && self.name.len > 0 => {
                self.state = State::EndSpace;
            }
            _ => return Err(XmlErrorKind::Syntax),
        }
        Ok(Done::Nothing)
    }

    fn read_reference(&mut self, byte: u8, quote: u8) -> Result<Done, XmlErrorKind> {
        if byte != b';' {
            if !byte.is_ascii_alphanumeric() && byte != b'#' {
                return Err(XmlErrorKind::Reference);
            }
            self.reference
                .push(byte)
                .map_err(|_| XmlErrorKind::Reference)?;
            return Ok(Done::Nothing);
        }
        let found = chars::reference(self.reference.get()).ok_or(XmlErrorKind::Reference)?;
        for &byte in found.encode_utf8(&mut [0; 4]).as_bytes() {
            self.push_text(byte, quote == 0);
        }
        self.state = match quote {
            0 => State::Content,
            quote => State::AttributeValue(quote),
        };
        Ok(Done::Nothing)
    }

    /// Comments, CDATA sections and processing instructions.
    fn markup(&mut self, byte: u8) -> Result<Done, XmlErrorKind> {
        self.state = match (self.state, byte) {
            (State::Bang, b'-') => State::BangDash,
            (State::Bang, b'[') if self.depth > 0 => State::CdataOpen(1),
            (State::Bang, b'D') => return Err(XmlErrorKind::Doctype),
            (State::BangDash, b'-') => State::Comment(0),
            (State::Comment(2..), b'>') => State::Content,
            (State::Comment(dashes), b'-') => State::Comment((dashes + 1).min(2)),
            (State::Comment(_), _) => State::Comment(0),
            (State::CdataOpen(matched), _) if CDATA.get(usize::from(matched)) == Some(&byte) => {
                match usize::from(matched) + 1 == CDATA.len() {
                    true => State::Cdata(0),
                    false => State::CdataOpen(matched + 1),
                }
            }
            (State::Cdata(2), b'>') => State::Content,
            (State::Cdata(2), b']') => {
                self.push_text(b']', true);
                State::Cdata(2)
            }
            (State::Cdata(brackets), b']') => State::Cdata(brackets + 1),
            (State::Cdata(brackets), _) => {
                for _ in 0..brackets {
                    self.push_text(b']', true);
                }
                self.push_text(byte, true);
                State::Cdata(0)
            }
            (State::Target(0), _) if chars::begins_name(byte) => State::Target(1),
            (State::Target(1), b'?') => State::Target(2),
            (State::Target(1), _) if chars::is_space(byte) => State::Instruction(false),
            (State::Target(1), _) if chars::is_name(byte) => State::Target(1),
            (State::Target(2) | State::Instruction(true), b'>') => State::Content,
            (State::Instruction(_), _) => State::Instruction(byte == b'?'),
            _ => return Err(XmlErrorKind::Syntax),
        };
        Ok(Done::Nothing)
    }
}
