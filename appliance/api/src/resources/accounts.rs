//! `/farrier/v1/accounts`: the accounts of operators. No reply shows a
//! password, or what it is checked with.

use crate::access::{Needs, denied};
use crate::body::Body;
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use farrier_core::accounts::{Account, AccountName, Role};
use farrier_core::interface::Command;
use farrier_http::Method;

const ONE: &str = "/farrier/v1/accounts/{account}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/accounts", list).needs(Needs::Admin),
    Route::read(ONE, show).needs(Needs::Own).check(check),
    Route::change(Method::Put, ONE, put)
        .needs(Needs::Own)
        .of("account")
        .takes(Takes::Form(&["role", "password"]))
        .hashes(),
    Route::change(Method::Delete, ONE, delete).of("account"),
];

fn named<'a>(view: &View<'a>, call: &Call) -> Option<&'a Account> {
    view.account(AccountName::new(call.last())?)
}

fn check(view: &View<'_>, call: &Call) -> Result<(), Error> {
    match named(view, call) {
        Some(_) => Ok(()),
        None => Err(Error::not_found("Account", call.last(), ONE)),
    }
}

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let accounts = ask.view.accounts;
    reply::list(at, w, "accounts", |n| accounts.get(n), one);
}

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    match named(&ask.view, ask.call) {
        Some(account) => one(account, w),
        // It was deleted meanwhile.
        None => _ = w.null(),
    }
}

fn one(account: &Account, w: &mut Out<'_>) {
    w.object().key("name").string(account.name.as_str());
    w.key("role").string(account.role.as_str()).end_object();
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let Body::Account(account) = body else {
        return Err(Error::bad("the body is not read yet. Send it again."));
    };
    let role = match account.role {
        // Whoever changes its own password can't raise itself.
        Some(_) if !call.who.is_admin() => {
            return Err(denied(&call.who, "only the role admin may change a role"));
        }
        Some(Role::Reader | Role::Member) if call.who.is_first_contact() => {
            return Err(Error::bad(
                "the first account has the role admin. Send that role, or none.",
            ));
        }
        None if call.who.is_first_contact() => Some(Role::Admin),
        role => role,
    };
    Ok(Command::PutAccount {
        name: call.last(),
        role,
        verifier: account.verifier,
    })
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::DeleteAccount { name: call.last() })
}
