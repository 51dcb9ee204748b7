//! Whether an interface is in the port that it is said to be in. Two sources have
//! to agree before a port is moved for the first time: a port that is another
//! machine's would take that machine off its network.

use super::reconcile::is_off;
use crate::interface::{Effects, Instant, Learned, NAME_LEN, String, SwitchKind, Uses, cut};
use crate::node::agent_phase;
use crate::ports::{PortControl, Ports, Sources, SwitchPort};
use crate::rack::{Rack, count, edit};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::{Mac, Neighbour};

/// How long an entry of a switch's table can hold a move up whose machine is off, in
/// milliseconds. Many switches forget it at once when a port moves, others after 300 s
/// (IEEE 802.1Q, 8.8.3). That is as long as a state may last that takes a port away.
const HELD_MILLIS: u64 = 60_000;

/// Why a port is not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The switch says another port by LLDP.
    Contradicted,
    /// The switch says its ports by LLDP, and has not said this one.
    NoLldp,
    /// The switch says none by LLDP, and no frame of the machine was seen on the
    /// VLAN that the port was read to be on.
    NotSeen,
    /// The switch has learned the interface's address on another port.
    LearnedElsewhere,
}

impl Doubt {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contradicted => "lldp says another port",
            Self::NoLldp => "lldp does not say this port",
            Self::NotSeen => "not seen on its vlan",
            Self::LearnedElsewhere => "learned on another port",
        }
    }
}

impl PortControl {
    /// Whether the last frame of the interface came by this VLAN.
    pub(crate) fn is_seen_on(&self, vlan: u16) -> bool {
        self.seen.is_some_and(|(known, _)| known == vlan)
    }
}

impl Ports {
    /// Why a port is not moved; `None` where it may be, and for no port.
    ///
    /// A port may be moved that was moved before and its machine seen behind it. Of
    /// another one two sources have to agree: an operator, and LLDP; or the switch's
    /// table of hardware addresses; or the operator again; or, where the switch does
    /// not speak LLDP to anybody, a frame of the machine on the VLAN that the port was read to be on. A port that a person
    /// moves needs no other source: the person looks at it.
    pub fn doubt(&self, mac: Mac) -> Option<Doubt> {
        let port = self.of(mac)?;
        let by = |sources| port.sources.intersects(sources);
        if by(Sources::CONTRADICTED) {
            return Some(Doubt::Contradicted);
        }
        let is_sure = Sources::MOVED
            .union(Sources::OPERATOR_AGAIN)
            .union(Sources::LLDP)
            .union(Sources::TABLE);
        if by(is_sure) || self.is_by_hand(port.switch) {
            return None;
        }
        // The ports of a group may be one to the switch, under a name of its own.
        if port.control.learned == Learned::Elsewhere && port.group == 0 {
            return Some(Doubt::LearnedElsewhere);
        }
        if self.chassis_of(port.switch).is_some() {
            return Some(Doubt::NoLldp);
        }
        // A port without a VLAN of its own shows nobody's frames.
        let seen = port.at != 0 && port.control.is_seen_on(port.at);
        (!seen).then_some(Doubt::NotSeen)
    }

    /// The chassis of a switch, as LLDP has named it on a port that is proven to be
    /// the switch's: a hash.
    pub(crate) fn chassis_of(&self, switch: u8) -> Option<u32> {
        let mut ports = self.all().iter();
        let says = |port: &&SwitchPort| {
            port.switch == switch && port.sources.contains(Sources::LLDP) && port.heard[0] != 0
        };
        ports.find(says).map(|port| port.heard[0])
    }

    /// Whether a person moves the ports of a switch.
    pub(crate) fn is_by_hand(&self, switch: u8) -> bool {
        let switch = self.switch(switch);
        switch.is_none_or(|switch| switch.address.kind == SwitchKind::ByHand)
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Takes what a switch's table of hardware addresses says of a port's interface.
    /// Where the machine is off, nothing else than that table can speak against a
    /// move that the switch's configuration says was made.
    pub(super) fn learned_at(
        &mut self,
        now: Instant,
        mac: Mac,
        learned: Learned,
        out: &mut Effects,
    ) {
        let index = self.find_by_mac(mac);
        let off = index
            .and_then(|index| self.nodes.get(index))
            .is_some_and(is_off);
        let Some(port) = self.ports.of_mut(mac) else {
            return;
        };
        let before = port.sources;
        if learned != Learned::Unknown {
            port.control.learned = learned;
        }
        match learned {
            Learned::Here(_) => port.sources.insert(Sources::TABLE),
            Learned::Elsewhere => port.sources.remove(Sources::TABLE),
            Learned::Unknown | Learned::Nowhere => {}
        }
        if let Some(applied) = port.control.applied.filter(|_| off) {
            let is_stale = matches!(learned, Learned::Here(vlan) if vlan != 0 && vlan != port.to);
            port.control.looked = !is_stale || now.since(applied) >= HELD_MILLIS;
        }
        if port.sources != before {
            port.control.told = false;
            self.ports_due = now;
            self.write_port(mac, out);
        }
    }

    /// Why a port is not moved, see [`Ports::doubt`].
    pub fn doubt(&self, mac: Mac) -> Option<Doubt> {
        self.ports.doubt(mac)
    }

    /// Whether the machine was seen behind a move of its port: by the interface in
    /// it, or since the move began by another interface of the machine, since a
    /// machine boots by one, and a bond sends by one. On a network on which machines
    /// find nothing nobody is seen, so the switch's word is all there is.
    pub(super) fn is_seen_behind(&self, port: &SwitchPort, applied: Instant) -> bool {
        let to = port.to;
        let by = |port: &SwitchPort, since: Instant| {
            let seen = port.control.seen;
            seen.is_some_and(|(vlan, at)| vlan == to && at >= since)
        };
        let begun = port.control.begun;
        let other = |index| self.ports_of(index).any(|other| by(other, begun));
        let mut networks = self.ipam.networks().iter();
        by(port, applied)
            || self.find_by_mac(port.mac).is_some_and(other)
            || networks.any(|n| (n.uses == Uses::UNUSED || n.uses == Uses::SHUT) && n.has_vlan(to))
    }

    /// Says in the node's error why its port is not moved, once.
    pub(super) fn say_doubt(&mut self, mac: Mac, doubt: Doubt) {
        let Some(port) = self.ports.of_mut(mac) else {
            return;
        };
        let told = core::mem::replace(&mut port.control.told, true);
        let (name, at) = (port.name.clone(), port.at);
        let index = self.find_by_mac(mac);
        let node = index.and_then(|index| self.nodes.get(index));
        // A verb takes errors away.
        let says = node.is_some_and(|node| !node.last_error.is_empty());
        // The error of a contradiction names the other port.
        if told && says || doubt == Doubt::Contradicted {
            return;
        }
        if let Some(index) = index
            && let Some(node) = edit!(self, index)
        {
            match doubt {
                Doubt::NoLldp | Doubt::Contradicted => node.set_error(format_args!(
                    "port {name} is not moved: its switch says by LLDP which port is which, and \
                     has not said this one. Say local_link_connection again if it is right"
                )),
                Doubt::LearnedElsewhere => node.set_error(format_args!(
                    "port {name} is not moved: its switch has learned the card's address on \
                     another port. Say local_link_connection again if it is right"
                )),
                Doubt::NotSeen => node.set_error(format_args!(
                    "port {name} is not moved yet: no frame of the machine was seen on VLAN {at}, \
                     where the port is"
                )),
            }
        }
    }

    /// An agent says what the switch says by LLDP on an interface's cable.
    pub(crate) fn neighbour(
        &mut self,
        now: Instant,
        index: usize,
        heard: &Neighbour<'_>,
        out: &mut Effects,
    ) {
        let mac = heard.mac;
        if self.find_by_mac(mac) != Some(index) {
            return;
        }
        let Some(port) = self.ports.of(mac) else {
            return;
        };
        let said = [hash(heard.chassis), hash(heard.port)];
        let agrees = self.is_port(port, heard);
        let (known, sources) = (port.heard, port.sources);
        let Some(port) = self.ports.of_mut(mac) else {
            return;
        };
        // What an operator has said again beside it is accepted as long as it stays.
        let accepted = said == known && !sources.contains(Sources::CONTRADICTED);
        port.heard = said;
        match (agrees, accepted) {
            (true, _) => port.sources.insert(Sources::LLDP),
            (false, true) => {}
            (false, false) => {
                port.sources.remove(Sources::LLDP);
                port.sources.insert(Sources::CONTRADICTED);
            }
        }
        if port.sources != sources || said != known {
            port.control.told = false;
            self.ports_due = now;
            self.write_port(mac, out);
        }
        if agrees || accepted {
            return;
        }
        if said != known {
            count(&mut self.counters.ports_contradicted);
        }
        self.say_contradiction(index, mac, Some(heard));
    }

    /// Says in a node's error that LLDP contradicts one of its ports, unless it is
    /// said already.
    fn say_contradiction(&mut self, index: usize, mac: Mac, heard: Option<&Neighbour<'_>>) {
        /// How the error begins.
        const CABLE: &str = "the cable of ";
        let Some(port) = self.ports.of(mac) else {
            return;
        };
        let name = port.name.clone();
        let switch: String<NAME_LEN> = cut(self.texts.switch(port.switch));
        let node = self.nodes.get(index);
        if node.is_none_or(|node| node.last_error.starts_with(CABLE)) {
            return;
        }
        let Some(node) = edit!(self, index) else {
            return;
        };
        let anew = "Nothing is moved until local_link_connection is said anew";
        match heard {
            Some(heard) => {
                let port: String<40> = cut(heard.port);
                let system: String<40> = cut(match heard.system {
                    "" => heard.chassis,
                    system => system,
                });
                node.set_error(format_args!(
                    "{CABLE}{switch} {name} is in {system} {port}, says LLDP. {anew}"
                ));
            }
            None => node.set_error(format_args!(
                "{CABLE}{switch} {name} is in another port, says LLDP. {anew}"
            )),
        }
    }

    /// Whether LLDP says this port: by its identifier or its description, of this
    /// switch and of no other that is known.
    fn is_port(&self, port: &SwitchPort, heard: &Neighbour<'_>) -> bool {
        let name = port.name.as_str();
        let named =
            heard.port.eq_ignore_ascii_case(name) || heard.description.eq_ignore_ascii_case(name);
        let own = self.ports.chassis_of(port.switch);
        let own = own.or_else(|| self.chassis_of_uplink(port.switch));
        let chassis = hash(heard.chassis);
        let mut switches = self.ports.switches().iter();
        let others = switches.any(|other| {
            other.place != port.switch
                && (self.ports.chassis_of(other.place) == Some(chassis)
                    || self
                        .texts
                        .switch(other.place)
                        .eq_ignore_ascii_case(heard.system))
        });
        named && !others && own.is_none_or(|own| own == chassis)
    }

    /// The chassis of a switch, as it was heard on the appliance's own cable, where its
    /// name is the switch's: a hash.
    fn chassis_of_uplink(&self, switch: u8) -> Option<u32> {
        let (heard, _) = self.uplink.as_ref()?;
        let name = self.texts.switch(switch);
        let same = !name.is_empty() && heard.system.eq_ignore_ascii_case(name);
        same.then(|| hash(&heard.chassis))
    }

    /// Whether a node is at work one of whose ports was shut, or is another one by
    /// LLDP, which its error says then.
    pub(super) fn works_stopped(&mut self, index: usize) -> bool {
        let node = self.nodes.get(index);
        let works = node.is_some_and(|node| {
            agent_phase(node.state).is_some() || node.state == ProvisionState::Deleting
        });
        let stopped = |port: &&SwitchPort| port.sources.intersects(Sources::STOPS);
        let found = self.ports_of(index).find(stopped);
        let found = found.map(|port| (port.mac, port.sources));
        let Some((mac, sources)) = found.filter(|_| works) else {
            return false;
        };
        match sources.contains(Sources::SHUT) {
            true => self.say_shut(index, mac, None),
            false => self.say_contradiction(index, mac, None),
        }
        true
    }
}

/// FNV-1a of a text in lower case; 0 for none.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0, |hash: u32, byte| {
        let hash = if hash == 0 { 0x811c_9dc5 } else { hash };
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}
