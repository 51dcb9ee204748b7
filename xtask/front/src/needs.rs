//! What each part of the work needs on the machine, and the check that all of
//! it is there before anything is compiled.
//!
//! One table: a part of the work, and the programs and data files that it
//! takes. [`crate::tools`] knows which package brings each of them.

use crate::board_files::{self, BoardFile};
use crate::user_namespaces::{self, ImageMode};
use crate::{Error, Result, target_folder, toolchain, tools, workspace};

/// A part of the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Compiling for this machine: the tool, simulators, benches.
    Tool,
    /// Formatting and lints.
    Lints,
    /// Firmware of these boards.
    Firmware(Boards),
    /// Running the firmware of these boards.
    Emulator(Boards),
    /// Kernel, initramfs and agent.
    Ramdisk,
    /// The Debian image.
    Image,
    /// Boot programs for servers.
    Ipxe,
    /// Whole servers in QEMU.
    Servers,
    /// The stock bare-metal client.
    StockClient,
    /// Hosts of a rack that run other DHCP servers and relays.
    RackHosts,
    /// The switch of a rack that real programs manage by NETCONF.
    Netconfd,
    /// The switch of a rack that is a real one: as root only, who may run it.
    OpenVswitch,
    /// The agent that answers for outlets.
    SnmpAgent,
    /// Programs that ask BMCs, and a simulated BMC.
    Bmcs,
    /// The DHCP servers that the appliance is compared with, and the counter.
    OtherDhcpServers,
    /// Mutants.
    Mutants,
    /// The bodies of the fuzzer.
    Fuzzer,
    /// The files of another git revision.
    OtherRevision,
}

/// Boards that a part is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boards {
    /// Every folder of `boards/` with a `board.toml`.
    All,
    /// One of them.
    Named(String),
}

impl Boards {
    fn files(&self) -> Result<Vec<BoardFile>> {
        let all = board_files::all(&workspace())?;
        let Self::Named(name) = self else {
            return Ok(all);
        };
        let names: Vec<_> = all.iter().map(|board| board.name.clone()).collect();
        match all.into_iter().find(|board| board.name == *name) {
            Some(board) => Ok(vec![board]),
            None => Err(Error::new(format!(
                "board {name} does not exist; there are {}",
                names.join(", ")
            ))),
        }
    }
}

/// Programs and data files of a part, by their names in the table of outside
/// tools.
fn programs(part: &Part) -> Result<Vec<String>> {
    let fixed: &[&str] = match part {
        Part::Tool => &["cargo", "rustc", "cc", "/usr/include/stdio.h"],
        Part::Lints => &["cargo-fmt", "cargo-clippy"],
        Part::Firmware(boards) => return compilers(boards),
        Part::Emulator(boards) => {
            let boards = boards.files()?.into_iter();
            return Ok(boards
                .map(|board| board.emulator)
                .filter(|emulator| !emulator.is_empty())
                .chain(["setpriv".to_owned()])
                .collect());
        }
        Part::Ramdisk => &["apt-get", "apt-cache", "dpkg-deb", "cc"],
        Part::Image => return image(),
        Part::Ipxe => &[
            "/usr/lib/ipxe/undionly.kpxe",
            "/usr/lib/ipxe/snponly.efi",
            "/boot/ipxe.efi",
        ],
        Part::Servers => &[
            "qemu-system-x86_64",
            "/usr/share/seabios/bios-256k.bin",
            "/usr/lib/ipxe/qemu/efi-e1000.rom",
            "/usr/lib/ipxe/qemu/efi-virtio.rom",
            "/usr/share/OVMF/OVMF_CODE_4M.fd",
            "/usr/share/OVMF/OVMF_VARS_4M.fd",
            "setpriv",
        ],
        Part::StockClient => &[
            "python3",
            "/usr/lib/python3.11/ensurepip/__init__.py",
            "mkisofs",
            "env",
        ],
        Part::RackHosts => &["unshare", "ip", "dnsmasq", "qemu-system-x86_64", "setpriv"],
        Part::Netconfd => &[
            "netconfd",
            "netconf-subsystem",
            "sshd",
            "ssh-keygen",
            "perl",
            "sh",
            "unshare",
            "setpriv",
        ],
        Part::OpenVswitch if !tools::is_root() => &[],
        Part::OpenVswitch => &[
            "ovsdb-tool",
            "ovsdb-server",
            "ovs-vsctl",
            "ovs-vswitchd",
            "/usr/share/openvswitch/vswitch.ovsschema",
            "ip",
            "qemu-system-x86_64",
            "unshare",
            "setpriv",
        ],
        Part::SnmpAgent => &["snmpd", "sh"],
        Part::Bmcs => &[
            "ipmitool",
            "ipmipower",
            "ipmi-chassis",
            "ipmi-config",
            "ipmi-raw",
            "ipmiconsole",
            "ipmiping",
            "rmcpping",
            "script",
            "ipmi_sim",
        ],
        Part::OtherDhcpServers => &["valgrind", "dnsmasq", "kea-dhcp4", "ip"],
        Part::Mutants => &["cargo-mutants"],
        Part::Fuzzer => &["c++"],
        Part::OtherRevision => &["git"],
    };
    Ok(fixed.iter().map(|name| (*name).to_owned()).collect())
}

/// What the compilers for these boards are made of where they are not there.
fn compilers(boards: &Boards) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for board in boards.files()? {
        if board.target != "host" {
            let missing = toolchain::pieces(&board.target)?;
            all.extend(missing.iter().map(|name| (*name).to_owned()));
        }
    }
    Ok(all)
}

/// What the Debian image is built with, for the user who runs this.
fn image() -> Result<Vec<String>> {
    let mut all = vec![
        "mmdebstrap",
        "tar",
        "sh",
        "mke2fs",
        "grub-mkimage",
        "/usr/lib/grub/i386-pc/boot.img",
        "/usr/lib/grub/x86_64-efi/moddep.lst",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
    ];
    match user_namespaces::image_mode()? {
        ImageMode::Root => {}
        ImageMode::Unshare => all.push("newuidmap"),
        ImageMode::Fakechroot => all.extend(["fakechroot", "fakeroot"]),
    }
    Ok(all.into_iter().map(str::to_owned).collect())
}

/// Checks that everything for `parts` is on the machine. As root, what is
/// missing is installed.
///
/// # Errors
/// Something is missing and can't be installed. The text names all of it and
/// the command that installs it.
pub fn check(parts: &[Part]) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    let mut refusals: Vec<Error> = Vec::new();
    for part in parts {
        match programs(part) {
            Ok(found) => names.extend(found),
            // The packages are named all the same, so that one round is enough.
            Err(error) => refusals.push(error),
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Err(error) = tools::ensure(&names) {
        refusals.insert(0, error);
    }
    if parts.contains(&Part::Ramdisk) && !has_kernel() {
        refusals.extend(tools::ensure_package_lists().err());
    }
    refusals.dedup();
    if refusals.is_empty() {
        return Ok(());
    }
    let texts: Vec<_> = refusals.iter().map(Error::to_string).collect();
    Err(Error::new(texts.join("\n")))
}

/// Whether the ramdisk's kernel was unpacked by an earlier run.
fn has_kernel() -> bool {
    let folder = target_folder().join("ramdisk/kernel");
    folder
        .read_dir()
        .is_ok_and(|mut items| items.any(|item| item.is_ok_and(|item| item.file_name() != "work")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_of_every_part_is_in_the_table_of_tools() {
        let parts = [
            Part::Tool,
            Part::Lints,
            Part::Emulator(Boards::All),
            Part::Ramdisk,
            Part::Ipxe,
            Part::Servers,
            Part::StockClient,
            Part::RackHosts,
            Part::Netconfd,
            Part::OpenVswitch,
            Part::SnmpAgent,
            Part::Bmcs,
            Part::OtherDhcpServers,
            Part::Mutants,
            Part::Fuzzer,
            Part::OtherRevision,
        ];
        for name in parts.iter().flat_map(|part| programs(part).unwrap()) {
            assert!(tools::is_known(&name), "{name}");
        }
        for name in toolchain::DISTRIBUTION {
            assert!(tools::is_known(name), "{name}");
        }
    }

    #[test]
    fn an_unknown_board_is_refused_with_the_names_of_the_known() {
        let error = check(&[Part::Emulator(Boards::Named("toaster".into()))]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("toaster") && text.contains("linux"), "{text}");
    }
}
