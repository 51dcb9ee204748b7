//! Tests request heads and the statuses of refused ones.

use farrier_http::{BodyLength, Error, Head, MAX_HEADERS, Method, Range, Version};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Head<'_>, Error> {
    let (head, length) = Head::parse(text.as_bytes())?.expect("a complete head");
    assert_eq!(length, text.len());
    Ok(head)
}

fn refused(text: &str) -> (Error, u16) {
    let error = parse(text).expect_err(text);
    (error, error.status().0)
}

#[test]
fn a_request_of_edk2_is_understood() {
    let head = parse(
        "GET /boot/snponly.efi HTTP/1.1\r\nHost: 10.0.0.1:80\r\nAccept: */*\r\n\
         User-Agent: UefiHttpBoot/1.0\r\n\r\n",
    )
    .unwrap();
    assert_eq!(head.method, Method::Get);
    assert_eq!((head.path, head.query), ("/boot/snponly.efi", ""));
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.host, Some("10.0.0.1:80"));
    assert_eq!(head.body, BodyLength::Known(0));
    assert!(head.keep_alive && !head.expect_continue);
    assert_eq!(head.header("user-AGENT"), Some("UefiHttpBoot/1.0"));
    assert_eq!(head.header("Cookie"), None);
}

#[test]
fn targets_are_split() {
    let path = |target: &str| {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        parse(&text)
            .map(|head| (head.path.to_owned(), head.query.to_owned()))
            .map_err(|error| error.status().0)
    };
    let ok = |path: &str, query: &str| Ok((path.to_owned(), query.to_owned()));
    assert_eq!(path("/"), ok("/", ""));
    assert_eq!(path("/a%20b?c=d?e"), ok("/a%20b", "c=d?e"));
    assert_eq!(path("http://rack:80/a?b"), ok("/a", "b"));
    assert_eq!(path("HTTP://rack"), ok("/", ""));
    assert_eq!(path("http://rack?b"), ok("/", "b"));
    for bad in ["a", "*", "ftp://rack/a", "/a#b", "/ä", "http:/"] {
        assert_eq!(path(bad), Err(400), "{bad}");
    }
    let head = parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.path, "*");
}

#[test]
fn connection_depends_on_header_and_version() {
    let keeps = |version: &str, line: &str| {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{line}\r\n");
        parse(&text).unwrap().keep_alive
    };
    assert!(keeps("1.1", ""));
    assert!(!keeps("1.0", ""));
    assert!(keeps("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("1.1", "connection: close\r\n"));
    assert!(!keeps("1.1", "Connection: upgrade, Close\r\n"));
    assert!(!keeps(
        "1.1",
        "Connection: close\r\nConnection: keep-alive\r\n"
    ));
    // HTTP/1.0 needs no Host.
    assert_eq!(parse("GET / HTTP/1.0\r\n\r\n").unwrap().host, None);
}

#[test]
fn only_get_has_a_range_and_only_one() {
    let range = |method: &str, lines: &str| {
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        parse(&text).unwrap().range
    };
    assert_eq!(
        range("GET", "Range: bytes=5-9\r\n"),
        Some(Range::FromTo(5, 9))
    );
    assert_eq!(range("HEAD", "Range: bytes=5-9\r\n"), None);
    assert_eq!(
        range("GET", "Range: bytes=5-9\r\nRange: bytes=1-2\r\n"),
        None
    );
    assert_eq!(
        range("GET", "Range: bytes=5-9\r\nIf-Range: \"x\"\r\n"),
        None
    );
}

#[test]
fn only_100_continue_is_expected() {
    let head = parse("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n").unwrap();
    assert!(head.expect_continue);
    let head = parse("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert!(!head.expect_continue);
    assert_eq!(
        refused("PUT / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n"),
        (Error::Expectation, 417)
    );
}

#[test]
fn ambiguous_framing_is_refused() {
    let with = |lines: &str| refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    assert_eq!(
        with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        (Error::Framing, 400)
    );
    assert_eq!(
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        (Error::Framing, 400)
    );
    assert_eq!(
        refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (Error::Framing, 400)
    );
    for lines in [
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4, 4\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length:\r\n",
        "Content-Length: 4 4\r\n",
    ] {
        assert_eq!(with(lines), (Error::ContentLength, 400), "{lines}");
    }
    assert_eq!(
        with("Content-Length: 99999999999999999999\r\n"),
        (Error::ContentTooLong, 413)
    );
    for lines in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ] {
        assert_eq!(with(lines), (Error::TransferCoding, 501), "{lines}");
    }
    for lines in [
        "A : b\r\n",
        " A: b\r\n",
        "A: b\r\n c\r\n",
        "A: b\nB: c\r\n",
        "A: b\0\r\n",
        "A\r\n",
        ": b\r\n",
        "A: b\rc\r\n",
    ] {
        assert_eq!(with(lines), (Error::Syntax, 400), "{lines:?}");
    }
}

#[test]
fn exactly_one_valid_host_is_needed() {
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), (Error::Host, 400));
    for line in ["Host: a\r\nHost: a", "Host: a/b", "Host: a b"] {
        let text = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n");
        assert_eq!(refused(&text), (Error::Host, 400), "{line}");
    }
    assert_eq!(
        parse("GET / HTTP/1.1\r\nHost: [fe80::1]:80\r\n\r\n")
            .unwrap()
            .host,
        Some("[fe80::1]:80")
    );
}

#[test]
fn unknown_methods_and_versions_are_refused() {
    for method in ["BREW", "get", "CONNECT", "TRACE"] {
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(refused(&text), (Error::Method, 501));
    }
    assert_eq!(
        refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (Error::Version, 505)
    );
}

#[test]
fn too_long_heads_are_refused() {
    let mut text = String::from("GET / HTTP/1.1\r\n");
    for _ in 0..=MAX_HEADERS {
        text.push_str("a: b\r\n");
    }
    text.push_str("\r\n");
    assert_eq!(refused(&text), (Error::TooManyHeaders, 431));
    assert_eq!(Head::overflow(b"\r\nGET /aaaaaa").status().0, 414);
    assert_eq!(Head::overflow(b"GET / HTTP/1.1\r\nA: ").status().0, 431);
    assert_eq!(Head::overflow(b"\r\n\r\n").status().0, 431);
}

#[test]
fn incomplete_head_is_not_returned() {
    let text = b"\r\nPUT /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    let end = text.len() - 2;
    for length in 0..end {
        assert!(Head::parse(&text[..length]).unwrap().is_none(), "{length}");
    }
    for length in end..=text.len() {
        let (head, used) = Head::parse(&text[..length]).unwrap().unwrap();
        assert_eq!((head.body, used), (BodyLength::Known(2), end));
    }
}

proptest! {
    /// A head built from parts parses into the same parts.
    #[test]
    fn round_trip(
        method in prop::sample::select(vec![
            Method::Get, Method::Head, Method::Post, Method::Put,
            Method::Patch, Method::Delete, Method::Options,
        ]),
        path in "/[a-zA-Z0-9/%._~-]{0,40}",
        query in prop::option::of("[a-z0-9=&?/]{0,30}"),
        length in prop::option::of(any::<u64>()),
        headers in prop::collection::vec(("X-[a-zA-Z0-9-]{1,10}", "[!-~]([ -~]{0,20}[!-~])?"), 0..20),
        blanks in "[ \t]{0,3}",
    ) {
        let mut text = format!("{} {path}", method.as_str());
        if let Some(query) = &query {
            text += &format!("?{query}");
        }
        text += " HTTP/1.1\r\nHost: rack\r\n";
        for (name, value) in &headers {
            text += &format!("{name}:{blanks}{value}{blanks}\r\n");
        }
        if let Some(length) = length {
            text += &format!("content-length: {length}\r\n");
        }
        text += "\r\n";
        let head = parse(&text).unwrap();
        prop_assert_eq!(head.method, method);
        prop_assert_eq!(head.path, &path);
        prop_assert_eq!(head.query, query.as_deref().unwrap_or(""));
        prop_assert_eq!(head.body, BodyLength::Known(length.unwrap_or(0)));
        for (name, _) in &headers {
            let expected: Vec<_> = headers
                .iter()
                .filter(|(other, _)| other.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
                .collect();
            prop_assert_eq!(head.headers(name).collect::<Vec<_>>(), expected);
        }
    }

    /// Random bytes and modified heads do not panic, and a parsed head does not
    /// depend on the bytes behind it.
    #[test]
    fn noise(
        mut bytes in prop::collection::vec(any::<u8>(), 0..80),
        at in any::<prop::sample::Index>(),
        mangle in any::<bool>(),
    ) {
        if mangle {
            let mut text = *b"PUT /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: x\r\n\r\n";
            let at = at.index(text.len());
            text[at] = bytes.first().copied().unwrap_or(0);
            bytes.splice(0..0, text);
        }
        let _ = Head::overflow(&bytes);
        if let Ok(Some((head, length))) = Head::parse(&bytes) {
            prop_assert!(length <= bytes.len());
            let (again, same) = Head::parse(&bytes[..length]).unwrap().unwrap();
            prop_assert_eq!((again.path, again.body, same), (head.path, head.body, length));
            prop_assert!(Head::parse(&bytes[..length - 1]).unwrap().is_none());
        }
    }
}
