//! How a user builds a Debian image with root's files in it.
//!
//! mmdebstrap needs root, or user namespaces, or `fakechroot`. This module
//! says which of them there is, and where there is none, what to enable.

use std::fs;
use std::process::{Command, Stdio};

use crate::{Error, Result, tools};

/// What makes files that belong to root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageMode {
    /// This user is root.
    Root,
    /// A user namespace in which this user is root.
    Unshare,
    /// `fakechroot` and `fakeroot` intercept the calls that need root.
    Fakechroot,
}

/// What can be read of the system, so that the decision can be tested.
#[derive(Debug, Default)]
struct System {
    root: bool,
    /// A namespace with mounts can be made.
    namespaces: bool,
    fakechroot: bool,
    user: String,
    /// `/etc/subuid` and `/etc/subgid`.
    subordinate_ids: [String; 2],
    /// Settings of the kernel that are off.
    switches: Vec<&'static str>,
}

/// How this user builds a Debian image.
///
/// # Errors
/// There is no way. The text says what to enable or to install.
pub fn image_mode() -> Result<ImageMode> {
    decide(&System::read())
}

/// Settings that forbid user namespaces, and the value that allows them.
const SWITCHES: [(&str, &str, &str); 3] = [
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "user.max_user_namespaces=15000",
    ),
];

impl System {
    fn read() -> Self {
        if tools::is_root() {
            return Self {
                root: true,
                ..Self::default()
            };
        }
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let succeeds = |program: &str, words: &[&str]| {
            Command::new(program)
                .args(words)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let user = Command::new("id").arg("-un").output();
        let user = user.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            root: false,
            // AppArmor allows the namespace and forbids the mount.
            namespaces: succeeds("unshare", &["--user", "--map-root-user", "--mount", "true"]),
            fakechroot: tools::is_there("fakechroot") && tools::is_there("fakeroot"),
            user: user.unwrap_or_default(),
            subordinate_ids: [text("/etc/subuid"), text("/etc/subgid")],
            switches: SWITCHES
                .iter()
                .filter(|(file, off, _)| text(file).trim() == *off)
                .map(|(_, _, on)| *on)
                .collect(),
        }
    }

    fn has_subordinate_ids(&self) -> bool {
        self.subordinate_ids.iter().all(|table| {
            table
                .lines()
                .any(|line| line.split(':').next() == Some(self.user.as_str()))
        })
    }
}

fn decide(system: &System) -> Result<ImageMode> {
    if system.root {
        return Ok(ImageMode::Root);
    }
    if system.namespaces && system.has_subordinate_ids() {
        return Ok(ImageMode::Unshare);
    }
    if system.fakechroot {
        return Ok(ImageMode::Fakechroot);
    }
    let enable = if !system.namespaces && !system.switches.is_empty() {
        format!("sudo sysctl -w {}", system.switches.join(" "))
    } else if !system.namespaces {
        "a container or host that allows unshare(2); containers often forbid it with seccomp".into()
    } else {
        format!(
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}",
            system.user
        )
    };
    Err(Error::new(format!(
        "The Debian image needs user namespaces, which {} can't use here. Enable them with: \
         {enable}. Or build without them after: sudo apt-get install -y --no-install-recommends \
         fakechroot fakeroot",
        system.user
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> System {
        let ids = "someone:100000:65536\nfarrier:165536:65536\n".to_owned();
        System {
            namespaces: true,
            user: "farrier".into(),
            subordinate_ids: [ids.clone(), ids],
            ..System::default()
        }
    }

    #[test]
    fn root_needs_no_namespace() {
        let system = System {
            root: true,
            ..System::default()
        };
        assert_eq!(decide(&system).unwrap(), ImageMode::Root);
    }

    #[test]
    fn a_user_with_namespaces_and_subordinate_ids_uses_them() {
        assert_eq!(decide(&user()).unwrap(), ImageMode::Unshare);
    }

    #[test]
    fn fakechroot_is_used_where_namespaces_are_forbidden() {
        let system = System {
            namespaces: false,
            fakechroot: true,
            ..user()
        };
        assert_eq!(decide(&system).unwrap(), ImageMode::Fakechroot);
    }

    #[test]
    fn a_forbidding_kernel_setting_is_named_with_fakechroot_beside_it() {
        let system = System {
            namespaces: false,
            switches: vec!["kernel.unprivileged_userns_clone=1"],
            ..user()
        };
        let text = decide(&system).unwrap_err().to_string();
        assert!(text.contains("sysctl -w kernel.unprivileged_userns_clone=1"));
        assert!(text.contains("apt-get install") && text.contains("fakechroot"));
    }

    #[test]
    fn a_user_without_subordinate_ids_learns_how_to_add_them() {
        let system = System {
            user: "nobody-else".into(),
            ..user()
        };
        let text = decide(&system).unwrap_err().to_string();
        assert!(text.contains("--add-subuids") && text.contains("nobody-else"));
    }
}
