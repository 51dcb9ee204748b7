//! What a machine says on its serial line: kept in a file as it came, and in
//! memory as text to search and to wait on.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A place in a console's text. Text that is waited for "after" a mark must
/// begin behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(usize);

/// The captured output of one machine, over all of its power cycles. Clones
/// share it.
#[derive(Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    file: File,
    text: String,
    /// Readers at work: pipes of a running process.
    sources: usize,
}

impl Console {
    /// A console that writes what it captures to the file `path` as well.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn new(path: &Path) -> Result<Self> {
        let file = File::create(path)
            .with_context(|| format!("creating the console log {}", path.display()))?;
        let state = Mutex::new(State {
            file,
            text: String::new(),
            sources: 0,
        });
        Ok(Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                state,
                changed: Condvar::new(),
            }),
        })
    }

    /// The file with every byte as it came, terminal sequences included.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Captures `source` on a thread of its own until it ends.
    pub(crate) fn attach(&self, mut source: impl Read + Send + 'static) {
        self.state().sources += 1;
        let console = self.clone();
        std::thread::spawn(move || {
            let mut cleaner = Cleaner::default();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                let mut clean = Vec::with_capacity(count);
                cleaner.feed(&buffer[..count], &mut clean);
                let mut state = console.state();
                // A full disk must not stop the machine; the text stays.
                state.file.write_all(&buffer[..count]).ok();
                state.text.push_str(&String::from_utf8_lossy(&clean));
                console.shared.changed.notify_all();
            }
            console.state().sources -= 1;
            console.shared.changed.notify_all();
        });
    }

    /// Everything so far, without terminal sequences and carriage returns.
    pub fn text(&self) -> String {
        self.state().text.clone()
    }

    /// The end of what is there now.
    pub fn mark(&self) -> Position {
        Position(self.state().text.len())
    }

    /// The complete lines behind `from`, and the mark behind the last.
    pub fn lines(&self, from: Position) -> (Vec<String>, Position) {
        let state = self.state();
        let rest = state.text.get(from.0..).unwrap_or_default();
        let end = rest.rfind('\n').map_or(0, |at| at + 1);
        (
            rest[..end].lines().map(str::to_owned).collect(),
            Position(from.0 + end),
        )
    }

    /// Whether `wanted` has appeared behind `from`.
    pub fn contains(&self, from: Position, wanted: &str) -> bool {
        find(&self.state().text, from, wanted).is_some()
    }

    /// Waits until `wanted` appears behind `from`. Returns the whole line
    /// that holds it, as far as it has come, and the mark behind `wanted`.
    ///
    /// # Errors
    /// It did not appear within `wait`, or the machine's line has ended
    /// without it. The error names what was missing and shows the last lines.
    pub fn wait_for(
        &self,
        from: Position,
        wanted: &str,
        wait: Duration,
    ) -> Result<(String, Position)> {
        let deadline = Instant::now() + wait;
        let mut state = self.state();
        loop {
            if let Some(at) = find(&state.text, from, wanted) {
                let begin = state.text[..at]
                    .rfind('\n')
                    .map_or(0, |newline| newline + 1);
                let end = state.text[at..]
                    .find('\n')
                    .map_or(state.text.len(), |newline| at + newline);
                return Ok((
                    state.text[begin..end].to_owned(),
                    Position(at + wanted.len()),
                ));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.sources == 0 {
                let why = if left.is_zero() {
                    format!("within {wait:?}")
                } else {
                    "before the machine's line ended".into()
                };
                bail!(
                    "{wanted:?} did not appear on the console {} {why}; the last lines:\n{}",
                    self.shared.path.display(),
                    tail(&state.text)
                );
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The last 20 lines, for error messages.
    pub fn tail(&self) -> String {
        tail(&self.state().text).to_owned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(text: &str, from: Position, wanted: &str) -> Option<usize> {
    Some(from.0 + text.get(from.0..)?.find(wanted)?)
}

fn tail(text: &str) -> &str {
    let begin = text
        .trim_end()
        .rmatch_indices('\n')
        .nth(19)
        .map_or(0, |(at, _)| at + 1);
    &text[begin..]
}

/// Drops what a terminal would not show: ANSI escape sequences, carriage
/// returns and other control characters. Firmware draws menus with them, in
/// the middle of words.
#[derive(Debug, Default)]
struct Cleaner(Escape);

#[derive(Debug, Default)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// After ESC and `[`, until a final byte.
    Control,
}

impl Cleaner {
    fn feed(&mut self, bytes: &[u8], clean: &mut Vec<u8>) {
        for &byte in bytes {
            self.0 = match (&self.0, byte) {
                (_, 0x1B) => Escape::Begun,
                (Escape::Begun, b'[') => Escape::Control,
                (Escape::Begun, _) => Escape::None,
                (Escape::Control, 0x40..=0x7E) => Escape::None,
                (Escape::Control, _) => Escape::Control,
                (Escape::None, _) => {
                    if byte >= 0x20 && byte != 0x7F || byte == b'\n' || byte == b'\t' {
                        clean.push(byte);
                    }
                    Escape::None
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console() -> (tempfile::TempDir, Console) {
        let directory = tempfile::tempdir().unwrap();
        let console = Console::new(&directory.path().join("console")).unwrap();
        (directory, console)
    }

    #[test]
    fn finds_text_that_the_firmware_drew_around() {
        let (_directory, console) = console();
        console.attach(&b"\x1b[2J\x1b[01;01Hbo\x1b[1mot\r\nnext \x1b=line\r\npartial"[..]);
        let (line, mark) = console
            .wait_for(Position::default(), "boot", Duration::from_secs(5))
            .unwrap();
        assert_eq!(line, "boot");
        assert_eq!(
            console
                .wait_for(mark, "line", Duration::from_secs(5))
                .unwrap()
                .0,
            "next line"
        );
        let (lines, mark) = console.lines(Position::default());
        assert_eq!(lines, ["boot", "next line"]);
        assert!(console.contains(mark, "partial") && !console.contains(mark, "boot"));
        assert!(
            std::fs::read(console.path())
                .unwrap()
                .starts_with(b"\x1b[2J")
        );
    }

    #[test]
    fn a_line_that_ended_is_not_waited_for() {
        let (_directory, console) = console();
        console.attach(&b"only this\n"[..]);
        let error = console
            .wait_for(Position::default(), "login:", Duration::from_secs(60))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("login:") && error.contains("ended") && error.contains("only this"),
            "{error}"
        );
    }
}
