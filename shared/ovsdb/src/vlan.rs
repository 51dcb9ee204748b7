//! What a port's columns `tag`, `trunks` and `vlan_mode` say, and what they
//! mean.

use core::fmt::Write as _;

use farrier_json::Writer;

use crate::text::Text;

/// Most VLANs of a port's `trunks` that are looked at.
pub const MAX_TRUNKS: usize = 32;
/// Longest name of a port in bytes.
pub const MAX_NAME: usize = 40;

/// The name of a port (`Port.name`), which the schema makes unique in a switch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PortName(Text<MAX_NAME>);

impl Eq for PortName {}

impl PortName {
    /// A name of 1 to [`MAX_NAME`] bytes without control characters; `None`
    /// for any other.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=MAX_NAME).contains(&name.len());
        (fits && !name.contains(char::is_control)).then(|| Self(Text::new(name)))
    }

    /// Whether it is this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.0.is(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A set of VLAN ids (0 to 4095), in ascending order.
///
/// It holds [`MAX_TRUNKS`] ids. A set read from a switch can have more; it is
/// then not [complete](Self::is_complete) and equals no other.
#[derive(Debug, Clone, Copy)]
pub struct VlanSet {
    ids: [u16; MAX_TRUNKS],
    len: u8,
    cut: bool,
}

impl VlanSet {
    /// No VLAN. As the `trunks` of a trunk this means *every* VLAN.
    pub const EMPTY: Self = Self {
        ids: [0; MAX_TRUNKS],
        len: 0,
        cut: false,
    };

    /// These VLANs; `None` where there are more than [`MAX_TRUNKS`] or one
    /// is above 4095.
    #[must_use]
    pub fn new(ids: &[u16]) -> Option<Self> {
        let mut set = Self::EMPTY;
        for &id in ids {
            if id > 4095 {
                return None;
            }
            set.insert(id);
        }
        set.is_complete().then_some(set)
    }

    /// The ids, ascending.
    #[must_use]
    pub fn ids(&self) -> &[u16] {
        self.ids.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether `id` is in it.
    #[must_use]
    pub fn contains(&self, id: u16) -> bool {
        self.ids().binary_search(&id).is_ok()
    }

    /// Whether all ids are here.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        !self.cut
    }

    /// Whether it has no id.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0 && !self.cut
    }

    pub(crate) fn insert(&mut self, id: u16) {
        let Err(at) = self.ids().binary_search(&id) else {
            return;
        };
        let len = usize::from(self.len);
        let Some(tail) = self.ids.get_mut(at..=len) else {
            self.cut = true;
            return;
        };
        tail.rotate_right(1);
        if let Some(place) = tail.first_mut() {
            *place = id;
        }
        self.len += 1;
    }
}

impl PartialEq for VlanSet {
    fn eq(&self, other: &Self) -> bool {
        self.is_complete() && other.is_complete() && self.ids() == other.ids()
    }
}

/// `Port.vlan_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VlanMode {
    /// Untagged frames of `tag`.
    Access = 0,
    /// Tagged frames of `trunks`.
    Trunk = 1,
    /// A trunk that sends frames of `tag` with their tag and takes untagged
    /// ones as such.
    NativeTagged = 2,
    /// A trunk whose untagged frames are those of `tag`.
    NativeUntagged = 3,
    /// Tags of the machine are carried inside the tag of the switch (802.1ad).
    Dot1qTunnel = 4,
    /// A word that this client does not know. It can't be asked for.
    Other = 5,
}

impl VlanMode {
    /// Those of the schema, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Access,
        Self::Trunk,
        Self::NativeTagged,
        Self::NativeUntagged,
        Self::Dot1qTunnel,
    ];

    /// The word of the schema; `unknown` for [`VlanMode::Other`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Trunk => "trunk",
            Self::NativeTagged => "native-tagged",
            Self::NativeUntagged => "native-untagged",
            Self::Dot1qTunnel => "dot1q-tunnel",
            Self::Other => "unknown",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// How a port carries a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carriage {
    /// Not at all.
    No,
    /// Without a tag in both directions.
    Untagged,
    /// With its tag.
    Tagged,
    /// Inside a tunnel: as the machine sends it.
    Tunnel,
}

/// The VLANs of a port as its row has them.
///
/// A port with nothing set, as `ovs-vsctl add-port` leaves it, is a trunk of
/// *every* VLAN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PortVlan {
    /// `tag`: 0 to 4095.
    pub tag: Option<u16>,
    /// `trunks`. Empty means every VLAN where the port is a trunk.
    pub trunks: VlanSet,
    /// `vlan_mode`. Unset means access where there is a tag, else trunk.
    pub mode: Option<VlanMode>,
}

impl PortVlan {
    /// Nothing set: every VLAN.
    pub const UNSET: Self = Self {
        tag: None,
        trunks: VlanSet::EMPTY,
        mode: None,
    };

    /// An access port of this VLAN (1 to 4094).
    #[must_use]
    pub fn access(vlan: u16) -> Option<Self> {
        is_vlan(vlan).then_some(Self {
            tag: Some(vlan),
            trunks: VlanSet::EMPTY,
            mode: Some(VlanMode::Access),
        })
    }

    /// A trunk of these VLANs (1 to 4094, at least one), which drops untagged
    /// frames.
    #[must_use]
    pub fn trunk(vlans: &[u16]) -> Option<Self> {
        let valid = !vlans.is_empty() && vlans.iter().all(|&vlan| is_vlan(vlan));
        valid.then_some(())?;
        Some(Self {
            tag: None,
            trunks: VlanSet::new(vlans)?,
            mode: Some(VlanMode::Trunk),
        })
    }

    /// A trunk of these VLANs whose untagged frames belong to `native`.
    #[must_use]
    pub fn native(native: u16, vlans: &[u16]) -> Option<Self> {
        is_vlan(native).then_some(())?;
        Some(Self {
            tag: Some(native),
            mode: Some(VlanMode::NativeUntagged),
            ..Self::trunk(vlans)?
        })
    }

    /// How frames of `vlan` pass the port, as ovs-vswitchd.conf.db(5) says.
    /// `None` where that is not known: `trunks` has more ids than are kept,
    /// and this is none of them; or the mode is [`VlanMode::Other`].
    #[must_use]
    pub fn carriage(&self, vlan: u16) -> Option<Carriage> {
        let mode = self.mode.unwrap_or(match self.tag {
            Some(_) => VlanMode::Access,
            None => VlanMode::Trunk,
        });
        // Without a tag, the switch takes untagged frames as VLAN 0.
        let native = self.tag.unwrap_or(0) == vlan;
        Some(match mode {
            VlanMode::Other => return None,
            VlanMode::Access if native => Carriage::Untagged,
            VlanMode::Dot1qTunnel if native => Carriage::Tunnel,
            VlanMode::Access | VlanMode::Dot1qTunnel => Carriage::No,
            VlanMode::NativeUntagged if native => Carriage::Untagged,
            VlanMode::NativeTagged if native => Carriage::Tagged,
            _ if self.trunks.is_empty() || self.trunks.contains(vlan) => match vlan {
                0 => Carriage::Untagged,
                _ => Carriage::Tagged,
            },
            _ if self.trunks.is_complete() => Carriage::No,
            _ => return None,
        })
    }

    /// Whether all of it is known, so that it can be compared and asked for.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.trunks.is_complete() && self.mode != Some(VlanMode::Other)
    }

    /// Writes the columns as the members of a row.
    pub(crate) fn write<W: core::fmt::Write>(&self, out: &mut Writer<W>) {
        out.object().key("tag");
        match self.tag {
            Some(tag) => out.number(tag),
            None => empty_set(out),
        };
        out.key("trunks").array().string("set").array();
        for &id in self.trunks.ids() {
            out.number(id);
        }
        out.end_array().end_array().key("vlan_mode");
        match self.mode {
            Some(mode) => out.string(mode.as_str()),
            None => empty_set(out),
        };
        out.end_object();
    }
}

impl core::fmt::Display for PortVlan {
    /// As `tag=10 trunks=20,30 vlan_mode=trunk`; `-` for what is unset.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("tag=")?;
        match self.tag {
            Some(tag) => write!(f, "{tag}")?,
            None => f.write_char('-')?,
        }
        f.write_str(" trunks=")?;
        if self.trunks.is_empty() {
            f.write_char('-')?;
        }
        for (at, id) in self.trunks.ids().iter().enumerate() {
            write!(f, "{}{id}", if at == 0 { "" } else { "," })?;
        }
        if !self.trunks.is_complete() {
            f.write_str(",…")?;
        }
        let mode = self.mode.map_or("-", VlanMode::as_str);
        write!(f, " vlan_mode={mode}")
    }
}

fn is_vlan(id: u16) -> bool {
    (1..=4094).contains(&id)
}

fn empty_set<W: core::fmt::Write>(out: &mut Writer<W>) -> &mut Writer<W> {
    out.array().string("set").array().end_array().end_array()
}
