//! The service: accounts, sessions, tasks, and who may ask for what. Resources are
//! in `documents`, changes in `changes`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::documents::{self, ROOT, resource};
use crate::fault::{Fault, Injected};
use crate::machine::Machine;
use crate::model::{Etags, Model};
use crate::reply::Reply;
use crate::routes::session;
use crate::system::System;

/// Sessions that are open at most, and how long one may idle, in milliseconds.
const MAX_SESSIONS: usize = 8;
const SESSION_IDLE_MS: u64 = 1_800_000;

/// A request, behind HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// Method.
    pub method: &'r str,
    /// Path.
    pub path: &'r str,
    /// Query.
    pub query: &'r str,
    /// `Authorization`.
    pub authorization: Option<&'r str>,
    /// `X-Auth-Token`.
    pub token: Option<&'r str>,
    /// `If-Match`.
    pub if_match: Option<&'r str>,
    /// The body.
    pub body: &'r [u8],
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u32,
    token: String,
    used_at: u64,
}

/// A task, and the end it will have.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: u32,
    /// `None`: never.
    ends_at: Option<u64>,
    fails: bool,
    forgotten: bool,
}

/// A Redfish service without HTTP. Times are in milliseconds of its owner's clock.
#[derive(Debug)]
pub struct Service {
    pub(crate) model: Model,
    pub(crate) user: String,
    password: String,
    pub(crate) systems: Vec<System>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) faults: Vec<Injected>,
    serial: u32,
    /// Method and path of each request.
    pub log: Vec<(String, String)>,
}

impl Service {
    /// Creates a service with one account and no system.
    #[must_use]
    pub fn new(model: Model, user: &str, password: &str) -> Self {
        Self {
            model,
            user: user.into(),
            password: password.into(),
            systems: Vec::new(),
            sessions: Vec::new(),
            tasks: Vec::new(),
            faults: Vec::new(),
            serial: 0,
            log: Vec::new(),
        }
    }

    /// Adds a system.
    #[must_use]
    pub fn system(mut self, uuid: &str, machine: impl Machine + 'static) -> Self {
        let id = match self.systems.len() {
            0 => self.model.system.to_owned(),
            at => format!("{}-{at}", self.model.system),
        };
        let system = System::new(id, uuid.into(), Box::new(machine));
        self.systems.push(system);
        self
    }

    /// Injects a fault.
    pub fn inject(&mut self, fault: Injected) {
        self.faults.push(fault);
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.faults.clear();
    }

    /// Returns the systems.
    #[must_use]
    pub fn systems(&self) -> &[System] {
        &self.systems
    }

    /// Returns the systems, to change them.
    pub fn systems_mut(&mut self) -> &mut [System] {
        &mut self.systems
    }

    /// Returns the number of sessions that are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) const fn model(&self) -> &Model {
        &self.model
    }

    /// Takes a fault that is due, if one fits.
    pub(crate) fn fault<T>(
        &mut self,
        request: &Request<'_>,
        pick: impl Fn(&Fault) -> Option<T>,
    ) -> Option<T> {
        let hits = |injected: &&mut Injected| injected.hits(request.method, request.path);
        for injected in self.faults.iter_mut().filter(hits) {
            if let Some(found) = pick(&injected.fault) {
                injected.times -= 1;
                return Some(found);
            }
        }
        None
    }

    pub(crate) fn has_fault(&mut self, request: &Request<'_>, fault: &Fault) -> bool {
        self.fault(request, |found| (found == fault).then_some(()))
            .is_some()
    }

    /// Answers a request.
    pub fn answer(&mut self, request: &Request<'_>, now: u64) -> Reply {
        self.log.push((request.method.into(), request.path.into()));
        let path = request.path.strip_suffix('/').unwrap_or(request.path);
        let request = &Request { path, ..*request };
        if self.has_fault(request, &Fault::Broken) {
            return Reply::empty(500);
        }
        if let Some(seconds) = self.fault(request, |fault| match fault {
            Fault::Busy(seconds) => Some(*seconds),
            _ => None,
        }) {
            return Reply::error(503, "ServiceTemporarilyUnavailable", "Busy.")
                .header("Retry-After", seconds.to_string());
        }
        let is_login = path == format!("{ROOT}/SessionService/Sessions");
        let is_open = match request.method {
            "GET" => path == ROOT,
            "POST" => is_login,
            _ => false,
        };
        if !is_open && !self.is_allowed(request, now) {
            return Reply::error(401, "NoValidSession", "There is no valid session.")
                .header("WWW-Authenticate", "Basic realm=\"Redfish\"");
        }
        let mut reply = match request.method {
            "GET" => self.get(request, now),
            "POST" if is_login => self.login(request, now),
            "DELETE" => self.logout(request),
            "POST" | "PATCH" => self.change(request, now),
            _ => Reply::error(405, "OperationNotAllowed", "No such method."),
        };
        if self.has_fault(request, &Fault::LinksElsewhere)
            && let Some(body) = &mut reply.body
        {
            lead_elsewhere(body);
        }
        if self.has_fault(request, &Fault::NoLocation) {
            reply.headers.retain(|(name, _)| *name != "Location");
        }
        if self.has_fault(request, &Fault::OtherLocation) {
            for (name, value) in &mut reply.headers {
                if *name == "Location" {
                    *value = format!("https://bmc-437XR1138R2.local{value}");
                }
            }
        } else if self.model.absolute {
            for (name, value) in &mut reply.headers {
                if *name == "Location" {
                    *value = format!("HOST{value}");
                }
            }
        }
        reply
    }

    fn is_allowed(&mut self, request: &Request<'_>, now: u64) -> bool {
        if self.has_fault(request, &Fault::ForgetsSessions) {
            self.sessions.clear();
        }
        if self.has_fault(request, &Fault::ForgetsUsers) {
            return false;
        }
        self.sessions
            .retain(|session| now < session.used_at + SESSION_IDLE_MS);
        if let Some(token) = request.token {
            let mut sessions = self.sessions.iter_mut();
            let found = sessions.find(|session| session.token == token);
            return found.map(|session| session.used_at = now).is_some();
        }
        let encoded = request
            .authorization
            .and_then(|value| value.strip_prefix("Basic "));
        let decoded = encoded.and_then(|text| BASE64.decode(text).ok());
        decoded == Some(format!("{}:{}", self.user, self.password).into_bytes())
    }

    fn login(&mut self, request: &Request<'_>, now: u64) -> Reply {
        let sent: Value = serde_json::from_slice(request.body).unwrap_or_default();
        let known = sent["UserName"] == *self.user && sent["Password"] == *self.password;
        if !self.model.sessions {
            return Reply::not_found(request.path);
        }
        if !known || self.has_fault(request, &Fault::ForgetsUsers) {
            return Reply::error(401, "NoValidSession", "There is no such account.");
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return Reply::error(503, "SessionLimitExceeded", "Too many sessions.");
        }
        self.serial += 1;
        let id = self.serial;
        let token = format!(
            "{:032x}",
            u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c)
        );
        let path = format!("{ROOT}/SessionService/Sessions/{id}");
        let used_at = now;
        self.sessions.push(Session {
            id,
            token: token.clone(),
            used_at,
        });
        let body = session(&path, &self.user);
        let reply = Reply {
            status: 201,
            ..Reply::document(body)
        };
        reply.header("X-Auth-Token", token).header("Location", path)
    }

    fn logout(&mut self, request: &Request<'_>) -> Reply {
        let id = request
            .path
            .strip_prefix("/redfish/v1/SessionService/Sessions/");
        let id: Option<u32> = id.and_then(|id| id.parse().ok());
        let before = self.sessions.len();
        self.sessions.retain(|session| Some(session.id) != id);
        match self.sessions.len() < before {
            true => Reply::empty(204),
            false => Reply::not_found(request.path),
        }
    }

    fn get(&mut self, request: &Request<'_>, now: u64) -> Reply {
        if let Some(reply) = self.task(request, now) {
            return reply;
        }
        let Some(mut document) = self.document(request.path, now) else {
            return Reply::not_found(request.path);
        };
        turn_page(&mut document, request, self.model.page);
        let etag = documents::etag(&self.model, &document);
        let settings = document.pointer("/@Redfish.Settings/SettingsObject/@odata.id");
        let settings = settings.and_then(Value::as_str).map(str::to_owned);
        if let Some(settings) = settings.and_then(|path| self.document(&path, now))
            && let Some(etag) = documents::etag(&self.model, &settings)
        {
            document["@Redfish.Settings"]["ETag"] = json!(etag);
        }
        let allow = match self.is_settable(request.path) {
            true => "GET, HEAD, PATCH",
            false => "GET, HEAD",
        };
        let reply = match (etag, self.model.etags) {
            (Some(etag), Etags::InDocument) => {
                document["@odata.etag"] = json!(etag);
                Reply::document(document)
            }
            (Some(etag), _) => Reply::document(document).header("ETag", etag),
            (None, _) => Reply::document(document),
        };
        reply.header("Allow", allow)
    }

    /// Begins a task of so many milliseconds; the answer to its request.
    pub(crate) fn begin_task(&mut self, request: &Request<'_>, lasts: u64, now: u64) -> Reply {
        self.serial += 1;
        let id = self.serial;
        let hangs = self.has_fault(request, &Fault::TaskHangs);
        let task_of = Task {
            id,
            ends_at: (!hangs).then_some(now + lasts),
            fails: self.has_fault(request, &Fault::TaskFails),
            forgotten: self.has_fault(request, &Fault::TaskForgotten),
        };
        self.tasks.push(task_of);
        let reply = Reply {
            status: 202,
            ..Reply::document(task(id, "Running", "OK"))
        };
        reply.header("Location", format!("{ROOT}/TaskService/TaskMonitors/{id}"))
    }

    /// Tasks and their monitors.
    fn task(&mut self, request: &Request<'_>, now: u64) -> Option<Reply> {
        let rest = request.path.strip_prefix("/redfish/v1/TaskService/")?;
        let (kind, id) = rest.split_once('/')?;
        let id: u32 = id.parse().ok()?;
        let at = self
            .tasks
            .iter()
            .position(|task| task.id == id && !task.forgotten)?;
        let found = self.tasks.get(at)?;
        let ended = found.ends_at.is_some_and(|end| now >= end);
        let (fails, id) = (found.fails, found.id);
        let document = match (ended, fails) {
            (false, _) => task(id, "Running", "OK"),
            (true, false) => task(id, "Completed", "OK"),
            (true, true) => task(id, "Exception", "Critical"),
        };
        if kind == "Tasks" {
            return Some(Reply::document(document));
        }
        if !ended {
            let reply = Reply {
                status: 202,
                ..Reply::document(document)
            };
            return Some(reply.header("Retry-After", "1"));
        }
        // A monitor is gone when its end was told (DSP0266, "Asynchronous operations").
        self.tasks.remove(at);
        Some(match fails {
            false => Reply::empty(204),
            true => Reply::error(500, "InternalError", "The reset failed."),
        })
    }
}

fn task(id: u32, state: &str, status: &str) -> Value {
    let path = format!("{ROOT}/TaskService/Tasks/{id}");
    let monitor = format!("{ROOT}/TaskService/TaskMonitors/{id}");
    let rest = json!({"TaskState": state, "TaskStatus": status, "TaskMonitor": monitor,
        "Messages": []});
    resource(&path, "Task.v1_5_0.Task", "Task", rest)
}

/// Leaves one page of the members (DSP0266, `Members@odata.nextLink`).
fn turn_page(document: &mut Value, request: &Request<'_>, page: usize) {
    let skip = request.query.strip_prefix("$skip=");
    let skip: usize = skip.and_then(|skip| skip.parse().ok()).unwrap_or(0);
    let Some(members) = document.get_mut("Members").and_then(Value::as_array_mut) else {
        return;
    };
    let next = skip + page;
    if page > 0 && next < members.len() {
        members.truncate(next);
        let link = format!("{}?$skip={next}", request.path);
        members.drain(..skip);
        document["Members@odata.nextLink"] = json!(link);
    } else {
        members.drain(..skip.min(members.len()));
    }
}

/// Gives each link another host.
fn lead_elsewhere(document: &mut Value) {
    match document {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if matches!(key.as_str(), "@odata.id" | "target") => {
                        *text = format!("http://192.0.2.66{text}");
                    }
                    value => lead_elsewhere(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(lead_elsewhere),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
