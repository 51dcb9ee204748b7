//! The one table of commands: names, arguments, help, and what each needs on
//! the machine.

use crate::command_line::{Argument, Command, Form, Given, Value};
use crate::fuzz;
use crate::needs::{Boards, Part};
use crate::simulator;

/// The board whose firmware runs where none is named.
pub const DEFAULT_BOARD: &str = "mps2-an500";

const FILE: Value = Value::Text("FILE");
const NAME: Value = Value::Text("NAME");
const KINDS: Value = Value::SomeOrAll("KINDS", simulator::FAULTS);

const REPORT: Argument = Argument {
    name: "report",
    form: Form::Option,
    value: Value::Text("FILE.json"),
    about: "write every figure to this file, as JSON",
};
const BOARD: Argument = option(
    "board",
    Value::Board,
    "the appliance's board: a folder of boards/; default: mps2-an500",
);
const JOBS: Argument = option(
    "jobs",
    Value::Number(1, 16),
    "scenarios at a time; default: as many as the machine has cores, at most 2",
);

const fn flag(name: &'static str, about: &'static str) -> Argument {
    Argument {
        name,
        form: Form::Flag,
        value: Value::None,
        about,
    }
}

const fn option(name: &'static str, value: Value, about: &'static str) -> Argument {
    Argument {
        name,
        form: Form::Option,
        value,
        about,
    }
}

const fn argument(name: &'static str, form: Form, value: Value, about: &'static str) -> Argument {
    Argument {
        name,
        form,
        value,
        about,
    }
}

/// Whole numbers without an upper bound.
const ANY: Value = Value::Number(0, u64::MAX);
const POSITIVE: Value = Value::Number(1, u64::MAX);

/// All commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "demo",
        about: "Run the main job in a virtual rack: boot, inspect, clean, deploy, release",
        plan: |_| "builds firmware, ramdisk and a Debian image, then runs the main job on servers in QEMU (about 20 minutes on two cores the first time)",
        arguments: &[
            flag(
                "headless",
                "plain lines instead of bars, also on a terminal",
            ),
            option(
                "servers",
                Value::Number(1, 48),
                "how many servers, BIOS and UEFI in turn; default: 2",
            ),
            flag(
                "keep-running",
                "leave the rack up, with the appliance's API on localhost, until Ctrl-C",
            ),
            BOARD,
            REPORT,
        ],
        subcommands: &[],
        optional: false,
        needs: |given| {
            let board = board_of(given);
            let mut parts = vec![Part::Tool, Part::Firmware(board.clone())];
            parts.extend([
                Part::Ramdisk,
                Part::Image,
                Part::Servers,
                Part::Emulator(board),
            ]);
            parts
        },
    },
    Command {
        name: "test",
        about: "Run everything that CI runs, or a part of it",
        plan: |_| "checks formatting and lints, runs tests and simulations, builds all firmware, then runs every scenario in its cheapest form and a few with whole servers (about 30 minutes on two cores)",
        arguments: &[JOBS],
        subcommands: TESTS,
        optional: true,
        needs: |_| [fast(), whole_servers(&Boards::All)].concat(),
    },
    Command {
        name: "image",
        about: "Build, sign and look at images",
        plan: |_| "",
        arguments: &[],
        subcommands: IMAGES,
        optional: false,
        needs: |_| vec![Part::Tool],
    },
    Command {
        name: "bench",
        about: "Count instructions of a DHCP exchange, a TFTP block, a hostile frame, a flip",
        plan: |_| "builds firmware and bench clients, then counts instructions (about an hour for all)",
        arguments: &[
            argument(
                "name",
                Form::Positional,
                Value::OneOf(&["dhcp", "tftp", "hostile", "flip"]),
                "one bench; default: all",
            ),
            option(
                "storms",
                ANY,
                "random requests that DHCP's lease table takes first; default: 10,000,000",
            ),
            flag(
                "host-only",
                "only what is counted on the host, without an emulated board",
            ),
            flag("board-only", "only what is counted on the emulated board"),
            REPORT,
        ],
        subcommands: &[],
        optional: false,
        needs: |given| {
            let mut parts = vec![Part::Tool];
            if given.text("name").is_none_or(|name| name == "dhcp") && !given.flag("board-only") {
                parts.push(Part::OtherDhcpServers);
            }
            if !given.flag("host-only") {
                let board = Boards::Named(DEFAULT_BOARD.to_owned());
                parts.extend([
                    Part::Firmware(board.clone()),
                    Part::Emulator(board),
                    Part::Ipxe,
                ]);
            }
            parts
        },
    },
    Command {
        name: "sim",
        about: "Simulate racks in virtual time, with faults and invariants; an event is what reaches a rack, a machine or a switch",
        plan: |given| {
            if given.flag("prove") {
                "builds the simulator with one known bug after the other and runs the scenario of each"
            } else if given.flag("list") {
                "builds the simulator with optimisation, then lists its scenarios"
            } else if given.flag("scenario") {
                "builds the simulator with optimisation, then runs scenarios"
            } else {
                "builds the simulator with optimisation, then runs racks in virtual time"
            }
        },
        arguments: &[
            option("seed", ANY, "the first seed; default: a fresh one"),
            option(
                "seeds",
                POSITIVE,
                "how many racks, each with a seed of its own; default: 1",
            ),
            option(
                "nodes",
                Value::Number(1, 48),
                "servers of each rack; default: 48",
            ),
            option(
                "hours",
                POSITIVE,
                "hours of virtual time, four hours without faults follow; default: 24",
            ),
            option("threads", POSITIVE, "racks at a time"),
            option(
                "without",
                KINDS,
                "kinds of faults that are left out, with commas between; or `all`",
            ),
            option("only", KINDS, "the only kinds of faults that are injected"),
            option(
                "switches",
                Value::OneOf(&["yes", "no"]),
                "whether racks have switches whose ports are moved; default: one of five, by the seed",
            ),
            flag(
                "busy",
                "tenants stay for minutes, and operators and faults of switches come as often",
            ),
            option(
                "hostile-frames",
                POSITIVE,
                "frames of hostile machines, over as many seeds as that takes; default: a few in an hour",
            ),
            option(
                "seed-file",
                FILE,
                "seeds to run before the others, one per line",
            ),
            REPORT,
            flag("trace", "print what happens; one seed"),
            option(
                "scenario",
                Value::OneOrAll("SCENARIO", simulator::SCENARIOS),
                "run one scenario, or `all`",
            ),
            flag("list", "list the scenarios"),
            argument(
                "prove",
                Form::OrDefault("all"),
                Value::OneOrAll("BUG", simulator::BUGS),
                "build the simulator with each known bug, or with one, and show that its scenario fails",
            ),
        ],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool],
    },
    Command {
        name: "mutants",
        about: "Bring small bugs into the core and count those that tests and simulation notice",
        plan: |_| "builds and tests thousands of mutants (hours)",
        arguments: &[
            REPORT,
            argument(
                "file",
                Form::Repeated,
                Value::Text("GLOB"),
                "only files that match, as `**/lease.rs`",
            ),
            flag(
                "resume",
                "continue the run before: new mutants are tested, and missed ones again",
            ),
            option(
                "jobs",
                Value::Number(1, 64),
                "mutants at a time; default: 2",
            ),
            flag(
                "tests-only",
                "without the simulator: only what the crates' own tests catch",
            ),
        ],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool, Part::Mutants],
    },
    Command {
        name: "powercut",
        about: "Cut the power at every flash operation of a rack's workload",
        plan: |_| "runs the workload on simulated flash and checks each cut",
        arguments: &[
            option(
                "seed",
                ANY,
                "seed of the first workload, the others follow; default: the time",
            ),
            option("points", POSITIVE, "cut points; default: 20,000"),
            REPORT,
        ],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool],
    },
    Command {
        name: "fuzz",
        about: "Look for bytes that break a parser, or a rack in work",
        plan: |given| {
            if given.flag("input") {
                "builds the bodies with coverage counters, then runs one of them on one input"
            } else {
                "builds the bodies with coverage counters (about 4 minutes the first time), then runs them"
            }
        },
        arguments: &[
            argument(
                "name",
                Form::Positional,
                Value::OneOrAll("NAME", fuzz::BODIES),
                "one body: a function that takes any bytes; default: all",
            ),
            option(
                "minutes",
                POSITIVE,
                "minutes for all bodies together; default: 5",
            ),
            option("input", FILE, "run the named body on this file only"),
            REPORT,
        ],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool, Part::Fuzzer],
    },
    Command {
        name: "sizes",
        about: "Show what firmware and ramdisks take of their budgets, part by part",
        plan: |_| "builds every board's firmware and both ramdisks, then measures them",
        arguments: &[
            option(
                "compare",
                Value::Text("REV"),
                "build this git revision too, and show what changed since",
            ),
            REPORT,
        ],
        subcommands: &[],
        optional: false,
        needs: |given| {
            let mut parts = vec![Part::Tool, Part::Firmware(Boards::All), Part::Ramdisk];
            if given.flag("compare") {
                parts.push(Part::OtherRevision);
            }
            parts
        },
    },
    Command {
        name: "dist",
        about: "Build all that a rack needs into one folder",
        plan: |_| "builds firmware, ramdisks, boot programs, a Debian image and an asset store",
        arguments: &[
            option(
                "output",
                Value::Text("FOLDER"),
                "folder for the files, -o for short; default: target/dist",
            ),
            option(
                "least-erase",
                Value::OneOf(&["discard", "write_zeroes", "overwrite"]),
                "weakest method by which the rack's disks may be erased; default: write_zeroes",
            ),
            argument(
                "host",
                Form::Repeated,
                NAME,
                "further name or address by which operators reach the API, as of a port forward; at most 4",
            ),
            argument(
                "image",
                Form::Repeated,
                Value::Text("MANIFEST"),
                "manifest of an image of `image make`, with its .data beside it, to be in the store too",
            ),
            flag(
                "no-reread",
                "do not restart a cleaned machine to read a sample of its disks again",
            ),
        ],
        subcommands: &[],
        optional: false,
        needs: |_| {
            vec![
                Part::Tool,
                Part::Firmware(Boards::All),
                Part::Ramdisk,
                Part::Image,
                Part::Ipxe,
            ]
        },
    },
];

const TESTS: &[Command] = &[
    Command {
        name: "fast",
        about: "Formatting, lints, unit and property tests, short simulations, firmware builds",
        plan: |_| "checks formatting and lints, runs tests and simulations, builds all firmware",
        arguments: &[],
        subcommands: &[],
        optional: false,
        needs: |_| fast(),
    },
    Command {
        name: "scenario",
        about: "One scenario in its cheapest form; a list of them where none is named",
        plan: |given| {
            if given.flag("name") {
                "builds the scenario's parts, then runs it in its cheapest form"
            } else {
                "lists the scenarios"
            }
        },
        arguments: &[BOARD, argument("name", Form::Positional, NAME, "its name")],
        subcommands: &[],
        optional: false,
        needs: |given| {
            let mut parts = vec![Part::Tool];
            if let Some(name) = given.text("name") {
                let board = board_of(given);
                parts.extend([Part::Firmware(board.clone()), Part::Emulator(board)]);
                if name == "stock-client" {
                    parts.push(Part::StockClient);
                }
                if matches!(name, "proxy-dhcp" | "rogue-dhcp" | "dhcp-relay") {
                    parts.push(Part::RackHosts);
                }
                if name.starts_with("flip-netconfd") {
                    parts.push(Part::Netconfd);
                }
                if name == "flip-openvswitch" {
                    parts.push(Part::OpenVswitch);
                }
            }
            parts
        },
    },
    Command {
        name: "deep",
        about: "Scenarios with whole servers in QEMU: those named, or all",
        plan: |_| "builds the parts of a rack, then runs scenarios with whole servers in QEMU",
        arguments: &[
            BOARD,
            argument(
                "scenarios",
                Form::Rest,
                Value::Text("SCENARIO"),
                "their names",
            ),
        ],
        subcommands: &[],
        optional: false,
        needs: |given| whole_servers(&board_of(given)),
    },
    Command {
        name: "soak",
        about: "What takes hours: a million power cuts, mutants, thousands of seeds",
        plan: |_| "runs simulations, power cuts and mutants (hours)",
        arguments: &[],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool, Part::Mutants],
    },
];

const IMAGES: &[Command] = &[
    Command {
        name: "debian",
        about: "Build the Debian 12 image, or find the one built before; print its path",
        plan: |_| "installs Debian into a disk image (about 3 minutes), or finds the one built before",
        arguments: &[],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool, Part::Image],
    },
    Command {
        name: "make",
        about: "Cut, compress and sign a raw disk image: NAME-VERSION.manifest and .data",
        plan: |_| "reads the raw image, cuts and compresses it, then signs the manifest",
        arguments: &[
            argument(
                "raw",
                Form::Required,
                Value::Text("RAW"),
                "the raw disk image",
            ),
            argument(
                "name",
                Form::RequiredOption,
                NAME,
                "name under which it is deployed",
            ),
            argument(
                "version",
                Form::RequiredOption,
                ANY,
                "version, rising from release to release",
            ),
            option(
                "key",
                FILE,
                "the secret key, 32 bytes; made where it is missing",
            ),
            option(
                "chunk-shift",
                Value::Number(0, 63),
                "log2 of the chunk size in bytes",
            ),
            option(
                "output",
                Value::Text("FOLDER"),
                "folder for the two files, -o for short; default: .",
            ),
        ],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool],
    },
    Command {
        name: "inspect",
        about: "Show what a manifest holds, and verify it",
        plan: |_| "verifies the manifest, then prints what it holds",
        arguments: &[
            argument(
                "manifest",
                Form::Required,
                Value::Text("MANIFEST"),
                "the manifest",
            ),
            option(
                "public-key",
                Value::Text("HEX"),
                "verify the signature with this key; default: the operator's key of this checkout",
            ),
            option("data", FILE, "verify every chunk of this data file too"),
        ],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool],
    },
    Command {
        name: "key",
        about: "Make the operator's image-signing key where there is none; print the public half",
        plan: |_| "reads the key, or makes it, then prints the public half",
        arguments: &[option(
            "key",
            FILE,
            "the secret key, 32 bytes; default: target/keys/operator.ed25519",
        )],
        subcommands: &[],
        optional: false,
        needs: |_| vec![Part::Tool],
    },
];

/// The board that `--board` names.
fn board_of(given: &Given) -> Boards {
    Boards::Named(given.text("board").unwrap_or(DEFAULT_BOARD).to_owned())
}

/// Everything but the scenarios.
fn fast() -> Vec<Part> {
    vec![Part::Tool, Part::Lints, Part::Firmware(Boards::All)]
}

fn whole_servers(boards: &Boards) -> Vec<Part> {
    vec![
        Part::Tool,
        Part::Firmware(boards.clone()),
        Part::Emulator(boards.clone()),
        Part::Ramdisk,
        Part::Image,
        Part::Ipxe,
        Part::Servers,
        Part::StockClient,
        Part::RackHosts,
        Part::Netconfd,
        Part::OpenVswitch,
        Part::SnmpAgent,
        Part::Bmcs,
    ]
}
