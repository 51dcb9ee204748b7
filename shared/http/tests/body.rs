//! Tests bodies with a length and with chunks, whole and in pieces.

use farrier_http::{Body, BodyLength, Error, Piece, chunked};
use proptest::prelude::*;

/// Decodes `bytes` in slices of these lengths, which repeat. Returns the body and the
/// bytes behind it.
fn pull(mut body: Body, bytes: &[u8], cuts: &[usize]) -> Result<Option<(Vec<u8>, usize)>, Error> {
    let mut data = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let (slice, tail) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
        let mut input = slice;
        loop {
            match body.next(&mut input)? {
                Piece::Data(piece) => {
                    assert!(!piece.is_empty());
                    data.extend_from_slice(piece);
                }
                Piece::More => break assert!(input.is_empty()),
                Piece::End => return Ok(Some((data, input.len() + tail.len()))),
            }
        }
        rest = tail;
    }
    // A body may be complete with the last byte of the input.
    match body.next(&mut &[][..])? {
        Piece::End => Ok(Some((data, 0))),
        _ => Ok(None),
    }
}

fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Error> {
    pull(Body::new(BodyLength::Chunked), bytes, &[usize::MAX])
}

#[test]
fn chunks_are_decoded() {
    let found = chunks(b"4;name=\"x\"\r\nWiki\r\n0005 \r\npedia\r\n0\r\nA: b\r\nC: d\r\n\r\nGET");
    assert_eq!(found, Ok(Some((b"Wikipedia".to_vec(), 3))));
    assert_eq!(chunks(b"0\r\n\r\n"), Ok(Some((vec![], 0))));
    assert_eq!(chunks(b"A\r\n0123"), Ok(None));
}

#[test]
fn malformed_chunks_are_refused() {
    for bad in [
        &b"\r\n"[..],
        b"g\r\n",
        b"-1\r\n",
        b"4\nWiki",
        b"4\r\nWikix\r\n",
        b"4\r\nWiki\n",
        b"10000000000000000\r\n",
        b"000000000000000000000000000000000\r\n",
        b"0\r\n\n",
        b"0\r\n a\r\n\r\n",
        b"4;\x00\r\n",
        b"0x4\r\n",
    ] {
        assert_eq!(chunks(bad), Err(Error::Chunk), "{bad:?}");
    }
    let mut long = b"4;".to_vec();
    long.resize(600, b'x');
    assert_eq!(chunks(&long), Err(Error::ChunkLine));
    let mut long = b"0\r\n".to_vec();
    (0..100).for_each(|_| long.extend_from_slice(b"name: value\r\n"));
    assert_eq!(chunks(&long), Err(Error::ChunkLine));
    assert_eq!(Error::ChunkLine.status().0, 431);
}

#[test]
fn frame_needs_room_and_data() {
    assert_eq!(chunked::frame(&mut [0; 8], |_| unreachable!()), 0);
    assert_eq!(chunked::frame(&mut [0; 64], |_| 0), 0);
    let mut buffer = [0; 11];
    let length = chunked::frame(&mut buffer, |room| {
        room.copy_from_slice(b"abc");
        room.len()
    });
    assert_eq!(&buffer[..length], b"0003\r\nabc\r\n");
    // A claim of more than there was room for is cut.
    assert_eq!(chunked::frame(&mut [0; 20], |_| 999), 20);
}

proptest! {
    /// Frames of our own, torn into pieces, give the data back.
    #[test]
    fn frames_come_back(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..10),
        cuts in prop::collection::vec(1usize..50, 1..10),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut wire = Vec::new();
        for part in &parts {
            let mut buffer = vec![0; part.len() + 20];
            let length = chunked::frame(&mut buffer, |room| {
                room[..part.len()].copy_from_slice(part);
                part.len()
            });
            wire.extend_from_slice(&buffer[..length]);
        }
        wire.extend_from_slice(chunked::END);
        let length = wire.len();
        wire.extend_from_slice(&behind);
        let (data, left) = pull(Body::new(BodyLength::Chunked), &wire, &cuts).unwrap().unwrap();
        prop_assert_eq!(data, parts.concat());
        prop_assert_eq!(left, behind.len());
        // Cut short anywhere, it is never taken for complete.
        for end in 0..length {
            prop_assert_eq!(pull(Body::new(BodyLength::Chunked), &wire[..end], &cuts), Ok(None));
        }
    }

    /// A body of a known length in pieces.
    #[test]
    fn lengths(
        data in prop::collection::vec(any::<u8>(), 0..300),
        length in 0usize..300,
        cuts in prop::collection::vec(1usize..50, 1..10),
    ) {
        let found = pull(Body::new(BodyLength::Known(length as u64)), &data, &cuts).unwrap();
        prop_assert_eq!(found, (length <= data.len())
            .then(|| (data[..length].to_vec(), data.len() - length)));
    }

    /// The result for random bytes does not depend on the pieces.
    #[test]
    fn noise(
        bytes in "[0-3a;\r\n]{0,60}",
        cuts in prop::collection::vec(1usize..8, 1..10),
    ) {
        let torn = pull(Body::new(BodyLength::Chunked), bytes.as_bytes(), &cuts);
        prop_assert_eq!(torn, chunks(bytes.as_bytes()));
    }
}
