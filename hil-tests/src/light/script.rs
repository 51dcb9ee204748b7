//! iPXE's script language, as far as the appliance's scripts use it: an
//! unknown command or a variable that is not there is an error, so that a
//! script which real iPXE would stumble over does not pass here.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// Commands that one script may run; a script in a circle ends.
const MAX_COMMANDS: usize = 10_000;

/// What a script does outside of itself.
pub(super) trait Host {
    /// Loads a file.
    fn fetch(&mut self, url: &str) -> Result<Vec<u8>>;
    /// Gets an address.
    fn dhcp(&mut self) -> Result<()>;
    /// Waits.
    fn sleep(&mut self, seconds: u64) -> Result<()>;
    /// Prints a line.
    fn say(&mut self, line: &str);
    /// A setting that the program itself has.
    fn setting(&self, name: &str) -> Option<String>;
    /// Whether the machine was interrupted: then nothing goes on.
    fn is_interrupted(&self) -> bool;
}

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What a kernel is started with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Start {
    pub kernel: Vec<u8>,
    pub command_line: String,
    pub ramdisks: Vec<Image>,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// A kernel starts.
    Boot(Start),
    /// The disk with this number of the BIOS starts.
    LocalDisk(u8),
    /// The machine restarts.
    Reboot,
    /// The program ends, with this status; the firmware goes on.
    Exit(i32),
}

/// Runs a script.
///
/// # Errors
/// A command failed and nothing in the script caught it.
pub(super) fn run(host: &mut dyn Host, text: &str) -> Result<End> {
    let mut interpreter = Interpreter {
        host,
        settings: HashMap::new(),
        start: None,
        images: Vec::new(),
        commands: 0,
    };
    interpreter.script(text, 0)
}

struct Interpreter<'h> {
    host: &'h mut dyn Host,
    settings: HashMap<String, String>,
    /// The kernel's bytes and command line.
    start: Option<(Vec<u8>, String)>,
    images: Vec<Image>,
    commands: usize,
}

/// What a command leads to.
enum Flow {
    Next,
    Goto(String),
    End(End),
}

impl Interpreter<'_> {
    fn script(&mut self, text: &str, depth: u8) -> Result<End> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        ensure!(
            lines.first().is_some_and(|line| line.starts_with("#!ipxe")),
            "this is no iPXE script: {:?}",
            lines.first()
        );
        ensure!(depth < 4, "scripts that chain each other");
        let mut at = 1;
        while let Some(line) = lines.get(at) {
            at += 1;
            if line.is_empty() || line.starts_with('#') || line.starts_with(':') {
                continue;
            }
            match self.line(line, depth)? {
                Flow::Next => {}
                Flow::End(end) => return Ok(end),
                Flow::Goto(label) => {
                    let wanted = format!(":{label}");
                    at = lines
                        .iter()
                        .position(|line| *line == wanted)
                        .with_context(|| format!("there is no label {label}"))?;
                }
            }
        }
        Ok(End::Exit(0))
    }

    /// Commands with `||` and `&&` between them: each runs if the last one
    /// that ran failed, or succeeded.
    fn line(&mut self, line: &str, depth: u8) -> Result<Flow> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let mut rest = words.as_slice();
        let mut last = Ok(());
        let mut runs = true;
        loop {
            let end = rest.iter().position(|word| matches!(*word, "||" | "&&"));
            let (command, after) = rest.split_at(end.unwrap_or(rest.len()));
            if runs {
                match self.command(command, depth) {
                    Ok(Flow::Next) => last = Ok(()),
                    Ok(flow) => return Ok(flow),
                    Err(error) if self.host.is_interrupted() => return Err(error),
                    Err(error) => last = Err(error.context(command.join(" "))),
                }
            }
            let Some((joint, after)) = after.split_first() else {
                return last.map(|()| Flow::Next);
            };
            runs = last.is_err() == (*joint == "||");
            rest = after;
        }
    }

    fn command(&mut self, words: &[&str], depth: u8) -> Result<Flow> {
        self.commands += 1;
        ensure!(self.commands < MAX_COMMANDS, "the script does not end");
        let words: Vec<String> = words
            .iter()
            .map(|word| self.expand(word))
            .collect::<Result<_>>()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => {}
            ["set", name, value @ ..] => {
                let name = name.split(':').next().unwrap_or(name);
                self.settings.insert((*name).to_owned(), value.join(" "));
            }
            ["inc", name] => {
                let value: i64 = self.setting(name)?.parse()?;
                self.settings
                    .insert((*name).to_owned(), (value + 1).to_string());
            }
            ["iseq", one, other] => ensure!(one == other, "they differ"),
            ["isset", value @ ..] => ensure!(!value.is_empty(), "it is not set"),
            ["echo", words @ ..] => self.host.say(&words.join(" ")),
            ["sleep", seconds] => self.host.sleep(seconds.parse()?)?,
            ["dhcp"] => self.host.dhcp()?,
            ["imgfree"] => {
                self.images.clear();
                self.start = None;
            }
            ["kernel", url, arguments @ ..] => {
                let bytes = self.host.fetch(url)?;
                self.start = Some((bytes, arguments.join(" ")));
            }
            ["initrd", url] => {
                let bytes = self.host.fetch(url)?;
                let name = url.rsplit('/').next().unwrap_or(url).to_owned();
                self.images.push(Image { name, bytes });
            }
            ["boot"] => {
                let (kernel, command_line) = self.start.take().context("no kernel")?;
                return Ok(Flow::End(End::Boot(Start {
                    kernel,
                    command_line,
                    ramdisks: std::mem::take(&mut self.images),
                })));
            }
            ["chain", url] => {
                let text = self.host.fetch(url)?;
                let text = String::from_utf8(text).context("a script is text")?;
                match self.script(&text, depth + 1)? {
                    End::Exit(0) => {}
                    End::Exit(status) => bail!("the chained script ended with {status}"),
                    end => return Ok(Flow::End(end)),
                }
            }
            ["goto", label] => return Ok(Flow::Goto((*label).to_owned())),
            ["reboot"] => return Ok(Flow::End(End::Reboot)),
            ["exit"] => return Ok(Flow::End(End::Exit(0))),
            ["exit", status] => return Ok(Flow::End(End::Exit(status.parse()?))),
            ["sanboot", "--no-describe", "--drive", drive] => {
                let digits = drive.trim_start_matches("0x");
                return Ok(Flow::End(End::LocalDisk(u8::from_str_radix(digits, 16)?)));
            }
            _ => bail!("unknown command or arguments"),
        }
        Ok(Flow::Next)
    }

    fn setting(&self, name: &str) -> Result<String> {
        self.settings
            .get(name)
            .cloned()
            .or_else(|| self.host.setting(name))
            .with_context(|| format!("there is no setting {name}"))
    }

    fn expand(&self, word: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').context("a ${ without }")?;
            out.push_str(before);
            out.push_str(&self.setting(name)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fake {
        files: HashMap<String, Vec<u8>>,
        fails: usize,
        slept: Vec<u64>,
        uefi: bool,
    }

    impl Host for Fake {
        fn fetch(&mut self, url: &str) -> Result<Vec<u8>> {
            if self.fails > 0 {
                self.fails -= 1;
                bail!("not now");
            }
            self.files.get(url).cloned().context("no such file")
        }
        fn dhcp(&mut self) -> Result<()> {
            Ok(())
        }
        fn sleep(&mut self, seconds: u64) -> Result<()> {
            self.slept.push(seconds);
            Ok(())
        }
        fn say(&mut self, _line: &str) {}
        fn setting(&self, name: &str) -> Option<String> {
            let platform = if self.uefi { "efi" } else { "pcbios" };
            (name == "platform").then(|| platform.to_owned())
        }
        fn is_interrupted(&self) -> bool {
            false
        }
    }

    const LOCAL: &str = "#!ipxe\niseq ${platform} efi && exit 1 ||\n\
                         sanboot --no-describe --drive 0x80 || exit\n";

    const BOOT: &str = "#!ipxe\nset base http://10.0.0.1\nset try:int32 0\n:again\nimgfree\n\
        kernel ${base}/k initrd=r a=b || goto failed\ninitrd ${base}/r || goto failed\n\
        boot || goto failed\n:failed\ninc try\niseq ${try} 3 && reboot ||\n\
        echo try ${try}\nsleep ${try}\ngoto again\n";

    fn with_files() -> Fake {
        let file = |name: &str| (format!("http://10.0.0.1/{name}"), name.as_bytes().to_vec());
        Fake {
            files: [file("k"), file("r")].into(),
            ..Fake::default()
        }
    }

    #[test]
    fn local_boot_depends_on_the_firmware() {
        assert_eq!(
            run(&mut Fake::default(), LOCAL).unwrap(),
            End::LocalDisk(0x80)
        );
        let mut uefi = Fake {
            uefi: true,
            ..Fake::default()
        };
        assert_eq!(run(&mut uefi, LOCAL).unwrap(), End::Exit(1));
    }

    #[test]
    fn a_failed_file_is_asked_for_again_later() {
        let mut host = Fake {
            fails: 2,
            ..with_files()
        };
        let End::Boot(start) = run(&mut host, BOOT).unwrap() else {
            panic!("no boot");
        };
        assert_eq!(start.command_line, "initrd=r a=b");
        assert_eq!(start.kernel, b"k");
        assert_eq!(start.ramdisks.len(), 1);
        assert_eq!(host.slept, [1, 2]);
    }

    #[test]
    fn too_many_failures_restart_the_machine() {
        let mut host = Fake {
            fails: 99,
            ..with_files()
        };
        assert_eq!(run(&mut host, BOOT).unwrap(), End::Reboot);
    }

    #[test]
    fn what_ipxe_does_not_know_is_an_error() {
        for bad in [
            "frobnicate",
            "echo ${nothing}",
            "goto nowhere",
            "kernel http://10.0.0.1/x",
        ] {
            let script = format!("#!ipxe\n{bad}\n");
            assert!(run(&mut with_files(), &script).is_err(), "{bad}");
        }
        assert!(run(&mut with_files(), "echo no magic").is_err());
    }
}
