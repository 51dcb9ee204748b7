//! What each account may do.

use crate::{Error, View};
use farrier_core::accounts::{Account, AccountName, Role};
use farrier_core::interface::{Actor, ActorKind};
use farrier_core::node::flags::Flags;
use farrier_http::Status;

/// In whose name a request is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    standing: Standing,
    name: AccountName,
    /// The salt of the password that was proven; `None` for a program that
    /// is a part of the appliance or of a test.
    salt: Option<[u8; 16]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody in particular.
    Anyone,
    /// Has the code of the console, with which the first account is made.
    FirstContact,
    /// An account.
    Account(Role),
}

impl Principal {
    pub(super) const ANYONE: Self = Self {
        standing: Standing::Anyone,
        name: AccountName::NONE,
        salt: None,
    };
    pub(super) const FIRST_CONTACT: Self = Self {
        standing: Standing::FirstContact,
        ..Self::ANYONE
    };

    pub(super) fn of(account: &Account) -> Self {
        Self {
            standing: Standing::Account(account.role),
            name: account.name,
            salt: Some(account.verifier.salt),
        }
    }

    /// A program that needs no password: a test or a rig.
    #[must_use]
    pub fn trusted(name: AccountName, role: Role) -> Self {
        Self {
            standing: Standing::Account(role),
            name,
            salt: None,
        }
    }

    /// Whom the history names.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        Actor {
            kind: ActorKind::Account,
            account: match self.standing {
                Standing::FirstContact => AccountName::FIRST,
                Standing::Anyone | Standing::Account(_) => self.name.as_str(),
            },
        }
    }

    /// The account whose nodes alone can be seen; `None` where all can.
    pub(crate) const fn only_of(&self) -> Option<AccountName> {
        match self.standing {
            Standing::Account(Role::Member) => Some(self.name),
            _ => None,
        }
    }

    /// The name of that account; empty where all nodes can be seen.
    pub(crate) fn only_name(&self) -> &str {
        match self.standing {
            Standing::Account(Role::Member) => self.name.as_str(),
            _ => "",
        }
    }

    pub(crate) fn is_admin(&self) -> bool {
        matches!(
            self.standing,
            Standing::FirstContact | Standing::Account(Role::Admin)
        )
    }

    pub(crate) fn is_first_contact(&self) -> bool {
        self.standing == Standing::FirstContact
    }
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Anyone, without credentials.
    Nothing,
    /// Any account. A member sees only its nodes.
    AnyRole,
    /// A reader or an admin: it shows the whole rack.
    WholeRack,
    /// A member or an admin. A member finds only its nodes.
    Member,
    /// An admin, or the account that the path names.
    Own,
    /// An admin.
    Admin,
}

/// Whether a request may use a route; asked again right before its command.
pub(crate) fn permit(
    who: &Principal,
    needs: Needs,
    named: &str,
    view: &View<'_>,
) -> Result<(), Error> {
    if let Some(salt) = who.salt {
        // The account may have gone, or have another password or role.
        let account = view.account(who.name);
        let same = account.is_some_and(|account| {
            account.verifier.salt == salt && who.standing == Standing::Account(account.role)
        });
        if !same {
            return Err(denied(who, "the account was changed meanwhile. Try again"));
        }
    }
    let role = match who.standing {
        Standing::Account(role) => role,
        Standing::FirstContact => {
            let first = needs == Needs::Own && named == AccountName::FIRST;
            return match first && view.accounts.is_empty() {
                true => Ok(()),
                false => Err(denied(
                    who,
                    "the code of the console is good for PUT /farrier/v1/accounts/admin alone, once",
                )),
            };
        }
        Standing::Anyone if needs == Needs::Nothing => return Ok(()),
        Standing::Anyone => return Err(denied(who, "it needs an account")),
    };
    let permitted = match needs {
        Needs::Nothing | Needs::AnyRole => true,
        Needs::WholeRack => role != Role::Member,
        Needs::Member => role != Role::Reader,
        Needs::Own => role == Role::Admin || who.name.as_str() == named,
        Needs::Admin => role == Role::Admin,
    };
    match permitted {
        true => Ok(()),
        false => Err(denied(
            who,
            match needs {
                Needs::Member => "it needs the role member or admin",
                Needs::WholeRack => "it needs the role reader or admin",
                _ => "it needs the role admin",
            },
        )),
    }
}

/// Whether somebody may change the node in a place, which may be quarantined.
pub(crate) fn permit_on_quarantined(
    who: &Principal,
    place: usize,
    view: &View<'_>,
) -> Result<(), Error> {
    let quarantined = view
        .nodes
        .get(place)
        .is_some_and(|node| node.flags.contains(Flags::RECORDS_LOST));
    match quarantined && !who.is_admin() {
        true => Err(denied(
            who,
            "the appliance lost records of the node, and an admin must end its maintenance",
        )),
        false => Ok(()),
    }
}

/// The error of something that an account may not do.
pub(crate) fn denied(who: &Principal, why: &str) -> Error {
    Error::new(
        Status::FORBIDDEN,
        format_args!(
            "Access was denied to account {}: {why}.",
            who.actor().account
        ),
    )
}
