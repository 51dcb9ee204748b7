//! The destination of a reply (RFC 2131 §4.1). It depends on request and reply
//! only.

use core::net::Ipv4Addr;

use crate::wire::{MessageType, Reply, Request};

/// Destination of a reply. Its source is the server's port 67.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To port 67 of the relay with this address (`giaddr`).
    Relay(Ipv4Addr),
    /// To port 68 of the client, which has this address (`ciaddr`) and answers
    /// ARP for it.
    Unicast(Ipv4Addr),
    /// To 255.255.255.255 port 68, on the network that the request came from.
    Broadcast,
    /// To port 68 of an address for which the client does not answer ARP yet: a
    /// frame to its hardware address.
    RawUnicast {
        /// The client's `chaddr`.
        mac: [u8; 6],
        /// The assigned address `yiaddr`.
        ip: Ipv4Addr,
    },
}

/// Returns the destination of `reply`, the answer to `request`.
///
/// A reply without an address to a client without an address (a NAK, or an ACK to
/// an INFORM without `ciaddr`) is broadcast.
#[must_use]
pub fn reply_route(request: &Request<'_>, reply: &Reply<'_>) -> Route {
    if !request.giaddr.is_unspecified() {
        return Route::Relay(request.giaddr);
    }
    if reply.message_type == MessageType::Nak {
        return Route::Broadcast;
    }
    if !request.ciaddr.is_unspecified() {
        return Route::Unicast(request.ciaddr);
    }
    if request.broadcast || reply.yiaddr.is_unspecified() {
        return Route::Broadcast;
    }
    Route::RawUnicast {
        mac: request.chaddr,
        ip: reply.yiaddr,
    }
}
