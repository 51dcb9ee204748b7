//! The tokenizer and the writer, against `serde_json`.

use farrier_json::{Error, Event, MAX_DEPTH, Reader, Slice, Writer};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Reads a document that comes in slices of these lengths, and builds the
/// tree that the API never builds.
fn read(bytes: &[u8], cuts: &[usize]) -> Result<Value, Error> {
    let mut tree = Tree::default();
    let mut reader = Reader::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let cut = (*cuts.next().unwrap()).min(rest.len());
        let mut input = &rest[..cut];
        rest = &rest[cut..];
        while let Some(event) = reader.next(&mut input)? {
            tree.take(event);
        }
        assert!(input.is_empty());
    }
    if let Some(event) = reader.finish()? {
        tree.take(event);
    }
    Ok(tree.root.unwrap())
}

#[derive(Default)]
struct Tree {
    root: Option<Value>,
    open: Vec<(Value, String)>,
    text: String,
    key: String,
}

impl Tree {
    fn take(&mut self, event: Event<'_>) {
        let value = match event {
            Event::ObjectStart | Event::ArrayStart => {
                let empty = match event {
                    Event::ObjectStart => Value::Object(Map::new()),
                    _ => Value::Array(vec![]),
                };
                self.open.push((empty, std::mem::take(&mut self.key)));
                return;
            }
            Event::ObjectEnd | Event::ArrayEnd => {
                let (value, key) = self.open.pop().unwrap();
                self.key = key;
                value
            }
            Event::KeyStart | Event::StringStart | Event::NumberStart => {
                self.text.clear();
                return;
            }
            Event::Text(text) => {
                assert!(!text.is_empty());
                self.text.push_str(text);
                return;
            }
            Event::Char(character) => {
                self.text.push(character);
                return;
            }
            Event::KeyEnd => {
                self.key = std::mem::take(&mut self.text);
                return;
            }
            Event::StringEnd => Value::String(std::mem::take(&mut self.text)),
            Event::NumberEnd => serde_json::from_str(&self.text).unwrap(),
            Event::Bool(value) => Value::Bool(value),
            Event::Null => Value::Null,
        };
        match self.open.last_mut() {
            Some((Value::Object(object), _)) => {
                object.insert(std::mem::take(&mut self.key), value);
            }
            Some((Value::Array(array), _)) => array.push(value),
            Some(_) => unreachable!(),
            None => assert!(self.root.replace(value).is_none()),
        }
    }
}

fn whole(text: &str) -> Result<Value, Error> {
    read(text.as_bytes(), &[usize::MAX])
}

#[test]
fn malformed_documents_are_refused() {
    for (bad, error) in [
        ("", Error::Incomplete),
        ("  ", Error::Incomplete),
        ("{", Error::Incomplete),
        ("[1", Error::Incomplete),
        ("\"a", Error::Incomplete),
        ("-", Error::Incomplete),
        ("tru", Error::Incomplete),
        ("[1,]", Error::Syntax),
        ("{\"a\":1,}", Error::Syntax),
        ("{a:1}", Error::Syntax),
        ("{\"a\" 1}", Error::Syntax),
        ("[1}", Error::Syntax),
        ("]", Error::Syntax),
        ("1 2", Error::Syntax),
        ("01", Error::Syntax),
        ("+1", Error::Syntax),
        (".5", Error::Syntax),
        ("[1.]", Error::Syntax),
        ("[1e]", Error::Syntax),
        ("NaN", Error::Syntax),
        ("truE", Error::Syntax),
        ("tr ue", Error::Syntax),
        ("[1e+]", Error::Syntax),
        ("[1e5.0]", Error::Syntax),
        ("\"\\ n\"", Error::Escape),
        ("'a'", Error::Syntax),
        ("\"a\nb\"", Error::Syntax),
        ("\"\\x41\"", Error::Escape),
        ("\"\\u12g4\"", Error::Escape),
        ("\"\\ud800\"", Error::Escape),
        ("\"\\ud800\\n\"", Error::Escape),
        ("\"\\ud800\\u0041\"", Error::Escape),
        ("\"\\udc00\"", Error::Escape),
    ] {
        assert_eq!(whole(bad), Err(error), "{bad}");
    }
    for bad in [
        &b"\"\xff\""[..],
        b"\"\xc3\"",
        b"\"\xe2\x82",
        b"\"\xed\xa0\x80\"",
    ] {
        for cut in 1..4 {
            let error = read(bad, &[cut]).unwrap_err();
            assert!(matches!(error, Error::Utf8 | Error::Incomplete));
        }
    }
}

#[test]
fn numbers_have_every_form_that_json_knows() {
    for text in [
        "0", "-0", "7", "1e5", "1E+5", "2.5e-3", "0e0", "0.125", "-12E2",
    ] {
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(whole(text), Ok(expected), "{text}");
    }
}

#[test]
fn an_error_stays() {
    let mut reader = Reader::new();
    assert_eq!(reader.next(&mut &b"}"[..]), Err(Error::Syntax));
    assert_eq!(reader.next(&mut &b"{"[..]), Err(Error::Syntax));
    assert_eq!(reader.next(&mut &b""[..]), Err(Error::Syntax));
    assert_eq!(reader.finish(), Err(Error::Syntax));
    assert_eq!(Error::Syntax.to_string(), Error::Syntax.text());
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let most = usize::from(MAX_DEPTH);
    assert!(whole(&nested(most)).is_ok());
    assert_eq!(whole(&nested(most + 1)), Err(Error::Depth));
    assert_eq!(whole(&"[".repeat(100_000)), Err(Error::Depth));
}

#[test]
fn surrogates_become_one_character() {
    let document = r#""\ud83d\ude00 \u00e4 \/ \b\f\n\r\t\"\\""#;
    for cut in 1..document.len() {
        let value = read(document.as_bytes(), &[cut]).unwrap();
        assert_eq!(value, "\u{1f600} ä / \u{8}\u{c}\n\r\t\"\\");
    }
}

#[test]
fn a_writer_knows_its_commas_and_its_limits() {
    let write = |room: &mut [u8]| {
        let mut writer = Writer::new(Slice::new(room));
        writer.object().key("a").array().number(1u8).null();
        writer.bool(true).end_array().key("b").object().end_object();
        writer.key("c\"").text(format_args!("{}\n{}", 1, '\u{1}'));
        writer
            .key("d")
            .string_or_null("")
            .key("e")
            .verbatim("[]")
            .end_object();
        writer.finish().map(|slice| slice.len())
    };
    let wanted = r#"{"a":[1,null,true],"b":{},"c\"":"1\n\u0001","d":null,"e":[]}"#;
    let mut room = [0; 100];
    let length = write(&mut room).unwrap();
    assert_eq!(std::str::from_utf8(&room[..length]), Ok(wanted));
    for short in 0..length {
        assert_eq!(write(&mut room[..short]), None);
    }
    let mut slice = Slice::new(&mut room);
    assert!(slice.is_empty());
    std::fmt::Write::write_str(&mut slice, "a").unwrap();
    assert!(!slice.is_empty() && slice.len() == 1);
}

/// Any document that is not nested too deep.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Parts of eight: exact however they are printed and read.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Writes a tree with our writer, one writer a token.
fn write(value: &Value) -> String {
    fn piece(text: &mut String, last: &mut u8, put: impl FnOnce(&mut Writer<Slice<'_>>)) {
        let mut room = [0; 4096];
        let mut writer = Writer::resume(Slice::new(&mut room), *last);
        put(&mut writer);
        *last = writer.last();
        let length = writer.finish().unwrap().len();
        text.push_str(std::str::from_utf8(&room[..length]).unwrap());
    }
    fn walk(value: &Value, text: &mut String, last: &mut u8) {
        match value {
            Value::Null => piece(text, last, |w| {
                w.null();
            }),
            Value::Bool(value) => piece(text, last, |w| {
                w.bool(*value);
            }),
            Value::Number(number) => piece(text, last, |w| {
                w.verbatim(&number.to_string());
            }),
            Value::String(string) => piece(text, last, |w| {
                w.string(string);
            }),
            Value::Array(values) => {
                piece(text, last, |w| {
                    w.array();
                });
                values.iter().for_each(|value| walk(value, text, last));
                piece(text, last, |w| {
                    w.end_array();
                });
            }
            Value::Object(map) => {
                piece(text, last, |w| {
                    w.object();
                });
                for (key, value) in map {
                    piece(text, last, |w| {
                        w.key(key);
                    });
                    walk(value, text, last);
                }
                piece(text, last, |w| {
                    w.end_object();
                });
            }
        }
    }
    let (mut text, mut last) = (String::new(), b':');
    walk(value, &mut text, &mut last);
    text
}

proptest! {
    /// What `serde_json` writes is read, however it is torn.
    #[test]
    fn reads_what_serde_writes(
        value in document(),
        pretty in any::<bool>(),
        cuts in prop::collection::vec(1usize..9, 1..8),
    ) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => serde_json::to_string(&value).unwrap(),
        };
        prop_assert_eq!(read(text.as_bytes(), &cuts), Ok(value));
    }

    /// What we write is read by `serde_json`.
    #[test]
    fn serde_reads_what_we_write(value in document()) {
        prop_assert_eq!(serde_json::from_str::<Value>(&write(&value)).unwrap(), value);
    }

    /// Noise is taken and refused exactly where `serde_json` does so.
    #[test]
    fn noise(
        text in prop_oneof![
            r#"[\[\]{}",:0-2eE.+\\u \-a-d]{0,24}"#,
            r#"(true|false|null|"|\\|\\u|d8|00|0|1|e|-|\.|,|:|\[|\]|\{|\}| |ä|a){0,16}"#,
        ],
        cuts in prop::collection::vec(1usize..6, 1..5),
    ) {
        let ours = read(text.as_bytes(), &cuts);
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => prop_assert_eq!(ours, Ok(value)),
            // The only limits of the oracle that are not the grammar's.
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(_) => prop_assert!(ours.is_err(), "{} gave {:?}", text, ours),
        }
    }

    /// A byte changed in a good document is judged as by `serde_json`.
    #[test]
    fn mangled(value in document(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        match serde_json::from_slice::<Value>(&text) {
            Ok(value) => prop_assert_eq!(read(&text, &[3]), Ok(value)),
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(_) => prop_assert!(read(&text, &[3]).is_err()),
        }
    }
}
