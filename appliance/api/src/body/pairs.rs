//! Keys and values of a body, one behind the other in one room.

use farrier_core::strings::KeyValues;
use heapless::Vec;

/// Bytes for all keys and values of one body, each with its end.
const ROOM: usize = 896;

/// There is no room for another pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// `key`, 0, `value`, 0; and so on. A list is its key once for every value,
/// a member of an object is `object/key`.
#[derive(Default)]
pub(crate) struct Pairs(Vec<u8, ROOM, u16>);

impl core::fmt::Debug for Pairs {
    /// The keys alone: there are passwords among the values.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.lists().fmt(f)
    }
}

impl Pairs {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a pair; the key is put together of its parts.
    pub(crate) fn push(&mut self, key: &[&str], value: &str) -> Result<(), Full> {
        let before = self.0.len();
        let end = ["\0", value, "\0"];
        for part in key.iter().chain(&end) {
            if self.0.extend_from_slice(part.as_bytes()).is_err() {
                self.0.truncate(before);
                return Err(Full);
            }
        }
        Ok(())
    }

    /// The same in place of the pairs that have this key.
    pub(crate) fn put(&mut self, key: &[&str], value: &str) -> Result<(), Full> {
        let is_key = |known: &str| {
            let rest = key
                .iter()
                .try_fold(known, |rest, part| rest.strip_prefix(part));
            rest == Some("")
        };
        self.remove(is_key);
        self.push(key, value)
    }

    /// Removes the pairs whose keys are such.
    pub(crate) fn remove(&mut self, is_such: impl Fn(&str) -> bool) {
        let mut at = 0;
        loop {
            let all = core::str::from_utf8(&self.0).unwrap_or("");
            let Some(rest) = all.get(at..).filter(|rest| !rest.is_empty()) else {
                return;
            };
            let mut parts = rest.splitn(3, '\0');
            let key = parts.next().unwrap_or("");
            let length = key.len() + parts.next().unwrap_or("").len() + 2;
            if is_such(key) {
                let end = (at + length).min(self.0.len());
                self.0.copy_within(end.., at);
                let left = self.0.len() - (end - at);
                self.0.truncate(left);
            } else {
                at += length;
            }
        }
    }

    /// All pairs, for a command.
    pub(crate) fn lists(&self) -> KeyValues<'_> {
        KeyValues(core::str::from_utf8(&self.0).unwrap_or(""))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lists().iter()
    }

    /// The value of a key, where there is one.
    pub(crate) fn find(&self, key: &str) -> Option<&str> {
        let mut pairs = self.iter();
        pairs.find(|(known, _)| *known == key).map(|pair| pair.1)
    }

    /// The value of a key; empty where there is none.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.find(key).unwrap_or("")
    }

    /// The values of a list.
    pub(crate) fn all<'p>(&'p self, key: &'p str) -> impl Iterator<Item = &'p str> {
        let found = self.iter().filter(move |(known, _)| *known == key);
        found.map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn shown(pairs: &Pairs) -> Vec<(&str, &str)> {
        pairs.iter().collect()
    }

    #[test]
    fn a_pair_takes_the_place_of_those_with_its_key() {
        let mut pairs = Pairs::new();
        for (key, value) in [("a", "1"), ("b/c", ""), ("a", "2"), ("ab", "3")] {
            pairs.push(&[key], value).unwrap();
        }
        assert_eq!(pairs.all("a").collect::<Vec<_>>(), ["1", "2"]);
        pairs.put(&["b/", "c"], "4").unwrap();
        assert_eq!(
            shown(&pairs),
            [("a", "1"), ("a", "2"), ("ab", "3"), ("b/c", "4")]
        );
        pairs.put(&["a"], "").unwrap();
        assert_eq!(shown(&pairs), [("ab", "3"), ("b/c", "4"), ("a", "")]);
        assert_eq!((pairs.find("a"), pairs.find("x")), (Some(""), None));
    }

    #[test]
    fn a_pair_without_room_leaves_no_part() {
        let mut pairs = Pairs::new();
        let long = "v".repeat(ROOM - 4);
        pairs.push(&["k"], "v").unwrap();
        assert_eq!(pairs.push(&["l"], &long), Err(Full));
        assert_eq!(shown(&pairs), [("k", "v")]);
    }
}
