//! Command lines as data: tables of commands and their arguments, a parser
//! for them, and their help texts.
//!
//! Which commands there are stands in [`crate::commands`].

mod help;
mod parse;

pub use parse::{Outcome, parse};

use crate::needs::Part;

/// A command or a subcommand.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// What it is about to do and how long that takes, printed when it starts:
    /// a sentence without its subject.
    pub plan: fn(&Given) -> &'static str,
    /// Its arguments.
    pub arguments: &'static [Argument],
    /// Commands below it. Where there are some and `optional` is false, one
    /// has to be given.
    pub subcommands: &'static [Command],
    /// Whether it does something without a subcommand.
    pub optional: bool,
    /// What has to be on the machine for it.
    pub needs: fn(&Given) -> Vec<Part>,
}

/// An argument.
#[derive(Debug)]
pub struct Argument {
    /// Its name, without dashes.
    pub name: &'static str,
    /// How it is given.
    pub form: Form,
    /// What its value may be.
    pub value: Value,
    /// What it means, in one line.
    pub about: &'static str,
}

/// How an argument is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `--name`.
    Flag,
    /// `--name VALUE` or `--name=VALUE`, at most once.
    Option,
    /// The same, and it has to be there.
    RequiredOption,
    /// The same, any number of times.
    Repeated,
    /// `--name` or `--name VALUE`; without a value, this one counts.
    OrDefault(&'static str),
    /// By its place, and it may be absent.
    Positional,
    /// By its place, and it has to be there.
    Required,
    /// All words from its place on.
    Rest,
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A flag has none.
    None,
    /// Any text; the name of what it stands for in help texts.
    Text(&'static str),
    /// A whole number within these bounds.
    Number(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words or `all`; before them, what they are in help texts.
    OneOrAll(&'static str, &'static [&'static str]),
    /// Several of these words with commas between, or `all`.
    SomeOrAll(&'static str, &'static [&'static str]),
    /// A folder of `boards/`.
    Board,
}

impl Argument {
    /// Whether it is given by its place.
    #[must_use]
    pub fn is_positional(&self) -> bool {
        matches!(self.form, Form::Positional | Form::Required | Form::Rest)
    }
}

/// A command line that was read.
#[derive(Debug, Clone)]
pub struct Given {
    /// The command and its subcommands, outermost first.
    path: Vec<&'static Command>,
    /// Names and values, in the order given. A flag's value is empty.
    values: Vec<(&'static str, String)>,
}

impl Given {
    /// The command's name.
    #[must_use]
    pub fn command(&self) -> &'static str {
        self.path.first().map_or("", |command| command.name)
    }

    /// The subcommand's name; empty where there is none.
    #[must_use]
    pub fn subcommand(&self) -> &'static str {
        self.path.get(1).map_or("", |command| command.name)
    }

    /// Command and subcommand as they were typed.
    #[must_use]
    pub fn title(&self) -> String {
        let names: Vec<_> = self.path.iter().map(|command| command.name).collect();
        names.join(" ")
    }

    /// The innermost command that was given.
    #[must_use]
    pub fn innermost(&self) -> Option<&'static Command> {
        self.path.last().copied()
    }

    /// Whether a flag or an option was given.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// An argument's value.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// An argument's value as a number. The parser has checked its bounds.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// An argument's value as a path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<std::path::PathBuf> {
        self.text(name).map(Into::into)
    }

    /// All values of an argument that may be given several times.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        debug_assert!(
            self.path
                .iter()
                .any(|command| command.arguments.iter().any(|known| known.name == name)),
            "{} has no argument {name}",
            self.title()
        );
        self.values
            .iter()
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}
