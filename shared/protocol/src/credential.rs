//! Boot credentials: what a machine is given in its DHCP exchange, so that it can
//! ask for its boot script and its agent can shake hands.
//!
//! Both parts follow from the appliance's key, the ticket's identifier, and the
//! [`Place`] that the lease was given to. So the appliance stores nothing until a
//! handshake is complete, and a message from another place does not verify.

use core::fmt;

use crate::crypto::{equal, sha256};
use crate::message::Mac;
use crate::ticket::{Ticket, TicketId};

/// What a lease was given to. A credential is good there and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The interface.
    pub mac: Mac,
    /// Its IPv4 address.
    pub address: [u8; 4],
    /// The number of the network.
    pub network: u8,
}

/// The key that credentials follow from.
#[derive(Clone)]
pub struct CredentialKey([u8; 32]);

/// What a machine is given for one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    /// Authorises one handshake.
    pub ticket: Ticket,
    /// Stands in the boot script's URL.
    pub nonce: [u8; 8],
}

impl CredentialKey {
    /// Derives the key from the appliance's permanent secret, so that a restart
    /// does not end the boots under way.
    pub fn new(identity: &[u8; 32]) -> Self {
        Self(sha256(&[b"farrier boot credentials v1\0", identity]))
    }

    /// The credential of that identifier for that place. Costs one block of
    /// SHA-256: key and message have a fixed length of 51 bytes, and part of the
    /// digest stays secret, so the hash of a prefix can't be extended.
    pub fn derive(&self, id: TicketId, place: &Place) -> Credential {
        let digest = sha256(&[
            &self.0,
            &place.mac.0,
            &place.address,
            &[place.network],
            &id.0,
        ]);
        let (mut secret, mut nonce) = ([0; 24], [0; 8]);
        secret.copy_from_slice(&digest[..24]);
        nonce.copy_from_slice(&digest[24..]);
        Credential {
            ticket: Ticket { id, secret },
            nonce,
        }
    }
}

impl Credential {
    /// Whether this is the credential's nonce. Takes constant time.
    pub fn has_nonce(&self, nonce: [u8; 8]) -> bool {
        equal(&self.nonce, &nonce)
    }
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        mac: Mac([2, 0, 0, 0, 0, 1]),
        address: [172, 22, 0, 100],
        network: 0,
    };
    const ID: TicketId = TicketId([1, 2, 3, 4, 5, 6, 7, 8]);

    #[test]
    fn a_credential_is_good_in_one_place_for_one_identifier_and_key() {
        let key = CredentialKey::new(&[1; 32]);
        let own = key.derive(ID, &PLACE);
        assert_eq!(own, key.clone().derive(ID, &PLACE));
        let mut others = std::vec![
            CredentialKey::new(&[2; 32]).derive(ID, &PLACE),
            key.derive(TicketId([1, 2, 3, 4, 5, 6, 7, 9]), &PLACE),
        ];
        for (mac, address, network) in [
            (Mac([2, 0, 0, 0, 0, 2]), PLACE.address, 0),
            (PLACE.mac, [172, 22, 0, 101], 0),
            (PLACE.mac, PLACE.address, 1),
        ] {
            let place = Place {
                mac,
                address,
                network,
            };
            others.push(key.derive(ID, &place));
        }
        for other in others {
            assert_ne!(other.ticket.secret, own.ticket.secret);
            assert!(!own.has_nonce(other.nonce));
        }
        assert!(own.has_nonce(own.nonce));
        assert_ne!(own.ticket.secret[..8], own.nonce, "the URL tells no secret");
    }
}
