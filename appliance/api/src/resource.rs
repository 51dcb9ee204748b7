//! What a resource is made of, and how a request finds its own.
//!
//! A resource is a file in `resources`: its [`Route`]s say which requests it
//! takes, and name the functions that look for its thing, write its replies
//! and make a command of a body.

use crate::access::{Needs, Principal};
use crate::body::{Body, Pairs, Patch};
use crate::json::{Slice, Writer};
use crate::query::{List, Query};
use crate::reply::Cursor;
use crate::{Error, Version, View, ident};
use core::fmt;
use farrier_core::interface::Command;
use farrier_core::node::{NAME_LEN, Node, String};
use farrier_http::{Method, Status, percent};
use farrier_protocol::message::NodeId;
use heapless::Vec;

/// Longest parameter of a path in bytes.
const PARAMETER: usize = 64;
/// Most parameters of a path.
const PARAMETERS: usize = 2;

/// Where replies are written to.
pub(crate) type Out<'b> = Writer<Slice<'b>>;

/// Looks ahead whether a request can be carried out: the thing is there.
pub(crate) type Check = fn(&View<'_>, &Call) -> Result<(), Error>;
/// Writes the next fragment of a reply and moves the cursor behind it.
pub(crate) type Write = fn(&Ask<'_>, &mut Cursor, &mut Out<'_>);
/// Makes the command of a body that is complete.
pub(crate) type Build = for<'f> fn(&View<'_>, &'f Call, &'f Body) -> Result<Command<'f>, Error>;

/// What a body is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Takes {
    /// None; whatever comes is dropped.
    Nothing,
    /// An object with these keys; that of an object in it ends in `/`.
    Form(&'static [&'static str]),
    /// A JSON patch.
    Patch(fn(&crate::body::Operation<'_>, &mut Pairs) -> Result<(), Error>),
    /// A verb with steps and config drive.
    Provision,
}

/// One method of one path.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Segments; one in braces stands for any text. `{node}` is looked up.
    pub(crate) path: &'static str,
    /// The kind of its thing, for errors.
    pub(crate) kind: &'static str,
    pub(crate) check: Option<Check>,
    pub(crate) query: Query,
    pub(crate) takes: Takes,
    pub(crate) command: Option<Build>,
    pub(crate) status: Status,
    /// `None` where the reply has no body.
    pub(crate) write: Option<Write>,
    /// Whether the reply is made of the node's stored inspection.
    pub(crate) statement: bool,
    /// Whether a list shows all of each item without being asked to.
    pub(crate) detail: bool,
    pub(crate) needs: Needs,
    /// Whether the body's `password` is hashed ahead of the command.
    pub(crate) hashes: bool,
}

impl Route {
    /// Shows something.
    pub(crate) const fn read(path: &'static str, write: Write) -> Self {
        Route {
            method: Method::Get,
            path,
            kind: "",
            check: None,
            query: Query::Ignored,
            takes: Takes::Nothing,
            command: None,
            status: Status::OK,
            write: Some(write),
            statement: false,
            detail: false,
            needs: Needs::AnyRole,
            hashes: false,
        }
    }

    /// Changes something by a command, and has no body in its reply.
    pub(crate) const fn change(method: Method, path: &'static str, command: Build) -> Self {
        Route {
            method,
            path,
            kind: "",
            check: None,
            query: Query::Ignored,
            takes: Takes::Form(&[]),
            command: Some(command),
            status: Status::NO_CONTENT,
            write: None,
            statement: false,
            detail: false,
            needs: Needs::Admin,
            hashes: false,
        }
    }

    /// Sets who may use it: any account where it only shows something, an
    /// admin where it changes something, unless this says otherwise.
    pub(crate) const fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Has a `password` in its body.
    pub(crate) const fn hashes(mut self) -> Self {
        self.hashes = true;
        self
    }

    /// Sets the kind of its thing.
    pub(crate) const fn of(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Looks at the thing ahead.
    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Takes a query.
    pub(crate) const fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// Takes a body.
    pub(crate) const fn takes(mut self, takes: Takes) -> Self {
        self.takes = takes;
        self
    }

    /// Has another status where it was carried out.
    pub(crate) const fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Has a reply with a body.
    pub(crate) const fn replies(mut self, write: Write) -> Self {
        self.write = Some(write);
        self
    }

    /// Shows all of each item.
    pub(crate) const fn detailed(mut self) -> Self {
        self.detail = true;
        self
    }

    /// Is made of the node's stored inspection.
    pub(crate) const fn of_statement(mut self) -> Self {
        self.statement = true;
        self
    }

    fn is_for(&self, method: Method) -> bool {
        method == self.method || method == Method::Head && self.method == Method::Get
    }

    pub(crate) fn body(&self) -> Body {
        match self.takes {
            Takes::Nothing => Body::None,
            Takes::Form(_) => Body::Form(crate::body::Form::new()),
            Takes::Patch(apply) => Body::Patch(Patch::new(apply)),
            // Made once the node is known.
            Takes::Provision => Body::None,
        }
    }
}

/// A request: what is asked of which thing. Owned, the request's bytes are
/// not needed any more.
#[derive(Debug)]
pub(crate) struct Call {
    parameters: Vec<String<PARAMETER>, PARAMETERS, u8>,
    /// Place and identity of the path's node.
    pub(crate) node: Option<(usize, NodeId)>,
    pub(crate) list: List,
    /// Random bytes: a new thing gets its identity from them.
    pub(crate) random: [u8; 32],
    /// In whose name.
    pub(crate) who: Principal,
}

impl Call {
    pub(crate) const fn new(random: [u8; 32], who: Principal) -> Self {
        Self {
            parameters: Vec::new(),
            node: None,
            list: List::ALL,
            random,
            who,
        }
    }

    /// The last parameter of the path.
    pub(crate) fn last(&self) -> &str {
        self.parameters.last().map_or("", |text| text)
    }

    /// The parameter of that number.
    pub(crate) fn parameter(&self, number: usize) -> &str {
        self.parameters.get(number).map_or("", |text| text)
    }

    /// The last parameter as a UUID or a name.
    pub(crate) fn ident(&self) -> Option<Ident> {
        Ident::new(self.last())
    }

    /// The identity of the path's node; none but where the path has no node.
    pub(crate) fn node_id(&self) -> NodeId {
        self.node.map_or(NodeId([0; 16]), |(_, id)| id)
    }

    /// The identity that a new thing gets: the body's, or a random one.
    pub(crate) fn new_id(&self, pairs: &Pairs) -> Result<NodeId, Error> {
        match pairs.get("uuid") {
            "" => {
                let (bytes, _) = self.random.split_first_chunk().unwrap_or((&[1; 16], &[]));
                Ok(ident::random(*bytes))
            }
            text => ident::parse(text).ok_or_else(|| {
                Error::new(
                    Status::BAD_REQUEST,
                    format_args!("uuid {text:?} is no UUID. Send one, or leave it out."),
                )
            }),
        }
    }
}

/// What a reply is made of.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) view: View<'a>,
    pub(crate) call: &'a Call,
    pub(crate) pairs: &'a Pairs,
    /// The node's stored inspection, where the route asked for it.
    pub(crate) statement: &'a [u8],
}

impl<'a> Ask<'a> {
    /// The path's node, where it is still there.
    pub(crate) fn node(&self) -> Option<(usize, &'a Node)> {
        self.view.node(self.call)
    }
}

/// How a path or a body names a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ident {
    Uuid(NodeId),
    Name(String<NAME_LEN>),
}

impl Ident {
    pub(crate) fn new(text: &str) -> Option<Self> {
        match ident::parse(text) {
            Some(id) => Some(Self::Uuid(id)),
            None => String::try_from(text).ok().map(Self::Name),
        }
    }
}

/// The thing that an error is about, in words.
pub(crate) struct Subject<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) node: Option<&'a Node>,
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.node, self.kind, self.name) {
            (Some(node), ..) if !node.name.is_empty() => write!(f, "Node {}", node.name),
            (Some(node), ..) => write!(f, "Node {}", ident::text(node.id)),
            (None, "", _) => f.write_str("Request"),
            (None, kind, "") => write!(f, "New {kind}"),
            (None, kind, name) => {
                let mut characters = kind.chars();
                let first = characters.next().map(|c| c.to_ascii_uppercase());
                write!(f, "{}{} {name}", first.unwrap_or('?'), characters.as_str())
            }
        }
    }
}

/// Whether a request needs no credentials.
pub(crate) fn is_open(method: Method, path: &str) -> bool {
    let mut all = crate::resources::TABLE.iter().copied().flatten();
    all.any(|route| {
        route.needs == Needs::Nothing && route.is_for(method) && matches(route.path, path)
    })
}

/// Finds the route of a request, and takes its parameters out of the path.
///
/// # Errors
///
/// 404 for a path that nothing has, 405 for a method that the path has not.
pub(crate) fn find(
    routes: &'static [&'static [Route]],
    method: Method,
    path: &str,
    call: &mut Call,
) -> Result<&'static Route, Error> {
    let matching = || {
        let all = routes.iter().copied().flatten();
        all.filter(|route| matches(route.path, path))
    };
    let Some(route) = matching().find(|route| route.is_for(method)) else {
        struct Methods<I>(I);
        impl<I: Iterator<Item = Method> + Clone> fmt::Display for Methods<I> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.clone().enumerate().try_for_each(|(number, method)| {
                    let between = if number == 0 { "" } else { ", " };
                    write!(f, "{between}{}", method.as_str())
                })
            }
        }
        return Err(match matching().next() {
            None => Error::new(
                Status::NOT_FOUND,
                format_args!(
                    "Resource {path} could not be found. docs/api.md lists what there is."
                ),
            ),
            Some(_) => Error::new(
                Status::METHOD_NOT_ALLOWED,
                format_args!(
                    "{path} has no method {}. It has {}.",
                    method.as_str(),
                    Methods(
                        routes
                            .iter()
                            .copied()
                            .flatten()
                            .filter(|route| matches(route.path, path))
                            .map(|route| route.method)
                    )
                ),
            ),
        });
    };
    for (pattern, segment) in segments(route.path).zip(segments(path)) {
        if !is_parameter(pattern) {
            continue;
        }
        let mut buffer = [0; PARAMETER];
        let missing = || {
            let kind = if pattern == "{node}" {
                "Node"
            } else {
                "Resource"
            };
            Error::not_found(kind, segment, route.path)
        };
        let text = percent::decode(segment, &mut buffer).map_err(|_| missing())?;
        let text = String::try_from(text).map_err(|_| missing())?;
        call.parameters.push(text).map_err(|_| missing())?;
    }
    Ok(route)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn is_parameter(pattern: &str) -> bool {
    pattern.starts_with('{')
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut path = segments(path);
    let fits = segments(pattern).all(|pattern| {
        path.next()
            .is_some_and(|segment| is_parameter(pattern) || segment == pattern)
    });
    fits && path.next().is_none()
}

/// Which version a request is answered in.
pub(crate) fn negotiate(asked: Option<&str>) -> Result<Version, Error> {
    Version::negotiate(asked).ok_or_else(|| {
        Error::new(
            Status::NOT_ACCEPTABLE,
            format_args!(
                "Version {} was requested but the supported versions are {} to {}. Request one \
                 of these, or latest.",
                asked.unwrap_or_default(),
                Version::MIN,
                Version::MAX
            ),
        )
    })
}
