//! What a switch says by LLDP, as the appliance is told it.

use farrier_ethernet::lldp::parse;
use farrier_protocol::message::{HeardNeighbour, Mac};

use super::inventory::text;

/// Reads a frame that came by the interface with this address. `None` for a frame
/// that is none of LLDP, or that says that it holds no longer.
pub fn heard(mac: [u8; 6], frame: &[u8]) -> Option<HeardNeighbour> {
    let neighbour = parse(frame).ok().filter(|neighbour| neighbour.ttl > 0)?;
    Some(HeardNeighbour {
        mac: Mac(mac),
        chassis: text(&neighbour.chassis_text().to_string()),
        port: text(&neighbour.port_text().to_string()),
        system: text(neighbour.system_name),
        description: text(neighbour.port_description),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ttl: u8) -> Vec<u8> {
        let mut frame = vec![0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc];
        frame.extend([2, 7, 4, 0x02, 0xfa, 0x44, 0x5a, 0, 0]);
        frame.extend(b"\x04\x09\x05ge-0/0/7");
        frame.extend([6, 2, 0, ttl]);
        frame.extend(b"\x0a\x03tor");
        frame.extend([0, 0]);
        frame
    }

    #[test]
    fn a_switch_is_told_in_words() {
        let heard = heard([2; 6], &frame(120)).unwrap();
        assert_eq!(heard.chassis, "02:fa:44:5a:00:00");
        assert_eq!(heard.port, "ge-0/0/7");
        assert_eq!(
            (heard.system.as_str(), heard.description.as_str()),
            ("tor", "")
        );
    }

    #[test]
    fn what_holds_no_longer_is_not_told() {
        assert_eq!(heard([2; 6], &frame(0)), None);
        assert_eq!(heard([2; 6], b"no frame"), None);
    }
}
