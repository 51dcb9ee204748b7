//! The string pool: texts that most nodes do not have. Reasons, driver info,
//! settings of drivers, names of allocations, traits and resource classes.
//!
//! A field of its greatest length in every node would cost ten times the
//! memory that a rack ever uses. So they lie behind each other in one arena,
//! each with its owner and its kind in front. Nothing here knows what a text
//! means. A text that finds no room is refused, and what was there stays.

mod interfaces;
mod settings;
pub mod traits;

pub use crate::interface::KeyValues;
use crate::interface::{AdminFlag, BETWEEN, Setting};
pub(crate) use interfaces::SETTINGS_LEN;
pub use interfaces::{InterfaceSettings, PHYSICAL_NETWORK_LEN};

/// Bytes of the arena.
pub const STRING_POOL_LEN: usize = farrier_sizes::STRING_POOL;
/// Longest text in bytes.
pub const TEXT_MAX: usize = 96;
/// The owner of texts that belong to no node.
pub const RACK: u8 = 0xff;

/// What a text is. Numbers of kinds with several places count on from their first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Why a node is in maintenance.
    MaintenanceReason,
    /// Why a node is protected.
    ProtectedReason,
    /// Why a node is retired.
    RetiredReason,
    /// A key of `driver_info` and its value, as a pair; there may be several.
    DriverInfo,
    /// The name of the allocation that has the node.
    AllocationName,
    /// The resource class or the flavor that the allocation asked for.
    AllocationClass,
    /// The account that a node belongs to.
    Owner,
    /// The account that works with a node for a while.
    Lessee,
    /// The weakest method by which the node's disks may be erased.
    LeastErase,
    /// A device that an operator has waived, and what is kept of that, as a pair;
    /// there may be several.
    Waiver,
    /// An interface of the node, and what an operator says of it, as a pair.
    Interface,
    /// What a driver understands, by its number.
    Setting(Setting),
    /// The secret that a node's BMC took before the present one.
    Former(Setting),
    /// A trait or a resource class.
    Trait(u8),
    /// The name of a flavor.
    Flavor(u8),
    /// The name of a network.
    Network(u8),
    /// The name of a switch.
    Switch(u8),
    /// The name of a port group.
    PortGroup(u8),
}

impl Kind {
    /// The number in the arena and in records: never changed.
    pub const fn number(self) -> u8 {
        match self {
            Self::MaintenanceReason => 0,
            Self::ProtectedReason => 1,
            Self::RetiredReason => 2,
            Self::DriverInfo => 3,
            Self::AllocationName => 4,
            Self::AllocationClass => 5,
            Self::Owner => 6,
            Self::Lessee => 7,
            Self::LeastErase => 8,
            Self::Waiver => 9,
            Self::Interface => 10,
            Self::Setting(setting) => 16 + setting as u8,
            Self::Former(setting) => 32 + setting as u8,
            Self::Trait(place) => 64 + place % 64,
            Self::Flavor(place) => 128 + place % 32,
            Self::Network(place) => 160 + place % 32,
            Self::Switch(place) => 192 + place % 32,
            // Places count from 1.
            Self::PortGroup(place) => 224 + place.wrapping_sub(1) % 32,
        }
    }
}

impl AdminFlag {
    /// The kind of its reason.
    pub const fn reason(self) -> Kind {
        match self {
            Self::Maintenance => Kind::MaintenanceReason,
            Self::Protected => Kind::ProtectedReason,
            Self::Retired => Kind::RetiredReason,
        }
    }
}

/// The name of the provisioning network in the API.
pub const PROVISIONING_NAME: &str = "provisioning";

impl StringPool {
    /// Whether an account owns or leases the node in a place.
    pub fn is_worked_by(&self, node: usize, account: &str) -> bool {
        let has = |kind| self.get(node, kind) == account;
        !account.is_empty() && (has(Kind::Owner) || has(Kind::Lessee))
    }

    /// The name of a network.
    pub fn network(&self, place: u8) -> &str {
        match place {
            PROVISIONING_NETWORK => PROVISIONING_NAME,
            place => self.get(usize::from(RACK), Kind::Network(place)),
        }
    }

    /// The name of a switch.
    pub fn switch(&self, place: u8) -> &str {
        self.get(usize::from(RACK), Kind::Switch(place))
    }

    /// The name of a port group.
    pub fn port_group(&self, place: u8) -> &str {
        self.get(usize::from(RACK), Kind::PortGroup(place))
    }

    /// The place of the switch of that name.
    pub fn find_switch(&self, name: &str) -> Option<u8> {
        (0..farrier_sizes::SWITCHES as u8).find(|place| {
            !name.is_empty() && self.get(usize::from(RACK), Kind::Switch(*place)) == name
        })
    }

    /// The place of the network of that name.
    pub fn find_network(&self, name: &str) -> Option<u8> {
        (PROVISIONING_NETWORK..=farrier_sizes::NETWORKS as u8)
            .find(|place| !name.is_empty() && self.network(*place) == name)
    }
}

/// The place of the provisioning network.
pub(crate) const PROVISIONING_NETWORK: u8 = 0;

/// The arena has no room for a text, or the text is longer than
/// [`TEXT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

const HEAD: usize = 3;

/// The arena.
pub struct StringPool {
    /// Owner, kind, length, bytes; and so on.
    bytes: [u8; STRING_POOL_LEN],
    used: u16,
}

impl core::fmt::Debug for StringPool {
    /// Without the texts: there are secrets among them.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StringPool")
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

impl Default for StringPool {
    fn default() -> Self {
        Self::new()
    }
}

impl StringPool {
    /// No text at all.
    pub const fn new() -> Self {
        StringPool {
            bytes: [0; STRING_POOL_LEN],
            used: 0,
        }
    }

    /// The one text of that kind; empty where there is none.
    pub fn get(&self, owner: usize, kind: Kind) -> &str {
        self.all(owner, kind).next().unwrap_or("")
    }

    /// All texts of that kind, in the order in which they came.
    pub fn all(&self, owner: usize, kind: Kind) -> impl Iterator<Item = &str> {
        let (owner, kind) = (short(owner), kind.number());
        self.entries()
            .filter(move |entry| entry.owner == owner && entry.kind == kind)
            .map(|entry| entry.text())
    }

    /// All pairs of that kind: key and value.
    pub fn pairs(&self, owner: usize, kind: Kind) -> impl Iterator<Item = (&str, &str)> {
        self.all(owner, kind)
            .map(|text| text.split_once(BETWEEN).unwrap_or((text, "")))
    }

    /// Puts a text in the place of the one that is there; an empty one
    /// removes it.
    ///
    /// # Errors
    /// [`Full`]; the old text stays.
    pub fn set(&mut self, owner: usize, kind: Kind, text: &str) -> Result<(), Full> {
        let old = self.entries().find(|e| e.is(owner, kind)).map(Entry::span);
        self.replace(old, owner, kind, &[text])
    }

    /// Puts a pair in the place of the one with the same key; an empty value
    /// removes it.
    ///
    /// # Errors
    /// [`Full`]; the old pair stays.
    pub fn set_pair(
        &mut self,
        owner: usize,
        kind: Kind,
        key: &str,
        value: &str,
    ) -> Result<(), Full> {
        let same = |text: &str| text.split_once(BETWEEN).is_some_and(|(k, _)| k == key);
        let mut entries = self.entries();
        let old = entries
            .find(|entry| entry.is(owner, kind) && same(entry.text()))
            .map(Entry::span);
        match value {
            "" => self.replace(old, owner, kind, &[]),
            _ => self.replace(old, owner, kind, &[key, "\0", value]),
        }
    }

    /// Removes every text of an owner.
    pub fn forget(&mut self, owner: usize) {
        let short = short(owner);
        loop {
            let found = self.entries().find(|entry| entry.owner == short);
            let Some(span) = found.map(Entry::span) else {
                return;
            };
            self.remove(span);
        }
    }

    /// Bytes that are free, heads of entries included.
    pub fn free(&self) -> usize {
        STRING_POOL_LEN.saturating_sub(usize::from(self.used))
    }

    /// Bytes that a text of that length takes.
    pub const fn cost(len: usize) -> usize {
        HEAD + len
    }

    fn replace(
        &mut self,
        old: Option<(usize, usize)>,
        owner: usize,
        kind: Kind,
        parts: &[&str],
    ) -> Result<(), Full> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let freed = old.map_or(0, |(start, end)| end - start);
        if len > TEXT_MAX || (len > 0 && HEAD + len > self.free() + freed) {
            return Err(Full);
        }
        if let Some(old) = old {
            self.remove(old);
        }
        if len == 0 {
            return Ok(());
        }
        let head = [short(owner), kind.number(), short(len)];
        for part in core::iter::once(&head[..]).chain(parts.iter().map(|part| part.as_bytes())) {
            let start = usize::from(self.used);
            let end = start + part.len();
            let room = self.bytes.get_mut(start..end).ok_or(Full)?;
            room.copy_from_slice(part);
            self.used = u16::try_from(end).map_err(|_| Full)?;
        }
        Ok(())
    }

    fn remove(&mut self, (start, end): (usize, usize)) {
        let used = usize::from(self.used);
        if start <= end && end <= used {
            self.bytes.copy_within(end..used, start);
            let left = used - (end - start);
            // What was there may be a secret.
            if let Some(freed) = self.bytes.get_mut(left..used) {
                freed.fill(0);
            }
            self.used = u16::try_from(left).unwrap_or(0);
        }
    }

    fn entries(&self) -> Entries<'_> {
        Entries { texts: self, at: 0 }
    }
}

/// A number that is known to be small.
fn short(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(RACK)
}

struct Entries<'a> {
    texts: &'a StringPool,
    at: usize,
}

struct Entry<'a> {
    owner: u8,
    kind: u8,
    start: usize,
    bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Its text. Most entries are passed over without it.
    fn text(&self) -> &'a str {
        // Only whole texts were put in.
        core::str::from_utf8(self.bytes).unwrap_or("")
    }

    fn is(&self, owner: usize, kind: Kind) -> bool {
        self.owner == short(owner) && self.kind == kind.number()
    }

    fn span(self) -> (usize, usize) {
        (self.start, self.start + HEAD + self.bytes.len())
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let used = usize::from(self.texts.used);
        let (head, rest) = self
            .texts
            .bytes
            .get(self.at..used)?
            .split_first_chunk::<HEAD>()?;
        let [owner, kind, len] = *head;
        let bytes = rest.get(..usize::from(len))?;
        let start = self.at;
        self.at = start + HEAD + bytes.len();
        Some(Entry {
            owner,
            kind,
            start,
            bytes,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
