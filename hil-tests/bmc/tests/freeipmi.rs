//! FreeIPMI (Debian package `freeipmi-tools`) judges the BMC, with both suites.
//! Skipped, with a reason, where it is absent.

mod programs;

use farrier_bmc::udp::Server;
use farrier_bmc::{Bmc, Config, Done, Machine as _, VirtualMachine};
use farrier_ipmi::command::chassis::BootDevice;
use std::net::{Ipv4Addr, SocketAddr};

const SUITES: [&str; 2] = ["17", "3"];

fn start() -> Server<VirtualMachine> {
    let bmc = Bmc::new(Config::default(), VirtualMachine::new());
    Server::start(bmc, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Runs a program of FreeIPMI, and gives what it has printed.
fn run(program: &str, server: &Server<VirtualMachine>, suite: &str, arguments: &[&str]) -> String {
    let host = server.address().to_string();
    let mut all = vec![
        "-h", &host, "-u", "farrier", "-p", "farrier", "-D", "LAN_2_0",
    ];
    all.extend(["-I", suite]);
    all.extend(arguments);
    let (success, printed) = programs::run(program, &all, &[]);
    assert!(success, "{program} {suite} {arguments:?}: {printed}");
    printed
}

#[test]
fn freeipmi_switches_the_power() {
    let needed = [
        ("ipmipower", "freeipmi-tools"),
        ("ipmi-chassis", "freeipmi-tools"),
    ];
    if !programs::are_there(&needed) {
        return;
    }
    for suite in SUITES {
        let server = start();
        let power = |verb: &str| {
            let printed = run("ipmipower", &server, suite, &[verb]);
            printed.trim().to_owned()
        };
        assert_eq!(power("--stat"), "127.0.0.1: off");
        assert_eq!(power("--on"), "127.0.0.1: ok");
        assert_eq!(power("--stat"), "127.0.0.1: on");
        assert_eq!(power("--reset"), "127.0.0.1: ok");
        assert_eq!(power("--pulse"), "127.0.0.1: ok");
        assert_eq!(power("--cycle"), "127.0.0.1: ok");
        while !server.bmc().machine.is_on() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(power("--soft"), "127.0.0.1: ok");
        assert_eq!(power("--off"), "127.0.0.1: ok");
        let device = BootDevice::Default;
        let done = [
            Done::On(device),
            Done::Reset(device),
            Done::Interrupt,
            Done::Off,
            Done::On(device),
            Done::SoftOff,
            Done::Off,
        ];
        assert_eq!(server.bmc().machine.done, done);
        run(
            "ipmi-chassis",
            &server,
            suite,
            &["--chassis-control=POWER-UP"],
        );
        let printed = run("ipmi-chassis", &server, suite, &["--get-chassis-status"]);
        for line in [
            "System Power                        : on",
            "Power control fault                 : false",
            "Last Power Event                    : power on via ipmi command",
        ] {
            assert!(printed.contains(line), "{line}: {printed}");
        }
    }
}

#[test]
fn freeipmi_sets_and_reads_boot_flags() {
    if !programs::are_there(&[("ipmi-config", "freeipmi-tools")]) {
        return;
    }
    for suite in SUITES {
        let server = start();
        let section = "Chassis_Boot_Flags";
        for (device, written) in [("PXE", 0x04), ("HARD-DRIVE", 0x08)] {
            let device = format!("--key-pair={section}:Boot_Device={device}");
            let arguments = [
                "--category=chassis",
                "--commit",
                "--key-pair=Chassis_Boot_Flags:Boot_Flags_Persistent=Yes",
                "--key-pair=Chassis_Boot_Flags:BIOS_Boot_Type=EFI",
                &device,
            ];
            run("ipmi-config", &server, suite, &arguments);
            assert_eq!(server.bmc().boot_flags()[..2], [0xe0, written]);
        }
        let arguments = [
            "--category=chassis",
            "--checkout",
            "--section=Chassis_Boot_Flags",
        ];
        let printed = run("ipmi-config", &server, suite, &arguments);
        let value = |key: &str| {
            let line = printed.lines().find(|line| line.trim().starts_with(key));
            line.and_then(|line| line.split_whitespace().nth(1))
        };
        assert_eq!(value("Boot_Device"), Some("HARD-DRIVE"), "{printed}");
        assert_eq!(value("Boot_Flags_Persistent"), Some("Yes"));
        assert_eq!(value("BIOS_Boot_Type"), Some("EFI"));
    }
}

#[test]
fn freeipmi_reads_the_log() {
    if !programs::are_there(&[("ipmi-raw", "freeipmi-tools")]) {
        return;
    }
    // ipmi-sel and ipmi-sensors keep what they read in the user's home: the
    // commands alone are asked here.
    for suite in SUITES {
        let server = start();
        server
            .bmc()
            .log
            .add(0x6000_0000, 1, 2, [1, 0x59, 0x5f, 0x5a]);
        let arguments = ["0", "0x0a", "0x43", "0", "0", "0", "0", "0", "0xff"];
        let printed = run("ipmi-raw", &server, suite, &arguments);
        let entry = "rcvd: 43 00 FF FF 01 00 02 00 00 00 60 20 00 04 01 02 01 59 5F 5A";
        assert_eq!(printed.trim(), entry);
    }
}

/// A BMC at the port of BMCs: ipmiconsole and rmcpping know no other. `None` where
/// this user may not have the port.
fn start_at_623(last: u8) -> Option<Server<VirtualMachine>> {
    let [.., a, b] = std::process::id().to_be_bytes();
    let address = SocketAddr::from((Ipv4Addr::new(127, a.max(1), b, last), 623));
    let bmc = Bmc::new(Config::default(), VirtualMachine::new());
    match Server::start(bmc, address) {
        Ok(server) => Some(server),
        Err(error) => {
            println!("skipped: {address} can't be bound: {error}");
            None
        }
    }
}

#[test]
fn freeipmi_uses_the_console() {
    let needed = [("ipmiconsole", "freeipmi-tools"), ("script", "bsdutils")];
    if !programs::are_there(&needed) {
        return;
    }
    let Some(server) = start_at_623(1) else {
        return;
    };
    for suite in SUITES {
        run_power_on(&server, suite);
        let host = server.address().ip();
        // It wants a terminal.
        let command = format!("ipmiconsole -h {host} -u farrier -p farrier -I {suite}");
        let long = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(20);
        let input = [(1500, &*long), (1000, "&B"), (500, "&.")];
        let (_, printed) = programs::run("script", &["-qec", &command, "/dev/null"], &input);
        assert!(printed.contains("[SOL established]"), "{printed}");
        assert!(printed.contains(&long), "{printed}");
        let mut bmc = server.bmc();
        assert_eq!(bmc.machine.heard, long.as_bytes());
        assert_eq!(bmc.machine.done.last(), Some(&Done::Break));
        assert!(!bmc.has_console());
        bmc.machine = VirtualMachine::new();
    }
}

fn run_power_on(server: &Server<VirtualMachine>, suite: &str) {
    let printed = run("ipmipower", server, suite, &["--on"]);
    assert!(printed.contains(": ok"), "{printed}");
}

#[test]
fn freeipmi_gets_pongs() {
    let needed = [
        ("rmcpping", "freeipmi-tools"),
        ("ipmiping", "freeipmi-tools"),
    ];
    if !programs::are_there(&needed) {
        return;
    }
    let Some(server) = start_at_623(2) else {
        return;
    };
    let host = server.address().ip().to_string();
    let (_, printed) = programs::run("rmcpping", &["-c", "1", &host], &[]);
    assert!(printed.contains("pong received"), "{printed}");
    let (_, printed) = programs::run("ipmiping", &["-c", "1", &host], &[]);
    assert!(printed.contains("response received"), "{printed}");
}
