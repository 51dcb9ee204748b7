//! Reading of a port's VLANs out of a configuration that arrives token by token.

use crate::dialect::{Dialect, Field, Scope};
use crate::text::{clip, hash, same_port};
use crate::vlan::{MAX_TAGGED, Observed, PortVlans, VlanChange, is_vlan};
use crate::xml::name::{Name, Namespace};
use crate::xml::{Event, Token};
use heapless::{String, Vec};

/// A member of a port: a VLAN by number, or by a name whose number is not known
/// yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Number(u16),
    Name(u64),
}

/// What a switch has of a VLAN that an edit makes or removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct VlanSeen {
    /// The VLAN exists.
    pub(crate) exists: bool,
    /// It has the driver's name.
    pub(crate) ours: bool,
}

/// What a switch has of the VLANs of a [`VlanChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct VlansSeen {
    pub(crate) make: VlanSeen,
    pub(crate) remove: VlanSeen,
}

/// How a trunk carries a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Carried {
    /// Not at all.
    #[default]
    No,
    /// By its number, as the driver writes it.
    ByNumber,
    /// By a name, a range, or as its native VLAN.
    Otherwise,
}

/// What a switch has of the trunk that follows the changes of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TrunkSeen {
    /// It is one.
    pub(crate) is_trunk: bool,
    /// The VLAN that it takes up.
    pub(crate) make: Carried,
    /// The VLAN that it drops.
    pub(crate) remove: Carried,
    /// It lists other VLANs than the one that it drops.
    pub(crate) has_others: bool,
}

/// What is looked for in a configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought<'a> {
    /// The port.
    pub(crate) interface: &'a str,
    /// The VLANs that are made and removed.
    pub(crate) change: VlanChange,
    /// The trunk; empty for none.
    pub(crate) trunk: &'a str,
    /// The VLANs that it takes up and drops.
    pub(crate) trunk_vlans: VlanChange,
}

/// Most names of VLANs of a trunk that are known; the rest counts as not carried.
const MAX_NAMES: usize = 24;

/// Reads the answer to one `get-config`.
#[derive(Debug, Clone, Default)]
pub(crate) struct PortReader {
    members: Vec<Member, { MAX_TAGGED + 1 }, u8>,
    description: String<48, u8>,
    access: Option<u16>,
    native: Option<u16>,
    vlan_id: Option<u16>,
    vlan_name: Option<u64>,
    vlans: VlansSeen,
    /// The reader is in the port's entry; in its unit 0, where there are units.
    in_port: bool,
    in_unit: bool,
    in_trunk: bool,
    trunk_seen: TrunkSeen,
    /// Hashes of the names of VLANs in the trunk's list.
    trunk_names: Vec<u32, MAX_NAMES, u8>,
    /// The reader is under a root of a foreign namespace.
    foreign: bool,
    trunk: bool,
    /// There is something that [`PortVlans`] can't hold.
    other: bool,
}

/// Depth of the roots below `data`.
const ROOT: usize = 3;

impl PortReader {
    /// Reads a token of a reply.
    pub(crate) fn token(&mut self, dialect: &Dialect, sought: &Sought<'_>, token: Token<'_>) {
        let [Name::RpcReply, Name::Data, path @ ..] = token.path else {
            return;
        };
        match token.event {
            Event::Start { namespace, .. } => {
                if token.path.len() == ROOT {
                    self.foreign = !Self::is_root(dialect, path, namespace);
                }
                if Self::scope(dialect, path) == Some(Scope::Port) {
                    self.in_port = false;
                    self.in_trunk = false;
                }
                if Self::scope(dialect, path) == Some(Scope::Unit) {
                    self.in_unit = false;
                }
            }
            Event::End => self.end(dialect, path, sought),
            Event::Text { text, cut } if !self.foreign => {
                let fields = dialect.fields.iter();
                if let Some((_, field)) = fields.clone().find(|(known, _)| *known == path) {
                    self.text(dialect, sought, *field, text, cut);
                }
            }
            Event::Text { .. } | Event::Attribute { .. } => {}
        }
    }

    fn is_root(dialect: &Dialect, path: &[Name], namespace: Namespace) -> bool {
        let roots = dialect.roots;
        roots.is_empty()
            || roots
                .iter()
                .any(|&(name, uri)| path == [name] && uri == namespace)
    }

    fn scope(dialect: &Dialect, path: &[Name]) -> Option<Scope> {
        let mut scopes = dialect.scopes.iter();
        scopes
            .find(|(known, _)| *known == path)
            .map(|&(_, scope)| scope)
    }

    fn end(&mut self, dialect: &Dialect, path: &[Name], sought: &Sought<'_>) {
        match Self::scope(dialect, path) {
            Some(Scope::Port) => {
                self.in_port = false;
                self.in_trunk = false;
            }
            Some(Scope::Unit) => self.in_unit = false,
            Some(Scope::Vlan) => self.end_vlan(sought),
            None => {}
        }
    }

    /// Takes a row of the table of VLANs: a name becomes a number.
    fn end_vlan(&mut self, sought: &Sought<'_>) {
        let change = sought.change;
        let (id, name) = (self.vlan_id.take(), self.vlan_name.take());
        let Some(id) = id else {
            return;
        };
        for member in &mut self.members {
            if name.is_some_and(|name| *member == Member::Name(name)) {
                *member = Member::Number(id);
            }
        }
        if name.is_some_and(|name| self.trunk_names.contains(&short(name))) {
            self.trunk_carries(sought.trunk_vlans, Carried::Otherwise, |vlan| vlan == id);
        }
        let seen = VlanSeen {
            exists: true,
            ours: name == Some(own_name(id)),
        };
        if change.make == Some(id) {
            self.vlans.make = seen;
        }
        if change.remove == Some(id) {
            self.vlans.remove = seen;
        }
    }

    fn text(
        &mut self,
        dialect: &Dialect,
        sought: &Sought<'_>,
        field: Field,
        text: &str,
        cut: bool,
    ) {
        let units = dialect
            .scopes
            .iter()
            .any(|&(_, scope)| scope == Scope::Unit);
        match field {
            Field::PortName => {
                let is = |name: &str| !cut && !name.is_empty() && same_port(text, name);
                self.in_port = is(sought.interface);
                self.in_trunk = is(sought.trunk);
                self.in_unit = !units;
            }
            Field::UnitName => self.in_unit = text == "0",
            Field::VlanName => self.vlan_name = Some(hash(text)),
            Field::VlanId => self.vlan_id = text.parse().ok(),
            Field::Description if self.in_port => self.description = clip(text),
            Field::Native if self.in_port => self.native = self.number(text),
            Field::Native if self.in_trunk => {
                let native = text.parse().ok();
                self.trunk_carries(sought.trunk_vlans, Carried::Otherwise, |vlan| {
                    native == Some(vlan)
                });
            }
            Field::Description | Field::Native => {}
            Field::Mode | Field::OtherMode | Field::Access | Field::Tagged | Field::Member => {
                if self.in_port && self.in_unit {
                    self.vlan_text(field, text, cut);
                }
                if self.in_trunk && self.in_unit {
                    self.trunk_text(sought.trunk_vlans, field, text);
                }
            }
        }
    }

    fn vlan_text(&mut self, field: Field, text: &str, cut: bool) {
        self.other |= cut;
        match field {
            Field::Mode | Field::OtherMode => self.trunk = text.eq_ignore_ascii_case("trunk"),
            Field::Access => self.access = self.number(text),
            _ => self.member(text),
        }
    }

    /// Takes what the trunk's list says.
    fn trunk_text(&mut self, vlans: VlanChange, field: Field, text: &str) {
        if matches!(field, Field::Mode | Field::OtherMode) {
            self.trunk_seen.is_trunk = text.eq_ignore_ascii_case("trunk");
            return;
        }
        if field == Field::Access {
            // Left over from a time when it was no trunk.
            return;
        }
        let number = text.parse::<u16>().ok();
        let own = |vlan: u16| hash(text) == own_name(vlan);
        self.trunk_seen.has_others |= number.is_none() || number != vlans.remove;
        if number.is_some() {
            self.trunk_carries(vlans, Carried::ByNumber, |vlan| number == Some(vlan));
        } else if let Some((first, last)) = bounds(text) {
            let range = first..=last;
            self.trunk_carries(vlans, Carried::Otherwise, |vlan| range.contains(&vlan));
        } else if text.eq_ignore_ascii_case("all") {
            self.trunk_carries(vlans, Carried::Otherwise, |_| true);
        } else {
            self.trunk_carries(vlans, Carried::Otherwise, own);
            // What finds no room counts as not carried, and is listed by number too.
            let _fits = self.trunk_names.push(short(hash(text)));
        }
    }

    fn trunk_carries(&mut self, vlans: VlanChange, how: Carried, is: impl Fn(u16) -> bool) {
        let seen = &mut self.trunk_seen;
        for (vlan, carried) in [
            (vlans.make, &mut seen.make),
            (vlans.remove, &mut seen.remove),
        ] {
            if *carried == Carried::No && vlan.is_some_and(&is) {
                *carried = how;
            }
        }
    }

    fn number(&mut self, text: &str) -> Option<u16> {
        let number = text.parse().ok().filter(|&number| is_vlan(number));
        self.other |= number.is_none();
        number
    }

    /// Takes a number, a name, or a range `10-12` or `10..12`.
    fn member(&mut self, text: &str) {
        if let Some((first, last)) = bounds(text) {
            if first > last || usize::from(last - first) > MAX_TAGGED {
                self.other = true;
                return;
            }
            for number in first..=last {
                self.push(Member::Number(number));
            }
            return;
        }
        match text.parse() {
            Ok(number) => self.push(Member::Number(number)),
            Err(_) => self.push(Member::Name(hash(text))),
        }
    }

    fn push(&mut self, member: Member) {
        if !self.members.contains(&member) {
            self.other |= self.members.push(member).is_err();
        }
    }

    /// Returns the description, cut to 48 bytes.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// Returns what the switch has of the VLANs that the edit is about, and of the
    /// trunk.
    pub(crate) fn seen(&self, dialect: &Dialect) -> (VlansSeen, TrunkSeen) {
        let mut trunk = self.trunk_seen;
        if dialect.unlisted_is_all {
            let named = trunk.has_others || trunk.remove == Carried::ByNumber;
            let unlisted = trunk.is_trunk && !named;
            for carried in [&mut trunk.make, &mut trunk.remove] {
                if unlisted && *carried == Carried::No {
                    *carried = Carried::Otherwise;
                }
            }
        } else {
            // An empty list is as good as any.
            trunk.has_others = true;
        }
        (self.vlans, trunk)
    }

    /// Returns the VLANs of the port at the end of the answer. A port that is not
    /// in the configuration has none.
    pub(crate) fn observed(&self) -> Observed {
        let mut numbers: Vec<u16, { MAX_TAGGED + 1 }, u8> = Vec::new();
        for member in &self.members {
            match *member {
                Member::Number(number) if numbers.push(number).is_ok() => {}
                Member::Number(_) | Member::Name(_) => return Observed::Other,
            }
        }
        let vlans = match (self.trunk, self.access, numbers.as_slice()) {
            _ if self.other => None,
            (true, _, tagged) => PortVlans::new(self.native, tagged),
            (false, Some(access), _) => PortVlans::access(access),
            (false, None, []) => Some(PortVlans::NONE),
            (false, None, [access]) => PortVlans::access(*access),
            (false, None, _) => None,
        };
        vlans.map_or(Observed::Other, Observed::Port)
    }
}

/// The half of a hash that is kept of the many names of a trunk.
const fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Reads a range of VLANs, `10-12` or `10..12`.
fn bounds(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once("..").or_else(|| text.split_once('-'))?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The hash of the name of a VLAN that the driver made.
fn own_name(number: u16) -> u64 {
    let mut buffer = [0; 16];
    let mut window = crate::out::Window::new(0, &mut buffer);
    window.raw("farrier-");
    window.value(number);
    let length = window.kept();
    let name = buffer.get(..length).unwrap_or(&[]);
    hash(core::str::from_utf8(name).unwrap_or(""))
}
