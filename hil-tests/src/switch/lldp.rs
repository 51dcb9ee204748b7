//! What the switch says of itself on its ports: LLDP (IEEE 802.1AB-2016).

use std::time::{Duration, Instant};

use farrier_ethernet::lldp::{ETHERTYPE, NEAREST_BRIDGE};

use super::{Mac, PortMode, VlanId};

/// How long a neighbour may rely on it, in seconds: 802.1AB's default.
const TTL: u16 = 120;

/// When the next frames are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub every: Duration,
    pub next: Instant,
}

/// Whether bridges keep frames to this address to themselves
/// (IEEE 802.1Q-2018, table 8-1).
pub(super) fn is_reserved(destination: Mac) -> bool {
    matches!(destination.0, [0x01, 0x80, 0xC2, 0, 0, 0..=0x0F])
}

/// The frame that says which port of which switch a cable is in.
pub(super) fn frame(switch: Mac, system: &str, port: &str, mode: &PortMode) -> Vec<u8> {
    let mut frame = [&NEAREST_BRIDGE[..], &switch.0, &ETHERTYPE].concat();
    put(&mut frame, 1, &[&[4], &switch.0]);
    put(&mut frame, 2, &[&[5], port.as_bytes()]);
    put(&mut frame, 3, &[&TTL.to_be_bytes()]);
    put(&mut frame, 4, &[b"port of the rack's switch"]);
    put(&mut frame, 5, &[system.as_bytes()]);
    let native = match mode {
        PortMode::Plain => None,
        PortMode::Vlans { untagged, .. } => untagged.map(VlanId::get),
    };
    if let Some(vlan) = native {
        put(
            &mut frame,
            127,
            &[&[0x00, 0x80, 0xC2, 1], &vlan.to_be_bytes()],
        );
    }
    put(&mut frame, 0, &[]);
    // A real switch's hardware pads.
    frame.resize(frame.len().max(60), 0);
    frame
}

/// Adds an element. An identifier has at most 255 bytes behind its subtype.
fn put(frame: &mut Vec<u8>, kind: u16, parts: &[&[u8]]) {
    let mut content = parts.concat();
    content.truncate(256);
    frame.extend((kind << 9 | content.len() as u16).to_be_bytes());
    frame.extend(content);
}
