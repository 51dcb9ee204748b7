//! Refusals as an operator reads them: a status, and a sentence inside the
//! envelope that Ironic's clients look for.

use crate::json::{Escaped, Slice, Writer};
use core::fmt::{self, Write};
use farrier_core::interface::CommandError;
use farrier_core::node::{Node, cut};
use farrier_http::Status;
use farrier_lifecycle::{State, Verb};
use heapless::String;

/// Longest sentence in bytes; longer ones are cut.
pub const TEXT_LEN: usize = 240;

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

    /// The request makes no sense, or asks for what can't be done.
    pub(super) fn bad(text: &str) -> Self {
        Self {
            status: Status::BAD_REQUEST,
            text: cut(text),
        }
    }

    /// There is no such thing.
    pub(super) fn not_found(kind: &str, name: &str) -> Self {
        Self::new(
            Status::NOT_FOUND,
            format_args!("{kind} {name} could not be found."),
        )
    }

    /// What the brain refused, said of a node.
    pub(super) fn refused(refused: CommandError, node: Option<&Node>) -> Self {
        let status = match refused {
            CommandError::NoSuchNode
            | CommandError::NoSuchPort
            | CommandError::NoSuchAllocation
            | CommandError::NoSuchFlavor
            | CommandError::NoSuchNetwork
            | CommandError::NoSuchAddress => Status::NOT_FOUND,
            CommandError::NameTaken
            | CommandError::Locked(_)
            | CommandError::NotDeployed(_)
            | CommandError::NodeAvailable
            | CommandError::IdTaken
            | CommandError::MacTaken
            | CommandError::NotDeletable(_)
            | CommandError::Associated
            | CommandError::InstanceTaken
            | CommandError::NoMatchingNode
            | CommandError::AddressTaken => Status::CONFLICT,
            CommandError::Protected | CommandError::Retired => Status::FORBIDDEN,
            CommandError::StringsFull
            | CommandError::NodesFull
            | CommandError::TraitsFull
            | CommandError::FlavorsFull
            | CommandError::NetworksFull
            | CommandError::AddressesFull => Status::SERVICE_UNAVAILABLE,
            _ => Status::BAD_REQUEST,
        };
        let text = match refused {
            CommandError::NoSuchNode => "The node could not be found.",
            CommandError::Verb { state, verb } => return Self::verb(state, verb.as_str()),
            CommandError::NotSupported => {
                "This needs an ability that the agent does not have: it has no rescue system."
            }
            CommandError::Locked(state) => {
                return Self::new(
                    status,
                    format_args!(
                        "The node is locked by host farrier, which is {state}: please retry \
                         after the current operation is completed."
                    ),
                );
            }
            CommandError::Protected => {
                "The node is protected: it is neither released nor rebuilt nor deleted."
            }
            CommandError::Maintenance => "The node is in maintenance: end that first.",
            CommandError::Retired => "The node is retired: it is not offered or deployed again.",
            CommandError::NoSteps => "This needs steps: clean_steps or service_steps.",
            CommandError::BadStep => {
                "A step is not one of that verb. There are collect_inventory, erase_devices, \
                 hold and reboot for clean; collect_inventory, hold and reboot for service; \
                 hold and reboot for active and rebuild."
            }
            CommandError::NotDeployed(state) => {
                return Self::new(
                    status,
                    format_args!("Only a node that is deployed is protected; it is {state}."),
                );
            }
            CommandError::NodeAvailable => {
                "The node is available: take it back with manage before it is retired."
            }
            CommandError::StringsFull => {
                "The appliance has no room for another text: shorten or remove reasons, names \
                 or driver_info."
            }
            CommandError::NodesFull => "The appliance has no room for another node.",
            CommandError::IdTaken => "There is a node or an allocation with that UUID.",
            CommandError::MacTaken => "Another node has a port with that address.",
            CommandError::TooManyPorts => "The node has no room for another port.",
            CommandError::NoSuchPort => "The port could not be found.",
            CommandError::NotDeletable(state) => {
                return Self::new(
                    status,
                    format_args!(
                        "A node can't be deleted while it is {state}. It can be in enroll, \
                         manageable, available, adopt failed and inspect failed; in clean \
                         failed while it is in maintenance."
                    ),
                );
            }
            CommandError::Associated => {
                "The node belongs to an instance or an allocation: end that first."
            }
            CommandError::InstanceTaken => "Another node has that instance_uuid.",
            CommandError::TraitsFull => {
                "The appliance knows as many different traits and resource classes as it can."
            }
            CommandError::BadTrait => {
                "Traits and resource classes have letters, digits, '-', '.' and '_' only, at \
                 most 64 of them."
            }
            CommandError::NoSuchAllocation => "The allocation could not be found.",
            CommandError::NoMatchingNode => {
                "No available node is what the allocation asks for: neither in use, in \
                 maintenance nor retired, of that resource class and with these traits."
            }
            CommandError::FlavorsFull => "The appliance has no room for another flavor.",
            CommandError::NoSuchFlavor => "The flavor could not be found.",
            CommandError::NetworksFull => "The appliance has no room for another network.",
            CommandError::NoSuchNetwork => "The network could not be found.",
            CommandError::NoSuchAddress => "The port has no address of its own on that network.",
            CommandError::BadNetwork => {
                "The network is in use, overlaps another one, or its pool does not lie on it."
            }
            CommandError::AddressTaken => {
                "The address lies outside of the network, or is somebody else's."
            }
            CommandError::AddressesFull => "No address of the network is free.",
            CommandError::NoImage => {
                "No image is chosen: set instance_info/image_source to the name of an image \
                 in the appliance's store."
            }
            CommandError::UnknownImage => {
                let image = node.map_or("", |node| node.instance.image_source.as_str());
                return Self::new(
                    status,
                    format_args!("The appliance's store has no image named {image:?}."),
                );
            }
            CommandError::NoDisks => {
                "No disk of the node is known: inspect it first. A node without disks can't \
                 be deployed."
            }
            CommandError::ImageTooLarge => "No disk of the node is large enough for the image.",
            CommandError::NameTaken => "Another node has that name.",
            CommandError::BadName => {
                "A name has letters, digits, '-', '.' and '_' only, and is no UUID."
            }
            CommandError::TooLong => "A value is too long.",
            CommandError::TooManyKeys => "There is no room for another key of driver_info.",
            CommandError::InUse(state) => {
                return Self::new(
                    status,
                    format_args!("The node is {state}: image and instance stay what they are."),
                );
            }
        };
        Self {
            status,
            text: cut(text),
        }
    }

    /// A verb that the state does not have, or that does not exist: names
    /// those that would do.
    pub(super) fn verb(state: State, verb: &str) -> Self {
        struct Verbs(State);
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
        Self::new(
            Status::BAD_REQUEST,
            format_args!(
                "The requested action \"{verb}\" can not be performed while the node is in \
                 state \"{state}\". Possible: {}.",
                Verbs(state)
            ),
        )
    }

    /// Length of the reply's body in bytes.
    pub(super) fn length(&self) -> usize {
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
    pub(super) fn emit(&self, buffer: &mut [u8]) -> usize {
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

impl From<farrier_http::Error> for Error {
    fn from(error: farrier_http::Error) -> Self {
        Self {
            status: error.status(),
            text: cut(error.text()),
        }
    }
}

impl From<crate::json::Error> for Error {
    fn from(error: crate::json::Error) -> Self {
        Self::bad(error.text())
    }
}
