//! Accounts of operators: making, changing and deleting them.
//!
//! Who may do what is decided where requests come in, and who an account is
//! stands in the history as its name. There is always an account of the role
//! admin, once there was one.

pub mod password;

pub use crate::interface::{Account, AccountName, Role, Verifier};
pub use crate::rack::MAX_ACCOUNTS;

use crate::interface::{CommandError, Effects};
use crate::persist::record::Record;
use crate::rack::Rack;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Makes an account, or changes one. What is `None` stays as it is; a new
    /// account needs both.
    pub(crate) fn put_account(
        &mut self,
        name: &str,
        role: Option<Role>,
        verifier: Option<Verifier>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let name = AccountName::new(name).ok_or(CommandError::BadAccountName)?;
        let known = self.accounts.iter().find(|known| known.name == name);
        let account = match known {
            Some(known) => Account {
                role: role.unwrap_or(known.role),
                verifier: verifier.unwrap_or(known.verifier),
                ..*known
            },
            None => Account {
                name,
                role: role.ok_or(CommandError::IncompleteAccount)?,
                verifier: verifier.ok_or(CommandError::IncompleteAccount)?,
                place: self.free_account()?,
            },
        };
        if account.role != Role::Admin && self.is_last_admin(name) {
            return Err(CommandError::LastAdmin);
        }
        self.accounts.retain(|known| known.name != name);
        self.accounts
            .push(account)
            .map_err(|_| CommandError::AccountsFull)?;
        Record::of_account(&account).emit(out);
        Ok(())
    }

    /// Deletes an account.
    pub(crate) fn delete_account(
        &mut self,
        name: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let name = AccountName::new(name).ok_or(CommandError::NoSuchAccount)?;
        let known = self.accounts.iter().find(|known| known.name == name);
        let place = known.ok_or(CommandError::NoSuchAccount)?.place;
        if self.is_last_admin(name) {
            return Err(CommandError::LastAdmin);
        }
        self.accounts.retain(|known| known.name != name);
        Record::AccountDeleted { place }.emit(out);
        Ok(())
    }

    /// Takes the first account of the asset store: who can write the store
    /// has the appliance. One that was taken before is not taken again, so
    /// that a restart does not undo a change of the password.
    pub(crate) fn take_first_account(&mut self, verifier: Verifier, out: &mut Effects) {
        if self.store_account == Some(verifier.salt) {
            return;
        }
        // A full table has an admin who can make room.
        if self
            .put_account(AccountName::FIRST, Some(Role::Admin), Some(verifier), out)
            .is_ok()
        {
            self.store_account = Some(verifier.salt);
            let salt = verifier.salt;
            Record::StoreAccount { salt }.emit(out);
        }
    }

    fn is_last_admin(&self, name: AccountName) -> bool {
        let admin = |account: &&Account| account.role == Role::Admin;
        let mut admins = self.accounts.iter().filter(admin);
        admins.next().is_some_and(|only| only.name == name) && admins.next().is_none()
    }

    fn free_account(&self) -> Result<u8, CommandError> {
        let taken = |place: u8| self.accounts.iter().any(|known| known.place == place);
        (0..MAX_ACCOUNTS as u8)
            .find(|place| !taken(*place))
            .ok_or(CommandError::AccountsFull)
    }
}
