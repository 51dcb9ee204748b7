//! The front's table of outside tools, in the form that library crates take.

use std::process::Command;
use std::sync::Arc;

use anyhow::Result;

pub use xtask::tools::{command, ensure, is_root};

/// Finds programs for the library crates, which do not know the table.
pub type Tools = Arc<dyn Fn(&str) -> Result<Command> + Send + Sync>;

/// [`command`] as a value.
pub fn as_fn() -> Tools {
    Arc::new(|name| Ok(command(name)?))
}
