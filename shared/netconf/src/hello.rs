//! The hello of a server (RFC 6241, section 8.1): its capabilities, and the data
//! models that say which dialect it has.

use crate::xml::name::{Name, Namespace};
use crate::xml::{Event, Token};
use bitflags::bitflags;

bitflags! {
    /// What a server says that it can do.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Capabilities: u32 {
        /// `base:1.0`.
        const BASE_1_0 = 1;
        /// `base:1.1`: chunked framing, `cancel-commit`.
        const BASE_1_1 = 1 << 1;
        /// A candidate configuration.
        const CANDIDATE = 1 << 2;
        /// Confirmed commits without a persist-id.
        const CONFIRMED_COMMIT_1_0 = 1 << 3;
        /// Confirmed commits with a persist-id and `cancel-commit`.
        const CONFIRMED_COMMIT_1_1 = 1 << 4;
        /// `validate` and the test options `test-then-set` and `set`.
        const VALIDATE_1_0 = 1 << 5;
        /// `validate`, and the test option `test-only` as well.
        const VALIDATE_1_1 = 1 << 6;
        /// The running configuration can be edited.
        const WRITABLE_RUNNING = 1 << 7;
        /// A startup configuration of its own.
        const STARTUP = 1 << 8;
        /// The error option `rollback-on-error`.
        const ROLLBACK_ON_ERROR = 1 << 9;
    }
}

bitflags! {
    /// Data models of a server, as far as dialects need them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Models: u16 {
        /// A Junos device.
        const JUNOS = 1;
        /// Junos' configuration as a YANG module.
        const JUNOS_CONFIGURATION = 1 << 1;
        /// openconfig-interfaces.
        const OPENCONFIG_INTERFACES = 1 << 2;
        /// openconfig-vlan.
        const OPENCONFIG_VLAN = 1 << 3;
        /// openconfig-network-instance.
        const OPENCONFIG_NETWORK_INSTANCE = 1 << 4;
        /// openconfig-lldp.
        const OPENCONFIG_LLDP = 1 << 5;
        /// ietf-interfaces.
        const IETF_INTERFACES = 1 << 6;
        /// ieee802-dot1q-bridge.
        const IEEE_BRIDGE = 1 << 7;
    }
}

/// Prefix of the capabilities of RFC 6241.
const PREFIX: &str = "urn:ietf:params:netconf:";

/// A server's hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hello {
    /// What the server can do.
    pub capabilities: Capabilities,
    /// The data models that it lists. Servers with a YANG library need not list
    /// any (RFC 8526, section 2).
    pub models: Models,
    /// Number of the session, never 0.
    pub session_id: Option<u32>,
    /// The document is a hello.
    pub(crate) is_hello: bool,
}

impl Hello {
    /// Reads a token of the message.
    pub(crate) fn token(&mut self, token: Token<'_>) {
        match (token.path, token.event) {
            ([Name::Hello], Event::Start { namespace, .. }) => {
                // Old Junos versions give no namespace.
                self.is_hello = matches!(namespace, Namespace::Base | Namespace::None);
            }
            ([Name::Hello, Name::SessionId], Event::Text { text, .. }) => {
                self.session_id = text.parse().ok().filter(|&id| id > 0);
            }
            ([Name::Hello, Name::Capabilities, Name::Capability], Event::Text { text, cut }) => {
                let uri = text.split('?').next().unwrap_or(text);
                if !cut || uri.len() < text.len() {
                    self.capability(uri);
                }
            }
            _ => {}
        }
    }

    /// Returns whether the message was a hello of a server of NETCONF 1.0 or 1.1.
    pub(crate) fn is_valid(&self) -> bool {
        let base = Capabilities::BASE_1_0 | Capabilities::BASE_1_1;
        self.is_hello && self.session_id.is_some() && self.capabilities.intersects(base)
    }

    fn capability(&mut self, uri: &str) {
        self.capabilities |= match uri.strip_prefix(PREFIX) {
            Some("base:1.0") => Capabilities::BASE_1_0,
            Some("base:1.1") => Capabilities::BASE_1_1,
            Some("capability:candidate:1.0") => Capabilities::CANDIDATE,
            Some("capability:confirmed-commit:1.0") => Capabilities::CONFIRMED_COMMIT_1_0,
            Some("capability:confirmed-commit:1.1") => Capabilities::CONFIRMED_COMMIT_1_1,
            Some("capability:validate:1.0") => Capabilities::VALIDATE_1_0,
            Some("capability:validate:1.1") => Capabilities::VALIDATE_1_1,
            Some("capability:writable-running:1.0") => Capabilities::WRITABLE_RUNNING,
            Some("capability:startup:1.0") => Capabilities::STARTUP,
            Some("capability:rollback-on-error:1.0") => Capabilities::ROLLBACK_ON_ERROR,
            Some(_) => Capabilities::empty(),
            None => match Self::old(uri) {
                found if found.is_empty() => {
                    self.models |= Self::model(uri);
                    found
                }
                found => found,
            },
        };
    }

    /// The forms of RFC 4741's drafts, which Junos sends beside the final ones.
    fn old(uri: &str) -> Capabilities {
        match uri.strip_prefix("urn:ietf:params:xml:ns:netconf:") {
            Some("base:1.0") => Capabilities::BASE_1_0,
            Some("capability:candidate:1.0") => Capabilities::CANDIDATE,
            Some("capability:confirmed-commit:1.0") => Capabilities::CONFIRMED_COMMIT_1_0,
            Some("capability:validate:1.0") => Capabilities::VALIDATE_1_0,
            _ => Capabilities::empty(),
        }
    }

    fn model(uri: &str) -> Models {
        if uri.starts_with("http://xml.juniper.net/netconf/junos/") {
            return Models::JUNOS;
        }
        if uri.starts_with("http://yang.juniper.net/") {
            return Models::JUNOS_CONFIGURATION;
        }
        match Namespace::of(uri) {
            Namespace::Junos => Models::JUNOS_CONFIGURATION,
            Namespace::OpenConfigInterfaces => Models::OPENCONFIG_INTERFACES,
            Namespace::OpenConfigVlan => Models::OPENCONFIG_VLAN,
            Namespace::OpenConfigNetworkInstance => Models::OPENCONFIG_NETWORK_INSTANCE,
            Namespace::OpenConfigLldp => Models::OPENCONFIG_LLDP,
            Namespace::IetfInterfaces => Models::IETF_INTERFACES,
            Namespace::IeeeBridge => Models::IEEE_BRIDGE,
            Namespace::Base
            | Namespace::OpenConfigEthernet
            | Namespace::None
            | Namespace::Other => Models::empty(),
        }
    }
}
