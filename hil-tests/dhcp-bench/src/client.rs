//! Clients behind a relay: their messages are the same whoever serves them.

use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use farrier_dhcp::wire::{MessageType, Request};

/// The network of every bench: the server at its first address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The relay that the clients are behind.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 99, 255, 254);
/// Length of the network's prefix.
pub const PREFIX: u8 = 16;
/// The first address that is leased out.
pub const POOL_FIRST: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 0);
/// How many addresses are leased out.
pub const POOL_LEN: u16 = 12_000;
/// How long a lease lasts, in seconds.
pub const LEASE_SECS: u32 = 3600;

/// Options that a client asks for.
const OPTIONS: [u8; 13] = [1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42];
/// How long clients rest after a round. Servers that count in seconds have
/// nothing to write down of a client who comes twice in the same one.
const REST: Duration = Duration::from_millis(1100);
/// How long an answer may take: the server may be run by an instrument.
const PATIENCE: Duration = Duration::from_secs(300);

/// The Ethernet address of a client.
#[must_use]
pub fn mac(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [0x52, 0x54, a, b, c, d]
}

/// The address of a client whose lease was prepared.
#[must_use]
pub fn prepared(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(POOL_FIRST.to_bits() + number)
}

/// Which client does the exchange of this number: all of them in each round,
/// in an order that leaps.
#[must_use]
pub fn who(exchange: u32, leases: u32) -> u32 {
    // A prime that divides no number of leases: nobody comes twice in a round.
    const LEAP: u64 = 7919;
    (u64::from(exchange) * LEAP % u64::from(leases)) as u32
}

/// A client's message. A request is for the address that was offered.
///
/// # Panics
/// Where it does not fit: it always does.
#[must_use]
pub fn message(number: u32, xid: u32, offered: Option<Ipv4Addr>) -> Vec<u8> {
    let kind = match offered {
        Some(_) => MessageType::Request,
        None => MessageType::Discover,
    };
    let request = Request {
        giaddr: RELAY,
        hops: 1,
        parameter_list: Some(&OPTIONS),
        requested_ip: offered,
        server_id: offered.map(|_| SERVER),
        ..Request::new(kind, xid, mac(number))
    };
    let mut bytes = vec![0; 600];
    let length = request.emit(&mut bytes).expect("600 bytes are enough");
    bytes.truncate(length);
    bytes
}

/// Kind and address of an answer to a transaction. Read with as little work
/// as can be, since it is counted.
#[must_use]
pub fn answer(bytes: &[u8], xid: u32) -> Option<(u8, Ipv4Addr)> {
    if bytes.get(4..8)? != xid.to_be_bytes() {
        return None;
    }
    let address: [u8; 4] = bytes.get(16..20)?.try_into().ok()?;
    // Options behind the magic cookie.
    let mut options = bytes.get(240..)?;
    loop {
        match options {
            [53, 1, kind, ..] => return Some((*kind, Ipv4Addr::from(address))),
            [0, rest @ ..] => options = rest,
            [_, length, rest @ ..] => options = rest.get(usize::from(*length)..)?,
            _ => return None,
        }
    }
}

/// The kinds of messages that answer.
const OFFER: u8 = 2;
const ACK: u8 = 5;

/// Exchanges with a server on the network, as a relay.
///
/// # Errors
/// The server does not answer or answers something else.
pub fn exchanges(leases: u32, from: u32, count: u32) -> Result<(), Error> {
    let socket = UdpSocket::bind(SocketAddrV4::new(RELAY, 67))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    for exchange in from..from + count {
        if exchange > from && exchange.is_multiple_of(leases) {
            thread::sleep(REST);
        }
        let number = who(exchange, leases);
        let (first, second) = (exchange * 2 + 1, exchange * 2 + 2);
        let discover = message(number, first, None);
        let offered = ask(&socket, &discover, first, OFFER)?;
        if offered != prepared(number) {
            return Err(Error::other(format!(
                "client {number} was offered {offered}"
            )));
        }
        let request = message(number, second, Some(offered));
        if ask(&socket, &request, second, ACK)? != offered {
            return Err(Error::other(format!("client {number} has another address")));
        }
    }
    Ok(())
}

/// Sends a message and waits for its answer. It is sent once more only while
/// the server has not come up: a message too many would be counted.
fn ask(socket: &UdpSocket, message: &[u8], xid: u32, kind: u8) -> Result<Ipv4Addr, Error> {
    let end = Instant::now() + PATIENCE;
    let mut bytes = [0; 1500];
    socket.send_to(message, SocketAddrV4::new(SERVER, 67))?;
    while Instant::now() < end {
        match socket.recv(&mut bytes) {
            Ok(length) => match answer(&bytes[..length], xid) {
                Some((is, address)) if is == kind => return Ok(address),
                Some((is, _)) => return Err(Error::other(format!("an answer of kind {is}"))),
                None => {}
            },
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // Nobody listens yet.
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::TimedOut, "no answer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everybody_comes_once_in_a_round() {
        for leases in [10, 100, 1000, 10_000, u32::from(POOL_LEN)] {
            for first in [0, leases, 5 * leases] {
                let round = (first..first + leases).map(|exchange| who(exchange, leases));
                assert_eq!(round.collect::<BTreeSet<_>>().len(), leases as usize);
            }
        }
    }
}
