//! Messages of a server: OFFER, ACK and NAK, emitted and parsed.

use core::net::Ipv4Addr;

use super::emit::{self, Message, Writer};
use super::option::{DhcpOption, SubOptions, code};
use super::packet::{self, FILE, Op, Packet};
use super::pxe::ClassName;
use super::request::{Request, first};
use super::{Error, MessageType};

/// Length of the IPv4 and UDP headers, which the size in option 57 includes: the
/// default of 576 is a whole IP datagram (RFC 2131 §2).
const IP_UDP_LEN: usize = 28;

/// Default and smallest value of option 57.
const DEFAULT_MAX_SIZE: u16 = 576;

/// PXE sub-option 6, discovery control, and 0xb0, iPXE's "no ProxyDHCP".
const SUB_DISCOVERY_CONTROL: u8 = 6;
const SUB_NO_PXEDHCP: u8 = 0xb0;

/// The discovery control value "no discovery, boot the named file" (PXE 2.1 §2.2,
/// bit 3).
const BOOT_FILE_ONLY: u8 = 8;

/// Up to four addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddrList {
    octets: [[u8; 4]; 4],
    len: u8,
}

impl AddrList {
    /// Creates a list of the first four of `addrs`.
    #[must_use]
    pub fn new(addrs: &[Ipv4Addr]) -> Self {
        addrs.iter().copied().collect()
    }

    /// Iterates over the addresses in order.
    pub fn iter(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.used().iter().map(|octets| Ipv4Addr::from(*octets))
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn used(&self) -> &[[u8; 4]] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl FromIterator<Ipv4Addr> for AddrList {
    fn from_iter<I: IntoIterator<Item = Ipv4Addr>>(addrs: I) -> Self {
        let mut list = Self::default();
        for (slot, addr) in list.octets.iter_mut().zip(addrs) {
            *slot = addr.octets();
            list.len += 1;
        }
        list
    }
}

/// A server's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// [`MessageType::Offer`], [`MessageType::Ack`] or [`MessageType::Nak`].
    pub message_type: MessageType,
    /// Transaction id of the request.
    pub xid: u32,
    /// Broadcast flag of the request; set in a NAK to a relay, so that the relay
    /// broadcasts it (RFC 2131 §4.3.2).
    pub broadcast: bool,
    /// The client's current address in an ACK, else 0.0.0.0.
    pub ciaddr: Ipv4Addr,
    /// The assigned address, or 0.0.0.0 (INFORM, NAK).
    pub yiaddr: Ipv4Addr,
    /// The relay's address, or 0.0.0.0.
    pub giaddr: Ipv4Addr,
    /// The client's Ethernet address.
    pub chaddr: [u8; 6],
    /// Option 54.
    pub server_id: Ipv4Addr,
    /// The TFTP server: `siaddr`, and option 66 in dotted form. Clients read
    /// one or the other.
    pub next_server: Option<Ipv4Addr>,
    /// The boot file, a name or a URL of 1 to 255 bytes: option 67, and the
    /// field `file` where it is shorter than that and free. Clients read one
    /// or the other.
    pub boot_file: Option<&'a [u8]>,
    /// Option 51, seconds.
    pub lease_secs: Option<u32>,
    /// Option 58, seconds.
    pub renewal_secs: Option<u32>,
    /// Option 59, seconds.
    pub rebinding_secs: Option<u32>,
    /// Option 1.
    pub mask: Option<Ipv4Addr>,
    /// Option 3, the first router.
    pub router: Option<Ipv4Addr>,
    /// Option 6.
    pub dns: AddrList,
    /// Option 26: the longest IP packet of the interface, in bytes.
    pub mtu: Option<u16>,
    /// Option 56: the text of a NAK.
    pub message: Option<&'a [u8]>,
    /// Option 60: `PXEClient` or `HTTPClient` for clients that sent it. They ignore
    /// offers without it.
    pub class_id: Option<&'a [u8]>,
    /// Sub-option 6 of option 43, PXE discovery control; 8 disables the
    /// discovery of boot servers.
    pub pxe_discovery_control: Option<u8>,
    /// Option 61 of the request (RFC 6842).
    pub client_id: Option<&'a [u8]>,
    /// Option 97 of the request.
    pub machine_id: Option<&'a [u8]>,
    /// Sub-option 0xb0 of option 175: iPXE does not wait for a ProxyDHCP.
    pub no_pxedhcp: bool,
    /// Option 82 of the request, whole (RFC 3046 §2.2). Written last.
    pub relay_info: Option<&'a [u8]>,
    /// Options of other numbers, emitted behind those above. Parsing leaves it
    /// empty.
    pub extra: &'a [DhcpOption<'a>],
    /// The longest IP datagram that the client accepts, from its option 57. It is
    /// not on the wire; parsing returns the default, 576.
    pub max_message_size: u16,
}

impl<'a> Reply<'a> {
    /// Creates the answer of `server_id` to a request with the fields that depend on
    /// the request only: ids, addresses, class, size limit, and echoed options. The
    /// caller sets address, lease and boot file.
    ///
    /// `yiaddr` is 0.0.0.0. A NAK has only the options of RFC 2131 table 3.
    #[must_use]
    pub fn answering(
        request: &Request<'a>,
        message_type: MessageType,
        server_id: Ipv4Addr,
    ) -> Self {
        let nak = message_type == MessageType::Nak;
        let class = if nak {
            ClassName::Other
        } else {
            request.class_name()
        };
        Self {
            message_type,
            xid: request.xid,
            broadcast: request.broadcast || (nak && !request.giaddr.is_unspecified()),
            ciaddr: match message_type {
                MessageType::Ack => request.ciaddr,
                _ => Ipv4Addr::UNSPECIFIED,
            },
            yiaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: request.giaddr,
            chaddr: request.chaddr,
            server_id,
            next_server: None,
            boot_file: None,
            lease_secs: None,
            renewal_secs: None,
            rebinding_secs: None,
            mask: None,
            router: None,
            dns: AddrList::default(),
            mtu: None,
            message: None,
            class_id: match class {
                ClassName::Pxe => Some(b"PXEClient"),
                ClassName::Http => Some(b"HTTPClient"),
                ClassName::Other => None,
            },
            pxe_discovery_control: match class {
                ClassName::Pxe => Some(BOOT_FILE_ONLY),
                _ => None,
            },
            client_id: request.client_id,
            machine_id: request.machine_id.filter(|_| !nak),
            no_pxedhcp: !nak && request.is_ipxe(),
            relay_info: request.relay_info,
            extra: &[],
            max_message_size: request.max_message_size.unwrap_or(DEFAULT_MAX_SIZE),
        }
    }

    /// Parses the UDP payload of a datagram to port 68.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::BadCookie`], [`Error::WrongOp`],
    /// [`Error::BadHardware`], [`Error::BadMessageType`] and
    /// [`Error::BadOption`] (also for a reply without option 54).
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        Self::from_packet(&Packet::new_checked(payload)?)
    }

    /// As [`Reply::parse`], from a view.
    ///
    /// # Errors
    /// See [`Reply::parse`].
    pub fn from_packet(packet: &Packet<&'a [u8]>) -> Result<Self, Error> {
        packet.check_len()?;
        if packet.op() != Some(Op::Reply) {
            return Err(Error::WrongOp);
        }
        if !packet.has_cookie() {
            return Err(Error::BadCookie);
        }
        let mut reply = Self {
            message_type: MessageType::Offer,
            xid: packet.xid(),
            broadcast: packet.broadcast(),
            ciaddr: packet.ciaddr(),
            yiaddr: packet.yiaddr(),
            giaddr: packet.giaddr(),
            chaddr: packet::client_mac(packet)?,
            server_id: Ipv4Addr::UNSPECIFIED,
            next_server: None,
            boot_file: None,
            lease_secs: None,
            renewal_secs: None,
            rebinding_secs: None,
            mask: None,
            router: None,
            dns: AddrList::default(),
            mtu: None,
            message: None,
            class_id: None,
            pxe_discovery_control: None,
            client_id: None,
            machine_id: None,
            no_pxedhcp: false,
            relay_info: None,
            extra: &[],
            max_message_size: DEFAULT_MAX_SIZE,
        };
        let mut message_type = None;
        let mut server_id = None;
        let mut dns = None;
        let mut tftp_server = None;
        let mut boot_file = None;
        let mut options = packet.options();
        for option in options.by_ref() {
            match option.code {
                code::MESSAGE_TYPE => first(&mut message_type, option.as_u8())?,
                code::SERVER_ID => first(&mut server_id, option.as_addr())?,
                code::LEASE_TIME => first(&mut reply.lease_secs, option.as_u32())?,
                code::RENEWAL_TIME => first(&mut reply.renewal_secs, option.as_u32())?,
                code::REBINDING_TIME => first(&mut reply.rebinding_secs, option.as_u32())?,
                code::SUBNET_MASK => first(&mut reply.mask, option.as_addr())?,
                code::ROUTER => {
                    let router = option.data.first_chunk::<4>();
                    first(
                        &mut reply.router,
                        router.map(|octets| Ipv4Addr::from(*octets)),
                    )?;
                }
                code::DNS => {
                    let addrs = option.data.as_chunks::<4>().0;
                    first(
                        &mut dns,
                        Some(addrs.iter().map(|a| Ipv4Addr::from(*a)).collect()),
                    )?;
                }
                code::MTU => first(&mut reply.mtu, option.as_u16())?,
                code::MESSAGE => first(&mut reply.message, Some(option.data))?,
                code::CLASS_ID => first(&mut reply.class_id, Some(option.data))?,
                code::VENDOR => {
                    let mut subs = SubOptions::encapsulated(option.data);
                    reply.pxe_discovery_control = subs
                        .find(|sub| sub.code == SUB_DISCOVERY_CONTROL)
                        .and_then(|sub| sub.as_u8());
                }
                code::CLIENT_ID => first(&mut reply.client_id, Some(option.data))?,
                code::MACHINE_ID => first(&mut reply.machine_id, Some(option.data))?,
                code::IPXE => {
                    let value = SubOptions::encapsulated(option.data).find_code(SUB_NO_PXEDHCP);
                    reply.no_pxedhcp = value.is_some_and(|value| value.iter().any(|b| *b != 0));
                }
                code::TFTP_SERVER => first(&mut tftp_server, Some(option.data))?,
                code::BOOT_FILE => first(&mut boot_file, Some(until_nul(option.data)))?,
                code::RELAY_INFO => first(&mut reply.relay_info, Some(option.data))?,
                _ => {}
            }
        }
        if options.is_malformed() {
            return Err(Error::BadOption);
        }
        reply.message_type = message_type
            .and_then(MessageType::from_u8)
            .filter(|kind| !kind.is_from_client())
            .ok_or(Error::BadMessageType)?;
        reply.server_id = server_id.ok_or(Error::BadOption)?;
        reply.dns = dns.unwrap_or_default();
        reply.next_server = Some(packet.siaddr())
            .filter(|addr| !addr.is_unspecified())
            .or_else(|| {
                core::str::from_utf8(until_nul(tftp_server?))
                    .ok()?
                    .parse()
                    .ok()
            });
        let file = if options.file_is_overloaded() {
            &[]
        } else {
            until_nul(packet.file_field())
        };
        reply.boot_file = boot_file
            .filter(|f| !f.is_empty())
            .or(Some(file))
            .filter(|f| !f.is_empty());
        Ok(reply)
    }

    /// Writes the message. Returns its length, at least [`super::MIN_LEN`] and at
    /// most the client's limit (option 57, which counts the IP datagram). Options
    /// that do not fit behind the fixed part are in `sname`, then in `file` (option
    /// 52); type, ids and option 82 are always behind the fixed part.
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::OptionTooLong`]; [`Error::BadMessageType`]
    /// for a type that servers do not send. The content of `buf` is undefined then.
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, Error> {
        if self.message_type.is_from_client() {
            return Err(Error::BadMessageType);
        }
        let max = usize::from(self.max_message_size.max(DEFAULT_MAX_SIZE)) - IP_UDP_LEN;
        let len = emit::message(self, buf, max)?;
        self.fill_file(buf);
        Ok(len)
    }

    /// Writes the boot file's name into `file` unless options are there. A name that
    /// does not fit with its NUL is in option 67 only.
    fn fill_file(&self, buf: &mut [u8]) {
        let Some(name) = self.boot_file else { return };
        let Some(file) = buf.get_mut(FILE) else {
            return;
        };
        // Without overload the field is zero; with overload it starts with a
        // code or END.
        if file.first() == Some(&0)
            && name.len() < file.len()
            && let Some(area) = file.get_mut(..name.len())
        {
            area.copy_from_slice(name);
        }
    }
}

impl Message for Reply<'_> {
    const OP: Op = Op::Reply;

    fn relay_info(&self) -> Option<&[u8]> {
        self.relay_info
    }

    fn fixed(&self, packet: &mut Packet<&mut [u8]>) {
        packet.set_xid(self.xid);
        packet.set_broadcast(self.broadcast);
        packet.set_ciaddr(self.ciaddr);
        packet.set_yiaddr(self.yiaddr);
        packet.set_siaddr(self.next_server.unwrap_or(Ipv4Addr::UNSPECIFIED));
        packet.set_giaddr(self.giaddr);
        packet.set_chaddr(self.chaddr);
    }

    fn options(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        let mut octets = [0; 15];
        let next_server = self.next_server.map(|addr| dotted(addr, &mut octets));
        out.put(code::MESSAGE_TYPE, &[self.message_type as u8])?;
        out.put(code::SERVER_ID, &self.server_id.octets())?;
        out.put_overload()?;
        out.put_u32(code::LEASE_TIME, self.lease_secs)?;
        out.put_addr(code::SUBNET_MASK, self.mask)?;
        out.put_addr(code::ROUTER, self.router)?;
        out.put_bytes(code::CLASS_ID, self.class_id)?;
        if let Some(control) = self.pxe_discovery_control {
            out.put(
                code::VENDOR,
                &[SUB_DISCOVERY_CONTROL, 1, control, code::END],
            )?;
        }
        out.put_bytes(code::TFTP_SERVER, next_server)?;
        out.put_bytes(code::BOOT_FILE, self.boot_file)?;
        out.put_u32(code::RENEWAL_TIME, self.renewal_secs)?;
        out.put_u32(code::REBINDING_TIME, self.rebinding_secs)?;
        if !self.dns.is_empty() {
            out.put(code::DNS, self.dns.used().as_flattened())?;
        }
        let mtu = self.mtu.map(u16::to_be_bytes);
        out.put_bytes(code::MTU, mtu.as_ref().map(<[u8; 2]>::as_slice))?;
        out.put_bytes(code::CLIENT_ID, self.client_id)?;
        out.put_bytes(code::MACHINE_ID, self.machine_id)?;
        out.put_bytes(code::MESSAGE, self.message)?;
        if self.no_pxedhcp {
            out.put(code::IPXE, &[SUB_NO_PXEDHCP, 1, 1])?;
        }
        self.extra
            .iter()
            .try_for_each(|option| out.put(option.code, option.data))
    }
}

/// Returns the bytes before the first NUL.
fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or(&[])
}

/// Writes an address in dotted form without `core::fmt`, because it runs for every
/// reply.
fn dotted(addr: Ipv4Addr, out: &mut [u8; 15]) -> &[u8] {
    let mut len = 0;
    let mut push = |byte| {
        if let Some(slot) = out.get_mut(len) {
            *slot = byte;
            len += 1;
        }
    };
    for (i, octet) in addr.octets().into_iter().enumerate() {
        if i > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    out.get(..len).unwrap_or(&[])
}
