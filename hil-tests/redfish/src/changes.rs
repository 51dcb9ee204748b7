//! Changes: PATCH of resources, and actions.

use serde_json::{Value, json};

use crate::documents::{self, ROOT};
use crate::fault::Fault;
use crate::machine::{Boot, PowerAction};
use crate::model::{Etags, Mode};
use crate::reply::Reply;
use crate::service::{Request, Service};

/// A change that was refused.
type Refused = Box<Reply>;

fn refuse(status: u16, id: &str, message: &str) -> Refused {
    Box::new(Reply::error(status, id, message))
}

impl Service {
    pub(crate) fn change(&mut self, request: &Request<'_>, now: u64) -> Reply {
        if self.has_fault(request, &Fault::ErrorInside) {
            return Reply {
                status: 200,
                ..Reply::error(500, "InternalError", "Could not do it.")
            };
        }
        let done = match serde_json::from_slice::<Value>(request.body) {
            Ok(sent) if sent.is_object() => self.try_change(request, &sent, now),
            _ => Err(refuse(
                400,
                "MalformedJSON",
                "The body is not a JSON object.",
            )),
        };
        match done {
            Ok(reply) => reply,
            Err(reply) => *reply,
        }
    }

    fn try_change(
        &mut self,
        request: &Request<'_>,
        sent: &Value,
        now: u64,
    ) -> Result<Reply, Refused> {
        let absent = || Box::new(Reply::not_found(request.path));
        let (target, at) = self.target(request.path).ok_or_else(absent)?;
        match request.method {
            "PATCH" => self.precondition(request, now)?,
            _ if !target.is_action() => {
                return Err(refuse(405, "OperationNotAllowed", "GET or PATCH."));
            }
            _ => {}
        }
        if request.method == "PATCH" && target.is_action() {
            return Err(refuse(405, "OperationNotAllowed", "POST."));
        }
        // What is shown while the old state is.
        let system = self.systems.get_mut(at).ok_or_else(absent)?;
        let before = (system.state.clone(), system.machine.is_on(now));
        let nothing = self.has_fault(request, &Fault::DoesNothing);
        match target {
            Target::Reset => self.reset(at, sent, nothing, now)?,
            _ => self.set(target, at, sent, nothing)?,
        }
        if self.has_fault(request, &Fault::ForgetsBoot)
            && let Some(system) = self.systems.get_mut(at)
        {
            system.state.boot = Boot::default();
        }
        let other = self.fault(request, |fault| match fault {
            Fault::StoresBoot(boot) => Some(boot.clone()),
            _ => None,
        });
        if let (Some(boot), Some(system)) = (other, self.systems.get_mut(at)) {
            system.state.boot = boot;
        }
        let old = self.fault(request, |fault| match fault {
            Fault::OldState(lasts) => Some(*lasts),
            _ => None,
        });
        if let (Some(lasts), Some(system)) = (old, self.systems.get_mut(at)) {
            system.shown = Some((now + lasts, before.0, before.1));
        }
        Ok(match (target, self.model.task_ms) {
            (Target::Reset, Some(lasts)) => self.begin_task(request, lasts, now),
            _ if self.model.says_success => Reply::success(),
            _ => Reply::empty(204),
        })
    }

    /// Whether the resource at a path can be changed itself.
    pub(crate) fn is_settable(&self, path: &str) -> bool {
        self.target(path)
            .is_some_and(|(target, _)| !target.is_action())
    }

    /// What a path changes, and of which system.
    fn target(&self, path: &str) -> Option<(Target, usize)> {
        let parts: Vec<&str> = path.strip_prefix(ROOT)?.split('/').skip(1).collect();
        let model = &self.model;
        let (at, rest) = match *parts.as_slice() {
            ["Systems", id, ref rest @ ..] => (
                self.systems.iter().position(|system| system.id == id)?,
                rest.to_vec(),
            ),
            ["Managers", id, ref rest @ ..] if id == model.manager && !model.media_in_system => {
                (0, rest.to_vec())
            }
            _ => return None,
        };
        let of_system = parts.first() == Some(&"Systems");
        let has_media = of_system == model.media_in_system;
        let target = match *rest.as_slice() {
            [] if of_system => Target::System,
            ["SD"] if of_system && model.boot_in_settings => Target::Settings,
            ["Actions", "ComputerSystem.Reset"] if of_system => Target::Reset,
            ["Bios", "Settings"] if of_system => Target::Bios,
            ["Bios", "Actions", "Bios.ResetBios"] if of_system => Target::ResetBios,
            ["SecureBoot"] if of_system => Target::SecureBoot,
            ["VirtualMedia", "Cd"] if has_media && !model.media_actions => Target::Media,
            ["VirtualMedia", "Cd", "Actions", action] if has_media && model.media_actions => {
                match action {
                    "VirtualMedia.InsertMedia" => Target::Insert,
                    "VirtualMedia.EjectMedia" => Target::Eject,
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some((target, at))
    }

    /// `If-Match` (RFC 9110, section 13.1.1).
    fn precondition(&mut self, request: &Request<'_>, now: u64) -> Result<(), Refused> {
        let document = self.document(request.path, now).unwrap_or_default();
        let mut etag = documents::etag(&self.model, &document);
        if self.model.etags == Etags::WeakMatchedStrong {
            etag = etag.map(|etag| etag.trim_start_matches("W/").to_owned());
        }
        let never = self.has_fault(request, &Fault::EtagNeverMatches);
        match (request.if_match, etag) {
            (None, Some(_)) if self.model.if_match => {
                Err(refuse(428, "PreconditionRequired", "If-Match is missing."))
            }
            (Some("*"), _) if !never => Ok(()),
            (Some(sent), Some(etag)) if never || sent != etag => Err(refuse(
                412,
                "PreconditionFailed",
                "The ETag does not match.",
            )),
            _ => Ok(()),
        }
    }

    fn reset(&mut self, at: usize, sent: &Value, nothing: bool, now: u64) -> Result<(), Refused> {
        let needs_schedule = self.model.apply_time;
        let asked = sent["ResetType"].as_str().unwrap_or("");
        if !self.model.resets.contains(&asked) {
            return Err(refuse(
                400,
                "ActionParameterNotSupported",
                "No such ResetType.",
            ));
        }
        let Some(system) = self.systems.get_mut(at) else {
            return Ok(());
        };
        let on = system.machine.is_on(now);
        let wrong = || {
            refuse(
                409,
                "InvalidOperationForSystemState",
                "Not in this power state.",
            )
        };
        let actions: &[PowerAction] = match (asked, on) {
            ("On" | "ForceOn", false) | ("PushPowerButton", false) => &[PowerAction::On],
            ("On" | "ForceOn", true) => &[],
            ("ForceOff", true) => &[PowerAction::Off],
            ("ForceOff", false) => &[],
            ("GracefulShutdown" | "PushPowerButton", true) => &[PowerAction::SoftOff],
            ("ForceRestart" | "GracefulRestart" | "PowerCycle", true) => &[PowerAction::Reset],
            ("ForceRestart", false) => &[PowerAction::On],
            ("Nmi", true) => &[PowerAction::Nmi],
            _ => return Err(wrong()),
        };
        if nothing {
            return Ok(());
        }
        for action in actions {
            let boot = system.state.boot.clone();
            let acted = system.machine.act(*action, &boot, now);
            acted.map_err(|error| refuse(500, "InternalError", &error))?;
            if matches!(action, PowerAction::On | PowerAction::Reset) {
                system.starts(needs_schedule);
            }
        }
        Ok(())
    }

    fn set(
        &mut self,
        target: Target,
        at: usize,
        sent: &Value,
        nothing: bool,
    ) -> Result<(), Refused> {
        let model = self.model.clone();
        let Some(system) = self.systems.get_mut(at) else {
            return Ok(());
        };
        let mut state = system.state.clone();
        match target {
            Target::System if model.boot_in_settings => {
                return Err(refuse(400, "OperationSupportedInFutureStateURI", "See SD."));
            }
            Target::System | Target::Settings => {
                let rules = (model.mode, model.targets, model.http_uri);
                set_boot(&mut state.boot, &sent["Boot"], rules)?;
            }
            Target::Bios => {
                let time = sent.pointer("/@Redfish.SettingsApplyTime/ApplyTime");
                if time.is_some() && !model.apply_time {
                    return Err(refuse(400, "PropertyUnknown", "@Redfish.SettingsApplyTime"));
                }
                let attributes = sent["Attributes"].as_object().cloned().unwrap_or_default();
                for (name, value) in attributes {
                    let Some(known) = state.bios.get(&name) else {
                        return Err(refuse(400, "PropertyUnknown", &name));
                    };
                    if std::mem::discriminant(known) != std::mem::discriminant(&value) {
                        return Err(refuse(400, "PropertyValueTypeError", &name));
                    }
                    state.pending.insert(name, value);
                }
                state.scheduled |= time.is_some();
            }
            Target::ResetBios => state.bios_reset = true,
            Target::SecureBoot => match sent["SecureBootEnable"].as_bool() {
                Some(enable) => state.secure_boot = enable,
                None => return Err(refuse(400, "PropertyMissing", "SecureBootEnable")),
            },
            Target::Media | Target::Insert | Target::Eject => {
                let image = sent["Image"].as_str();
                let inserts =
                    target == Target::Insert || target == Target::Media && image.is_some();
                if inserts && image.is_none() {
                    return Err(refuse(400, "ActionParameterMissing", "Image"));
                }
                if target == Target::Insert {
                    let protocol = sent.get("TransferProtocolType");
                    let others = sent.as_object().map_or(0, |sent| sent.len());
                    if model.media_protocol && protocol != Some(&json!("HTTP")) {
                        let text = "TransferProtocolType is missing.";
                        return Err(refuse(400, "ActionParameterMissing", text));
                    }
                    if others > 1 + usize::from(model.media_protocol) {
                        return Err(refuse(400, "PropertyUnknown", "Inserted"));
                    }
                }
                if target == Target::Media && sent.get("Inserted").is_none() {
                    return Err(refuse(400, "PropertyMissing", "Inserted"));
                }
                if inserts && state.image.is_some() {
                    return Err(refuse(409, "ResourceInUse", "There is an image."));
                }
                state.image = image.filter(|_| inserts).map(str::to_owned);
                if !nothing {
                    let set = system.machine.set_media(state.image.as_deref());
                    set.map_err(|error| refuse(500, "InternalError", &error))?;
                }
            }
            Target::Reset => {}
        }
        if !nothing {
            system.state = state;
        }
        Ok(())
    }
}

/// What a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    System,
    Settings,
    Reset,
    Bios,
    ResetBios,
    SecureBoot,
    Media,
    Insert,
    Eject,
}

impl Target {
    const fn is_action(self) -> bool {
        matches!(
            self,
            Self::Reset | Self::ResetBios | Self::Insert | Self::Eject
        )
    }
}

fn set_boot(
    boot: &mut Boot,
    sent: &Value,
    (mode, targets, http_uri): (Mode, &[&str], bool),
) -> Result<(), Refused> {
    let Some(members) = sent.as_object() else {
        return Err(refuse(400, "PropertyMissing", "Boot"));
    };
    let mut new = boot.clone();
    for (name, value) in members {
        let text = value.as_str().unwrap_or("");
        let known = match name.as_str() {
            "BootSourceOverrideEnabled" => {
                new.enabled = text.into();
                ["Disabled", "Once", "Continuous"].contains(&text)
            }
            "BootSourceOverrideTarget" => {
                new.target = text.into();
                targets.contains(&text)
            }
            "BootSourceOverrideMode" if mode != Mode::ReadOnly => {
                new.mode = text.into();
                ["UEFI", "Legacy"].contains(&text)
            }
            "HttpBootUri" if http_uri => {
                new.http_uri = value.as_str().map(str::to_owned);
                value.is_string() || value.is_null()
            }
            _ => return Err(refuse(400, "PropertyNotWritable", name)),
        };
        if !known {
            return Err(refuse(400, "PropertyValueNotInList", name));
        }
    }
    if mode == Mode::Needed && !members.contains_key("BootSourceOverrideMode") {
        new.mode = "Legacy".into();
    }
    if new.enabled == "Disabled" {
        new.target = "None".into();
    }
    *boot = new;
    Ok(())
}

/// Used where a document is expected and none is there.
#[must_use]
pub(crate) fn huge(mut document: Value, bytes: usize) -> Value {
    // Many small members, so that no string of that length is in it.
    let one = json!({"Name": "filler", "Value": 12_345, "Nested": {"Text": "x".repeat(400)}});
    let each = one.to_string().len() + 1;
    document["Filler"] = Value::Array(vec![one; bytes / each + 1]);
    document
}
