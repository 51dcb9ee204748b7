//! Traits and resource classes of nodes: interned in the string pool, and
//! forgotten when nothing uses them.

use crate::interface::{CommandError, Effects};
use crate::node::Node;
use crate::node::flags::Flags;
use crate::persist::record::Record;
use crate::rack::{Rack, edit};
use crate::strings::traits::MAX_TRAITS;
use crate::strings::{Kind, RACK};

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The number of a trait, which gets one where it has none.
    pub(crate) fn intern(&mut self, word: &str, out: &mut Effects) -> Result<u8, CommandError> {
        self.texts.room_for(word)?;
        if let Some(place) = self.texts.find_trait(word) {
            return Ok(place);
        }
        let free = (0..MAX_TRAITS).find(|place| self.texts.word(*place).is_empty());
        let place = free.ok_or(CommandError::TraitsFull)?;
        self.texts
            .set(usize::from(RACK), Kind::Trait(place), word)?;
        Record::Trait { place, name: word }.emit(out);
        Ok(place)
    }

    /// Forgets traits and classes that nothing uses any more.
    pub(crate) fn sweep_traits(&mut self, out: &mut Effects) {
        for place in 0..MAX_TRAITS {
            let bit = 1 << place;
            let used =
                |node: &Node| (node.traits | node.wanted) & bit != 0 || node.class == place + 1;
            let needed = self.flavors.iter().any(|f| f.need.uses(place));
            if !needed
                && !self.nodes.iter().any(used)
                && !self.texts.word(place).is_empty()
                // Removing always fits.
                && self.texts.set(usize::from(RACK), Kind::Trait(place), "").is_ok()
            {
                Record::Trait { place, name: "" }.emit(out);
            }
        }
    }

    /// Gives a node a trait, or takes it away; an empty name takes away all.
    pub(crate) fn set_trait(
        &mut self,
        index: usize,
        word: &str,
        on: bool,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let bit = match (self.texts.find_trait(word), on) {
            (_, false) if word.is_empty() => u32::MAX,
            (Some(place), _) => 1 << place,
            (None, true) => 1 << self.intern(word, out)?,
            (None, false) => return Err(CommandError::NoSuchTrait),
        };
        let known = self.nodes.get(index).map_or(0, |node| node.traits);
        if !on && !word.is_empty() && known & bit == 0 {
            return Err(CommandError::NoSuchTrait);
        }
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        if on {
            node.traits |= bit;
        } else {
            node.traits &= !bit;
        }
        self.sweep_traits(out);
        Ok(())
    }

    /// Gives a node these traits and no others, by their places.
    pub(crate) fn replace_traits(
        &mut self,
        index: usize,
        traits: u32,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        node.traits = traits;
        self.sweep_traits(out);
        Ok(())
    }

    /// Gives a node its resource class; empty for none.
    pub(crate) fn set_class(
        &mut self,
        index: usize,
        word: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let class = match word {
            "" => 0,
            word => self.intern(word, out)? + 1,
        };
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        if node.flags.contains(Flags::ALLOCATED) && node.class != class {
            return Err(CommandError::Associated);
        }
        node.class = class;
        self.sweep_traits(out);
        Ok(())
    }
}
