//! Bodies of requests, read while they arrive.

mod account;
mod form;
mod pairs;
mod patch;
mod text;

pub(crate) use account::AccountBody;
pub(crate) use form::Form;
pub(crate) use pairs::{Full, Pairs};
pub(crate) use patch::{Operation, Patch, Value};
pub(crate) use text::Text;

use crate::Error;
use crate::drive::Drive;
use crate::resources::provision::Provision;

/// What is understood of a request's body.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and there are few requests at once"
)]
pub(crate) enum Body {
    /// Whatever comes is dropped.
    None,
    /// An object of texts, numbers and lists.
    Form(Form),
    /// A JSON patch.
    Patch(Patch),
    /// A verb with its steps and its config drive.
    Provision(Provision, Drive),
    /// An account, out of a form.
    Account(AccountBody),
}

static NO_PAIRS: Pairs = Pairs::new();

impl Body {
    /// Takes bytes of the body. There is room for that many in the config
    /// drive's piece.
    pub(crate) fn push(&mut self, input: &[u8]) -> Result<(), Error> {
        let mut input = input;
        match self {
            Self::None | Self::Account(_) => Ok(()),
            Self::Form(form) => form.push(&mut input),
            Self::Patch(patch) => patch.push(&mut input),
            Self::Provision(provision, drive) => {
                while let Some(text) = provision.push(&mut input)? {
                    drive.take(text);
                }
                Ok(())
            }
        }
    }

    /// How many bytes the next [`Body::push`] may bring.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::None | Self::Form(_) | Self::Patch(_) | Self::Account(_) => usize::MAX,
            Self::Provision(_, drive) => drive.room(),
        }
    }

    /// Whether it is a form with a list.
    pub(crate) fn has_list(&self) -> bool {
        matches!(self, Self::Form(form) if form.has_list())
    }

    /// The keys and values of a form or a patch.
    pub(crate) fn pairs(&self) -> &Pairs {
        match self {
            Self::None | Self::Provision(..) | Self::Account(_) => &NO_PAIRS,
            Self::Form(form) => form.pairs(),
            Self::Patch(patch) => patch.pairs(),
        }
    }
}
