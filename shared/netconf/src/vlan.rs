//! The VLANs of a port, as wanted and as read.

use heapless::Vec;

/// Largest number of tagged VLANs of a port.
pub const MAX_TAGGED: usize = 16;

/// A VLAN number of IEEE 802.1Q that can be used, 1 to 4094.
#[must_use]
pub const fn is_vlan(number: u16) -> bool {
    number >= 1 && number <= 4094
}

/// The VLANs of a port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortVlans {
    untagged: Option<u16>,
    /// In ascending order, without the untagged one.
    tagged: Vec<u16, MAX_TAGGED, u8>,
}

impl PortVlans {
    /// A port without a VLAN.
    pub const NONE: Self = Self {
        untagged: None,
        tagged: Vec::new(),
    };

    /// Creates the VLANs of a port: at most one untagged, the others tagged, in any
    /// order. Repetitions, and an untagged VLAN that is also in `tagged`, count
    /// once. Returns `None` for a number outside 1 to 4094 and for more than
    /// [`MAX_TAGGED`] tagged VLANs.
    #[must_use]
    pub fn new(untagged: Option<u16>, tagged: &[u16]) -> Option<Self> {
        if untagged.is_some_and(|vlan| !is_vlan(vlan)) {
            return None;
        }
        let mut vlans = Self {
            untagged,
            tagged: Vec::new(),
        };
        for &vlan in tagged {
            if !is_vlan(vlan) {
                return None;
            }
            if Some(vlan) == untagged || vlans.tagged.contains(&vlan) {
                continue;
            }
            let place = vlans.tagged.iter().position(|&other| other > vlan);
            let place = place.unwrap_or(vlans.tagged.len());
            vlans.tagged.insert(place, vlan).ok()?;
        }
        Some(vlans)
    }

    /// An access port: one untagged VLAN, 1 to 4094.
    #[must_use]
    pub fn access(vlan: u16) -> Option<Self> {
        Self::new(Some(vlan), &[])
    }

    /// Returns the VLAN of untagged frames: the access VLAN, or the native VLAN of
    /// a trunk.
    #[must_use]
    pub const fn untagged(&self) -> Option<u16> {
        self.untagged
    }

    /// Returns the VLANs of tagged frames, in ascending order.
    #[must_use]
    pub fn tagged(&self) -> &[u16] {
        &self.tagged
    }

    /// Returns whether the port carries no VLAN.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.untagged.is_none() && self.tagged.is_empty()
    }
}

/// What a switch says about a port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Observed {
    /// It was not read, or the answer was lost.
    #[default]
    Unknown,
    /// The port has these VLANs.
    Port(PortVlans),
    /// The port's configuration is none that this crate could write: names of
    /// VLANs that do not exist, `all`, several VLANs of an access port, more than
    /// [`MAX_TAGGED`].
    Other,
}

impl Observed {
    /// Returns whether the port has exactly these VLANs.
    #[must_use]
    pub fn is(&self, vlans: &PortVlans) -> bool {
        matches!(self, Self::Port(found) if found == vlans)
    }
}

/// What happens to VLANs themselves, beside the port, in the same edit. The
/// driver's VLANs are named `farrier-NUMBER`; others are never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VlanChange {
    /// The VLAN of this number is made unless the switch has it.
    pub make: Option<u16>,
    /// The VLAN of this number is removed if the driver made it.
    pub remove: Option<u16>,
}

impl VlanChange {
    /// Nothing.
    pub const NONE: Self = Self {
        make: None,
        remove: None,
    };

    /// One VLAN is made.
    #[must_use]
    pub const fn make(number: u16) -> Self {
        Self {
            make: Some(number),
            remove: None,
        }
    }

    /// One VLAN is removed.
    #[must_use]
    pub const fn remove(number: u16) -> Self {
        Self {
            make: None,
            remove: Some(number),
        }
    }

    /// Returns the change that takes this one back.
    #[must_use]
    pub const fn inverse(self) -> Self {
        Self {
            make: self.remove,
            remove: self.make,
        }
    }
}
