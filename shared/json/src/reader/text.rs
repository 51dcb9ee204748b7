//! Text of keys and strings: runs of it are handed on as they are; of a
//! character that a slice tears, the bytes are kept.

use super::{Error, Event, Reader, State};

impl Reader {
    /// A piece of a key or a string, or its end.
    pub(super) fn text<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, Error> {
        while self.torn_len > 0 {
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            if let Some(character) = self.mend(byte)? {
                return Ok(Some(Event::Char(character)));
            }
        }
        let end = input
            .iter()
            .position(|&byte| matches!(byte, b'"' | b'\\' | ..0x20))
            .unwrap_or(input.len());
        let (run, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
        if !run.is_empty() {
            return self.run(run, input);
        }
        let Some((&byte, rest)) = rest.split_first() else {
            return Ok(None);
        };
        *input = rest;
        match byte {
            b'"' if self.key => {
                self.state = State::Colon;
                Ok(Some(Event::KeyEnd))
            }
            b'"' => {
                self.end_value();
                Ok(Some(Event::StringEnd))
            }
            b'\\' => {
                self.state = State::Escape;
                self.advance(input)
            }
            _ => Err(Error::Syntax),
        }
    }

    /// A run of plain text. Where its last character is torn by the end of
    /// the slice, that one's bytes are kept.
    fn run<'b>(&mut self, run: &'b [u8], input: &mut &'b [u8]) -> Result<Option<Event<'b>>, Error> {
        let (valid, fault) = match core::str::from_utf8(run) {
            Ok(_) => (run.len(), None),
            Err(error) => (error.valid_up_to(), Some(error.error_len())),
        };
        let (good, bad) = run.split_at_checked(valid).unwrap_or((run, &[]));
        if !good.is_empty() {
            *input = input.get(valid..).unwrap_or_default();
            let text = core::str::from_utf8(good).map_err(|_| Error::Utf8)?;
            return Ok(Some(Event::Text(text)));
        }
        // Only at the slice's end may a character be incomplete.
        if fault != Some(None) || run.len() != input.len() {
            return Err(Error::Utf8);
        }
        for (place, &byte) in self.torn.iter_mut().zip(bad) {
            *place = byte;
            self.torn_len += 1;
        }
        *input = &[];
        Ok(None)
    }

    /// Adds a byte to a torn character; gives it once it is whole.
    fn mend(&mut self, byte: u8) -> Result<Option<char>, Error> {
        *self
            .torn
            .get_mut(usize::from(self.torn_len))
            .ok_or(Error::Utf8)? = byte;
        self.torn_len += 1;
        let bytes = self.torn.get(..usize::from(self.torn_len));
        match core::str::from_utf8(bytes.unwrap_or_default()) {
            Ok(text) => {
                self.torn_len = 0;
                Ok(text.chars().next())
            }
            Err(error) if error.error_len().is_none() => Ok(None),
            Err(_) => Err(Error::Utf8),
        }
    }
}
