//! What is sent. A request is written anew for each piece that is given out, and
//! a window keeps the bytes that are due: no request is ever in memory.

use core::fmt::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use farrier_json::{Slice, Writer};

use super::{Operation, Step};
use crate::kinds::{BootEnabled, BootTarget};
use crate::outcome::FailureKind;
use crate::request::{AttributeValue, Auth, BootOverride, Request, Target};
use crate::vendor::ModeHabit;

/// Longest name and password together, with Basic authentication, in bytes.
pub const MAX_CREDENTIALS: usize = 191;

/// Takes the bytes of a request and keeps those in a window.
pub(super) struct Window<'b> {
    /// Bytes that are dropped in front of the window.
    skip: usize,
    buffer: &'b mut [u8],
    kept: usize,
    total: usize,
}

impl<'b> Window<'b> {
    pub(super) const fn new(skip: usize, buffer: &'b mut [u8]) -> Self {
        Self {
            skip,
            buffer,
            kept: 0,
            total: 0,
        }
    }

    /// Bytes in the buffer.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Bytes of the whole request.
    pub(super) const fn total(&self) -> usize {
        self.total
    }
}

impl Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let bytes = text.as_bytes();
        let seen = self.skip.saturating_sub(self.total).min(bytes.len());
        self.total += bytes.len();
        let new = bytes.get(seen..).unwrap_or(&[]);
        let room = self.buffer.get_mut(self.kept..).unwrap_or(&mut []);
        let length = new.len().min(room.len());
        if let (Some(room), Some(new)) = (room.get_mut(..length), new.get(..length)) {
            room.copy_from_slice(new);
        }
        self.kept += length;
        Ok(())
    }
}

/// Checks what is written into heads of requests.
pub(super) fn check(target: &Target<'_>) -> Result<(), FailureKind> {
    let host = target
        .host
        .bytes()
        .all(|byte| (b'!'..=b'~').contains(&byte));
    let fits = match target.auth {
        Auth::None | Auth::Session => true,
        Auth::Basic => {
            let length = target.user.len() + target.password.len();
            length <= MAX_CREDENTIALS && !target.user.contains(':')
        }
    };
    match host && !target.host.is_empty() && fits {
        true => Ok(()),
        false => Err(FailureKind::Credentials),
    }
}

/// `Authorization` of RFC 7617.
fn basic(target: &Target<'_>, out: &mut dyn Write) -> fmt::Result {
    let mut plain = [0; MAX_CREDENTIALS + 1];
    let mut slice = Slice::new(&mut plain);
    write!(slice, "{}:{}", target.user, target.password)?;
    let length = slice.len();
    let plain = plain.get(..length).unwrap_or(&[]);
    write!(
        out,
        "Authorization: Basic {}\r\n",
        Base64Display::new(plain, &STANDARD)
    )
}

impl Operation<'_> {
    /// Writes the request of the present step.
    pub(super) fn write(&self, out: &mut Window<'_>) -> fmt::Result {
        let method = self.method();
        write!(
            out,
            "{method} {} HTTP/1.1\r\nHost: {}\r\n",
            self.path(),
            self.target.host
        )?;
        out.write_str("Accept: application/json\r\nAccept-Encoding: identity\r\n")?;
        out.write_str("OData-Version: 4.0\r\n")?;
        if !self.settings.keep_alive {
            out.write_str("Connection: close\r\n")?;
        }
        self.authorize(out)?;
        if method == "PATCH" && self.settings.if_match && !self.etag.is_empty() {
            write!(out, "If-Match: {}\r\n", self.if_match())?;
        }
        if !matches!(method, "POST" | "PATCH") {
            return out.write_str("\r\n");
        }
        let mut length = Window::new(0, &mut []);
        self.body(&mut length)?;
        write!(
            out,
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            length.total()
        )?;
        self.body(out)
    }

    /// The method of the present step.
    pub(super) fn method(&self) -> &'static str {
        match self.step {
            Step::Session => "POST",
            Step::Change if self.patches() => "PATCH",
            Step::Change => "POST",
            Step::EndSession => "DELETE",
            Step::Root
            | Step::Systems
            | Step::Candidate
            | Step::System
            | Step::ActionInfo
            | Step::BootSettings
            | Step::Chassis
            | Step::Thermal
            | Step::ThermalSubsystem
            | Step::ThermalMetrics
            | Step::Sensors
            | Step::Sensor
            | Step::Manager
            | Step::MediaList
            | Step::Media
            | Step::Bios
            | Step::BiosSettings
            | Step::SecureBoot
            | Step::Task
            | Step::Refetch
            | Step::ReadBack
            | Step::Over => "GET",
        }
    }

    /// Whether the change is one of a resource, and not an action.
    fn patches(&self) -> bool {
        match self.request {
            Request::SetBoot(_) | Request::SetBios(_) | Request::SetSecureBoot(_) => true,
            Request::InsertMedia { .. } | Request::EjectMedia => !self.by_action,
            Request::Reset(_)
            | Request::ResetBios
            | Request::Identify
            | Request::ReadSystem
            | Request::ReadSensors
            | Request::ReadBios
            | Request::ReadSecureBoot
            | Request::CloseSession => false,
        }
    }

    /// The path of the present step.
    pub(super) fn path(&self) -> &str {
        let session = self.bmc.session.as_ref();
        match self.step {
            Step::Root if self.root_moved => self.facts.link.as_str(),
            Step::Root => "/redfish/v1/",
            Step::Session => self.facts.other.as_str(),
            Step::EndSession => session.map_or("", |session| session.path.as_str()),
            _ => self.path.as_str(),
        }
    }

    fn authorize(&self, out: &mut dyn Write) -> fmt::Result {
        // The root is open, and the session's request has the credentials itself.
        if matches!(self.step, Step::Root | Step::Session) {
            return Ok(());
        }
        match (self.target.auth, &self.bmc.session) {
            (Auth::Session, Some(session)) => {
                write!(out, "X-Auth-Token: {}\r\n", session.token.as_str())
            }
            (Auth::Basic, _) => basic(self.target, out),
            (Auth::None, _) | (Auth::Session, None) => Ok(()),
        }
    }

    /// The ETag to match. RFC 9110, section 13.1.1, has no weak ones match; many
    /// services want them as they gave them all the same. So the second attempt
    /// has the strong form.
    fn if_match(&self) -> &str {
        let etag = self.etag.as_str();
        match self.refetches {
            0 | 2.. => etag,
            1 => etag.strip_prefix("W/").unwrap_or(etag),
        }
    }

    fn body(&self, out: &mut dyn Write) -> fmt::Result {
        let mut json = Writer::new(out);
        json.object();
        match (self.step, self.request) {
            (Step::Session, _) => {
                json.key("UserName").string(self.target.user);
                json.key("Password").string(self.target.password);
            }
            (_, Request::Reset(reset)) => {
                json.key("ResetType").string(reset.as_str());
            }
            (_, Request::SetBoot(boot)) => self.boot(boot, &mut json),
            (_, Request::InsertMedia { image }) => {
                json.key("Image").string(image);
                if self.tells_protocol {
                    let protocol = match image.starts_with("https:") {
                        true => "HTTPS",
                        false => "HTTP",
                    };
                    json.key("TransferProtocolType").string(protocol);
                }
                // Defaults of the action, which some services refuse to be told.
                if !self.by_action {
                    json.key("Inserted").bool(true);
                    json.key("WriteProtected").bool(true);
                }
            }
            (_, Request::EjectMedia) if !self.by_action => {
                json.key("Image").null();
                json.key("Inserted").bool(false);
            }
            (_, Request::SetBios(attributes)) => {
                if self.bmc.vendor.habits().apply_time {
                    json.key("@Redfish.SettingsApplyTime").object();
                    json.key("ApplyTime").string("OnReset").end_object();
                }
                json.key("Attributes").object();
                for (name, value) in *attributes {
                    json.key(name);
                    attribute(*value, &mut json);
                }
                json.end_object();
            }
            (_, Request::SetSecureBoot(enable)) => {
                json.key("SecureBootEnable").bool(*enable);
            }
            (
                _,
                Request::EjectMedia
                | Request::ResetBios
                | Request::Identify
                | Request::ReadSystem
                | Request::ReadSensors
                | Request::ReadBios
                | Request::ReadSecureBoot
                | Request::CloseSession,
            ) => {}
        }
        json.end_object();
        json.finish().map(|_| ()).ok_or(fmt::Error)
    }

    fn boot(&self, boot: &BootOverride<'_>, json: &mut Writer<&mut dyn Write>) {
        json.key("Boot").object();
        json.key("BootSourceOverrideEnabled")
            .string(boot.enabled.as_str());
        let holds = boot.enabled != BootEnabled::Disabled;
        if holds {
            let target = self.boot_target(boot.target);
            json.key("BootSourceOverrideTarget").string(target.as_str());
        }
        let mode = match self.bmc.vendor.habits().mode {
            ModeHabit::AsAsked => boot.mode,
            ModeHabit::Always => boot.mode.or(self.system.boot.mode),
            ModeHabit::Never => None,
        };
        if let Some(mode) = mode {
            json.key("BootSourceOverrideMode").string(mode.as_str());
        }
        if holds && boot.target == BootTarget::UefiHttp {
            match boot.http_uri {
                Some(uri) => {
                    json.key("HttpBootUri").string(uri);
                }
                // An earlier one would hold.
                None if self.system.boot.http_uri.is_some() => {
                    json.key("HttpBootUri").null();
                }
                None => {}
            }
        }
        json.end_object();
    }

    /// The target that this vendor has for a target.
    pub(super) fn boot_target(&self, target: BootTarget) -> BootTarget {
        match self.bmc.vendor.habits().boot_as {
            Some((from, to)) if from == target && self.system.boot_targets.contains(to.into()) => {
                to
            }
            _ => target,
        }
    }
}

fn attribute(value: AttributeValue<'_>, json: &mut Writer<&mut dyn Write>) {
    match value {
        AttributeValue::Text(text) => json.string(text),
        AttributeValue::Bool(value) => json.bool(value),
        AttributeValue::Number(number) => {
            let mut digits = [0; 20];
            let mut slice = Slice::new(&mut digits);
            // 20 bytes hold each i64.
            let written = write!(slice, "{number}");
            debug_assert!(written.is_ok(), "20 bytes hold each i64");
            let length = slice.len();
            let digits = digits.get(..length).unwrap_or(&[]);
            json.verbatim(core::str::from_utf8(digits).unwrap_or("0"))
        }
    };
}
