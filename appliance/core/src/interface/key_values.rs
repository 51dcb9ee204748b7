//! Lists of texts in one piece.

/// Between the key and the value of a pair: no text may hold it.
pub(crate) const BETWEEN: char = '\0';

/// Keys and values, each with a zero behind it: how lists of texts are handed
/// over without a table of them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyValues<'a>(pub &'a str);

impl core::fmt::Debug for KeyValues<'_> {
    /// The keys alone: there are passwords among the values.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(key, _)| key))
            .finish()
    }
}

impl<'a> KeyValues<'a> {
    /// All pairs, in their order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut parts = self.0.split_terminator(BETWEEN);
        core::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    /// The values of a key.
    pub fn all<'k>(self, key: &'k str) -> impl Iterator<Item = &'a str> + use<'a, 'k> {
        let found = self.iter().filter(move |(known, _)| *known == key);
        found.map(|(_, value)| value)
    }
}
