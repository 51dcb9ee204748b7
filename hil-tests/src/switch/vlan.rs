//! The VLANs of a port: how frames come out of their tags at a port and get
//! back into them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};
pub use farrier_ethernet::vlan::VlanId;
use farrier_ethernet::vlan::{Carrier, TAG_LEN, carrier, tag};

use super::Frame;

/// What a frame is forwarded in: a VLAN, or, for `None`, the one network of
/// all [plain](PortMode::Plain) ports.
pub(crate) type Domain = Option<VlanId>;

/// Which frames a port carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PortMode {
    /// Every frame as it is, tagged or not, from and to plain ports only: a
    /// switch that knows no VLANs.
    #[default]
    Plain,
    /// Frames of VLANs. Any other frame is dropped, in both directions.
    Vlans {
        /// The VLAN of frames without a tag, and of those whose tag has a
        /// priority only. None: such frames are dropped.
        untagged: Option<VlanId>,
        /// The VLANs of frames with a tag.
        tagged: BTreeSet<VlanId>,
    },
}

impl PortMode {
    /// An access port: untagged frames of one VLAN.
    pub fn access(vlan: VlanId) -> Self {
        Self::trunk([], Some(vlan))
    }

    /// A trunk: tagged frames, and untagged ones of its native VLAN if it has
    /// one. The native VLAN is not carried with a tag.
    pub fn trunk(tagged: impl IntoIterator<Item = VlanId>, native: Option<VlanId>) -> Self {
        Self::Vlans {
            untagged: native,
            tagged: tagged
                .into_iter()
                .filter(|vlan| Some(*vlan) != native)
                .collect(),
        }
    }

    /// A port that carries nothing.
    pub fn closed() -> Self {
        Self::trunk([], None)
    }

    /// How the port carries a VLAN's frames.
    pub fn carries(&self, vlan: VlanId) -> Option<Tagging> {
        match self {
            Self::Plain => None,
            Self::Vlans { untagged, .. } if *untagged == Some(vlan) => Some(Tagging::Untagged),
            Self::Vlans { tagged, .. } if tagged.contains(&vlan) => Some(Tagging::Tagged),
            Self::Vlans { .. } => None,
        }
    }

    /// The domain of a frame that came in by the port; its tag is taken off.
    /// None if the port does not carry it.
    pub(crate) fn take(&self, frame: &mut Vec<u8>) -> Option<Domain> {
        let Self::Vlans { untagged, tagged } = self else {
            return Some(None);
        };
        let (carrier, has_tag) = carrier(frame);
        let vlan = match carrier {
            Carrier::Native => *untagged,
            Carrier::Tagged(vlan) => tagged.contains(&vlan).then_some(vlan),
            Carrier::Invalid => None,
        }?;
        if has_tag {
            frame.drain(ADDRESSES..ADDRESSES + TAG_LEN);
        }
        Some(Some(vlan))
    }

    /// How frames of a domain leave by the port.
    pub(crate) fn give(&self, domain: Domain) -> Option<Tagging> {
        match (self, domain) {
            (Self::Plain, None) => Some(Tagging::Untagged),
            (Self::Plain, Some(_)) | (_, None) => None,
            (_, Some(vlan)) => self.carries(vlan),
        }
    }

    /// Whether every frame that this mode carries is carried by the other one
    /// too, in the same form.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain, Self::Plain) => true,
            (
                Self::Vlans { untagged, tagged },
                Self::Vlans {
                    untagged: native,
                    tagged: more,
                },
            ) => (untagged.is_none() || untagged == native) && tagged.is_subset(more),
            _ => false,
        }
    }
}

/// The form of a VLAN's frames on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagging {
    /// Without a tag.
    Untagged,
    /// With the VLAN's tag.
    Tagged,
}

/// Bytes of the two addresses that precede a tag.
const ADDRESSES: usize = 12;

/// The frame with a VLAN's tag.
pub(crate) fn tagged(frame: &[u8], vlan: VlanId) -> Frame {
    let mut buffer = frame.to_vec();
    buffer.resize(frame.len() + TAG_LEN, 0);
    // Frames in the fabric have addresses.
    if tag(&mut buffer, frame.len(), vlan).is_none() {
        buffer.truncate(frame.len());
    }
    buffer.into()
}

/// A frame on its way out, in the forms that its receivers want. The tagged
/// one is made once, whatever the number of receivers.
pub(crate) struct Outgoing {
    pub domain: Domain,
    pub untagged: Frame,
    tagged: Option<Frame>,
}

impl Outgoing {
    pub fn new(domain: Domain, untagged: Frame) -> Self {
        Self {
            domain,
            untagged,
            tagged: None,
        }
    }

    /// The frame with its domain's tag, if it has one.
    pub fn tagged(&mut self) -> Frame {
        let Some(vlan) = self.domain else {
            return self.untagged.clone();
        };
        self.tagged
            .get_or_insert_with(|| tagged(&self.untagged, vlan))
            .clone()
    }
}

impl fmt::Display for PortMode {
    /// `plain`, or as `untagged 10 tagged 20,30`, with `-` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Vlans { untagged, tagged } = self else {
            return f.write_str("plain");
        };
        match untagged {
            Some(vlan) => write!(f, "untagged {vlan} tagged ")?,
            None => f.write_str("untagged - tagged ")?,
        }
        if tagged.is_empty() {
            return f.write_str("-");
        }
        for (index, vlan) in tagged.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{vlan}")?;
        }
        Ok(())
    }
}

impl FromStr for PortMode {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| -> Result<VlanId> {
            VlanId::new(text.parse()?).with_context(|| format!("no VLAN has the number {text}"))
        };
        let words: Vec<_> = text.split(' ').collect();
        match words.as_slice() {
            ["plain"] => Ok(Self::Plain),
            ["untagged", native, "tagged", list] => Ok(Self::Vlans {
                untagged: (*native != "-").then(|| number(native)).transpose()?,
                tagged: list
                    .split(',')
                    .filter(|number| *number != "-")
                    .map(number)
                    .collect::<Result<_>>()?,
            }),
            _ => anyhow::bail!("`{text}` is no mode of a port"),
        }
    }
}
