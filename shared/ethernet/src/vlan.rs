//! 802.1Q tags (IEEE 802.1Q-2018, 9.6): four bytes between the source address and
//! the EtherType. One tag is read and written; a frame with two is for others.

/// Bytes of a tag.
pub const TAG_LEN: usize = 4;

/// Bytes of the two addresses that precede a tag.
const ADDRESSES: usize = 12;
/// The EtherType of a customer tag.
const TPID: [u8; 2] = [0x81, 0x00];

/// The number of a VLAN that frames can be tagged with: 1 to 4094.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(u16);

impl VlanId {
    /// The VLAN of that number; `None` for 0 (priority only) and 4095 (reserved),
    /// which no frame of a VLAN has, and for what has more than 12 bits.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            1..=4094 => Some(VlanId(number)),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl core::fmt::Display for VlanId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// What carries a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// No tag, or one with a priority only: the port's native VLAN.
    Native,
    /// This VLAN.
    Tagged(VlanId),
    /// The reserved number 4095, or the frame ends within the tag. Nobody's.
    Invalid,
}

/// What carries a frame, and whether it has a tag.
#[must_use]
pub fn carrier(frame: &[u8]) -> (Carrier, bool) {
    if frame.get(ADDRESSES..ADDRESSES + 2) != Some(&TPID) {
        return (Carrier::Native, false);
    }
    let Some(&[hi, lo]) = frame
        .get(ADDRESSES + 2..)
        .and_then(|rest| rest.first_chunk::<2>())
    else {
        return (Carrier::Invalid, true);
    };
    let carrier = match u16::from_be_bytes([hi & 0x0f, lo]) {
        0 => Carrier::Native,
        number => VlanId::new(number).map_or(Carrier::Invalid, Carrier::Tagged),
    };
    (carrier, true)
}

/// Takes the tag out of a frame in place: the addresses move behind it. The rest
/// is the frame without its tag. To be called for a frame whose [`carrier`] says
/// that it has one; another one comes back as it is.
#[must_use]
pub fn untag(frame: &mut [u8]) -> &mut [u8] {
    if frame.get(ADDRESSES..ADDRESSES + 2) != Some(&TPID) || frame.len() < ADDRESSES + TAG_LEN {
        return frame;
    }
    frame.copy_within(..ADDRESSES, TAG_LEN);
    frame.get_mut(TAG_LEN..).unwrap_or_default()
}

/// Makes room for a tag in a frame of `length` bytes at the front of `buffer`, and
/// writes it. Returns the new length; `None` where the buffer is too short.
#[must_use]
pub fn tag(buffer: &mut [u8], length: usize, vlan: VlanId) -> Option<usize> {
    let tagged = length.checked_add(TAG_LEN)?;
    if length < ADDRESSES || buffer.len() < tagged {
        return None;
    }
    buffer.copy_within(ADDRESSES..length, ADDRESSES + TAG_LEN);
    let [hi, lo] = vlan.0.to_be_bytes();
    let [t, p] = TPID;
    buffer
        .get_mut(ADDRESSES..ADDRESSES + TAG_LEN)?
        .copy_from_slice(&[t, p, hi, lo]);
    Some(tagged)
}

/// Copies a frame into a buffer with a tag. Returns the length with the tag;
/// `None` where the buffer is too short.
#[must_use]
pub fn copy_tagged(frame: &[u8], vlan: VlanId, buffer: &mut [u8]) -> Option<usize> {
    let (addresses, rest) = frame.split_first_chunk::<ADDRESSES>()?;
    let tagged = frame.len() + TAG_LEN;
    let (front, back) = buffer.get_mut(..tagged)?.split_at_mut(ADDRESSES + TAG_LEN);
    let [hi, lo] = vlan.0.to_be_bytes();
    let [t, p] = TPID;
    front[..ADDRESSES].copy_from_slice(addresses);
    front[ADDRESSES..].copy_from_slice(&[t, p, hi, lo]);
    back.copy_from_slice(rest);
    Some(tagged)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    fn plain() -> Vec<u8> {
        let mut frame: Vec<u8> = (1..=12).collect();
        frame.extend([0x08, 0x00]);
        frame.extend(20..66);
        frame
    }

    #[test]
    fn a_tag_comes_off_as_it_went_on() {
        for number in [1, 10, 4094] {
            let vlan = VlanId::new(number).unwrap();
            let mut buffer = plain();
            let length = buffer.len();
            buffer.resize(length + TAG_LEN, 0);
            assert_eq!(tag(&mut buffer, length, vlan), Some(length + TAG_LEN));
            assert_eq!(&buffer[12..14], &[0x81, 0x00]);
            let mut copy = [0xee; 80];
            assert_eq!(copy_tagged(&plain(), vlan, &mut copy), Some(buffer.len()));
            assert_eq!(&copy[..buffer.len()], &buffer);
            assert_eq!(copy_tagged(&plain(), vlan, &mut copy[..length + 3]), None);
            assert_eq!(copy_tagged(&plain()[..11], vlan, &mut copy), None);
            assert_eq!(carrier(&buffer), (Carrier::Tagged(vlan), true));
            assert_eq!(untag(&mut buffer), plain());
        }
    }

    #[test]
    fn numbers_that_no_frame_of_a_vlan_has() {
        for number in [0, 4095, 4096, u16::MAX] {
            assert_eq!(VlanId::new(number), None);
        }
        let mut frame = plain();
        assert_eq!(carrier(&frame), (Carrier::Native, false));
        frame.splice(12..12, [0x81, 0x00, 0xa0, 0x00]);
        assert_eq!(carrier(&frame), (Carrier::Native, true), "a priority");
        frame[14..16].copy_from_slice(&[0x0f, 0xff]);
        assert_eq!(carrier(&frame), (Carrier::Invalid, true));
        frame[14..16].copy_from_slice(&[0xf0, 0x07]);
        let seven = VlanId::new(7).unwrap();
        assert_eq!(carrier(&frame), (Carrier::Tagged(seven), true));
    }

    #[test]
    fn short_frames_and_short_buffers() {
        let mut frame = plain();
        frame.splice(12..12, [0x81, 0x00, 0, 7]);
        for length in 0..16 {
            let mut short = frame[..length].to_vec();
            let expected = match length {
                14 | 15 => (Carrier::Invalid, true),
                _ => (Carrier::Native, false),
            };
            assert_eq!(carrier(&short), expected, "{length}");
            assert_eq!(untag(&mut short), &frame[..length]);
        }
        let vlan = VlanId::new(1).unwrap();
        let mut whole = plain();
        let length = whole.len();
        assert_eq!(tag(&mut whole, length, vlan), None, "no room");
        assert_eq!(tag(&mut whole, 11, vlan), None, "no addresses");
        assert_eq!(whole, plain());
    }
}
