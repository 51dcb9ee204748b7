//! What an operator says of the interfaces of nodes. Only what is not the default has
//! a text.

use super::{Full, Kind, StringPool};
use core::fmt::Write;
use farrier_protocol::message::Mac;
use heapless::String;

/// Digits of an address.
const KEY_LEN: usize = 12;
/// Longest name of a network that a cable leads to, in bytes.
pub const PHYSICAL_NETWORK_LEN: usize = 40;
/// Bytes of a text beside that name.
pub(crate) const SETTINGS_LEN: usize = KEY_LEN + 2;
const ON: &str = "+";
const OFF: &str = "-";

/// What an operator says of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceSettings<'a> {
    /// Whether the machine may boot by it from the network.
    pub pxe_enabled: bool,
    /// What the operator calls the network that its cable leads to; empty for none.
    pub physical_network: &'a str,
}

impl InterfaceSettings<'_> {
    /// What holds where nothing was said.
    pub const DEFAULT: InterfaceSettings<'static> = InterfaceSettings {
        pxe_enabled: true,
        physical_network: "",
    };
}

impl StringPool {
    /// What is said of an interface of the node in a place.
    pub fn interface(&self, node: usize, mac: Mac) -> InterfaceSettings<'_> {
        let mut all = self.interfaces(node);
        let known = all.find(|(known, _)| *known == mac);
        known.map_or(InterfaceSettings::DEFAULT, |(_, said)| said)
    }

    /// The interfaces of a node of which something is said.
    pub(crate) fn interfaces(
        &self,
        node: usize,
    ) -> impl Iterator<Item = (Mac, InterfaceSettings<'_>)> {
        self.pairs(node, Kind::Interface).filter_map(|(key, said)| {
            let mac = u64::from_str_radix(key, 16).ok()?.to_be_bytes();
            let (_, mac) = mac.split_last_chunk::<6>()?;
            let pxe_enabled = said.starts_with(ON);
            Some((
                Mac(*mac),
                InterfaceSettings {
                    pxe_enabled,
                    physical_network: said.get(1..)?,
                },
            ))
        })
    }

    /// Says something else of an interface.
    ///
    /// # Errors
    /// [`Full`]; what was said before stays.
    pub(crate) fn set_interface(
        &mut self,
        node: usize,
        mac: Mac,
        said: InterfaceSettings<'_>,
    ) -> Result<(), Full> {
        let mut key = String::<KEY_LEN>::new();
        let mut value = String::<{ PHYSICAL_NETWORK_LEN + 1 }>::new();
        for byte in mac.0 {
            write!(key, "{byte:02x}").map_err(|_| Full)?;
        }
        if said != InterfaceSettings::DEFAULT {
            let sign = if said.pxe_enabled { ON } else { OFF };
            write!(value, "{sign}{}", said.physical_network).map_err(|_| Full)?;
        }
        self.set_pair(node, Kind::Interface, &key, &value)
    }
}
