//! ipmitool (Debian package `ipmitool`) judges the BMC, with both suites. Skipped,
//! with a reason, where it is absent.

mod programs;

use farrier_bmc::udp::Server;
use farrier_bmc::{Bmc, Config, Done, Machine as _, User, VirtualMachine};
use farrier_ipmi::Privilege;
use farrier_ipmi::command::chassis::{BootDevice, BootFlags};
use farrier_ipmi::command::device::GuidOrder;

const PROGRAMS: [(&str, &str); 1] = [("ipmitool", "ipmitool")];
const SUITES: [&str; 2] = ["17", "3"];
const PASSWORD: &str = "twenty letters, pass";
const UUID: [u8; 16] = *b"\x4c\x4c\x45\x44\x00\x35\x51\x10\x80\x42\xb6\xc0\x4f\x4d\x35\x33";

fn start(config: Config) -> Server<VirtualMachine> {
    let bmc = Bmc::new(config, VirtualMachine::new());
    Server::start(bmc, "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn config() -> Config {
    Config {
        users: vec![
            User::new("sixteen_letters_", PASSWORD, Privilege::Administrator),
            User::new("op", "op", Privilege::Operator),
        ],
        ..Config::default()
    }
}

/// Runs ipmitool as this user, password and whatever else comes before the command.
fn run_as(
    server: &Server<VirtualMachine>,
    options: &[&str],
    command: &str,
    input: &[(u64, &str)],
) -> (bool, String) {
    let port = server.address().port().to_string();
    let mut arguments = vec!["-I", "lanplus", "-H", "127.0.0.1", "-p", &port];
    arguments.extend(options);
    arguments.extend(command.split(' '));
    programs::run("ipmitool", &arguments, input)
}

/// Runs ipmitool as the administrator, and gives what it has printed.
fn run(server: &Server<VirtualMachine>, suite: &str, command: &str) -> String {
    let options = ["-C", suite, "-U", "sixteen_letters_", "-P", PASSWORD];
    let (success, printed) = run_as(server, &options, command, &[]);
    assert!(success, "{suite} {command}: {printed}");
    printed
}

#[test]
fn ipmitool_switches_the_power() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    for suite in SUITES {
        let server = start(config());
        let power = |verb: &str| run(&server, suite, &format!("chassis power {verb}"));
        assert_eq!(power("status").trim(), "Chassis Power is off");
        power("on");
        assert_eq!(power("status").trim(), "Chassis Power is on");
        power("reset");
        power("diag");
        power("cycle");
        assert_eq!(power("status").trim(), "Chassis Power is off");
        while !server.bmc().machine.is_on() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        power("soft");
        power("off");
        assert_eq!(power("status").trim(), "Chassis Power is off");
        let status = run(&server, suite, "chassis status");
        assert!(
            status.contains("Last Power Event     : command"),
            "{status}"
        );
        assert!(
            status.contains("Power Restore Policy : previous"),
            "{status}"
        );
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
        assert_eq!(server.bmc().open_sessions(), 0, "all are closed");
    }
}

#[test]
fn ipmitool_sets_and_reads_boot_flags() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    for suite in SUITES {
        let server = start(config());
        for (name, options, device, says) in [
            ("pxe", "persistent,efiboot", BootDevice::Pxe, "Force PXE"),
            (
                "disk",
                "persistent,efiboot",
                BootDevice::Disk,
                "Force Boot from default Hard-Drive",
            ),
            (
                "bios",
                "efiboot",
                BootDevice::Setup,
                "Force Boot into BIOS Setup",
            ),
        ] {
            let persistent = options.starts_with("persistent");
            run(
                &server,
                suite,
                &format!("chassis bootdev {name} options={options}"),
            );
            let printed = run(&server, suite, "chassis bootparam get 5");
            let lasts = match persistent {
                true => "Options apply to all future boots",
                false => "Options apply to only next boot",
            };
            for text in [says, lasts, "Boot Flag Valid", "BIOS EFI boot"] {
                assert!(printed.contains(text), "{text}: {printed}");
            }
            run(&server, suite, "chassis power on");
            let flags = BootFlags {
                valid: true,
                persistent,
                uefi: true,
                device,
            };
            assert_eq!(server.bmc().machine.booted, Some(flags));
            let printed = run(&server, suite, "chassis bootparam get 5");
            assert_eq!(printed.contains("Boot Flag Valid"), persistent, "{printed}");
            run(&server, suite, "chassis power off");
        }
    }
}

#[test]
fn ipmitool_reads_guids_logs_and_sensors() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    let uuid = "4c4c4544-0035-5110-8042-b6c04f4d3533";
    for (suite, order, encoding) in [
        ("17", GuidOrder::Smbios, "smbios"),
        ("3", GuidOrder::Ipmi, "ipmi"),
        ("17", GuidOrder::Rfc9562, "rfc"),
    ] {
        let server = start(config().uuid(UUID, order));
        let printed = run(&server, suite, &format!("mc guid {encoding}"));
        assert!(printed.contains(uuid), "{printed}");
        let printed = run(&server, suite, "mc info");
        assert!(
            printed.contains("IPMI Version              : 2.0"),
            "{printed}"
        );
        run(&server, suite, "chassis power on");
        let printed = run(&server, suite, "sel list");
        assert!(printed.contains("S0/G0: working"), "{printed}");
        let printed = run(&server, suite, "sel clear");
        assert!(printed.contains("Clearing SEL"), "{printed}");
        let printed = run(&server, suite, "sdr list");
        for line in [
            "CPU1 Temp        | 54 degrees C      | ok",
            "Fan1             | 8400 RPM          | ok",
            "Pwr Consumption  | 217 Watts         | ok",
            "12V              | 11.98 Volts       | ok",
        ] {
            assert!(printed.contains(line), "{line}: {printed}");
        }
        let printed = run(&server, suite, "sensor list");
        let cpu = printed.lines().find(|line| line.starts_with("CPU1 Temp"));
        let fields: Vec<&str> = cpu.unwrap().split('|').map(str::trim).collect();
        let expected = [
            "54.000",
            "degrees C",
            "ok",
            "na",
            "na",
            "na",
            "90.000",
            "98.000",
        ];
        assert_eq!(fields[1..9], expected);
    }
}

#[test]
fn ipmitool_uses_the_console() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    for suite in SUITES {
        let server = start(config());
        run(&server, suite, "chassis power on");
        let options = ["-C", suite, "-U", "op", "-P", "op", "-L", "OPERATOR"];
        let long = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(20);
        let input = [
            (1500, &*long),
            (1000, "~"),
            (300, "B"),
            (500, "\r~"),
            (300, "."),
        ];
        let (_, printed) = run_as(&server, &options, "sol activate", &input);
        assert!(printed.contains(&long), "{printed}");
        let bmc = server.bmc();
        assert!(bmc.machine.heard.starts_with(long.as_bytes()));
        assert!(!bmc.has_console());
    }
}

#[test]
fn ipmitool_is_refused_what_is_not_allowed() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    let mut config = config();
    config.kg = Some(*b"key of the BMC, long");
    let server = start(config);
    let admin = ["-U", "sixteen_letters_", "-P", PASSWORD];
    let try_with = |options: &[&str], command: &str| {
        let all = [&["-R", "1", "-N", "1"], options].concat();
        run_as(&server, &all, command, &[]).0
    };
    let kg = ["-k", "key of the BMC, long"];
    assert!(try_with(
        &[&admin[..], &kg, &["-C", "17"]].concat(),
        "power status"
    ));
    assert!(try_with(
        &[&admin[..], &kg, &["-C", "3"]].concat(),
        "power status"
    ));
    assert!(
        try_with(&[&admin[..], &kg].concat(), "power status"),
        "the best suite"
    );
    assert!(
        !try_with(&[&admin[..], &["-C", "17"]].concat(), "power status"),
        "Kg"
    );
    for suite in ["0", "1", "2", "6", "7", "8", "15", "16"] {
        let options = [&admin[..], &kg, &["-C", suite]].concat();
        assert!(!try_with(&options, "power status"), "suite {suite}");
    }
    let wrong = ["-U", "sixteen_letters_", "-P", "wrong", "-C", "17"];
    assert!(!try_with(&[&wrong[..], &kg].concat(), "power status"));
    let nobody = ["-U", "nobody", "-P", PASSWORD, "-C", "17"];
    assert!(!try_with(&[&nobody[..], &kg].concat(), "power status"));
    let operator = |level| [&["-U", "op", "-P", "op", "-C", "17", "-L", level], &kg[..]].concat();
    assert!(try_with(&operator("OPERATOR"), "power on"));
    assert!(try_with(&operator("USER"), "power status"));
    assert!(!try_with(&operator("USER"), "power off"));
    assert!(!try_with(&operator("ADMINISTRATOR"), "power status"));
    assert!(server.bmc().machine.is_on());
}
