//! What the switch says by LLDP of the port that the appliance's own cable is in.

use super::{String, cut};
use core::fmt::Write;
use farrier_ethernet::lldp;

/// Longest text in bytes; what is longer is cut.
const TEXT: usize = 40;

/// What the appliance has heard on its own cable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// Which device it is.
    pub chassis: String<TEXT>,
    /// Which port of it.
    pub port: String<TEXT>,
    /// The device's name; empty for none.
    pub system: String<TEXT>,
    /// The port's description; empty for none.
    pub description: String<TEXT>,
}

impl Uplink {
    /// Reads an untagged frame; `None` for one that is none of LLDP, or that says that
    /// it holds no longer.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let heard = lldp::parse(frame).ok().filter(|heard| heard.ttl > 0)?;
        let shown = |text: lldp::Shown<'_>| {
            let mut room = String::<TEXT>::new();
            // `Cut` never fails.
            let _never = write!(super::Cut(&mut room), "{text}");
            room
        };
        Some(Uplink {
            chassis: shown(heard.chassis_text()),
            port: shown(heard.port_text()),
            system: cut(heard.system_name),
            description: cut(heard.port_description),
        })
    }
}
