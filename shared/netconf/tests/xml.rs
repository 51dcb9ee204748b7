//! The XML reader: documents of switches, refused documents, and random ones
//! that an independent reader reads as well.

use farrier_netconf::xml::name::{Name, Namespace};
use farrier_netconf::xml::{Event, MAX_DEPTH, MAX_TEXT, Reader, Utf8, XmlError, XmlErrorKind};
use proptest::prelude::*;

/// A token in a form of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Attribute(String, String),
    Start(String),
    Text(String),
    End,
}

fn read(document: &[u8]) -> Result<Vec<Item>, XmlError> {
    let mut reader = Reader::new();
    let mut items = Vec::new();
    for &byte in document {
        let Some(token) = reader.push(byte)? else {
            continue;
        };
        items.push(match token.event {
            Event::Attribute { name, value, .. } => Item::Attribute(name.into(), value.into()),
            Event::Start { local, .. } => Item::Start(local.into()),
            Event::Text { text, .. } => Item::Text(text.into()),
            Event::End => Item::End,
        });
    }
    reader.finish()?;
    Ok(items)
}

/// What quick-xml reads, in the same form.
fn oracle(document: &[u8]) -> Option<Vec<Item>> {
    use quick_xml::events::Event as Their;
    let mut reader = quick_xml::Reader::from_reader(document);
    let mut items = Vec::new();
    let mut text = String::new();
    let flush = |text: &mut String, items: &mut Vec<Item>| {
        let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
        if !trimmed.is_empty() {
            items.push(Item::Text(trimmed.into()));
        }
        text.clear();
    };
    let mut buf = Vec::new();
    loop {
        buf.clear();
        let event = reader.read_event_into(&mut buf).ok()?;
        match &event {
            Their::Start(start) | Their::Empty(start) => {
                flush(&mut text, &mut items);
                for attribute in start.attributes().with_checks(false) {
                    let attribute = attribute.ok()?;
                    if attribute.key.as_namespace_binding().is_some() {
                        continue;
                    }
                    let name = attribute.key.local_name();
                    items.push(Item::Attribute(
                        String::from_utf8(name.as_ref().to_vec()).ok()?,
                        attribute.unescape_value().ok()?.into_owned(),
                    ));
                }
                let name = start.local_name();
                items.push(Item::Start(String::from_utf8(name.as_ref().to_vec()).ok()?));
                if matches!(event, Their::Empty(_)) {
                    items.push(Item::End);
                }
            }
            Their::End(_) => {
                flush(&mut text, &mut items);
                items.push(Item::End);
            }
            Their::Text(more) => text.push_str(&more.decode().ok()?),
            Their::CData(more) => text.push_str(&more.decode().ok()?),
            Their::GeneralRef(reference) => {
                let name = reference.decode().ok()?;
                match reference.resolve_char_ref().ok()? {
                    Some(found) => text.push(found),
                    None => text.push_str(quick_xml::escape::resolve_predefined_entity(&name)?),
                }
            }
            Their::Eof => break,
            _ => {}
        }
    }
    Some(items.into_iter().map(cut).collect())
}

/// Cuts a text where the reader cuts it.
fn cut(item: Item) -> Item {
    let cut = |text: String| text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
    match item {
        Item::Attribute(name, value) => Item::Attribute(name, cut(value)),
        Item::Text(text) => Item::Text(
            cut(text)
                .trim_end_matches([' ', '\t', '\r', '\n'])
                .to_owned(),
        ),
        other => other,
    }
}

fn kind(document: &str) -> (XmlErrorKind, u32) {
    let error = read(document.as_bytes()).unwrap_err();
    (error.kind, error.offset)
}

#[test]
fn a_document_of_a_switch_is_read() {
    let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- user root, class super-user -->\n\
        <rpc-reply xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id='7'>\n\
        <data><name>\n  ge-0/0/1&amp;&#x41;<!-- x --><![CDATA[<]]]>\n</name><ok/></data >\n</rpc-reply>\n";
    let items = read(document.as_bytes()).unwrap();
    assert_eq!(
        items,
        [
            Item::Attribute("message-id".into(), "7".into()),
            Item::Start("rpc-reply".into()),
            Item::Start("data".into()),
            Item::Start("name".into()),
            Item::Text("ge-0/0/1&A<]".into()),
            Item::End,
            Item::Start("ok".into()),
            Item::End,
            Item::End,
            Item::End,
        ]
    );
    assert_eq!(Some(items), oracle(document.as_bytes()));
}

#[test]
fn namespaces_follow_prefixes_and_scopes() {
    let document = "<nc:hello xmlns:nc='urn:ietf:params:xml:ns:netconf:base:1.0' xmlns='u:x'>\
        <data xmlns='http://openconfig.net/yang/vlan'><vlan/></data><vlan/><q:vlan/>\
        <vlan xmlns=''/></nc:hello>";
    let mut reader = Reader::new();
    let mut seen = Vec::new();
    for byte in document.bytes() {
        if let Some(token) = reader.push(byte).unwrap()
            && let Event::Start { namespace, .. } = token.event
        {
            seen.push((*token.path.last().unwrap(), namespace));
        }
    }
    reader.finish().unwrap();
    assert_eq!(
        seen,
        [
            (Name::Hello, Namespace::Base),
            (Name::Data, Namespace::OpenConfigVlan),
            (Name::Vlan, Namespace::OpenConfigVlan),
            (Name::Vlan, Namespace::Other),
            (Name::Vlan, Namespace::Other),
            (Name::Vlan, Namespace::None),
        ]
    );
}

#[test]
fn bombs_and_malformed_documents_are_refused_where_they_are() {
    use XmlErrorKind as K;
    let deep = "<a>".repeat(MAX_DEPTH + 1);
    let cases: [(&str, K, u32); 22] = [
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", K::Doctype, 2),
        ("<a><!ENTITY b 'c'></a>", K::Syntax, 5),
        ("<a>&b;</a>", K::Reference, 5),
        ("<a>&#0;</a>", K::Reference, 6),
        ("<a>&#xd800;</a>", K::Reference, 10),
        ("<a>&#99999999;</a>", K::Reference, 12),
        ("<a>&amp</a>", K::Reference, 7),
        (&deep, K::Depth, MAX_DEPTH as u32 * 3 + 1),
        ("<a></b>", K::EndTag, 6),
        ("<a></a></a>", K::EndTag, 10),
        ("<a/><b/>", K::OutsideRoot, 5),
        ("<a/>x", K::OutsideRoot, 4),
        ("x<a/>", K::OutsideRoot, 0),
        ("<a", K::Incomplete, 2),
        ("<a>", K::Incomplete, 3),
        ("", K::Incomplete, 0),
        ("<!-- x -->", K::Incomplete, 10),
        ("<a b></a>", K::Syntax, 4),
        ("<a b=c/>", K::Syntax, 5),
        ("<a b='<'/>", K::Syntax, 6),
        ("< a/>", K::Syntax, 1),
        ("<a>\u{1}</a>", K::Character, 3),
    ];
    for (document, kind_of, offset) in cases {
        assert_eq!(kind(document), (kind_of, offset), "{document}");
    }
    let long = format!("<{}/>", "n".repeat(65));
    assert_eq!(kind(&long), (K::Name, 65));
    let many: String = (0..13).map(|n| format!(" xmlns:p{n}='x'")).collect();
    assert_eq!(kind(&format!("<a{many}/>")).0, K::Namespaces);
    assert_eq!(read(b"<a>\xff</a>").unwrap_err().kind, K::Character);
    assert_eq!(read(b"<a>\xed\xa0\x80</a>").unwrap_err().kind, K::Character);
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let document = format!(
        "<a>{}\u{e4}{}</a>",
        "x".repeat(MAX_TEXT - 1),
        "y".repeat(99)
    );
    let mut reader = Reader::new();
    let mut found = None;
    for byte in document.bytes() {
        if let Some(token) = reader.push(byte).unwrap()
            && let Event::Text { text, cut } = token.event
        {
            found = Some((text.len(), cut));
        }
    }
    assert_eq!(found, Some((MAX_TEXT - 1, true)));
    // White space behind a text is no part of it.
    let items = read(format!("<a>{}   </a>", "x".repeat(MAX_TEXT)).as_bytes());
    assert_eq!(items.unwrap()[1], Item::Text("x".repeat(MAX_TEXT)));
}

#[test]
fn a_reader_reads_the_next_document_after_an_error() {
    let mut reader = Reader::new();
    assert!(reader.push(b'x').is_err());
    assert!(reader.push(b'<').is_err(), "it stays failed");
    assert!(reader.finish().is_err());
    for byte in "<a/>".bytes() {
        reader.push(byte).unwrap();
    }
    reader.finish().unwrap();
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            "[ -%'-;=?-~]{0,12}",
            Just("&lt;".to_owned()),
            Just("&#xe9;".to_owned()),
            Just("&#10;".to_owned()),
            Just("<![CDATA[a]]b<&]]>".to_owned()),
            Just("<!-- - -->".to_owned()),
            Just("<?p q?>".to_owned()),
            Just("\u{e9}\u{20ac}".to_owned()),
        ],
        0..4,
    )
    .prop_map(|parts| parts.concat())
}

fn element() -> impl Strategy<Value = String> {
    let attribute = ("[a-z][a-z0-9:]{0,3}", "[ -%'-;=?-~]{0,8}").prop_map(|(name, value)| {
        format!(
            " {}=\"{}\"",
            name.trim_end_matches(':'),
            value.replace('"', "'")
        )
    });
    let tag = (
        "(p:)?[a-z][a-z0-9.-]{0,8}",
        prop::collection::vec(attribute, 0..3),
    );
    let leaf = (tag.clone(), text()).prop_map(|((name, attributes), text)| {
        format!("<{name}{}>{text}</{name}>", attributes.concat())
    });
    leaf.prop_recursive(6, 40, 5, move |inner| {
        (
            tag.clone(),
            prop::collection::vec((text(), inner), 0..5),
            any::<bool>(),
        )
            .prop_map(|((name, attributes), children, empty)| {
                let attributes = attributes.concat();
                if empty {
                    return format!("<{name}{attributes} />");
                }
                let inner: String = children.into_iter().map(|(t, e)| t + &e).collect();
                format!("<{name}{attributes}>{inner}</{name} >")
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn random_documents_are_read_as_another_reader_does(document in element()) {
        match read(document.as_bytes()) {
            Ok(items) => prop_assert_eq!(Some(items), oracle(document.as_bytes()), "{}", document),
            Err(error) => prop_assert!(
                matches!(error.kind, XmlErrorKind::Namespaces | XmlErrorKind::Depth),
                "{} {}", error, document
            ),
        }
    }

    #[test]
    fn what_is_accepted_of_broken_documents_another_reader_accepts(
        document in element(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = document.into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(items) = read(&bytes) {
            prop_assert_eq!(Some(items), oracle(&bytes), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn utf8_is_checked_as_the_standard_library_does(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80_u8..0xc0, 0xe0_u8..0xf5], 0..8),
    ) {
        let mut check = Utf8::new();
        let valid = bytes.iter().all(|&byte| check.push(byte)) && check.complete();
        prop_assert_eq!(valid, std::str::from_utf8(&bytes).is_ok());
    }

    #[test]
    fn plain_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(read(&bytes));
    }

    #[test]
    fn markup_does_not_panic(parts in prop::collection::vec(
        prop::sample::select(vec!["<", ">", "/", "a", " ", "='", "'", "&", ";", "![CDATA[", "]]>", "!--", "-->", "?", "xmlns:", "#x41"]),
        0..80,
    )) {
        drop(read(parts.concat().as_bytes()));
    }
}

#[test]
fn a_processing_instruction_has_a_target() {
    for (document, fits) in [
        ("<a><?p?></a>", true),
        ("<a><?p q?r?></a>", true),
        ("<a><?> q?></a>", false),
        ("<a><? p?></a>", false),
        ("<a><??></a>", false),
        ("<a><?p?q?></a>", false),
        ("<a><?p>?></a>", false),
    ] {
        assert_eq!(read(document.as_bytes()).is_ok(), fits, "{document}");
        // The other reader takes some that are none.
        assert!(!fits || oracle(document.as_bytes()).is_some(), "{document}");
    }
}
