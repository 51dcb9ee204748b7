//! Collecting the text of a key or a value out of the tokenizer's pieces.

use crate::json::Event;
use farrier_core::node::String;

/// A text of at most `N` bytes; remembers when more came.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Text<const N: usize> {
    text: String<N>,
    cut: bool,
}

impl<const N: usize> core::fmt::Debug for Text<N> {
    /// Without its bytes: they may be a password.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Text(..)")
    }
}

impl<const N: usize> Text<N> {
    /// Starts anew.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.cut = false;
    }

    /// Adds the piece that an event brings, if it brings one.
    pub(crate) fn take(&mut self, event: Event<'_>) {
        self.cut |= match event {
            Event::Text(text) => self.text.push_str(text).is_err(),
            Event::Char(character) => self.text.push(character).is_err(),
            _ => false,
        };
    }

    /// The text; `None` where it was longer.
    pub(crate) fn get(&self) -> Option<&str> {
        (!self.cut).then_some(self.text.as_str())
    }

    /// The text, cut where it was longer: for messages.
    pub(crate) fn shown(&self) -> &str {
        &self.text
    }
}
