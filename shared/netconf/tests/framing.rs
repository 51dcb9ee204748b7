//! Framing: pieces of all sizes, marks inside messages, and malformed chunks.

use farrier_netconf::framing::{Deframer, Framing, FramingError, Piece};
use proptest::prelude::*;

/// Reads a stream in pieces of this size.
fn read(framing: Framing, stream: &[u8], size: usize) -> Result<Vec<Vec<u8>>, FramingError> {
    let mut deframer = Deframer::new(1 << 20);
    deframer.set_framing(framing);
    let mut messages = Vec::new();
    let mut message = Vec::new();
    for mut piece in stream.chunks(size) {
        loop {
            match deframer.next(&mut piece)? {
                Piece::Data(data) => message.extend_from_slice(data),
                Piece::End => messages.push(std::mem::take(&mut message)),
                Piece::More => break,
            }
        }
    }
    Ok(messages)
}

#[test]
fn chunks_of_the_rfc_are_read() {
    let stream =
        b"\n#4\n<rpc\n#18\n message-id=\"102\"\n\n#79\n     xmlns=\"urn:ietf:params:xml:ns:\
        netconf:base:1.0\">\n  <close-session/>\n</rpc>\n##\n";
    let messages = read(Framing::Chunked, stream, 5).unwrap();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].starts_with(b"<rpc message-id=\"102\"\n     xmlns"));
    assert!(messages[0].ends_with(b"</rpc>"));
}

#[test]
fn malformed_chunks_are_refused() {
    for stream in [
        "x",
        "\n5",
        "\n#0\n",
        "\n#05\n",
        "\n##\n",
        "\n#5 \n",
        "\n#-1\n",
        "\n#99999999999\n",
        "\n#4294967296\n",
        "\n#1\nab",
        "\n#1\na\n##x",
    ] {
        let found = read(Framing::Chunked, stream.as_bytes(), 3);
        assert_eq!(found, Err(FramingError::Chunk), "{stream:?}");
    }
    let long = read(Framing::Chunked, b"\n#4294967295\n", 3);
    assert_eq!(long, Err(FramingError::TooLong));
    // The limit is for the message, not for a chunk.
    let chunk = format!("\n#{}\n{}", 1 << 19, "x".repeat(1 << 19));
    let found = read(Framing::Chunked, chunk.repeat(3).as_bytes(), 9999);
    assert_eq!(found, Err(FramingError::TooLong));
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"]".to_vec()),
        Just(b"]]>".to_vec()),
        Just(b"]]>]".to_vec()),
        Just(b">".to_vec()),
        Just(b"\n#1\n".to_vec()),
        prop::collection::vec(any::<u8>(), 1..9),
    ];
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn messages_of_both_framings_come_back(
        messages in prop::collection::vec(message(), 1..4),
        size in 1_usize..40,
        cut in 1_usize..20,
    ) {
        let mut chunked = Vec::new();
        for message in &messages {
            for chunk in message.chunks(cut) {
                chunked.extend_from_slice(format!("\n#{}\n", chunk.len()).as_bytes());
                chunked.extend_from_slice(chunk);
            }
            chunked.extend_from_slice(b"\n##\n");
        }
        prop_assert_eq!(read(Framing::Chunked, &chunked, size).unwrap(), messages.clone());

        // A reader that looks for the mark in the whole stream finds the same.
        let stream: Vec<u8> = messages.iter().flat_map(|m| [m, &b"]]>]]>"[..]].concat()).collect();
        let mut wanted = Vec::new();
        let mut rest = &stream[..];
        while let Some(end) = rest.windows(6).position(|window| window == b"]]>]]>") {
            wanted.push(rest[..end].to_vec());
            rest = &rest[end + 6..];
        }
        prop_assert_eq!(read(Framing::EndOfMessage, &stream, size).unwrap(), wanted);
    }

    #[test]
    fn plain_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..20) {
        drop(read(Framing::Chunked, &bytes, size));
        drop(read(Framing::EndOfMessage, &bytes, size));
    }
}
