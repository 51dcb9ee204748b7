//! Messages of a client: DISCOVER, REQUEST, DECLINE, RELEASE and INFORM, parsed and
//! emitted.

use core::net::Ipv4Addr;

use super::emit::{self, Message, Writer};
use super::option::{SubOptions, code};
use super::packet::{self, Op, Packet};
use super::pxe::{self, Arch, ArchList, ClassName, ClientClass, IpxeOptions};
use super::{Error, MessageType};

/// A client's message. The first of repeated options counts.
///
/// Slices borrow raw option values from the received message; the methods parse
/// them. Options without a field are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Option 53, a type that clients send.
    pub message_type: MessageType,
    /// Number of relays that forwarded the message.
    pub hops: u8,
    /// Transaction id.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// The broadcast flag, 0x8000 on the wire.
    pub broadcast: bool,
    /// The client's current address, or 0.0.0.0.
    pub ciaddr: Ipv4Addr,
    /// 0.0.0.0 according to RFC 2131 table 5.
    pub yiaddr: Ipv4Addr,
    /// 0.0.0.0 according to RFC 2131 table 5.
    pub siaddr: Ipv4Addr,
    /// The relay's address, or 0.0.0.0.
    pub giaddr: Ipv4Addr,
    /// The client's Ethernet address: not zero, not a group address.
    pub chaddr: [u8; 6],
    /// Option 50.
    pub requested_ip: Option<Ipv4Addr>,
    /// Option 51: the requested lease time in seconds.
    pub lease_secs: Option<u32>,
    /// Option 54: the server whose offer the client accepts.
    pub server_id: Option<Ipv4Addr>,
    /// Option 61, type byte included; never empty.
    pub client_id: Option<&'a [u8]>,
    /// Option 12.
    pub host_name: Option<&'a [u8]>,
    /// Option 60; [`Request::client_class`] parses it.
    pub class_id: Option<&'a [u8]>,
    /// Option 77; [`Request::is_ipxe`] parses it.
    pub user_class: Option<&'a [u8]>,
    /// Option 93; empty if the client sent none.
    pub arch_list: ArchList<'a>,
    /// Option 97, type byte included; [`Request::uuid`] parses it.
    pub machine_id: Option<&'a [u8]>,
    /// Option 57: the longest message that the client accepts.
    pub max_message_size: Option<u16>,
    /// Option 55.
    pub parameter_list: Option<&'a [u8]>,
    /// Option 43; PXE sub-options.
    pub vendor: Option<&'a [u8]>,
    /// Option 82 whole, as the last relay wrote it.
    pub relay_info: Option<&'a [u8]>,
    /// Option 175; [`Request::ipxe_options`] parses it.
    pub ipxe: Option<&'a [u8]>,
}

/// The identity of a client in a lease table (RFC 2131 §4.2): option 61 if present,
/// else the hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientIdentity<'a> {
    /// The value of option 61, type byte included.
    ClientId(&'a [u8]),
    /// `chaddr`.
    Hardware([u8; 6]),
}

impl<'a> Request<'a> {
    /// Creates a message with a type, a transaction id and a hardware address only.
    #[must_use]
    pub const fn new(message_type: MessageType, xid: u32, chaddr: [u8; 6]) -> Self {
        Self {
            message_type,
            hops: 0,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            requested_ip: None,
            lease_secs: None,
            server_id: None,
            client_id: None,
            host_name: None,
            class_id: None,
            user_class: None,
            arch_list: ArchList(&[]),
            machine_id: None,
            max_message_size: None,
            parameter_list: None,
            vendor: None,
            relay_info: None,
            ipxe: None,
        }
    }

    /// Parses the UDP payload of a datagram to port 67.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::BadCookie`], [`Error::WrongOp`],
    /// [`Error::BadHardware`], [`Error::BadMessageType`] (also for a type that
    /// only servers send) and [`Error::BadOption`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, Error> {
        Self::from_packet(&Packet::new_checked(payload)?)
    }

    /// As [`Request::parse`], from a view.
    ///
    /// # Errors
    /// See [`Request::parse`].
    pub fn from_packet(packet: &Packet<&'a [u8]>) -> Result<Self, Error> {
        packet.check_len()?;
        if packet.op() != Some(Op::Request) {
            return Err(Error::WrongOp);
        }
        if !packet.has_cookie() {
            return Err(Error::BadCookie);
        }
        // A placeholder until option 53 is parsed.
        let mut request = Self::new(
            MessageType::Discover,
            packet.xid(),
            packet::client_mac(packet)?,
        );
        request.hops = packet.hops();
        request.secs = packet.secs();
        request.broadcast = packet.broadcast();
        request.ciaddr = packet.ciaddr();
        request.yiaddr = packet.yiaddr();
        request.siaddr = packet.siaddr();
        request.giaddr = packet.giaddr();

        let mut message_type = None;
        let mut arch_list = None;
        let mut options = packet.options();
        for option in options.by_ref() {
            match option.code {
                code::MESSAGE_TYPE => first(&mut message_type, option.as_u8())?,
                code::REQUESTED_IP => first(&mut request.requested_ip, option.as_addr())?,
                code::LEASE_TIME => first(&mut request.lease_secs, option.as_u32())?,
                code::SERVER_ID => first(&mut request.server_id, option.as_addr())?,
                code::MAX_MESSAGE_SIZE => first(&mut request.max_message_size, option.as_u16())?,
                // RFC 2132 §9.14 requires two bytes or more. A ROM that sends
                // an empty one is identified by chaddr.
                code::CLIENT_ID if option.data.is_empty() => {}
                code::CLIENT_ID => first(&mut request.client_id, Some(option.data))?,
                code::HOST_NAME => first(&mut request.host_name, Some(option.data))?,
                code::CLASS_ID => first(&mut request.class_id, Some(option.data))?,
                code::USER_CLASS => first(&mut request.user_class, Some(option.data))?,
                code::ARCH_LIST => first(&mut arch_list, Some(option.data))?,
                code::MACHINE_ID => first(&mut request.machine_id, Some(option.data))?,
                code::PARAMETER_LIST => first(&mut request.parameter_list, Some(option.data))?,
                code::VENDOR => first(&mut request.vendor, Some(option.data))?,
                code::RELAY_INFO => first(&mut request.relay_info, Some(option.data))?,
                code::IPXE => first(&mut request.ipxe, Some(option.data))?,
                _ => {}
            }
        }
        if options.is_malformed() {
            return Err(Error::BadOption);
        }
        request.arch_list = ArchList(arch_list.unwrap_or(&[]));
        request.message_type = message_type
            .and_then(MessageType::from_u8)
            .filter(|kind| kind.is_from_client())
            .ok_or(Error::BadMessageType)?;
        Ok(request)
    }

    /// Writes the message. Returns its length, at least [`super::MIN_LEN`]. Overloads
    /// fields if the options do not fit otherwise.
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::OptionTooLong`]; [`Error::BadMessageType`]
    /// for a type that only servers send.
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, Error> {
        if !self.message_type.is_from_client() {
            return Err(Error::BadMessageType);
        }
        let limit = buf.len();
        emit::message(self, buf, limit)
    }

    /// Returns the identity of the client in a lease table.
    #[must_use]
    pub const fn identity(&self) -> ClientIdentity<'a> {
        match self.client_id {
            Some(id) => ClientIdentity::ClientId(id),
            None => ClientIdentity::Hardware(self.chaddr),
        }
    }

    /// Returns the client class in option 60.
    #[must_use]
    pub fn client_class(&self) -> ClientClass {
        self.class_id.map_or(ClientClass::Other, ClientClass::parse)
    }

    /// Returns the name of the client class in option 60.
    #[must_use]
    pub fn class_name(&self) -> ClassName {
        self.class_id.map_or(ClassName::Other, ClassName::parse)
    }

    /// Returns the architecture: the first of option 93, else that of option 60.
    #[must_use]
    pub fn arch(&self) -> Option<Arch> {
        self.arch_list
            .first()
            .or_else(|| self.client_class().arch())
    }

    /// Returns whether the client is iPXE, by its user class or by option 175.
    #[must_use]
    pub fn is_ipxe(&self) -> bool {
        self.user_class.is_some_and(pxe::is_ipxe_user_class) || self.ipxe.is_some()
    }

    /// Returns the contents of option 175; empty without it.
    #[must_use]
    pub fn ipxe_options(&self) -> IpxeOptions {
        self.ipxe.map(IpxeOptions::parse).unwrap_or_default()
    }

    /// Returns the system UUID from option 97 in wire order. PXE ROMs send SMBIOS
    /// order: the first three fields are little-endian (RFC 4578 §2.3). Returns
    /// `None` for all zeroes and all ones, which mean that the system has no UUID
    /// or that it is not set (SMBIOS 3.7 §7.2.1).
    #[must_use]
    pub fn uuid(&self) -> Option<[u8; 16]> {
        match self.machine_id? {
            [0, uuid @ ..] => uuid
                .try_into()
                .ok()
                .filter(|id| *id != [0; 16] && *id != [0xff; 16]),
            _ => None,
        }
    }

    /// Returns a sub-option of option 82, such as 1 circuit id, 2 remote id (RFC
    /// 3046), 5 link selection (RFC 3527), 11 server id override (RFC 5107).
    #[must_use]
    pub fn relay_sub_option(&self, code: u8) -> Option<&'a [u8]> {
        SubOptions::plain(self.relay_info?).find_code(code)
    }

    /// Returns whether the client requests this option (55). Without a list it
    /// requests every option.
    #[must_use]
    pub fn wants(&self, code: u8) -> bool {
        self.parameter_list.is_none_or(|list| list.contains(&code))
    }
}

impl Message for Request<'_> {
    const OP: Op = Op::Request;

    fn relay_info(&self) -> Option<&[u8]> {
        self.relay_info
    }

    fn fixed(&self, packet: &mut Packet<&mut [u8]>) {
        packet.set_hops(self.hops);
        packet.set_xid(self.xid);
        packet.set_secs(self.secs);
        packet.set_broadcast(self.broadcast);
        packet.set_ciaddr(self.ciaddr);
        packet.set_yiaddr(self.yiaddr);
        packet.set_siaddr(self.siaddr);
        packet.set_giaddr(self.giaddr);
        packet.set_chaddr(self.chaddr);
    }

    fn options(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.put(code::MESSAGE_TYPE, &[self.message_type as u8])?;
        out.put_overload()?;
        let arch_list = Some(self.arch_list.0).filter(|list| !list.is_empty());
        out.put_addr(code::REQUESTED_IP, self.requested_ip)?;
        out.put_addr(code::SERVER_ID, self.server_id)?;
        out.put_u32(code::LEASE_TIME, self.lease_secs)?;
        if let Some(size) = self.max_message_size {
            out.put(code::MAX_MESSAGE_SIZE, &size.to_be_bytes())?;
        }
        out.put_bytes(code::CLIENT_ID, self.client_id)?;
        out.put_bytes(code::PARAMETER_LIST, self.parameter_list)?;
        out.put_bytes(code::CLASS_ID, self.class_id)?;
        out.put_bytes(code::HOST_NAME, self.host_name)?;
        out.put_bytes(code::USER_CLASS, self.user_class)?;
        out.put_bytes(code::ARCH_LIST, arch_list)?;
        out.put_bytes(code::MACHINE_ID, self.machine_id)?;
        out.put_bytes(code::VENDOR, self.vendor)?;
        out.put_bytes(code::IPXE, self.ipxe)
    }
}

/// Keeps the first value of an option. A malformed value is an error also in a
/// repetition.
pub(super) fn first<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), Error> {
    let value = value.ok_or(Error::BadOption)?;
    slot.get_or_insert(value);
    Ok(())
}
