//! Which board a build is for.

use crate::description::{Board, Error};

/// Environment variable with the name of the board that a build is for.
pub const BOARD: &str = "FARRIER_BOARD";

/// Environment variable with the path of an overlay: a file whose values
/// replace those of `board.toml`. For benches, not for what ships.
pub const OVERLAY: &str = "FARRIER_BOARD_OVERLAY";

/// What `board.target` says where the program is a process of the host.
pub const HOST: &str = "host";

/// What a build compiles for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The target triple.
    pub triple: String,
    /// The program runs on an operating system.
    pub hosted: bool,
}

/// Selects the board called `wanted`. Without a name, selects the one board
/// with the build's target triple; the one board of [`HOST`] where there is
/// an operating system.
///
/// # Errors
/// [`Error::Selection`]: there is none, or there are several.
pub fn select(boards: Vec<Board>, wanted: Option<&str>, target: &Target) -> Result<Board, Error> {
    let names: Vec<String> = boards.iter().map(|b| b.board.name.clone()).collect();
    let is_wanted = |board: &Board| match wanted {
        Some(name) => board.board.name == name,
        None => {
            let own = &board.board.target;
            *own == target.triple || own == HOST && target.hosted
        }
    };
    let mut fitting: Vec<Board> = boards.into_iter().filter(is_wanted).collect();
    let what = match wanted {
        Some(name) => format!("is called {name}"),
        None => format!("is for {}", target.triple),
    };
    match (fitting.pop(), fitting.is_empty()) {
        (Some(board), true) => Ok(board),
        (Some(_), false) => Err(Error::Selection(format!(
            "more than one board {what}: set {BOARD} to one of {}",
            names.join(", ")
        ))),
        (None, _) => Err(Error::Selection(format!(
            "no board {what}: set {BOARD} to one of {}",
            names.join(", ")
        ))),
    }
}
