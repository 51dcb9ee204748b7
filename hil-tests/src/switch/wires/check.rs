//! Proves from the capture that no frame of one network was on another.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Direction, Record, What, Wires};
use crate::switch::{Kind, Mac, PortMode, VlanId};

/// A frame leaves the switch at most so long after it came in: faults hold
/// frames back for some milliseconds.
const TRANSIT: Duration = Duration::from_secs(1);
/// Bytes of the shortest frame on a wire, without FCS.
const MIN_FRAME: usize = 60;
/// Violations that are told.
const TOLD: usize = 20;
/// The destination of LLDP, and its EtherType.
const LLDP: ([u8; 6], [u8; 2]) = ([0x01, 0x80, 0xC2, 0, 0, 0x0E], [0x88, 0xCC]);

/// What a capture of a switch's wires proves.
///
/// Each frame that left by a port must have come in by another, not long
/// before, in the same network: for a port in VLANs the VLAN of its tag, or
/// the port's VLAN of untagged frames at that moment. Only LLDP of the switch
/// itself comes from nowhere. Frames that a [`Hook`](crate::switch::Hook)
/// changed look as if nobody had sent them.
#[derive(Debug, Default)]
pub struct Isolation {
    /// Frames that left by ports and were proven.
    pub proven: u64,
    /// Frames that came in and that their port may not carry.
    pub refused: u64,
    /// Of those that were proven, LLDP of the switch.
    pub own: u64,
    /// What each port went through, in the order of time, port by port.
    pub stays: Vec<Stay>,
    /// Frames that were not proven.
    pub unproven: u64,
    /// The first of them.
    pub violations: Vec<String>,
}

/// The time that a port spent in one mode.
#[derive(Debug, Clone)]
pub struct Stay {
    /// The port's name.
    pub port: String,
    /// What it carried.
    pub mode: PortMode,
    /// From when, since 1970.
    pub from: Duration,
    /// Who sent into the port, and was not refused.
    pub senders: BTreeSet<Mac>,
    /// Whose frames were handed to the port's peer.
    pub heard: BTreeSet<Mac>,
    /// IPv4 addresses of those senders.
    pub sender_ips: BTreeSet<Ipv4Addr>,
    /// IPv4 addresses of those that were heard.
    pub heard_ips: BTreeSet<Ipv4Addr>,
}

/// A network: a VLAN, or that of all plain ports.
type Network = Option<VlanId>;

/// A frame that came in.
struct Arrival {
    at: Duration,
    port: usize,
    network: Network,
}

impl Isolation {
    /// Reads a capture. `switch` is the address of the switch itself.
    ///
    /// # Errors
    /// The capture can't be read. What it shows is in the result: see
    /// [`Isolation::ensure`].
    pub fn of(path: &Path, switch: Mac) -> Result<Self> {
        let mut wires = Wires::open(path)?;
        let mut found = Self::default();
        // The stay of each port now, and all that are over.
        let mut stays: Vec<Option<Stay>> = Vec::new();
        let mut over: Vec<(usize, Stay)> = Vec::new();
        let mut arrivals: HashMap<u64, Vec<Arrival>> = HashMap::new();
        let mut frames = 0_u64;
        while let Some(Record { at, port, what }) = wires.next_record()? {
            if stays.len() <= port {
                stays.resize(port + 1, None);
            }
            let place = &mut stays[port];
            let (direction, frame) = match what {
                What::Frame(direction, frame) => (direction, frame),
                What::Mode(mode) => {
                    let stay = Stay::new(wires.name(port), mode, at);
                    over.extend(place.replace(stay).map(|stay| (port, stay)));
                    continue;
                }
            };
            let Some(stay) = place else {
                ensure!(false, "frames before the mode of a port");
                continue;
            };
            frames += 1;
            if frames.is_multiple_of(100_000) {
                arrivals.retain(|_, list| {
                    list.retain(|arrival| arrival.at + TRANSIT >= at);
                    !list.is_empty()
                });
            }
            match direction {
                Direction::In => {
                    let Some((network, inner)) = network(&stay.mode, &frame) else {
                        found.refused += 1;
                        continue;
                    };
                    stay.note(direction, &inner);
                    arrivals
                        .entry(hash(&inner))
                        .or_default()
                        .push(Arrival { at, port, network });
                }
                Direction::Out => {
                    let own = frame.starts_with(&LLDP.0)
                        && frame.get(6..12) == Some(&switch.0)
                        && frame.get(12..14) == Some(&LLDP.1);
                    let why = match network(&stay.mode, &frame) {
                        _ if own => None,
                        None => Some("the port does not carry such a frame".to_owned()),
                        Some((network, inner)) => {
                            stay.note(direction, &inner);
                            let came = arrivals.get(&hash(&inner)).map_or(&[][..], Vec::as_slice);
                            unproven(came, &wires, (at, port, network), &inner)
                        }
                    };
                    match why {
                        None => {
                            found.proven += 1;
                            found.own += u64::from(own);
                        }
                        Some(why) => {
                            let text = format!(
                                "{:.6} {} ({}): {}: {why}",
                                at.as_secs_f64(),
                                wires.name(port),
                                stay.mode,
                                Shown(&frame)
                            );
                            found.unproven += 1;
                            if found.violations.len() < TOLD {
                                found.violations.push(text);
                            }
                        }
                    }
                }
            }
        }
        over.extend(
            stays
                .into_iter()
                .enumerate()
                .filter_map(|(port, stay)| Some((port, stay?))),
        );
        // Stable: in time within a port.
        over.sort_by_key(|(port, _)| *port);
        found.stays = over.into_iter().map(|(_, stay)| stay).collect();
        Ok(found)
    }

    /// Requires that frames were seen and each of them proven.
    ///
    /// # Errors
    /// Frames that were not, with the first of them.
    pub fn ensure(&self) -> Result<()> {
        ensure!(
            self.unproven == 0,
            "{} frames were on a network that they did not come from:\n{}",
            self.unproven,
            self.violations.join("\n")
        );
        ensure!(self.proven > self.own, "no frame passed the switch");
        Ok(())
    }

    /// What a port went through, in the order of time.
    pub fn stays_of<'a>(&'a self, port: &'a str) -> impl Iterator<Item = &'a Stay> {
        self.stays.iter().filter(move |stay| stay.port == port)
    }
}

impl Stay {
    fn new(port: &str, mode: PortMode, from: Duration) -> Self {
        Self {
            port: port.to_owned(),
            mode,
            from,
            senders: BTreeSet::new(),
            heard: BTreeSet::new(),
            sender_ips: BTreeSet::new(),
            heard_ips: BTreeSet::new(),
        }
    }

    /// The VLAN of the port's untagged frames.
    pub fn vlan(&self) -> Option<VlanId> {
        match &self.mode {
            PortMode::Plain => None,
            PortMode::Vlans { untagged, .. } => *untagged,
        }
    }

    fn note(&mut self, direction: Direction, inner: &[u8]) {
        let (macs, ips) = match direction {
            Direction::In => (&mut self.senders, &mut self.sender_ips),
            Direction::Out => (&mut self.heard, &mut self.heard_ips),
        };
        macs.extend(Mac::at(inner, 6));
        ips.extend(source_ip(inner));
    }
}

/// Why nobody can have sent what left by a port at this time in this network.
fn unproven(
    came: &[Arrival],
    wires: &Wires,
    (at, port, network): (Duration, usize, Network),
    inner: &[u8],
) -> Option<String> {
    let reserved = inner.starts_with(&[0x01, 0x80, 0xC2, 0, 0])
        && inner.get(5).is_some_and(|last| *last < 16)
        && network.is_some();
    if reserved {
        return Some("bridges keep it to themselves".to_owned());
    }
    let recent = || came.iter().filter(|came| came.at + TRANSIT >= at);
    if recent().any(|came| came.network == network && came.port != port) {
        return None;
    }
    let other = recent().next_back();
    Some(other.map_or("nobody had sent it".to_owned(), |came| {
        let from = wires.name(came.port);
        format!("it came in by {from} in {}", Told(came.network))
    }))
}

/// The network of a frame on the wire of a port, and the frame without a tag.
/// Deliberately not what the switch uses.
fn network(mode: &PortMode, frame: &[u8]) -> Option<(Network, Vec<u8>)> {
    let PortMode::Vlans { untagged, tagged } = mode else {
        return Some((None, frame.to_vec()));
    };
    let [0x81, 0x00, high, low] = *frame.get(12..16)? else {
        return untagged.map(|vlan| (Some(vlan), frame.to_vec()));
    };
    let number = u16::from_be_bytes([high, low]) % 4096;
    let vlan = match number {
        0 => *untagged,
        _ => tagged.iter().find(|vlan| vlan.get() == number).copied(),
    }?;
    Some((Some(vlan), [&frame[..12], &frame[16..]].concat()))
}

/// The hash of a frame without a tag. Its padding to the shortest frame (802.3, 60
/// bytes without FCS) counts in any case: some ends of a cable fill up, some do not.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let padding = MIN_FRAME.saturating_sub(bytes.len());
    [bytes, &[0; MIN_FRAME][..padding]]
        .concat()
        .hash(&mut hasher);
    hasher.finish()
}

/// The sender's address of an IPv4 packet or of ARP.
fn source_ip(inner: &[u8]) -> Option<Ipv4Addr> {
    let at = match inner.get(12..14)? {
        [0x08, 0x00] => 26,
        [0x08, 0x06] => 28,
        _ => return None,
    };
    let octets: [u8; 4] = inner.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets)).filter(|address| !address.is_unspecified())
}

/// A network in a message.
struct Told(Network);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(vlan) => write!(f, "VLAN {vlan}"),
            None => f.write_str("the plain network"),
        }
    }
}

/// A frame in a message.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.0;
        let mac = |at| Mac::at(frame, at).unwrap_or(Mac([0; 6]));
        let kind = Kind::of(frame);
        write!(
            f,
            "{} to {}, {kind:?}, {} bytes",
            mac(6),
            mac(0),
            frame.len()
        )
    }
}
