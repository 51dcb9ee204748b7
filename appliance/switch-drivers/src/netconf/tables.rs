//! What the tables of a switch say of a port and of an address.

use crate::report::Seen;
use farrier_core::interface::Learned;
use farrier_netconf::{LinkState, MacEntry, Visitor, same_port};

/// What the tables of the switch say of the port and of the address.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pub(super) link: Option<bool>,
    pub(super) learned: Learned,
}

/// Takes the rows of the switch's tables.
pub(super) struct Rows<'a> {
    pub(super) port: &'a str,
    /// The VLAN that the port was read to be on.
    pub(super) vlan: Seen,
    pub(super) mac: Option<[u8; 6]>,
    pub(super) found: &'a mut Found,
}

impl Visitor for Rows<'_> {
    fn link(&mut self, link: &LinkState<'_>) {
        self.found.link = Some(link.up);
    }

    fn mac(&mut self, entry: &MacEntry<'_>) {
        if Some(entry.mac) != self.mac {
            return;
        }
        // An aggregate of ports says nothing of one of them.
        let begins = |with: &str| {
            let begin = entry.port.get(..with.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(with))
        };
        if ["ae", "esi.", "port-channel"].into_iter().any(begins) {
            return;
        }
        let learned = &mut self.found.learned;
        match (same_port(entry.port, self.port), *learned) {
            // An address is in the table once for each VLAN: a row that is not aged
            // out yet may stand beside that of the port's present VLAN.
            (true, Learned::Here(known)) if self.vlan.is(known) => {}
            (true, _) => *learned = Learned::Here(vlan_number(entry.vlan)),
            (false, Learned::Here(_)) => {}
            (false, _) => *learned = Learned::Elsewhere,
        }
    }
}

/// The number of a VLAN that a table names: 0 for a name of an operator's.
fn vlan_number(name: &str) -> u16 {
    let number = name.trim().trim_start_matches("farrier-");
    number.parse().unwrap_or(0)
}
