//! One client's connection to the switch.

use farrier_json::{Reader, Slice, Writer};

use super::document::Value;
use super::dump::{Columns, TABLES, columns};
use super::schema::SCHEMA;
use super::switch::Switch;
use super::transact::Served;
use crate::text::Text;

/// The server's end of a connection. `BUF` bounds a request and a reply in
/// bytes; rows of monitors are sent in pieces and have no bound. The connection
/// takes three times `BUF`; less than 2,048 does not hold the schema.
#[derive(Debug, Clone)]
pub struct Connection<const BUF: usize = 4096> {
    input: [u8; BUF],
    input_len: usize,
    reader: Reader,
    output: [u8; BUF],
    output_len: usize,
    /// An answer that updates must precede.
    reply: [u8; BUF],
    reply_len: usize,
    monitor: Option<Monitor>,
    dump: Option<Dump>,
    /// Up to which revision the client was told of rows.
    seen: u32,
    run: u32,
    hangs: bool,
    closed: bool,
    echoed: u32,
}

/// Longest id of a request and name of a monitor, as JSON.
const MAX_NAME: usize = 40;

#[derive(Debug, Clone, Copy)]
struct Monitor {
    /// Its name, as JSON.
    name: Text<MAX_NAME>,
    /// The columns of each of [`TABLES`].
    columns: [Option<Columns>; 3],
}

/// Rows that are being sent.
#[derive(Debug, Clone, Copy)]
struct Dump {
    /// The id of the request that this is the first reply to, as JSON.
    id: Option<Text<MAX_NAME>>,
    since: u32,
    part: Part,
    last: u8,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Head,
    /// Of this table; whether its object is open.
    Row(usize, usize, bool),
    Tail,
}

impl<const BUF: usize> Connection<BUF> {
    /// A connection that a client just opened.
    #[must_use]
    pub const fn new<const PORTS: usize>(switch: &Switch<PORTS>) -> Self {
        Self {
            input: [0; BUF],
            input_len: 0,
            reader: Reader::new(),
            output: [0; BUF],
            output_len: 0,
            reply: [0; BUF],
            reply_len: 0,
            monitor: None,
            dump: None,
            seen: 0,
            run: switch.run,
            hangs: false,
            closed: false,
            echoed: 0,
        }
    }

    /// Whether the switch closed it. What is still to be sent is lost.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Bytes for the client.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        match self.closed {
            true => &[],
            false => self.output.get(..self.output_len).unwrap_or(&[]),
        }
    }

    /// Forgets so many bytes of the output, which were sent.
    pub fn sent(&mut self, len: usize) {
        let len = len.min(self.output_len);
        self.output.copy_within(len..self.output_len, 0);
        self.output_len -= len;
    }

    /// Answers of the client to `echo`.
    #[must_use]
    pub const fn echoed(&self) -> u32 {
        self.echoed
    }

    /// Asks the client whether it is there, as Open vSwitch does after 5 s
    /// without a byte.
    pub fn ask_echo(&mut self) {
        let text = br#"{"id":"echo","method":"echo","params":[]}"#;
        // Between messages only.
        if self.dump.is_some() || self.hangs {
            return;
        }
        let end = self.output_len + text.len();
        if let Some(room) = self.output.get_mut(self.output_len..end) {
            room.copy_from_slice(text);
            self.output_len = end;
        }
    }

    /// Takes bytes of the client, up to what can be answered now, and advances
    /// `input` past them. The rest is for later, when output was sent.
    pub fn receive<const PORTS: usize>(&mut self, switch: &mut Switch<PORTS>, input: &mut &[u8]) {
        loop {
            self.poll(switch);
            if self.closed || self.hangs {
                *input = &[];
                return;
            }
            if self.dump.is_some() || self.reply_len > 0 {
                return;
            }
            let Some((&byte, rest)) = input.split_first() else {
                return;
            };
            *input = rest;
            let Some(place) = self.input.get_mut(self.input_len) else {
                self.closed = true;
                continue;
            };
            *place = byte;
            self.input_len += 1;
            let mut one: &[u8] = &[byte];
            loop {
                match self.reader.next(&mut one) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => {
                        self.closed = true;
                        break;
                    }
                }
            }
            if !self.closed && self.reader.finish() == Ok(None) {
                self.serve(switch);
                self.reader = Reader::new();
                self.input_len = 0;
            }
        }
    }

    /// Puts rows that changed, and answers, into the output.
    pub fn poll<const PORTS: usize>(&mut self, switch: &mut Switch<PORTS>) {
        self.closed |= self.run != switch.run;
        while !self.closed && !self.hangs {
            if self.dump.is_some() {
                match self.write_piece(switch) {
                    Some(()) => continue,
                    None => {
                        // A row that does not fit an empty buffer never will.
                        self.closed |= self.output_len == 0;
                        return;
                    }
                }
            }
            if self.monitor.is_some() && self.has_news(switch) {
                self.dump = Some(Dump::new(None, self.seen));
                self.seen = switch.revision;
                continue;
            }
            if self.reply_len == 0 {
                return;
            }
            let end = self.output_len + self.reply_len;
            let (Some(room), Some(reply)) = (
                self.output.get_mut(self.output_len..end),
                self.reply.get(..self.reply_len),
            ) else {
                return;
            };
            room.copy_from_slice(reply);
            self.output_len = end;
            self.reply_len = 0;
            switch.applies_after_reply();
        }
    }

    fn has_news<const PORTS: usize>(&self, switch: &Switch<PORTS>) -> bool {
        let wanted = self.monitor.map_or([None; 3], |monitor| monitor.columns);
        TABLES.into_iter().zip(wanted).any(|(table, wanted)| {
            let mut rows = 0..PORTS.max(1);
            wanted.is_some() && rows.any(|at| switch.is_newer(table, at, self.seen))
        })
    }

    /// Serves the message in the input.
    fn serve<const PORTS: usize>(&mut self, switch: &mut Switch<PORTS>) {
        let Some(text) = self.input.get(..self.input_len) else {
            return;
        };
        let message = Value::new(core::str::from_utf8(text).unwrap_or(""));
        let id = message.get("id").unwrap_or(Value::new("null"));
        let Some(method) = message.get("method").and_then(Value::text::<24>) else {
            self.echoed += u32::from(id.is("echo"));
            return;
        };
        if id.is_null() {
            return;
        }
        if id.raw().len() > MAX_NAME {
            self.closed = true;
            return;
        }
        let params = message.get("params").unwrap_or(Value::new("[]"));
        let database = params.at(0).is_some_and(|name| name.is("Open_vSwitch"));
        let mut json = Writer::new(Slice::new(&mut self.reply));
        json.object().key("id").verbatim(id.raw());
        match method.as_str() {
            "transact" => {
                match switch.transact(params, id.raw(), &mut self.reply) {
                    Served::Reply(len) => self.reply_len = len,
                    Served::Hangs => self.hangs = true,
                    Served::Closes | Served::TooLong => self.closed = true,
                }
                return;
            }
            "monitor" if database => {
                let name = params.at(1).unwrap_or(Value::new("null"));
                let tables = params.at(2).unwrap_or(Value::new("{}"));
                if let Some(monitor) = Monitor::parse(name, tables) {
                    self.monitor = Some(monitor);
                    self.dump = Some(Dump::new(Some(Text::new(id.raw())), 0));
                    self.seen = switch.revision;
                    return;
                }
                json.key("result").null();
                json.key("error").string("not supported by the model");
            }
            "monitor_cancel" => {
                self.monitor = None;
                json.key("result").object().end_object().key("error").null();
            }
            "list_dbs" => {
                json.key("result")
                    .array()
                    .string("Open_vSwitch")
                    .end_array();
                json.key("error").null();
            }
            "get_schema" if database => {
                json.key("result").verbatim(SCHEMA).key("error").null();
            }
            "monitor" | "get_schema" => {
                json.key("result").null();
                json.key("error").string("unknown database");
            }
            "echo" => {
                json.key("result")
                    .verbatim(params.raw())
                    .key("error")
                    .null();
            }
            _ => {
                json.key("result")
                    .null()
                    .key("error")
                    .string("unknown method");
            }
        }
        json.end_object();
        match json.finish().map(|slice| slice.len()) {
            Some(len) => self.reply_len = len,
            None => self.closed = true,
        }
    }

    /// Writes a piece of the rows that are being sent; `None` where it has to
    /// wait for room.
    fn write_piece<const PORTS: usize>(&mut self, switch: &Switch<PORTS>) -> Option<()> {
        let (monitor, mut dump) = (self.monitor?, self.dump?);
        let room = self.output.get_mut(self.output_len..)?;
        let mut json = Writer::resume(Slice::new(room), dump.last);
        let mut next = Some(dump);
        match (dump.part, dump.id) {
            (Part::Head, Some(id)) => {
                json.object().key("id").verbatim(id.as_str());
                json.key("error").null().key("result").object();
                dump.part = Part::Row(0, 0, false);
            }
            (Part::Head, None) => {
                json.object()
                    .key("id")
                    .null()
                    .key("method")
                    .string("update");
                json.key("params").array().verbatim(monitor.name.as_str());
                json.object();
                dump.part = Part::Row(0, 0, false);
            }
            (Part::Row(table, at, open), _) => {
                dump.part = write_row(switch, &monitor, &dump, &mut json, (table, at, open));
            }
            (Part::Tail, Some(_)) => {
                json.end_object().end_object();
                next = None;
            }
            (Part::Tail, None) => {
                json.end_object().end_array().end_object();
                next = None;
            }
        }
        dump.last = json.last();
        let len = json.finish()?.len();
        self.output_len += len;
        self.dump = next.map(|_| dump);
        Some(())
    }
}

/// Writes the next row that is newer, or ends its table.
fn write_row<const PORTS: usize>(
    switch: &Switch<PORTS>,
    monitor: &Monitor,
    dump: &Dump,
    json: &mut Writer<Slice<'_>>,
    (index, at, open): (usize, usize, bool),
) -> Part {
    let (Some(&table), Some(&wanted)) = (TABLES.get(index), monitor.columns.get(index)) else {
        return Part::Tail;
    };
    let mut rows = at..PORTS.max(1);
    let found = wanted.and_then(|wanted| {
        let at = rows.find(|&at| switch.is_newer(table, at, dump.since))?;
        Some((at, switch.uuid(table, at)?, wanted))
    });
    let Some((at, uuid, wanted)) = found else {
        if open {
            json.end_object();
        }
        return Part::Row(index + 1, 0, false);
    };
    if !open {
        json.key(table.name()).object();
    }
    let mut name = Text::<36>::EMPTY;
    if core::fmt::write(&mut name, format_args!("{uuid}")).is_err() {
        return Part::Tail;
    }
    json.key(name.as_str()).object();
    if dump.id.is_none() {
        json.key("old").object().end_object();
    }
    json.key("new").object();
    switch.write_row(json, table, at, wanted);
    json.end_object().end_object();
    Part::Row(index, at + 1, true)
}

impl Dump {
    const fn new(id: Option<Text<MAX_NAME>>, since: u32) -> Self {
        Self {
            id,
            since,
            part: Part::Head,
            last: b':',
        }
    }
}

impl Monitor {
    /// `None` where it asks for what the model has not.
    fn parse(name: Value<'_>, tables: Value<'_>) -> Option<Self> {
        let mut wanted = [None; 3];
        for (table, request) in tables.members() {
            let table = table.text::<16>()?;
            let at = TABLES.iter().position(|known| &table == known.name())?;
            // One request, or an array of one.
            let request = match request.is_array() {
                true => request.at(0)?,
                false => request,
            };
            let found = columns(*TABLES.get(at)?, request.get("columns"))?;
            *wanted.get_mut(at)? = Some(found);
        }
        let name: Text<MAX_NAME> = Text::new(name.raw());
        (!name.is_cut()).then_some(Self {
            name,
            columns: wanted,
        })
    }
}
