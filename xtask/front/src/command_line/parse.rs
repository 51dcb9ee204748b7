//! Reads a command line by its table.

use super::help::{command_help, list_of_commands, usage};
use super::{Argument, Command, Form, Given, Value};
use crate::{Error, Result, board_files, workspace};

/// What a command line asks for.
#[derive(Debug)]
pub enum Outcome {
    /// This text, and nothing else.
    Help(String),
    /// A command to be carried out.
    Run(Given),
}

/// Reads `words`, the command line without the program's name.
///
/// # Errors
/// A command or an argument is unknown, or a value is missing or out of its
/// bounds. The text names the word, and what is possible in its place.
pub fn parse(commands: &'static [Command], words: &[String]) -> Result<Outcome> {
    let mut words = words.iter().map(String::as_str);
    let (command, title) = match words.next() {
        None | Some("--help" | "-h") => return Ok(Outcome::Help(list_of_commands(commands))),
        Some("help") => {
            let mut all: Vec<String> = words.map(str::to_owned).collect();
            all.push("--help".to_owned());
            return parse(commands, &all);
        }
        Some(name) => (find(commands, name, "command")?, name),
    };
    let mut given = Given {
        path: vec![command],
        values: Vec::new(),
    };
    let mut reader = Reader {
        words: words.collect(),
        next: 0,
        positionals: 0,
        title: title.to_owned(),
    };
    while let Some(word) = reader.take() {
        let command = *given.path.last().unwrap_or(&command);
        if matches!(word, "--help" | "-h") {
            return Ok(Outcome::Help(command_help(&given.path)));
        }
        if let Some(name) = word.strip_prefix("--") {
            reader.option(name, &mut given)?;
        } else if word == "-o" {
            reader.option("output", &mut given)?;
        } else if !command.subcommands.is_empty() {
            let command = find(command.subcommands, word, &reader.title)?;
            reader.title = format!("{} {word}", reader.title);
            given.path.push(command);
        } else {
            reader.positional(word, &mut given)?;
        }
    }
    let command = *given.path.last().unwrap_or(&command);
    if !command.subcommands.is_empty() && !command.optional {
        return Ok(Outcome::Help(command_help(&given.path)));
    }
    let absent = command
        .arguments
        .iter()
        .filter(|known| matches!(known.form, Form::Required | Form::RequiredOption))
        .find(|known| !given.flag(known.name));
    match absent {
        Some(absent) => Err(Error::new(format!(
            "cargo xtask {}: {} is missing; see cargo xtask {0} --help",
            reader.title,
            usage(absent)
        ))),
        None => Ok(Outcome::Run(given)),
    }
}

/// The arguments of a command and of those that it stands below.
fn all_arguments(given: &Given) -> impl Iterator<Item = &'static Argument> {
    given.path.iter().flat_map(|command| command.arguments)
}

/// An argument as it is typed, without its value.
fn named(argument: &Argument) -> String {
    let dashes = if argument.is_positional() { "" } else { "--" };
    format!("{dashes}{}", argument.name)
}

fn find(commands: &'static [Command], name: &str, what: &str) -> Result<&'static Command> {
    commands
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = commands.iter().map(|command| command.name).collect();
            Error::new(format!(
                "cargo xtask: {what} {name} does not exist; there are {}",
                names.join(", ")
            ))
        })
}

/// Goes through the words.
struct Reader<'a> {
    words: Vec<&'a str>,
    next: usize,
    /// How many arguments were given by their place.
    positionals: usize,
    /// The command, for messages.
    title: String,
}

impl<'a> Reader<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next).copied();
        self.next += 1;
        word
    }

    /// The next word, if it can be a value.
    fn value(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next).copied();
        // A negative number is a wrong value and no option.
        word.filter(|word| {
            word.strip_prefix('-').is_none_or(|rest| {
                rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit())
            })
        })?;
        self.take()
    }

    fn unknown(&self, word: &str) -> Error {
        Error::new(format!(
            "cargo xtask {}: {word} is unknown; see cargo xtask {0} --help",
            self.title
        ))
    }

    fn option(&mut self, word: &str, given: &mut Given) -> Result<()> {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let known = all_arguments(given)
            .find(|known| known.name == name && !known.is_positional())
            .ok_or_else(|| self.unknown(&format!("--{name}")))?;
        let value = match known.form {
            Form::Flag if attached.is_some() => {
                return Err(Error::new(format!(
                    "cargo xtask {}: --{name} takes no value",
                    self.title
                )));
            }
            Form::Flag => "",
            Form::OrDefault(default) => attached.or_else(|| self.value()).unwrap_or(default),
            _ => attached.or_else(|| self.value()).ok_or_else(|| {
                Error::new(format!(
                    "cargo xtask {}: --{name} needs a value",
                    self.title
                ))
            })?,
        };
        if known.form != Form::Repeated && given.values.iter().any(|(seen, _)| *seen == known.name)
        {
            return Err(Error::new(format!(
                "cargo xtask {}: --{name} is given twice",
                self.title
            )));
        }
        self.keep(known, value, given)
    }

    fn positional(&mut self, word: &str, given: &mut Given) -> Result<()> {
        let last = given.path.last().map_or(&[][..], |last| last.arguments);
        let mut places = last.iter().filter(|known| known.is_positional());
        let known = places
            .nth(self.positionals)
            .ok_or_else(|| self.unknown(word))?;
        if known.form != Form::Rest {
            self.positionals += 1;
        }
        self.keep(known, word, given)
    }

    /// Keeps a value once it is within its bounds.
    fn keep(&self, known: &'static Argument, value: &str, given: &mut Given) -> Result<()> {
        let possible = match known.value {
            Value::None | Value::Text(_) => None,
            Value::Number(least, most) => {
                let number = value.parse::<u64>();
                let fits = number.is_ok_and(|number| (least..=most).contains(&number));
                (!fits).then(|| match most {
                    u64::MAX => format!("a whole number from {least} on"),
                    most => format!("a whole number from {least} to {most}"),
                })
            }
            Value::OneOf(words) => {
                (!words.contains(&value)).then(|| format!("one of {}", words.join(", ")))
            }
            Value::OneOrAll(_, words) => (value != "all" && !words.contains(&value))
                .then(|| format!("one of {}, or all", words.join(", "))),
            Value::SomeOrAll(_, words) => {
                let mut given = value.split(',');
                (value != "all" && given.any(|word| !words.contains(&word)))
                    .then(|| format!("all, or with commas between some of {}", words.join(", ")))
            }
            Value::Board => {
                let boards = board_files::all(&workspace())?;
                let names: Vec<_> = boards.iter().map(|board| &*board.name).collect();
                (!names.contains(&value)).then(|| format!("one of {}", names.join(", ")))
            }
        };
        if let Some(possible) = possible {
            return Err(Error::new(format!(
                "cargo xtask {}: {} takes {possible}, not {value:?}",
                self.title,
                named(known)
            )));
        }
        given.values.push((known.name, value.to_owned()));
        Ok(())
    }
}
