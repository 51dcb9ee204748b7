//! Operations on the ports of switches, as drivers carry them out.

use super::{Mac, String};
use core::net::Ipv4Addr;

/// Longest name of a switch's port in bytes.
pub const PORT_NAME_LEN: usize = 32;
/// The name of a port, as its switch calls it.
pub type PortName = String<PORT_NAME_LEN>;

/// What a switch is spoken to by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SwitchKind {
    /// A person moves its ports.
    ByHand = 0,
    /// OVSDB (RFC 7047) over TCP.
    Ovsdb = 1,
    /// NETCONF over SSH; the dialect is found out by its hello.
    Netconf = 2,
}

impl SwitchKind {
    /// Every kind.
    pub const ALL: [SwitchKind; 3] = [Self::ByHand, Self::Ovsdb, Self::Netconf];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByHand => "by-hand",
            Self::Ovsdb => "ovsdb",
            Self::Netconf => "netconf",
        }
    }

    /// The kind of that number, as records have it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// How a driver reaches a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchAddress {
    /// What it is spoken to by.
    pub kind: SwitchKind,
    /// Its address, on a network with [`super::Services::DRIVERS`].
    pub address: Ipv4Addr,
    /// Its TCP port.
    pub port: u16,
}

/// Longest user name of a switch in bytes.
pub const SWITCH_USER_LEN: usize = 32;
/// Longest password of a switch in bytes.
pub const SWITCH_PASSWORD_LEN: usize = 64;

/// The SHA-256 of a switch's ed25519 host key, of which `ssh-keygen -l` prints the
/// base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostKey(pub [u8; 32]);

/// What a driver proves itself by to a switch.
#[derive(Clone, PartialEq, Eq)]
pub enum SwitchSecret {
    /// A password.
    Password(String<SWITCH_PASSWORD_LEN>),
    /// The seed of an ed25519 key (RFC 8032).
    Key([u8; 32]),
}

impl core::fmt::Debug for SwitchSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Key(_) => "Key(..)",
        })
    }
}

/// How a driver logs in to a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchLogin {
    /// The user's name.
    pub user: String<SWITCH_USER_LEN>,
    /// What the user is known by.
    pub secret: SwitchSecret,
    /// The switch's host key that an admin has pinned. Without one the driver only
    /// says which key the switch has.
    pub host_key: Option<HostKey>,
}

/// What a command says about the login of a switch. What is `None` stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct NewLogin<'a> {
    /// The user's name; empty for no login.
    pub user: Option<&'a str>,
    /// The password; empty where the user is known by the appliance's own key.
    pub password: Option<&'a str>,
    /// The host key to pin, or to pin no more.
    pub host_key: Option<Option<HostKey>>,
}

impl core::fmt::Debug for NewLogin<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("NewLogin")
            .field("user", &self.user)
            .field("host_key", &self.host_key)
            .finish_non_exhaustive()
    }
}

/// What a command says about how a switch is treated. What is `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewOptions<'a> {
    /// Whether the appliance makes the VLANs that it needs, and removes those that
    /// it made.
    pub makes_vlans: Option<bool>,
    /// The port of the switch that leads to the appliance, whose VLANs the appliance
    /// keeps; empty where it carries all of them.
    pub trunk_port: Option<&'a str>,
}

/// What an operation takes beside the port and the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwitchDetails<'a> {
    /// The VLAN that the port goes to is made unless the switch has it, in the same
    /// change.
    pub make_vlan: bool,
    /// The VLAN that the port leaves is removed if the appliance made it, in the
    /// same change.
    pub remove_vlan: bool,
    /// With [`SwitchAction::Move`]: the move is permanent at once. A switch takes no
    /// move back by itself behind which a tenant's system may run.
    pub at_once: bool,
    /// A trunk that shall carry the VLAN that the port goes to, and not the one that
    /// is removed; empty for none.
    pub trunk: &'a str,
    /// With [`SwitchAction::Read`]: where the switch has learned this address.
    pub mac: Option<Mac>,
}

/// Where a switch has learned a hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Learned {
    /// It was not asked, or does not say.
    #[default]
    Unknown,
    /// Nowhere, or it has forgotten it.
    Nowhere,
    /// On the port that was read, with frames of this VLAN; 0 where the switch names
    /// it in a way that is not understood.
    Here(u16),
    /// On another port only.
    Elsewhere,
}

/// What a driver shall do with a port. A port carries one VLAN, without tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchAction {
    /// Read which VLAN it has.
    Read,
    /// Move it, if it is on `from`; on none for 0. Where the switch can, the change is unconfirmed, and
    /// the switch takes it back by itself unless [`SwitchAction::Keep`] comes in
    /// time. Done where the switch says that it has applied it, and the port,
    /// read again, is on `to`.
    Move {
        /// The VLAN that it is on.
        from: u16,
        /// The VLAN that it shall be on.
        to: u16,
    },
    /// Make a [`SwitchAction::Move`] to `to` permanent: the machine was seen there.
    Keep {
        /// The VLAN that it was on.
        from: u16,
        /// The VLAN that it is on.
        to: u16,
    },
    /// Take a [`SwitchAction::Move`] back: the port is on `from` again. Done where
    /// the port, read again, is there.
    Undo {
        /// The VLAN that it was on.
        from: u16,
        /// The VLAN that it may be on now.
        to: u16,
    },
}
