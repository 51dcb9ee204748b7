//! Queries: which part of a list is wanted, and how much of each item.

use crate::resource::Call;
use crate::resources::nodes;
use crate::{Error, View, ident};
use farrier_http::{Status, percent};
use farrier_protocol::message::NodeId;

/// Which part of a list, and how much of each item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    pub(crate) detail: bool,
    pub(crate) limit: u16,
    pub(crate) marker: Option<NodeId>,
    /// A filter that nothing passes, as `driver=ipmi`.
    pub(crate) nothing: bool,
    /// What of nodes is wanted, and of which nodes.
    pub(crate) nodes: nodes::Filter,
    /// The node whose ports are wanted.
    pub(crate) owner: Option<NodeId>,
    /// The only port that is wanted.
    pub(crate) port: Option<NodeId>,
    /// The place of the port group whose ports are wanted; 0 for all ports.
    pub(crate) group: u8,
}

impl List {
    pub(crate) const ALL: Self = Self {
        detail: false,
        limit: u16::MAX,
        marker: None,
        nothing: false,
        nodes: nodes::Filter::ALL,
        owner: None,
        port: None,
        group: 0,
    };
}

/// What a key of a query is to a resource.
#[derive(Debug)]
pub(crate) enum Key {
    /// It was taken.
    Taken,
    /// The resource has no such key.
    Unknown,
    /// The value makes no sense.
    Unfit,
}

/// Takes a key and its value.
pub(crate) type Filter = fn(&View<'_>, &mut List, &str, &str) -> Result<Key, Error>;

/// What a query means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Query {
    /// Nothing.
    Ignored,
    /// It pages through a list and filters it. Other keys are refused.
    List(Filter),
    /// What the function takes; other keys mean nothing.
    Of(Filter),
}

/// A list that can be paged through and not be filtered.
pub(crate) fn no_filter(_: &View<'_>, _: &mut List, _: &str, _: &str) -> Result<Key, Error> {
    Ok(Key::Unknown)
}

/// A list that is always empty: whatever it is filtered by.
pub(crate) fn any_filter(_: &View<'_>, _: &mut List, _: &str, _: &str) -> Result<Key, Error> {
    Ok(Key::Taken)
}

/// Reads a query into the call.
pub(crate) fn read(
    view: &View<'_>,
    call: &mut Call,
    query: &str,
    means: Query,
) -> Result<(), Error> {
    let (filter, lists) = match means {
        Query::Ignored => return Ok(()),
        Query::List(filter) => (filter, true),
        Query::Of(filter) => (filter, false),
    };
    for (key, value) in percent::pairs(query) {
        let mut buffer = [0; 1024];
        let value = percent::decode_query(value, &mut buffer)?;
        let mut taken = filter(view, &mut call.list, key, value)?;
        if lists && matches!(taken, Key::Unknown) {
            taken = page(&mut call.list, key, value);
        }
        match taken {
            Key::Taken => {}
            Key::Unfit => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!("Invalid value {value:?} of {key}. Correct it or leave it out."),
                ));
            }
            Key::Unknown if lists => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!("There is no filter {key:?} here. Leave it out."),
                ));
            }
            Key::Unknown => {}
        }
    }
    Ok(())
}

fn page(list: &mut List, key: &str, value: &str) -> Key {
    match key {
        "detail" => match boolean(value) {
            Some(detail) => list.detail |= detail,
            None => return Key::Unfit,
        },
        "limit" => match value.parse::<u32>() {
            // 0 is no limit.
            Ok(0) => {}
            Ok(limit) => list.limit = u16::try_from(limit).unwrap_or(u16::MAX),
            Err(_) => return Key::Unfit,
        },
        "marker" => match ident::parse(value) {
            Some(marker) => list.marker = Some(marker),
            None => return Key::Unfit,
        },
        // Lists have an order of their own, and things other than nodes have
        // fields that are fixed.
        "sort_key" | "sort_dir" | "fields" => {}
        _ => return Key::Unknown,
    }
    Key::Taken
}

/// A marker that is in no list.
pub(crate) fn no_marker(marker: NodeId) -> Error {
    Error::new(
        Status::BAD_REQUEST,
        format_args!(
            "The marker {} is not in the list. Start again without it.",
            ident::text(marker)
        ),
    )
}

pub(crate) fn boolean(value: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is(&["true", "1", "yes", "on", "t", "y"]) {
        Some(true)
    } else if is(&["false", "0", "no", "off", "f", "n"]) {
        Some(false)
    } else {
        None
    }
}
