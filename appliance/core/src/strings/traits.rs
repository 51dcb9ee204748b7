//! The interner of traits and resource classes, each kept once for the whole
//! rack and named by nodes by its number.

use crate::interface::CommandError;
use crate::strings::{Kind, RACK, StringPool};

/// Most traits and resource classes. Traits of a node are a set of bits in one `u32`.
pub const MAX_TRAITS: u8 = 32;
/// Longest trait or resource class in bytes.
pub const TRAIT_LEN: usize = 64;

impl StringPool {
    /// The trait of that number; empty where there is none.
    pub fn word(&self, place: u8) -> &str {
        self.get(usize::from(RACK), Kind::Trait(place))
    }

    /// The number of a trait.
    pub fn find_trait(&self, word: &str) -> Option<u8> {
        (0..MAX_TRAITS).find(|place| !word.is_empty() && self.word(*place) == word)
    }

    /// The traits of a set, in the order of their numbers.
    pub fn words(&self, set: u32) -> impl Iterator<Item = &str> {
        (0..MAX_TRAITS)
            .filter(move |place| set >> place & 1 == 1)
            .map(|place| self.word(place))
    }

    /// How many bytes of the pool a trait would take: 0 where it is there
    /// already.
    ///
    /// # Errors
    /// Why it can't be kept.
    pub fn room_for(&self, word: &str) -> Result<usize, CommandError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if word.is_empty() || word.len() > TRAIT_LEN || !word.bytes().all(allowed) {
            return Err(CommandError::BadTrait);
        }
        if self.find_trait(word).is_some() {
            return Ok(0);
        }
        if self.free_traits() == 0 {
            return Err(CommandError::TraitsFull);
        }
        Ok(StringPool::cost(word.len()))
    }

    /// How many more traits and classes there is room for.
    pub fn free_traits(&self) -> usize {
        let places = 0..MAX_TRAITS;
        places.filter(|place| self.word(*place).is_empty()).count()
    }

    /// The resource class of that number (a place plus 1); empty for 0.
    pub fn class(&self, number: u8) -> &str {
        number.checked_sub(1).map_or("", |place| self.word(place))
    }
}
