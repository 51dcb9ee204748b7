//! OpenSSH's sshd with the subsystem `netconf` and an account of its own.
//!
//! As root it runs in a mount namespace whose `/etc/passwd` and `/etc/shadow` have
//! one account more, so that nothing of the machine is changed. Else it lets in by
//! key the one whom such an sshd can let in: the user who runs it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::super::USER;
use super::{Login, until_ready};
use crate::Tools;
use crate::namespace::quoted;
use crate::process::{Process, output};

/// Hashes what it reads, as crypt(3) does with SHA-512.
const HASH: &str = r#"my $text = <STDIN>; print crypt($text, '$6$' . $ARGV[0] . '$')"#;

/// An account.
#[derive(Debug)]
pub(super) struct User {
    pub name: String,
    /// Made anew each time: the account has root's number.
    password: Option<String>,
}

/// The account for a way of logging in.
///
/// # Errors
/// The user who runs this has no name.
pub(super) fn user(login: Login, tools: &Tools) -> Result<User> {
    if login == Login::Password && has_mount_namespace(tools)? {
        return Ok(User {
            name: USER.to_owned(),
            password: Some(random()?),
        });
    }
    let number = rustix::process::geteuid().as_raw().to_string();
    let accounts = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    let known = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&number)).then(|| name.to_owned())
    });
    let name = known.or_else(|| std::env::var("USER").ok());
    Ok(User {
        name: name.with_context(|| format!("the user {number} has no name"))?,
        password: None,
    })
}

/// Whether this user is root and may mount: a container's root may not.
fn has_mount_namespace(tools: &Tools) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        return Ok(false);
    }
    let mut command = namespace(tools)?;
    let tried = command.args(["/bin/true"]).stderr(Stdio::null()).status()?;
    Ok(tried.success())
}

/// A program in namespaces in which it may mount, and with which its children end.
fn namespace(tools: &Tools) -> Result<Command> {
    let mut command = tools("unshare")?;
    command.args(["--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "--"]);
    Ok(command)
}

/// A running sshd. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Sshd {
    _process: Process,
    user: User,
    folder: PathBuf,
    address: SocketAddr,
    fingerprint: String,
}

impl Sshd {
    /// Starts it on a TCP port of 127.0.0.1 with a new Ed25519 host key. Its
    /// subsystem leads to netconfd by this socket.
    pub fn start(
        tools: &Tools,
        folder: &Path,
        user: User,
        port: u16,
        socket: &Path,
    ) -> Result<Self> {
        let host = folder.join("host");
        output(
            tools("ssh-keygen")?
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(&host),
        )?;
        let printed = output(tools("ssh-keygen")?.arg("-lf").arg(&host))?;
        let fingerprint = printed.split(' ').nth(1);
        let fingerprint = fingerprint.context("ssh-keygen prints a fingerprint")?;
        let keys = folder.join("authorized_keys");
        File::create(&keys)?;
        let configuration = folder.join("sshd_config");
        let subsystem = PathBuf::from(tools("netconf-subsystem")?.get_program());
        let subsystem = format!(
            "{} --ncxserver-sockname={port}@{}",
            subsystem.display(),
            socket.display()
        );
        let yes = |is: bool| if is { "yes" } else { "no" };
        fs::write(
            &configuration,
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\n\
                 HostKey \"{}\"\nAuthorizedKeysFile \"{}\"\nPermitRootLogin yes\n\
                 KbdInteractiveAuthentication no\nPasswordAuthentication {}\nAllowUsers {}\n\
                 DisableForwarding yes\nPermitTTY no\nPermitUserRC no\n\
                 ForceCommand {subsystem}\nSubsystem netconf {subsystem}\n",
                host.display(),
                keys.display(),
                yes(user.password.is_some()),
                user.name,
            ),
        )?;
        let sshd = PathBuf::from(tools("sshd")?.get_program());
        let start = format!(
            "exec {} -D -e -f {}\n",
            quoted(&sshd.to_string_lossy()),
            quoted(&configuration.to_string_lossy())
        );
        let is_root = rustix::process::geteuid().is_root();
        let run = match is_root {
            // sshd wants the folder that its package's service makes.
            true => "mkdir -p /run/sshd\n",
            false => "",
        };
        let (script, mut command) = match &user.password {
            Some(password) => {
                let mounts = accounts(tools, folder, password)?;
                let mut command = namespace(tools)?;
                command.arg("/bin/sh");
                (format!("set -e\n{mounts}{run}{start}"), command)
            }
            None => (format!("set -e\n{run}{start}"), tools("sh")?),
        };
        let file = folder.join("sshd.sh");
        fs::write(&file, script)?;
        command.arg(&file);
        let log = folder.join("sshd.log");
        let errors = File::create(&log)?;
        let mut process = Process::start(tools, &command, |command| {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(errors);
        })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        until_ready(&mut process, &log, || TcpStream::connect(address).is_ok())?;
        Ok(Self {
            _process: process,
            user,
            folder: folder.to_owned(),
            address,
            fingerprint: fingerprint.to_owned(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn login(&self) -> (&str, Option<&str>) {
        (&self.user.name, self.user.password.as_deref())
    }

    pub fn authorize(&self, line: &str) -> Result<()> {
        let file = self.folder.join("authorized_keys");
        let mut file = OpenOptions::new().append(true).open(file)?;
        Ok(writeln!(file, "{}", line.trim())?)
    }

    pub fn host_key(&self) -> Result<String> {
        let line = fs::read_to_string(self.folder.join("host.pub"))?;
        Ok(line.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Writes files of accounts with one more. Returns the commands that put them in the
/// place of the machine's. The account has root's number, which reaches netconfd's
/// socket in whoever's folder it is; it may run the subsystem and nothing else.
fn accounts(tools: &Tools, folder: &Path, password: &str) -> Result<String> {
    let mut perl = tools("perl")?;
    perl.args(["-e", HASH, &random()?]);
    let mut perl = perl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = perl.stdin.take().context("no standard input")?;
    write!({ input }, "{password}")?;
    let hash = String::from_utf8(perl.wait_with_output()?.stdout)?;
    ensure!(hash.starts_with("$6$"), "perl hashes no password: `{hash}`");
    let mut known = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    known.push_str(&format!("{USER}:x:0:0::/:/bin/sh\n"));
    let mut mounts = String::new();
    for (name, text, mode) in [
        ("passwd", known, 0o644),
        (
            "shadow",
            format!("{USER}:{hash}:20000:0:99999:7:::\n"),
            0o600,
        ),
    ] {
        let file = folder.join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        let file = quoted(&file.to_string_lossy());
        mounts.push_str(&format!("mount --bind {file} /etc/{name}\n"));
    }
    Ok(mounts)
}

/// A text that nobody guesses, of 16 letters and digits.
fn random() -> Result<String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}
