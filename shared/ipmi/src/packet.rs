//! Datagrams: the RMCP header (13.1.3), ASF's presence ping and pong (13.2.3),
//! and IPMI's session headers around a payload. Sessions of IPMI 1.5 are not
//! here: of its packets the one without a session is, which every BMC
//! understands before it is known what it can do.

use aes::Aes128;
use cbc::cipher::{Block, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};

use crate::suite::SessionKeys;

/// Length of the AES initialisation vector in front of a payload, in bytes.
pub const IV_LEN: usize = 16;

/// Length of the RMCP header and of the session header of RMCP+, in bytes.
pub const HEADER_LEN: usize = 16;

/// Bytes that [`seal`] adds to a payload at the most.
pub const OVERHEAD: usize = HEADER_LEN + IV_LEN + 16 + 3 + 2 + 16;

/// RMCP: version 1, no acknowledgement, class IPMI.
const RMCP_IPMI: [u8; 4] = [6, 0, 0xff, 7];
/// RMCP: version 1, no acknowledgement, class ASF.
const RMCP_ASF: [u8; 4] = [6, 0, 0xff, 6];
/// The enterprise number of ASF.
const ASF_IANA: [u8; 4] = [0, 0, 0x11, 0xbe];
const ASF_PING: u8 = 0x80;
const ASF_PONG: u8 = 0x40;
/// The authentication type that says RMCP+.
const RMCP_PLUS: u8 = 6;
/// The "next header" behind an authenticated payload.
const NEXT_HEADER: u8 = 7;

/// What a payload is (13.27.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PayloadType {
    /// A message of IPMI.
    Ipmi = 0,
    /// Characters of the serial console.
    Sol = 1,
    /// A request to open a session.
    OpenRequest = 0x10,
    /// Its answer.
    OpenResponse = 0x11,
    /// RAKP message 1.
    Rakp1 = 0x12,
    /// RAKP message 2.
    Rakp2 = 0x13,
    /// RAKP message 3.
    Rakp3 = 0x14,
    /// RAKP message 4.
    Rakp4 = 0x15,
}

impl PayloadType {
    const ALL: [Self; 8] = [
        Self::Ipmi,
        Self::Sol,
        Self::OpenRequest,
        Self::OpenResponse,
        Self::Rakp1,
        Self::Rakp2,
        Self::Rakp3,
        Self::Rakp4,
    ];
}

/// Why a datagram is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Its end is missing, or its lengths contradict each other.
    Truncated,
    /// It is no packet of ASF or IPMI, or of a kind that this crate does not
    /// know.
    Unknown,
    /// It is not encrypted or not authenticated.
    Plain,
    /// Its authentication code is wrong.
    Forged,
}

/// The session header of RMCP+ (13.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub payload: PayloadType,
    /// Whether the payload is encrypted.
    pub encrypted: bool,
    /// Whether the packet is authenticated.
    pub authenticated: bool,
    /// The receiver's identifier of the session; 0 outside of one.
    pub session: u32,
    /// Number of the packet in the session; 0 outside of one.
    pub sequence: u32,
    /// Length of the payload, in bytes.
    pub len: u16,
}

/// A presence pong (13.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// Tag of the ping that it answers.
    pub tag: u8,
    /// Whether the device speaks IPMI.
    pub ipmi: bool,
}

/// What a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A presence ping, with its tag.
    Ping(u8),
    /// A presence pong.
    Pong(Pong),
    /// A message of IPMI outside of a session, with the header of IPMI 1.5.
    Sessionless(&'a [u8]),
    /// A packet of RMCP+. The payload is as it came: [`open`] checks and
    /// decrypts one of a session.
    Plus(Header, &'a [u8]),
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Unknown`].
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        let (rmcp, rest) = datagram.split_first_chunk::<4>().ok_or(Error::Truncated)?;
        let [6, _, _, class] = *rmcp else {
            return Err(Error::Unknown);
        };
        // Bit 7 of the class says that it is an acknowledgement.
        match class {
            6 => Self::parse_asf(rest),
            7 => match rest.first() {
                Some(0) => Self::parse_sessionless(rest),
                Some(&RMCP_PLUS) => Self::parse_plus(rest),
                Some(_) => Err(Error::Unknown),
                None => Err(Error::Truncated),
            },
            _ => Err(Error::Unknown),
        }
    }

    fn parse_asf(rest: &'a [u8]) -> Result<Self, Error> {
        let (head, data) = rest.split_first_chunk::<8>().ok_or(Error::Truncated)?;
        let [iana @ .., kind, tag, _, len] = *head;
        if iana != ASF_IANA {
            return Err(Error::Unknown);
        }
        let data = data.get(..usize::from(len)).ok_or(Error::Truncated)?;
        match kind {
            ASF_PING => Ok(Self::Ping(tag)),
            ASF_PONG => {
                let entities = data.get(8).ok_or(Error::Truncated)?;
                let ipmi = entities & 0x80 != 0;
                Ok(Self::Pong(Pong { tag, ipmi }))
            }
            _ => Err(Error::Unknown),
        }
    }

    fn parse_sessionless(rest: &'a [u8]) -> Result<Self, Error> {
        let (head, data) = rest.split_first_chunk::<10>().ok_or(Error::Truncated)?;
        let [_, session @ .., len] = *head;
        if session != [0; 8] {
            return Err(Error::Unknown);
        }
        let message = data.get(..usize::from(len)).ok_or(Error::Truncated)?;
        Ok(Self::Sessionless(message))
    }

    fn parse_plus(rest: &'a [u8]) -> Result<Self, Error> {
        let (head, data) = rest.split_first_chunk::<12>().ok_or(Error::Truncated)?;
        let [_, kind, s0, s1, s2, s3, n0, n1, n2, n3, l0, l1] = *head;
        let known = PayloadType::ALL.into_iter();
        let payload = known
            .into_iter()
            .find(|payload| *payload as u8 == kind & 0x3f)
            .ok_or(Error::Unknown)?;
        let header = Header {
            payload,
            encrypted: kind & 0x80 != 0,
            authenticated: kind & 0x40 != 0,
            session: u32::from_le_bytes([s0, s1, s2, s3]),
            sequence: u32::from_le_bytes([n0, n1, n2, n3]),
            len: u16::from_le_bytes([l0, l1]),
        };
        let data = data
            .get(..usize::from(header.len))
            .ok_or(Error::Truncated)?;
        Ok(Self::Plus(header, data))
    }
}

/// Writes bytes one behind the other. What does not fit makes the end `None`.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    bytes: &'a mut [u8],
    len: usize,
    fits: bool,
}

impl<'a> Out<'a> {
    pub(crate) const fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            len: 0,
            fits: true,
        }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        let end = self.len.saturating_add(bytes.len());
        match self.bytes.get_mut(self.len..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.fits = false,
        }
        self
    }

    /// The bytes so far.
    pub(crate) fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn written_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// The length, where all fitted.
    pub(crate) const fn end(&self) -> Option<usize> {
        if self.fits { Some(self.len) } else { None }
    }
}

/// Writes a presence ping, and returns its length; `None` where it does not fit.
#[must_use]
pub fn emit_ping(tag: u8, out: &mut [u8]) -> Option<usize> {
    let mut out = Out::new(out);
    out.put(&RMCP_ASF)
        .put(&ASF_IANA)
        .put(&[ASF_PING, tag, 0, 0]);
    out.end()
}

/// Writes a presence pong, and returns its length; `None` where it does not fit.
#[must_use]
pub fn emit_pong(pong: Pong, out: &mut [u8]) -> Option<usize> {
    let mut out = Out::new(out);
    let entities = if pong.ipmi { 0x81 } else { 1 };
    out.put(&RMCP_ASF).put(&ASF_IANA);
    out.put(&[ASF_PONG, pong.tag, 0, 16]);
    out.put(&ASF_IANA)
        .put(&[0; 4])
        .put(&[entities])
        .put(&[0; 7]);
    out.end()
}

/// Writes a message of IPMI outside of a session, and returns its length;
/// `None` where it does not fit.
#[must_use]
pub fn emit_sessionless(message: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut out = Out::new(out);
    let len = u8::try_from(message.len()).ok()?;
    out.put(&RMCP_IPMI).put(&[0; 9]).put(&[len]).put(message);
    out.end()
}

fn put_header(out: &mut Out<'_>, header: &Header) {
    let kind = header.payload as u8
        | if header.encrypted { 0x80 } else { 0 }
        | if header.authenticated { 0x40 } else { 0 };
    out.put(&RMCP_IPMI).put(&[RMCP_PLUS, kind]);
    out.put(&header.session.to_le_bytes());
    out.put(&header.sequence.to_le_bytes());
    out.put(&header.len.to_le_bytes());
}

/// Writes a payload outside of a session, as all are that open one, and returns
/// the packet's length; `None` where it does not fit.
#[must_use]
pub fn emit_plain(payload: PayloadType, data: &[u8], out: &mut [u8]) -> Option<usize> {
    let header = Header {
        payload,
        encrypted: false,
        authenticated: false,
        session: 0,
        sequence: 0,
        len: data.len().try_into().ok()?,
    };
    let mut out = Out::new(out);
    put_header(&mut out, &header);
    out.put(data).end()
}

/// Writes a payload of a session, encrypted and authenticated (13.29, 13.28.4),
/// and returns the packet's length; `None` where it does not fit.
///
/// `iv` is to be unpredictable and never the same again under the same keys.
#[must_use]
pub fn seal(
    keys: &SessionKeys,
    payload: PayloadType,
    (session, sequence): (u32, u32),
    iv: &[u8; IV_LEN],
    data: &[u8],
    out: &mut [u8],
) -> Option<usize> {
    const PAD: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    // One byte says how many stand in front of it.
    let pad = 15 - data.len() % 16;
    let len = data.len() + pad + 1;
    let header = Header {
        payload,
        encrypted: true,
        authenticated: true,
        session,
        sequence,
        len: (IV_LEN + len).try_into().ok()?,
    };
    let mut packet = Out::new(out);
    put_header(&mut packet, &header);
    packet.put(iv).put(data);
    packet.put(PAD.get(..pad)?);
    packet.put(&[u8::try_from(pad).ok()?]);
    packet.end()?;
    let plain = packet.written_mut().get_mut(HEADER_LEN + IV_LEN..)?;
    let mut cipher = cbc::Encryptor::<Aes128>::new(keys.confidentiality().into(), iv.into());
    for block in plain.chunks_exact_mut(16) {
        let block: &mut Block<Aes128> = block.try_into().ok()?;
        cipher.encrypt_block(block);
    }
    // From the authentication type to the next header, in words of four bytes.
    // All but the two bytes at the end are words already.
    packet.put(&[0xff, 0xff, 2, NEXT_HEADER]);
    let code = {
        let covered = packet.written().get(4..)?;
        keys.suite.code(keys.integrity(), &[covered])
    };
    packet.put(code.truncated(keys.suite.packet_code_len()));
    packet.end()
}

/// Checks and decrypts a packet of a session in its place, and returns its
/// payload.
///
/// # Errors
/// All of [`Error`]. The packet is undefined then.
pub fn open<'a>(keys: &SessionKeys, datagram: &'a mut [u8]) -> Result<&'a [u8], Error> {
    let Packet::Plus(header, _) = Packet::parse(datagram)? else {
        return Err(Error::Unknown);
    };
    if !header.encrypted || !header.authenticated {
        return Err(Error::Plain);
    }
    let end = HEADER_LEN + usize::from(header.len);
    let code_len = keys.suite.packet_code_len();
    let covered = datagram.len().checked_sub(code_len);
    let (signed, code) = covered
        .and_then(|covered| datagram.split_at_checked(covered))
        .ok_or(Error::Truncated)?;
    let trailer = signed.get(end..).ok_or(Error::Truncated)?;
    let [pad @ .., pad_len, NEXT_HEADER] = trailer else {
        return Err(Error::Truncated);
    };
    if pad.len() != usize::from(*pad_len) {
        return Err(Error::Truncated);
    }
    let signed = signed.get(4..).ok_or(Error::Truncated)?;
    if !keys.suite.verify(keys.integrity(), &[signed], code) {
        return Err(Error::Forged);
    }
    let sealed = datagram.get_mut(HEADER_LEN..end).ok_or(Error::Truncated)?;
    let (iv, data) = sealed
        .split_first_chunk_mut::<IV_LEN>()
        .ok_or(Error::Truncated)?;
    if data.is_empty() || !data.len().is_multiple_of(16) {
        return Err(Error::Truncated);
    }
    let mut cipher = cbc::Decryptor::<Aes128>::new(keys.confidentiality().into(), (&*iv).into());
    for block in data.chunks_exact_mut(16) {
        let block: &mut Block<Aes128> = block.try_into().map_err(|_| Error::Truncated)?;
        cipher.decrypt_block(block);
    }
    // The code has said whose bytes these are: what the padding holds is the
    // BMC's affair.
    let (pad, data) = data.split_last().ok_or(Error::Truncated)?;
    let len = data.len().checked_sub(usize::from(*pad));
    data.get(..len.ok_or(Error::Truncated)?)
        .ok_or(Error::Truncated)
}
