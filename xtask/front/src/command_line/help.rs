//! Help texts of a table of commands.

use std::fmt::Write as _;

use super::{Argument, Command, Form, Value};

/// Columns of a list of words.
const WIDTH: usize = 78;

/// All commands, a line each.
pub fn list_of_commands(commands: &[Command]) -> String {
    let mut text = String::from(
        "The tasks of the Farrier workspace.\n\nUsage: cargo xtask COMMAND [ARGUMENTS]\n\nCommands:\n",
    );
    lines(
        &mut text,
        commands.iter().map(|c| (c.name.to_owned(), c.about)),
    );
    text.push_str("\n`cargo xtask COMMAND --help` explains a command.\n");
    text
}

/// One command: `path` leads to it.
pub fn command_help(path: &[&Command]) -> String {
    let Some(command) = path.last() else {
        return String::new();
    };
    let names: Vec<_> = path.iter().map(|command| command.name).collect();
    let mut text = format!(
        "{}\n\nUsage: cargo xtask {}",
        command.about,
        names.join(" ")
    );
    let (positionals, options): (Vec<_>, Vec<_>) = path
        .iter()
        .flat_map(|command| command.arguments)
        .partition(|argument| argument.is_positional());
    if !command.subcommands.is_empty() {
        let word = if command.optional {
            " [COMMAND]"
        } else {
            " COMMAND"
        };
        text.push_str(word);
    }
    if !options.is_empty() {
        text.push_str(" [OPTIONS]");
    }
    let required = options.iter().filter(|a| a.form == Form::RequiredOption);
    for argument in required.chain(&positionals) {
        text.push(' ');
        text.push_str(&usage(argument));
    }
    text.push('\n');
    if !command.subcommands.is_empty() {
        text.push_str("\nCommands:\n");
        let commands = command.subcommands.iter();
        lines(&mut text, commands.map(|c| (c.name.to_owned(), c.about)));
    }
    for (head, arguments) in [("Arguments", positionals), ("Options", options)] {
        if !arguments.is_empty() {
            // Writing into a string can't fail.
            let _written = write!(text, "\n{head}:\n");
            lines(&mut text, arguments.iter().map(|a| (usage(a), a.about)));
        }
    }
    words(&mut text, path.iter().flat_map(|command| command.arguments));
    text
}

/// The words that arguments take, once for each kind of words.
fn words<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Argument>) {
    let mut listed = Vec::new();
    for argument in arguments {
        let (Value::OneOrAll(what, words) | Value::SomeOrAll(what, words)) = argument.value else {
            continue;
        };
        if listed.contains(&what) {
            continue;
        }
        listed.push(what);
        let _written = write!(text, "\n{what}:");
        let mut column = WIDTH;
        for word in words {
            let len = word.len() + 1;
            if column + len > WIDTH {
                text.push_str("\n ");
                column = 1;
            }
            let _written = write!(text, " {word}");
            column += len;
        }
        text.push('\n');
    }
}

/// `--name VALUE`, `[NAME]`, `NAME`, `[NAME …]`.
pub fn usage(argument: &Argument) -> String {
    let name = argument.name;
    let value = match argument.value {
        Value::None => String::new(),
        Value::Text(what) | Value::OneOrAll(what, _) | Value::SomeOrAll(what, _) => what.to_owned(),
        Value::Board => "NAME".to_owned(),
        Value::Number(..) => "N".to_owned(),
        Value::OneOf(words) => words.join("|"),
    };
    match argument.form {
        Form::Flag => format!("--{name}"),
        Form::Option | Form::RequiredOption => format!("--{name} {value}"),
        Form::Repeated => format!("--{name} {value} …"),
        Form::OrDefault(_) => format!("--{name} [{value}]"),
        Form::Positional => format!("[{value}]"),
        Form::Required => value,
        Form::Rest => format!("[{value} …]"),
    }
}

/// Names and what they mean, in two columns.
fn lines<'a>(text: &mut String, lines: impl Iterator<Item = (String, &'a str)> + Clone) {
    let width = lines
        .clone()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, about) in lines {
        let _written = writeln!(text, "  {name:<width$}  {about}");
    }
}
