//! Which images may be deployed: none that is older than the newest version
//! that was ever ordered of its name, and none of a key that was revoked.

use super::{MAX_IMAGES, Rack};
use crate::interface::{CommandError, Effects, Image};
use crate::persist::record::Record;
use heapless::{String, Vec};

/// Most keys that can be revoked.
pub const MAX_REVOKED: usize = 4;

/// The least version of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFloor {
    /// The image's name; empty where the place is free.
    pub name: String<64>,
    /// Versions below this one are not deployed.
    pub version: u64,
}

/// What was learned of images, also of those that the asset store has not any
/// more.
#[derive(Debug)]
pub(crate) struct ImageRules {
    pub(crate) floors: Vec<ImageFloor, MAX_IMAGES>,
    pub(crate) revoked: Vec<[u8; 32], MAX_REVOKED>,
}

impl ImageRules {
    pub(crate) const fn new() -> Self {
        Self {
            floors: Vec::new(),
            revoked: Vec::new(),
        }
    }

    /// Sets the least version of a name; 0 forgets the name. Gives whether
    /// there was room. All others keep their places: a sweep may be half-way.
    pub(crate) fn set_floor(&mut self, name: &str, version: u64) -> bool {
        let Ok(text) = String::try_from(name) else {
            return false;
        };
        let own = self.floors.iter().position(|floor| floor.name == text);
        if version == 0 {
            if let Some(floor) = own.and_then(|place| self.floors.get_mut(place)) {
                floor.name.clear();
            }
            return true;
        }
        let free = || self.floors.iter().position(|floor| floor.name.is_empty());
        let new = ImageFloor {
            name: text,
            version,
        };
        match own.or_else(free) {
            Some(place) => self
                .floors
                .get_mut(place)
                .map(|floor| *floor = new)
                .is_some(),
            None => self.floors.push(new).is_ok(),
        }
    }

    /// Revokes a key. Gives whether there was room.
    pub(crate) fn revoke(&mut self, key: [u8; 32]) -> bool {
        self.revoked.contains(&key) || self.revoked.push(key).is_ok()
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The least versions of images, and free places among them.
    pub fn image_floors(&self) -> &[ImageFloor] {
        &self.image_rules.floors
    }

    fn floors_are_full(&self) -> bool {
        let taken = |floor: &&ImageFloor| !floor.name.is_empty();
        self.image_floors().iter().filter(taken).count() >= MAX_IMAGES
    }

    /// The public keys whose images are not deployed any more.
    pub fn revoked_keys(&self) -> &[[u8; 32]] {
        &self.image_rules.revoked
    }

    /// The operator's public key for images.
    pub fn images_key(&self) -> Option<[u8; 32]> {
        self.images_key
    }

    fn floor(&self, name: &str) -> Option<u64> {
        let mut floors = self.image_floors().iter();
        floors
            .find(|floor| !name.is_empty() && floor.name == name)
            .map(|floor| floor.version)
    }

    /// Whether an image may be deployed.
    pub(crate) fn check_image(&self, image: &Image) -> Result<(), CommandError> {
        if self
            .images_key
            .is_some_and(|key| self.revoked_keys().contains(&key))
        {
            return Err(CommandError::ImageKeyRevoked);
        }
        match self.floor(&image.name) {
            Some(least) if image.version < least => Err(CommandError::ImageOlder(least)),
            None if self.floors_are_full() => Err(CommandError::ImageFloorsFull),
            _ => Ok(()),
        }
    }

    /// An image is ordered: no older one of its name is from now on.
    pub(crate) fn image_ordered(&mut self, index: usize, out: &mut Effects) {
        let node = self.nodes.get(index);
        let image = node.and_then(|node| self.image(&node.instance.image_source));
        let Some((name, version)) = image.map(|image| (image.name.clone(), image.version)) else {
            return;
        };
        if self.floor(&name).is_none_or(|least| least < version) {
            // `check_image` has looked for room.
            let _set = self.set_least_version(&name, version, out);
        }
    }

    /// Whether the store has an image of that name, or it has a least version. A
    /// mistyped name would take a place that nothing frees.
    pub(crate) fn knows_image(&self, name: &str) -> bool {
        self.floor(name).is_some() || self.images().iter().any(|image| image.name == name)
    }

    /// Sets the least version of a name; 0 forgets it.
    pub(crate) fn set_least_version(
        &mut self,
        name: &str,
        version: u64,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        if name.is_empty() || name.len() > 64 {
            return Err(CommandError::TooLong);
        }
        let known = self.floor(name).is_some();
        if !known && version > 0 && self.floors_are_full() {
            return Err(CommandError::ImageFloorsFull);
        }
        self.image_rules.set_floor(name, version);
        Record::ImageFloor { name, version }.emit(out);
        Ok(())
    }

    /// Revokes a public key for images, for good.
    pub(crate) fn revoke_key(
        &mut self,
        key: [u8; 32],
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        if !self.image_rules.revoke(key) {
            return Err(CommandError::RevokedKeysFull);
        }
        Record::KeyRevoked { key }.emit(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rack::TestRack;
    use std::boxed::Box;
    use std::format;

    fn image(version: u64) -> Image {
        Image {
            name: "debian".try_into().unwrap(),
            version,
            raw_size: 1,
            root: [0; 32],
            manifest_path: String::new(),
            data_path: String::new(),
        }
    }

    #[test]
    fn an_older_version_is_refused_until_an_operator_says_so() {
        let mut rack = Box::new(TestRack::new());
        let mut out = Effects::new();
        assert_eq!(rack.check_image(&image(7)), Ok(()));
        rack.set_least_version("debian", 7, &mut out).unwrap();
        assert_eq!(
            rack.check_image(&image(6)),
            Err(CommandError::ImageOlder(7))
        );
        assert_eq!(rack.check_image(&image(7)), Ok(()));
        rack.set_least_version("debian", 6, &mut out).unwrap();
        assert_eq!(rack.check_image(&image(6)), Ok(()));
        rack.set_least_version("debian", 0, &mut out).unwrap();
        assert_eq!(rack.floor("debian"), None);
    }

    #[test]
    fn a_full_table_refuses_names_that_it_can_not_remember() {
        let mut rack = Box::new(TestRack::new());
        let mut out = Effects::new();
        for number in 0..MAX_IMAGES {
            let name = format!("image-{number}");
            rack.set_least_version(&name, 1, &mut out).unwrap();
            out.clear();
        }
        let full = Err(CommandError::ImageFloorsFull);
        assert_eq!(rack.set_least_version("debian", 1, &mut out), full);
        assert_eq!(rack.check_image(&image(1)), full);
        rack.set_least_version("image-3", 0, &mut out).unwrap();
        assert_eq!(rack.check_image(&image(1)), Ok(()));
    }

    #[test]
    fn images_of_a_revoked_key_are_refused() {
        let mut rack = Box::new(TestRack::new());
        let mut out = Effects::new();
        rack.images_key = Some([1; 32]);
        for number in 2..=5 {
            rack.revoke_key([number; 32], &mut out).unwrap();
        }
        assert_eq!(rack.check_image(&image(1)), Ok(()));
        let full = Err(CommandError::RevokedKeysFull);
        assert_eq!(rack.revoke_key([1; 32], &mut out), full);
        assert_eq!(rack.revoke_key([5; 32], &mut out), Ok(()), "already");
        rack.images_key = Some([5; 32]);
        assert_eq!(
            rack.check_image(&image(1)),
            Err(CommandError::ImageKeyRevoked)
        );
    }
}
