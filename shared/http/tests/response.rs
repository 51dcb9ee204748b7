//! Tests ranges, response heads and percent-encoding.

use farrier_http::{
    BufferTooSmall, Error, Framing, Range, ResponseHead, Selection, Status, Version, percent,
};
use proptest::prelude::*;

#[test]
fn ranges_are_parsed() {
    assert_eq!(Range::parse("bytes=0-0"), Some(Range::FromTo(0, 0)));
    assert_eq!(Range::parse("Bytes= 7- "), Some(Range::From(7)));
    assert_eq!(Range::parse("bytes=-5"), Some(Range::Last(5)));
    assert_eq!(
        Range::parse("bytes=1-99999999999999999999"),
        Some(Range::FromTo(1, u64::MAX))
    );
    for ignored in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "lines=1-2",
        "bytes=+1-2",
        "bytes=--2",
    ] {
        assert_eq!(Range::parse(ignored), None, "{ignored}");
    }
}

#[test]
fn response_heads_are_emitted() {
    let emit = |head: ResponseHead<'_>| {
        let mut buffer = [0; 512];
        let length = head.emit(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(
        emit(ResponseHead::new(Status::NOT_FOUND)),
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let selection = Selection::of(Some(Range::Last(10)), 100);
    assert_eq!(
        emit(
            ResponseHead::new(selection.status())
                .framing(Framing::Length(selection.length()))
                .content_type("application/octet-stream")
                .selection(selection)
                .extra(&[("Cache-Control", "no-store")])
                .keep_alive(true)
        ),
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n\
         Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n\
         Content-Range: bytes 90-99/100\r\nCache-Control: no-store\r\n\
         Connection: keep-alive\r\n\r\n"
    );
    assert_eq!(
        emit(
            ResponseHead::new(Status::RANGE_NOT_SATISFIABLE)
                .selection(Selection::Unsatisfiable { total: 7 })
        ),
        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\
         Accept-Ranges: bytes\r\nContent-Range: bytes */7\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(
        emit(
            ResponseHead::new(Status::OK)
                .framing(Framing::streamed(Version::Http10))
                .keep_alive(true)
        ),
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(
        emit(
            ResponseHead::new(Status::NO_CONTENT)
                .framing(Framing::Nothing)
                .keep_alive(true)
        ),
        "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
    );
}

#[test]
fn header_value_can_not_inject_a_header() {
    let extra = [("Location", "/a\r\nSet-Cookie: b")];
    let head = ResponseHead::new(Status::OK).extra(&extra);
    assert_eq!(head.emit(&mut [0; 512]), Err(BufferTooSmall));
    let head = ResponseHead::new(Status::OK);
    let length = head.emit(&mut [0; 512]).unwrap();
    for short in 0..length {
        assert_eq!(head.emit(&mut vec![0; short]), Err(BufferTooSmall));
    }
}

#[test]
fn percent_encoding_is_decoded() {
    let mut buffer = [0; 8];
    assert_eq!(percent::decode("a%2Fb+%c3%A4", &mut buffer), Ok("a/b+ä"));
    assert_eq!(percent::decode_query("a+b%2B", &mut buffer), Ok("a b+"));
    for bad in ["%", "%4", "%zz", "%00", "%ff", "%+1"] {
        assert_eq!(percent::decode(bad, &mut buffer), Err(Error::Percent));
    }
    assert_eq!(
        percent::decode("123456789", &mut buffer),
        Err(Error::PercentTooLong)
    );
    let pairs: Vec<_> = percent::pairs("a=1&&b&c=d=e").collect();
    assert_eq!(pairs, [("a", "1"), ("b", ""), ("c", "d=e")]);
}

proptest! {
    /// A selection has exactly the bytes of a filter over all offsets.
    #[test]
    fn selections(first in 0u64..40, last in 0u64..40, total in 0u64..30, kind in 0..4) {
        let range = match kind {
            0 => None,
            1 => Some(Range::FromTo(first.min(last), first.max(last))),
            2 => Some(Range::From(first)),
            _ => Some(Range::Last(last)),
        };
        let wanted: Vec<u64> = (0..total)
            .filter(|&at| match range {
                None => true,
                Some(Range::FromTo(first, last)) => at >= first && at <= last,
                Some(Range::From(first)) => at >= first,
                Some(Range::Last(count)) => at + count >= total,
            })
            .collect();
        let selection = Selection::of(range, total);
        let got: Vec<u64> = (selection.offset()..).take(selection.length() as usize).collect();
        let status = match (range, wanted.is_empty()) {
            (None, _) => 200,
            (Some(_), true) => 416,
            (Some(_), false) => 206,
        };
        prop_assert_eq!(selection.status().0, status);
        prop_assert_eq!(got, wanted);
    }

    /// Any text encodes and decodes equal.
    #[test]
    fn percent_round_trip(text in "[^\0]{0,20}") {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let mut buffer = [0; 100];
        prop_assert_eq!(percent::decode(&encoded, &mut buffer), Ok(text.as_str()));
        prop_assert_eq!(percent::decode_query(&encoded, &mut buffer), Ok(text.as_str()));
    }
}
