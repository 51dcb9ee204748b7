//! The table itself.

/// One program or data file that Farrier uses and does not build.
#[derive(Debug)]
pub(super) struct Entry {
    /// The program's name, or the absolute path of a data file.
    pub name: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// What it is for, in the text that asks for it.
    pub why: &'static str,
}

/// Where a program or a data file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Every Debian system has it, or a Rust installation brings it.
    System,
    /// A Debian 12 package of this name.
    Debian(&'static str),
    /// A component of rustup with this name.
    Component(&'static str),
    /// `cargo install` builds it.
    CargoInstall,
}

impl Entry {
    /// The package or component that brings it.
    pub fn origin(&self) -> &'static str {
        match self.source {
            Source::Debian(package) => package,
            Source::Component(component) => component,
            Source::System | Source::CargoInstall => self.name,
        }
    }
}

const fn from(name: &'static str, source: Source, why: &'static str) -> Entry {
    Entry { name, source, why }
}

const fn system(name: &'static str, why: &'static str) -> Entry {
    from(name, Source::System, why)
}

const fn debian(name: &'static str, package: &'static str, why: &'static str) -> Entry {
    from(name, Source::Debian(package), why)
}

/// Everything from outside. Programs by name, data files by path.
pub(super) const TABLE: &[Entry] = &[
    // Building.
    system("cargo", "compiles everything"),
    system("rustc", "says which targets the compiler has"),
    system("rustup", "adds the firmware's compile target"),
    from(
        "cargo-fmt",
        Source::Component("rustfmt"),
        "checks the formatting",
    ),
    from(
        "cargo-clippy",
        Source::Component("clippy"),
        "checks the code",
    ),
    debian(
        "/usr/bin/cargo",
        "cargo-web",
        "builds the firmware with its own core library",
    ),
    debian(
        "/usr/bin/rustc",
        "rustc-web",
        "builds the firmware with its own core library",
    ),
    debian(
        "/usr/lib/rustlib/src/rust/library/Cargo.toml",
        "rust-web-src",
        "source of the core library for the firmware's target",
    ),
    debian("/usr/bin/ld.lld", "lld", "links the firmware"),
    debian("cc", "gcc", "links programs and compiles the zstd library"),
    debian("c++", "g++", "compiles the fuzzer's runtime"),
    debian(
        "/usr/include/stdio.h",
        "libc6-dev",
        "links programs and compiles the zstd library",
    ),
    // Packages and images.
    debian("apt-get", "apt", "downloads Debian packages"),
    debian("apt-cache", "apt", "finds the current kernel package"),
    debian("dpkg-deb", "dpkg", "unpacks Debian packages"),
    debian("mmdebstrap", "mmdebstrap", "installs Debian into a folder"),
    debian(
        "newuidmap",
        "uidmap",
        "lets an ordinary user build an image with root's files",
    ),
    debian(
        "fakechroot",
        "fakechroot",
        "builds an image without root and without namespaces",
    ),
    debian(
        "fakeroot",
        "fakeroot",
        "builds an image without root and without namespaces",
    ),
    from(
        "cargo-mutants",
        Source::CargoInstall,
        "brings bugs into the core, for its tests to notice",
    ),
    debian("tar", "tar", "carries a root file system between steps"),
    debian("sh", "dash", "runs image steps inside a namespace"),
    debian("mke2fs", "e2fsprogs", "writes the image's root file system"),
    debian(
        "grub-mkimage",
        "grub-common",
        "makes the image's boot loaders",
    ),
    debian(
        "/usr/lib/grub/i386-pc/boot.img",
        "grub-pc-bin",
        "GRUB for BIOS",
    ),
    debian(
        "/usr/lib/grub/x86_64-efi/moddep.lst",
        "grub-efi-amd64-bin",
        "GRUB for UEFI",
    ),
    debian(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
        "checks that packages are Debian's",
    ),
    // Network boot.
    debian("/usr/lib/ipxe/undionly.kpxe", "ipxe", "iPXE for BIOS"),
    debian(
        "/usr/lib/ipxe/snponly.efi",
        "ipxe",
        "iPXE for UEFI over the firmware's driver",
    ),
    debian(
        "/boot/ipxe.efi",
        "ipxe",
        "iPXE for UEFI with its own drivers",
    ),
    // Emulation.
    debian(
        "qemu-system-x86_64",
        "qemu-system-x86",
        "emulates the servers",
    ),
    debian(
        "qemu-system-arm",
        "qemu-system-arm",
        "emulates the appliance's board",
    ),
    debian(
        "/usr/share/seabios/bios-256k.bin",
        "seabios",
        "BIOS of the emulated servers",
    ),
    debian(
        "/usr/lib/ipxe/qemu/efi-e1000.rom",
        "ipxe-qemu",
        "network ROM of the emulated servers",
    ),
    debian(
        "/usr/lib/ipxe/qemu/efi-virtio.rom",
        "ipxe-qemu",
        "network ROM of the emulated servers",
    ),
    debian(
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "ovmf",
        "UEFI of the emulated servers",
    ),
    debian(
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "ovmf",
        "UEFI variables of the emulated servers",
    ),
    debian(
        "setpriv",
        "util-linux",
        "ends emulators together with what started them",
    ),
    debian(
        "unshare",
        "util-linux",
        "gives other DHCP servers of a rack a network of their own",
    ),
    // Switches.
    debian(
        "netconfd",
        "netconfd",
        "a real NETCONF server as the switch of a rack",
    ),
    debian(
        "netconf-subsystem",
        "netconfd",
        "leads from the SSH server to the NETCONF server",
    ),
    debian(
        "sshd",
        "openssh-server",
        "a real SSH server in front of the NETCONF server",
    ),
    debian(
        "ssh-keygen",
        "openssh-client",
        "makes the host key of the switch of a rack",
    ),
    debian(
        "perl",
        "perl-base",
        "hashes the password of the switch of a rack",
    ),
    debian(
        "ovsdb-tool",
        "openvswitch-common",
        "makes the database of the real switch of a rack",
    ),
    debian(
        "ovsdb-server",
        "openvswitch-common",
        "the database of the real switch of a rack",
    ),
    debian(
        "ovs-vsctl",
        "openvswitch-switch",
        "configures the real switch of a rack",
    ),
    debian(
        "ovs-vswitchd",
        "openvswitch-switch",
        "a real switch that the frames of a rack pass through",
    ),
    debian(
        "/usr/share/openvswitch/vswitch.ovsschema",
        "openvswitch-switch",
        "describes the database of the real switch of a rack",
    ),
    // Outlets.
    debian(
        "snmpd",
        "snmpd",
        "a real SNMP agent that answers for outlets",
    ),
    // BMCs.
    debian(
        "ipmitool",
        "ipmitool",
        "an independent client that judges the BMC of the tests",
    ),
    debian(
        "ipmipower",
        "freeipmi-tools",
        "another client that judges the BMC of the tests",
    ),
    debian(
        "ipmi-chassis",
        "freeipmi-tools",
        "another client that judges the BMC of the tests",
    ),
    debian(
        "ipmi-config",
        "freeipmi-tools",
        "another client that judges the BMC of the tests",
    ),
    debian(
        "ipmi-raw",
        "freeipmi-tools",
        "another client that judges the BMC of the tests",
    ),
    debian(
        "ipmiconsole",
        "freeipmi-tools",
        "another client that judges the BMC of the tests",
    ),
    debian(
        "ipmiping",
        "freeipmi-tools",
        "another client that judges the BMC of the tests",
    ),
    debian(
        "rmcpping",
        "freeipmi-tools",
        "another client that judges the BMC of the tests",
    ),
    debian("script", "bsdutils", "gives ipmiconsole a terminal"),
    debian(
        "ipmi_sim",
        "openipmi",
        "an independent BMC that judges the client of BMCs",
    ),
    // Sizes.
    debian("git", "git", "checks out the revision to compare with"),
    // Benches.
    debian("valgrind", "valgrind", "counts instructions of programs"),
    debian(
        "dnsmasq",
        "dnsmasq-base",
        "DHCP server beside the appliance, and what it is measured against",
    ),
    debian(
        "kea-dhcp4",
        "kea-dhcp4-server",
        "DHCP server that the appliance is measured against",
    ),
    debian("ip", "iproute2", "makes networks for other DHCP servers"),
    // The stock client.
    debian("env", "coreutils", "sets the stock client's environment"),
    debian(
        "mkisofs",
        "genisoimage",
        "makes config drives of folders for the stock client",
    ),
    debian("python3", "python3", "runs the stock bare-metal client"),
    debian(
        "/usr/lib/python3.11/ensurepip/__init__.py",
        "python3-venv",
        "a folder of its own for the stock client",
    ),
];
