//! `PUT /v1/nodes/{node}/states/provision`: a verb, its steps and its config
//! drive. The body is read while it arrives.
//!
//! Its keys may come in any order. The bytes of the config drive pass through
//! to what seals and stores them, and are not kept here.

use crate::access::Needs;
use crate::body::{Body, Text};
use crate::json::{Event, Reader};
use crate::resource::{Call, Route, Takes};
use crate::{Error, MAX_CONFIG_DRIVE, View};
use farrier_core::interface::Command;
use core::str::FromStr;
use farrier_core::provisioning::steps::{MAX_STEPS, Step, Steps, WRITE_PRIORITY};
use farrier_http::{Method, Status};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::ConfigDriveFormat;
use heapless::Vec;

pub(crate) const ROUTES: &[Route] =
    &[
        Route::change(Method::Put, "/v1/nodes/{node}/states/provision", put)
            .needs(Needs::Member)
            .takes(Takes::Provision)
            .status(Status::ACCEPTED),
    ];

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let Body::Provision(
        Provision {
            request: Some((verb, steps)),
            drive,
            drive_len,
            ..
        },
        sealed,
    ) = body
    else {
        return Err(Error::bad("the body names no target. Send the verb as target."));
    };
    Ok(Command::ProvisionSteps {
        node: call.node_id(),
        verb: *verb,
        steps: *steps,
        config_drive: drive.map(|format| sealed.to_stored(*drive_len, format)),
    })
}

/// The body so far.
#[derive(Debug)]
pub(crate) struct Provision {
    reader: Reader,
    /// The state of the node: decides whether a config drive may be kept.
    state: ProvisionState,
    now: Now,
    key: Text<24>,
    value: Text<32>,
    target: Option<Text<32>>,
    drive: Option<ConfigDriveFormat>,
    drive_len: u32,
    seen_drive: bool,
    /// The verb in whose list steps were named.
    listed: Option<Verb>,
    /// Steps with their priorities, in the order in which they were named.
    steps: Vec<(Step, u8), MAX_STEPS, u8>,
    step: OneStep,
    /// Within the key of a step.
    in_key: bool,
    /// The verb and its steps, once the body is complete.
    request: Option<(Verb, Steps)>,
}

/// One step as far as it was read.
#[derive(Debug, Clone, Copy, Default)]
struct OneStep {
    step: Option<Step>,
    /// Whether an interface was named that has none of the steps.
    foreign: bool,
    priority: u8,
}

/// What the reader is within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    /// The object itself: keys, or its start.
    Top,
    Target,
    Drive,
    DriveText,
    DriveObject,
    /// The list of steps of that verb.
    Steps(Verb),
    /// A value that must say nothing.
    Nothing,
}

impl Provision {
    pub(crate) fn new(state: ProvisionState) -> Self {
        Self {
            reader: Reader::new(),
            state,
            now: Now::Top,
            key: Text::default(),
            value: Text::default(),
            target: None,
            drive: None,
            drive_len: 0,
            seen_drive: false,
            listed: None,
            steps: Vec::new(),
            step: OneStep::default(),
            in_key: false,
            request: None,
        }
    }

    /// Takes bytes of the body out of `input`. Gives a piece of the config
    /// drive as soon as there is one: call again. `None` means that `input`
    /// is used up.
    pub(crate) fn push<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<&'b [u8]>, Error> {
        loop {
            let before = *input;
            let event = self.reader.next(input)?;
            let used = before.len().saturating_sub(input.len());
            let used = before.get(..used).unwrap_or_default();
            let piece = match event {
                Some(event) => self.event(event, used)?,
                None => match self.now {
                    Now::DriveText | Now::DriveObject => used,
                    _ => &[],
                },
            };
            if !piece.is_empty() {
                self.count(piece.len())?;
                return Ok(Some(piece));
            }
            if event.is_none() {
                return Ok(None);
            }
        }
    }

    /// Length of the config drive in bytes of its text, where there is one.
    pub(crate) fn drive_length(&self) -> Option<u32> {
        self.drive.map(|_| self.drive_len)
    }

    /// Checks the body once it is complete.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.reader.finish()?;
        let target = self
            .target
            .as_ref()
            .ok_or_else(|| Error::bad("the body names no target. Send the verb as target."))?;
        let unknown = || Error::unknown_verb(self.state, target.shown());
        let verb = target.get().map(Verb::from_str);
        let verb = verb.and_then(Result::ok).ok_or_else(unknown)?;
        if self.drive.is_some() && !matches!(verb, Verb::Active | Verb::Rebuild) {
            return Err(Error::new(
                Status::BAD_REQUEST,
                format_args!(
                    "a configdrive belongs to active or rebuild, not to {verb}. Leave it out."
                ),
            ));
        }
        self.request = Some((verb, self.queue(verb)?));
        Ok(())
    }

    /// The steps in the order of their priorities, highest first; those of
    /// the same priority as they were named. Writing the image is one of a
    /// deployment's.
    fn queue(&mut self, verb: Verb) -> Result<Steps, Error> {
        let deploys = matches!(verb, Verb::Active | Verb::Rebuild);
        match self.listed {
            None => return Ok(Steps::NONE),
            Some(Verb::Active) if deploys => {}
            Some(listed) if listed == verb => {}
            Some(listed) => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!("the steps of the body belong to {listed}, not to {verb}. Leave them out."),
                ));
            }
        }
        let many = || Error::bad("there are more steps than a node has room for. Send at most 8.");
        if deploys && !self.steps.is_empty() {
            // Behind others of the same priority.
            let write = (Step::Write, WRITE_PRIORITY);
            self.steps.push(write).map_err(|_| many())?;
        }
        let mut queue = Steps::NONE;
        for priority in (0..=u8::MAX).rev() {
            for (step, _) in self.steps.iter().filter(|(_, p)| *p == priority) {
                queue = queue.with(*step).ok_or_else(many)?;
            }
        }
        Ok(queue)
    }

    fn count(&mut self, length: usize) -> Result<(), Error> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.drive_len = self.drive_len.saturating_add(length);
        if self.drive_len > MAX_CONFIG_DRIVE {
            return Err(Error::new(
                Status::CONTENT_TOO_LARGE,
                format_args!("the configdrive is longer than {MAX_CONFIG_DRIVE} bytes. Shorten it."),
            ));
        }
        Ok(())
    }

    /// Takes an event; `used` are the bytes that it was made of. Gives those
    /// of them that belong to the config drive.
    fn event<'b>(&mut self, event: Event<'b>, used: &'b [u8]) -> Result<&'b [u8], Error> {
        match self.now {
            Now::Top => self.top(event)?,
            Now::Drive => match event {
                Event::Null => self.now = Now::Top,
                Event::StringStart => {
                    self.keep(ConfigDriveFormat::GzipBase64)?;
                    self.now = Now::DriveText;
                }
                Event::ObjectStart => {
                    self.keep(ConfigDriveFormat::Json)?;
                    self.now = Now::DriveObject;
                    // Blanks ahead of the brace are not the object's.
                    return Ok(used.split_last_chunk::<1>().map_or(&[], |(_, last)| last));
                }
                _ => return Err(Error::bad("the configdrive is neither a string nor an object. Send one of these.")),
            },
            Now::DriveText if event == Event::StringEnd => {
                self.now = Now::Top;
                if self.drive_len == 0 {
                    self.drive = None;
                }
                return Ok(used.split_last().map_or(&[], |(_, text)| text));
            }
            Now::DriveObject if event == Event::ObjectEnd && self.reader.depth() == 1 => {
                self.now = Now::Top;
                return Ok(used);
            }
            Now::DriveText | Now::DriveObject => return Ok(used),
            Now::Target => match event {
                Event::StringStart => self.value.clear(),
                Event::StringEnd => {
                    self.now = Now::Top;
                    if self.target.replace(self.value.clone()).is_some() {
                        return Err(Error::bad("the body names two targets. Send one."));
                    }
                }
                Event::Text(_) | Event::Char(_) => self.value.take(event),
                _ => return Err(Error::bad("the target is not a string. Send the verb as a string.")),
            },
            Now::Steps(verb) => self.steps(verb, event)?,
            Now::Nothing => match event {
                Event::Null | Event::Bool(false) => self.now = Now::Top,
                _ => return Err(self.unfit()),
            },
        }
        Ok(&[])
    }

    fn top(&mut self, event: Event<'_>) -> Result<(), Error> {
        match event {
            Event::KeyStart => self.key.clear(),
            Event::Text(_) | Event::Char(_) => self.key.take(event),
            Event::KeyEnd => {
                self.now = match self.key.get() {
                    Some("target") => Now::Target,
                    Some("configdrive") => Now::Drive,
                    Some("clean_steps") => Now::Steps(Verb::Clean),
                    Some("deploy_steps") => Now::Steps(Verb::Active),
                    Some("service_steps") => Now::Steps(Verb::Service),
                    Some("rescue_password" | "runbook" | "disable_ramdisk") => Now::Nothing,
                    _ => return Err(self.unfit()),
                }
            }
            Event::ObjectStart | Event::ObjectEnd => {}
            _ => return Err(Error::bad("the body is not an object. Send a JSON object.")),
        }
        Ok(())
    }

    /// The config drive begins. A node that could not be deployed now may be
    /// using the one that lies in its slot.
    fn keep(&mut self, format: ConfigDriveFormat) -> Result<(), Error> {
        if self.seen_drive {
            return Err(Error::bad("the body brings two configdrives. Send one."));
        }
        self.seen_drive = true;
        let deployable = [Verb::Active, Verb::Rebuild]
            .into_iter()
            .any(|verb| self.state.event(verb).is_some());
        if !deployable {
            return Err(Error::verb(self.state, Verb::Active.as_str()));
        }
        self.drive = Some(format);
        Ok(())
    }

    fn steps(&mut self, verb: Verb, event: Event<'_>) -> Result<(), Error> {
        let depth = self.reader.depth();
        let key = self.key.get().unwrap_or("");
        match event {
            Event::Null if depth == 1 => self.now = Now::Top,
            Event::ArrayEnd if depth == 1 => self.now = Now::Top,
            Event::ArrayStart if depth == 2 => {}
            Event::ObjectStart if depth == 3 => self.step = OneStep::default(),
            Event::ObjectEnd if depth == 2 => self.one_step(verb)?,
            Event::ObjectStart | Event::ObjectEnd if depth <= 4 && key == "args" => {}
            Event::Null if depth == 3 && matches!(key, "interface" | "args") => {}
            Event::KeyStart if depth == 3 => {
                self.key.clear();
                self.in_key = true;
            }
            Event::StringStart | Event::NumberStart if depth == 3 => self.value.clear(),
            Event::KeyEnd if depth == 3 => {
                if !matches!(key, "interface" | "step" | "args" | "priority") {
                    return Err(self.unfit());
                }
                self.in_key = false;
            }
            Event::Text(_) | Event::Char(_) if depth == 3 => match self.in_key {
                true => self.key.take(event),
                false => self.value.take(event),
            },
            Event::StringEnd if depth == 3 => match (key, self.value.get().unwrap_or("")) {
                ("interface", "deploy" | "") => {}
                ("interface", _) => self.step.foreign = true,
                ("step", name) => self.step.step = Step::chosen(name),
                _ => return Err(self.unfit()),
            },
            Event::NumberEnd if depth == 3 && key == "priority" => {
                let priority = self.value.get().and_then(|text| text.parse().ok());
                let unfit = || Error::bad("a priority is no number of 0 to 255. Correct it.");
                self.step.priority = priority.ok_or_else(unfit)?;
            }
            _ => {
                return Err(Error::bad(
                    "a step has something else than interface, step and priority. Leave it out; steps have no arguments.",
                ));
            }
        }
        Ok(())
    }

    fn one_step(&mut self, verb: Verb) -> Result<(), Error> {
        if self.listed.replace(verb).is_some_and(|other| other != verb) {
            return Err(Error::bad("the body brings two lists of steps. Send one."));
        }
        let OneStep {
            step,
            foreign,
            priority,
        } = self.step;
        let known = step.filter(|step| !foreign && *step != Step::Write);
        let step = known.ok_or_else(|| {
            Error::bad(
                "a step is not known. There are the steps erase_devices and collect_inventory \
                 of the interface deploy, hold and reboot. Writing the image needs no step.",
            )
        })?;
        self.steps
            .push((step, priority))
            .map_err(|_| Error::bad("there are more steps than a node has room for. Send at most 8."))
    }

    fn unfit(&self) -> Error {
        Error::new(
            Status::BAD_REQUEST,
            format_args!("the body has {:?}, which is not supported. Leave it out.", self.key.shown()),
        )
    }
}
