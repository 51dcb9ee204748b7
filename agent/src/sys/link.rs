//! Configures interfaces by rtnetlink (state, address, route), and sends and
//! receives raw frames.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, eth, netlink,
    recv, send, socket_with,
};

/// Message types of `linux/rtnetlink.h`.
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
/// Message flags of `linux/netlink.h`.
const REQUEST_ACK: u16 = 0x0001 | 0x0004;
const REPLACE_CREATE: u16 = 0x0100 | 0x0400;
/// Message type of an acknowledgement.
const NLMSG_ERROR: u16 = 2;
/// Interface flag: administratively up.
const IFF_UP: u32 = 1;
/// Interface flag: receives frames to all group addresses.
const IFF_ALLMULTI: u32 = 0x200;
/// Interface, address and route attributes.
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
/// `ETH_P_IP` and `ETH_P_LLDP`.
const IPV4: u16 = 0x0800;
const LLDP: u16 = 0x88cc;
/// IPv4, as one byte.
const INET: u8 = 2;

/// Brings an interface up.
///
/// # Errors
/// The kernel's error.
pub fn up(index: u32) -> rustix::io::Result<()> {
    // struct ifinfomsg: family, padding, type, index, flags, change mask.
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    request(RTM_NEWLINK, REQUEST_ACK, &body)
}

/// Bounds the IP packets that an interface sends, in bytes.
///
/// # Errors
/// The kernel's error.
pub fn set_mtu(index: u32, mtu: u16) -> rustix::io::Result<()> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend([0; 8]);
    attribute(&mut body, IFLA_MTU, &u32::from(mtu).to_ne_bytes());
    request(RTM_NEWLINK, REQUEST_ACK, &body)
}

/// Lets an interface receive frames to every group address.
///
/// # Errors
/// The kernel's error.
pub fn hear_groups(index: u32) -> rustix::io::Result<()> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(IFF_ALLMULTI.to_ne_bytes());
    body.extend(IFF_ALLMULTI.to_ne_bytes());
    request(RTM_NEWLINK, REQUEST_ACK, &body)
}

/// Adds an address to an interface or removes it.
///
/// # Errors
/// The kernel's error.
pub fn set_address(
    index: u32,
    ip: Ipv4Addr,
    mask: Ipv4Addr,
    there: bool,
) -> rustix::io::Result<()> {
    let prefix = mask.to_bits().leading_ones() as u8;
    // struct ifaddrmsg: family, prefix, flags, scope, index.
    let mut body = vec![INET, prefix, 0, 0];
    body.extend(index.to_ne_bytes());
    attribute(&mut body, IFA_LOCAL, &ip.octets());
    attribute(&mut body, IFA_ADDRESS, &ip.octets());
    if there {
        request(RTM_NEWADDR, REQUEST_ACK | REPLACE_CREATE, &body)
    } else {
        request(RTM_DELADDR, REQUEST_ACK, &body)
    }
}

/// Makes `router` the default route.
///
/// # Errors
/// The kernel's error.
pub fn set_router(index: u32, router: Ipv4Addr) -> rustix::io::Result<()> {
    /// `RT_TABLE_MAIN`, `RTPROT_DHCP`, `RT_SCOPE_UNIVERSE`, `RTN_UNICAST`.
    const TABLE_PROTOCOL_SCOPE_TYPE: [u8; 4] = [254, 16, 0, 1];
    // struct rtmsg: family, two prefixes, service, the four, flags.
    let mut body = vec![INET, 0, 0, 0];
    body.extend(TABLE_PROTOCOL_SCOPE_TYPE);
    body.extend(0_u32.to_ne_bytes());
    attribute(&mut body, RTA_GATEWAY, &router.octets());
    attribute(&mut body, RTA_OIF, &index.to_ne_bytes());
    request(RTM_NEWROUTE, REQUEST_ACK | REPLACE_CREATE, &body)
}

/// Appends an attribute: length, type, value. Values of four bytes need no
/// padding.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8; 4]) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

/// Sends one message and waits for its acknowledgement.
fn request(kind: u16, flags: u16, body: &[u8]) -> rustix::io::Result<()> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // NETLINK_ROUTE is protocol 0.
        None,
    )?;
    bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
    // struct nlmsghdr: length, type, flags, sequence, port.
    let length = 16 + body.len() as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(body);
    send(&socket, &message, SendFlags::empty())?;
    let mut buffer = [0; 1024];
    loop {
        wait(&socket, Duration::from_secs(5))?;
        let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        let answer = buffer.get(..length).unwrap_or_default();
        if answer.get(4..6) != Some(&NLMSG_ERROR.to_ne_bytes()) {
            continue;
        }
        let code = answer
            .get(16..20)
            .and_then(|code| code.try_into().ok())
            .map_or(0, i32::from_ne_bytes);
        return match code {
            0 => Ok(()),
            code => Err(Errno::from_raw_os_error(-code)),
        };
    }
}

/// Waits until the socket is readable.
fn wait(socket: &OwnedFd, most: Duration) -> rustix::io::Result<()> {
    let timeout = Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(most.subsec_nanos()),
    };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout))? {
        0 => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}

/// Raw Ethernet frames of one EtherType on an interface.
#[derive(Debug)]
pub struct Frames {
    socket: OwnedFd,
}

impl Frames {
    /// Opens a packet socket for IPv4 on an interface, which may have no address
    /// yet.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn open(index: u32) -> rustix::io::Result<Self> {
        Self::of(index, eth::IP, IPV4)
    }

    /// The same for LLDP.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn open_lldp(index: u32) -> rustix::io::Result<Self> {
        Self::of(index, eth::LLDP, LLDP)
    }

    fn of(index: u32, protocol: Protocol, number: u16) -> rustix::io::Result<Self> {
        let socket = socket_with(
            AddressFamily::PACKET,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(protocol),
        )?;
        bind(&socket, &LinkAddress::new(index, number))?;
        Ok(Self { socket })
    }

    /// Sends a frame, Ethernet header included.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn send(&self, frame: &[u8]) -> rustix::io::Result<()> {
        send(&self.socket, frame, SendFlags::empty()).map(|_| ())
    }

    /// Receives the next frame and returns its length, `None` after `most`.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn receive(&self, most: Duration, buffer: &mut [u8]) -> rustix::io::Result<Option<usize>> {
        match wait(&self.socket, most) {
            Ok(()) => {}
            Err(Errno::TIMEDOUT | Errno::INTR) => return Ok(None),
            Err(error) => return Err(error),
        }
        match recv(&self.socket, buffer, RecvFlags::DONTWAIT) {
            Ok((_, length)) => Ok(Some(length)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `struct sockaddr_ll` of `linux/if_packet.h`.
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    index: i32,
    hardware: u16,
    kind: u8,
    length: u8,
    address: [u8; 8],
}

impl LinkAddress {
    /// The address of all frames of an interface with this EtherType.
    fn new(index: u32, protocol: u16) -> Self {
        Self {
            family: AddressFamily::PACKET.as_raw(),
            protocol: protocol.to_be(),
            index: i32::try_from(index).unwrap_or(0),
            hardware: 0,
            kind: 0,
            length: 0,
            address: [0; 8],
        }
    }
}

// SAFETY: `with_sockaddr` passes a pointer to `self` and its exact size; the
// type has the layout of `struct sockaddr_ll` without padding and outlives
// the call.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        let pointer: *const Self = self;
        f(pointer.cast(), size_of::<Self>() as SocketAddrLen)
    }
}
