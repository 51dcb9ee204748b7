//! Errors as an operator reads them: a status, and a text in the envelope that
//! Ironic's clients look for. A text says what failed, on which thing, and
//! what to do.

use crate::json::{Escaped, Slice, Writer};
use crate::resource::Subject;
use core::fmt::{self, Write};
use farrier_core::interface::CommandError;
use farrier_core::node::{Node, cut};
use farrier_http::Status;
use farrier_lifecycle::{ProvisionState, Verb};
use heapless::String;

/// Longest text in bytes; longer ones are cut.
pub const TEXT_LEN: usize = 288;

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The status.
    pub status: Status,
    /// Why, for people.
    pub text: String<TEXT_LEN>,
}

impl Error {
    /// An error with a sentence of its own.
    pub fn new(status: Status, text: fmt::Arguments<'_>) -> Self {
        struct Cut<'a>(&'a mut String<TEXT_LEN>);
        impl Write for Cut<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.chars()
                    // Control characters are of no use to a reader and long once escaped.
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .try_for_each(|c| self.0.push(c))
                    .map_err(|_| fmt::Error)
            }
        }
        let mut sentence = String::new();
        // What does not fit is cut off.
        let _cut = Cut(&mut sentence).write_fmt(text);
        Self {
            status,
            text: sentence,
        }
    }

    /// A request that makes no sense, or asks for what can't be done.
    pub(crate) fn bad(text: &str) -> Self {
        Self {
            status: Status::BAD_REQUEST,
            text: cut(text),
        }
    }

    /// There is no such thing. `path` is the route's: what it lies in lists
    /// those that there are.
    pub(crate) fn not_found(kind: &str, name: &str, path: &str) -> Self {
        let list = path.split("/{").next().unwrap_or(path);
        Self::new(
            Status::NOT_FOUND,
            format_args!(
                "{kind} {name} could not be found. GET {list} lists those that there are."
            ),
        )
    }

    /// An error of a thing.
    pub(crate) fn about(status: Status, subject: &Subject<'_>, text: &str) -> Self {
        Self::new(status, format_args!("{subject}: {text}"))
    }

    /// The rack refused a command that was about this thing.
    pub(crate) fn refused(
        refused: CommandError,
        subject: &Subject<'_>,
        node: Option<&Node>,
    ) -> Self {
        let (status, text) = match refused {
            CommandError::NoSuchNode => (
                Status::NOT_FOUND,
                "could not be found. GET /v1/nodes lists the nodes.",
            ),
            CommandError::NoSuchPort => (
                Status::NOT_FOUND,
                "could not be found. GET /v1/ports lists the ports.",
            ),
            CommandError::NoSuchAllocation => (
                Status::NOT_FOUND,
                "has no allocation. GET /v1/allocations lists those that there are.",
            ),
            CommandError::NoSuchFlavor => (
                Status::NOT_FOUND,
                "could not be found. GET /farrier/v1/flavors lists the flavors.",
            ),
            CommandError::NoSuchNetwork => (
                Status::NOT_FOUND,
                "the network could not be found. GET /farrier/v1/networks lists the networks.",
            ),
            CommandError::NoSuchAddress => (
                Status::NOT_FOUND,
                "has no address of its own on that network. GET /farrier/v1/addresses lists the \
                 addresses.",
            ),
            CommandError::Verb { state, verb } => {
                let error = Self::verb(state, verb.as_str());
                return Self::about(error.status, subject, &error.text);
            }
            CommandError::Locked(state) => {
                return Self::new(
                    Status::CONFLICT,
                    format_args!(
                        "{subject} is locked by host farrier, which is {state}: please retry \
                         after the current operation is completed."
                    ),
                );
            }
            CommandError::NotDeployed(state) => {
                return Self::new(
                    Status::CONFLICT,
                    format_args!(
                        "{subject}: only a node that is deployed can be protected, and it is \
                         {state}. Deploy or adopt it first."
                    ),
                );
            }
            CommandError::NotDeletable(state) => {
                return Self::new(
                    Status::CONFLICT,
                    format_args!(
                        "{subject}: a node can't be deleted while it is {state}. Bring it to \
                         enroll, manageable, available, adopt failed or inspect failed, or set \
                         maintenance in clean failed."
                    ),
                );
            }
            CommandError::InUse(state) => {
                let has = |verb| state.event(verb).is_some();
                let remedy = if has(Verb::Abort) {
                    "Wait until the work is done, or send the verb abort."
                } else if has(Verb::Deleted) {
                    "Release the node with the verb deleted first."
                } else if has(Verb::Manage) {
                    "Take the node back with the verb manage first."
                } else {
                    "Wait until the work is done."
                };
                return Self::new(
                    Status::BAD_REQUEST,
                    format_args!(
                        "{subject}: this can't be changed while the node is in state \"{state}\". \
                         {remedy}"
                    ),
                );
            }
            CommandError::PowerInUse(state) => {
                return Self::new(
                    Status::CONFLICT,
                    format_args!(
                        "{subject}: the appliance switches the machine itself while the node is in \
                         state \"{state}\". Wait until the work is done, or send the verb abort."
                    ),
                );
            }
            CommandError::UnknownImage => {
                let image = node.map_or("", |node| node.instance.image_source.as_str());
                return Self::new(
                    Status::BAD_REQUEST,
                    format_args!(
                        "{subject}: the appliance's store has no image named {image:?}. Set \
                         instance_info/image_source to one that GET /farrier/v1/images lists."
                    ),
                );
            }
            CommandError::NotSupported => (
                Status::BAD_REQUEST,
                "the agent has no rescue system. Deploy an image to repair from instead.",
            ),
            CommandError::Protected => (
                Status::FORBIDDEN,
                "it is protected and is neither released nor rebuilt nor deleted. Set protected \
                 to false first.",
            ),
            CommandError::Maintenance => (
                Status::BAD_REQUEST,
                "it is in maintenance. See maintenance_reason, then DELETE its maintenance.",
            ),
            CommandError::Retired => (
                Status::FORBIDDEN,
                "it is retired and is neither offered nor deployed again. Set retired to false \
                 first.",
            ),
            CommandError::DrivePlaceTaken => (
                Status::CONFLICT,
                "another request has brought a config drive meanwhile. Send this one again.",
            ),
            CommandError::NoSteps => (
                Status::BAD_REQUEST,
                "the verb needs steps. Send clean_steps or service_steps.",
            ),
            CommandError::BadStep => (
                Status::BAD_REQUEST,
                "a step is not one of that verb. There are collect_inventory, erase_devices, \
                 hold and reboot for clean; collect_inventory, hold and reboot for service; \
                 hold and reboot for active and rebuild.",
            ),
            CommandError::NodeAvailable => (
                Status::CONFLICT,
                "it is available and can't be retired. Take it back with manage first.",
            ),
            CommandError::StringsFull => (
                Status::SERVICE_UNAVAILABLE,
                "the appliance has no room for another text. Shorten or remove reasons, names \
                 or driver_info.",
            ),
            CommandError::NodesFull => (
                Status::SERVICE_UNAVAILABLE,
                "the appliance has no room for another node. Delete one first.",
            ),
            CommandError::IdTaken => (
                Status::CONFLICT,
                "a node or an allocation has that UUID. Send another one, or none.",
            ),
            CommandError::MacTaken => (
                Status::CONFLICT,
                "a node has a port with that address. Delete that port first.",
            ),
            CommandError::TooManyPorts => (
                Status::BAD_REQUEST,
                "the node has no room for another port. Delete one first.",
            ),
            CommandError::Associated => (
                Status::CONFLICT,
                "it belongs to an instance or an allocation. Release the node or delete the \
                 allocation first.",
            ),
            CommandError::InstanceTaken => (
                Status::CONFLICT,
                "another node has that instance_uuid. Remove it there, or send another one.",
            ),
            CommandError::TraitsFull => (
                Status::SERVICE_UNAVAILABLE,
                "the appliance has no room for another trait or resource class. Remove one that \
                 is no longer needed.",
            ),
            CommandError::BadTrait => (
                Status::BAD_REQUEST,
                "a trait or resource class is malformed. They have letters, digits, '-', '.' \
                 and '_' only, at most 64 of them.",
            ),
            CommandError::NoMatchingNode => (
                Status::CONFLICT,
                "no available node has this resource class and these traits and is neither in \
                 use, in maintenance nor retired. Release one, or ask for less.",
            ),
            CommandError::FlavorsFull => (
                Status::SERVICE_UNAVAILABLE,
                "the appliance has no room for another flavor. Delete one first.",
            ),
            CommandError::NetworksFull => (
                Status::SERVICE_UNAVAILABLE,
                "the appliance has no room for another network. Delete one first.",
            ),
            CommandError::BadNetwork => (
                Status::BAD_REQUEST,
                "the network's prefix or pool is impossible. Send a prefix of at most 30 bits, and \
                 a pool whose addresses all lie on that network.",
            ),
            CommandError::NetworkOverlaps => (
                Status::CONFLICT,
                "the network overlaps another one. GET /farrier/v1/networks lists the networks; \
                 the appliance's own is not in the list.",
            ),
            CommandError::NetworkInUse => (
                Status::CONFLICT,
                "interfaces have addresses of the network, ports are on it, or it is the \
                 appliance's own. Delete the addresses that GET /farrier/v1/addresses lists, and \
                 look at GET /farrier/v1/switch-ports.",
            ),
            CommandError::NoSuchSwitch => (
                Status::NOT_FOUND,
                "the switch could not be found. GET /farrier/v1/switches lists the switches; \
                 switch_info names one.",
            ),
            CommandError::NoBoardKey => (
                Status::SERVICE_UNAVAILABLE,
                "the board has no key yet to seal the login under. Send it again in a moment.",
            ),
            CommandError::SwitchesFull => (
                Status::CONFLICT,
                "the appliance has no room for another switch. Delete one first.",
            ),
            CommandError::SwitchPortsFull => (
                Status::CONFLICT,
                "the appliance has no room for another port of a switch. Remove the \
                 local_link_connection of another port first.",
            ),
            CommandError::SwitchInUse => (
                Status::CONFLICT,
                "interfaces are in ports of the switch. Remove their local_link_connection first; \
                 GET /farrier/v1/switch-ports lists them.",
            ),
            CommandError::PortTaken => (
                Status::CONFLICT,
                "another interface is in that port of the switch. GET /farrier/v1/switch-ports \
                 says which.",
            ),
            CommandError::NoSwitchPort => (
                Status::CONFLICT,
                "no port of a switch is known for the node's interfaces. Set \
                 local_link_connection of its port first.",
            ),
            CommandError::NoVif => (
                Status::BAD_REQUEST,
                "an interface of the node would have no network. Attach a VIF to each, or define \
                 a network with the use unused. There must be one to be cleaned on as well: \
                 define a network with the use cleaning or provisioning.",
            ),
            CommandError::PortShut => (
                Status::CONFLICT,
                "a port of the node was shut on an alarm. Look at the machine, then say the \
                 port's local_link_connection anew to open it.",
            ),
            CommandError::NoFreePort => (
                Status::BAD_REQUEST,
                "every interface of the node with a known port has a VIF. Detach one first.",
            ),
            CommandError::NoSuchPortGroup => (
                Status::NOT_FOUND,
                "the node has no such port group. GET /v1/portgroups lists them.",
            ),
            CommandError::PortGroupsFull => (
                Status::CONFLICT,
                "the appliance has no room for another port group. Delete one first.",
            ),
            CommandError::PortGroupTaken => (
                Status::CONFLICT,
                "there is a port group with that address. GET /v1/portgroups lists them.",
            ),
            CommandError::PortGroupInUse => (
                Status::CONFLICT,
                "the port group has ports, or the node has VIFs. Take the ports out of it, or \
                 detach the VIFs, first.",
            ),
            CommandError::NoSuchVif => (
                Status::BAD_REQUEST,
                "no interface of the node has that VIF. GET the node's vifs lists them.",
            ),
            CommandError::NoSuchTrait => (
                Status::NOT_FOUND,
                "the node does not have that trait. GET the node's traits lists those it has.",
            ),
            CommandError::AddressTaken => (
                Status::CONFLICT,
                "the address belongs to another interface, or is not the network's to give: that \
                 of a tenants' network lies in its pool, and that of provisioning lies on the \
                 network and outside of its pool. Choose another one.",
            ),
            CommandError::AddressesFull => (
                Status::SERVICE_UNAVAILABLE,
                "no address of the network is free. Delete one first.",
            ),
            CommandError::ImageOlder(least) => {
                return Self::new(
                    Status::CONFLICT,
                    format_args!(
                        "{subject}: version {least} of the image was deployed before, and the \
                         store's is older. Put a newer one into the store, or allow this one with \
                         PUT /farrier/v1/images/ and its name."
                    ),
                );
            }
            CommandError::ImageKeyRevoked => (
                Status::CONFLICT,
                "the key that signed the image is revoked. Put in a store of another key, as \
                 docs/security.md says.",
            ),
            CommandError::NoSuchImage => (
                Status::NOT_FOUND,
                "neither the store nor the table of least versions has that name. GET \
                 /farrier/v1/images lists those that there are.",
            ),
            CommandError::ImageFloorsFull => (
                Status::SERVICE_UNAVAILABLE,
                "the appliance has no room to remember another image's version. Forget one that \
                 GET /farrier/v1/images lists with PUT /farrier/v1/images/ and its name, \
                 least_version 0.",
            ),
            CommandError::RevokedKeysFull => (
                Status::SERVICE_UNAVAILABLE,
                "the appliance has no room for another revoked key.",
            ),
            CommandError::NoSuchAccount => (
                Status::NOT_FOUND,
                "could not be found. GET /farrier/v1/accounts lists the accounts.",
            ),
            CommandError::AccountsFull => (
                Status::SERVICE_UNAVAILABLE,
                "the appliance has no room for another account. Delete one first.",
            ),
            CommandError::BadAccountName => (
                Status::BAD_REQUEST,
                "the name of an account is malformed. It has letters, digits, '-', '.' and '_' \
                 only, and at most 16 of them.",
            ),
            CommandError::IncompleteAccount => (
                Status::BAD_REQUEST,
                "a new account needs a role and a password. Send both.",
            ),
            CommandError::LastAdmin => (
                Status::CONFLICT,
                "it is the only account of the role admin. Make another one first.",
            ),
            CommandError::NoImage => (
                Status::BAD_REQUEST,
                "no image is chosen. Set instance_info/image_source to the name of an image \
                 that GET /farrier/v1/images lists.",
            ),
            CommandError::NoDisks => (
                Status::BAD_REQUEST,
                "no disk of the node is known. Inspect it first; a node without disks can't be \
                 deployed.",
            ),
            CommandError::ImageTooLarge => (
                Status::BAD_REQUEST,
                "no disk of the node is large enough for the image. Choose a smaller one.",
            ),
            CommandError::NameTaken => (
                Status::CONFLICT,
                "another one has that name. Choose another name.",
            ),
            CommandError::BadName => (
                Status::BAD_REQUEST,
                "the name is malformed. It has letters, digits, '-', '.' and '_' only, and is \
                 no UUID.",
            ),
            CommandError::TooLong => (
                Status::BAD_REQUEST,
                "a value is too long. Names have at most 48 bytes, keys of driver_info 24 and \
                 their values 40, reasons 96.",
            ),
            CommandError::BadDevice => (
                Status::BAD_REQUEST,
                "the name of a device has 1 to 40 printable ASCII characters, the kind of a \
                 controller at most 24. Send them as the node's inventory shows them.",
            ),
            CommandError::TooManyWaivers => (
                Status::CONFLICT,
                "has 8 devices that are waived, and there is no room for more. Delete a waiver, \
                 or remove devices from the machine.",
            ),
            CommandError::NoSuchWaiver => (
                Status::NOT_FOUND,
                "has no waiver for that device. GET /farrier/v1/nodes/{node}/waivers lists the \
                 waivers.",
            ),
            CommandError::BadSetting(setting) => {
                return Self::new(
                    Status::BAD_REQUEST,
                    format_args!(
                        "{subject}: driver_info/{} can't have that value. Send {}.",
                        setting.key(),
                        setting.expects()
                    ),
                );
            }
            CommandError::NoManagement => (
                Status::BAD_REQUEST,
                "the node's driver can't do that. The drivers ipmi and redfish can.",
            ),
            CommandError::DriverInfoIncomplete => (
                Status::BAD_REQUEST,
                "driver_info is not complete. GET the node's validate says what the driver \
                 needs.",
            ),
            CommandError::TooManyKeys => (
                Status::BAD_REQUEST,
                "driver_info has too many keys; there is room for 3 beside those of drivers. Remove \
                 one first.",
            ),
        };
        Self::about(status, subject, text)
    }

    /// A verb that the state does not have: names those that would do.
    pub(crate) fn verb(state: ProvisionState, verb: &str) -> Self {
        Self::new(
            Status::BAD_REQUEST,
            format_args!(
                "the requested action \"{verb}\" can not be performed while the node is in \
                 state \"{state}\". Possible: {}.",
                Verbs(state)
            ),
        )
    }

    /// A verb that no state has.
    pub(crate) fn unknown_verb(state: ProvisionState, verb: &str) -> Self {
        Self::new(
            Status::BAD_REQUEST,
            format_args!(
                "the requested action \"{verb}\" is unknown. Possible: {}.",
                Verbs(state)
            ),
        )
    }

    /// Length of the reply's body in bytes.
    pub(crate) fn length(&self) -> usize {
        struct Count(usize);
        impl Write for Count {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 += text.len();
                Ok(())
            }
        }
        let mut count = Count(0);
        // Counting never fails.
        let _never = self.write(&mut count);
        count.0
    }

    /// Writes the reply's body: the sentence in Ironic's envelope, which is
    /// JSON in a string in JSON. Gives its length, 0 where `buffer` can't
    /// hold it.
    pub(crate) fn emit(&self, buffer: &mut [u8]) -> usize {
        let mut out = Slice::new(buffer);
        match self.write(&mut out) {
            Ok(()) => out.len(),
            Err(_) => 0,
        }
    }

    fn write(&self, out: &mut impl Write) -> fmt::Result {
        out.write_str("{\"error_message\":\"")?;
        let mut inner = Writer::new(Escaped(&mut *out));
        let fault = match self.status.0 {
            ..500 => "Client",
            _ => "Server",
        };
        inner.object().key("faultcode").string(fault);
        inner.key("faultstring").string(&self.text);
        inner.key("debuginfo").null().end_object();
        inner.finish().ok_or(fmt::Error)?;
        out.write_str("\"}")
    }
}

/// The verbs that a state has, for a sentence.
struct Verbs(ProvisionState);

impl fmt::Display for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for verb in Verb::ALL {
            if self.0.event(verb).is_some() {
                write!(f, "{between}{verb}")?;
                between = ", ";
            }
        }
        match between {
            "" => f.write_str("none; wait until the work is done"),
            _ => Ok(()),
        }
    }
}

impl From<farrier_http::Error> for Error {
    fn from(error: farrier_http::Error) -> Self {
        Self::new(
            error.status(),
            format_args!("The request can't be read: {}. Correct it.", error.text()),
        )
    }
}

impl From<crate::json::Error> for Error {
    fn from(error: crate::json::Error) -> Self {
        Self::new(
            Status::BAD_REQUEST,
            format_args!("the body can't be read: {}. Correct it.", error.text()),
        )
    }
}
