//! Command lines as people type them, and what becomes of them.

use xtask::command_line::{Given, Outcome, parse};
use xtask::commands::COMMANDS;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn run(line: &str) -> Given {
    match parse(COMMANDS, &words(line)) {
        Ok(Outcome::Run(given)) => given,
        other => panic!("{line}: {other:?}"),
    }
}

fn help(line: &str) -> String {
    match parse(COMMANDS, &words(line)) {
        Ok(Outcome::Help(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

fn refusal(line: &str) -> String {
    match parse(COMMANDS, &words(line)) {
        Err(error) => error.to_string(),
        other => panic!("{line}: {other:?}"),
    }
}

fn plan(line: &str) -> &'static str {
    let given = run(line);
    (given.innermost().expect("there is a command").plan)(&given)
}

#[test]
fn options_take_their_value_from_the_next_word_or_after_an_equals_sign() {
    for line in ["demo --servers 3 --headless", "demo --headless --servers=3"] {
        let given = run(line);
        assert_eq!(given.number("servers"), Some(3));
        assert!(given.flag("headless") && !given.flag("keep-running"));
    }
}

#[test]
fn values_outside_their_bounds_are_refused_with_the_bounds() {
    assert!(refusal("demo --servers 49").contains("1 to 48"));
    assert!(refusal("demo --servers two").contains("1 to 48"));
    assert!(refusal("bench ntp").contains("dhcp, tftp"));
    let negative = refusal("sim --nodes -1");
    assert!(
        negative.contains("--nodes takes a whole number from 1"),
        "{negative}"
    );
}

#[test]
fn an_unknown_board_is_refused_with_the_names_of_the_known() {
    for line in ["demo --board nope", "test scenario bios --board nope"] {
        let text = refusal(line);
        assert!(
            text.contains("nope") && text.contains("linux, mps2-an500"),
            "{text}"
        );
    }
    assert_eq!(run("demo --board linux").text("board"), Some("linux"));
}

#[test]
fn words_of_the_simulator_are_known_before_it_is_built() {
    assert!(refusal("sim --only loss,lightning").contains("loss, duplicate"));
    assert!(refusal("sim --without loss,all").contains("loss, duplicate"));
    assert!(refusal("sim --scenario lightning").contains("life-cycle"));
    assert!(refusal("sim --prove lightning").contains("wrong-clock"));
    for line in ["sim --only loss,bit-rot", "sim --without all"] {
        run(line);
    }
    let text = help("sim --help");
    for word in ["bit-rot", "life-cycle", "wrong-clock"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn bodies_of_the_fuzzer_are_listed_once() {
    let text = help("fuzz --help");
    assert!(text.contains("fuzz [OPTIONS] [NAME]"), "{text}");
    assert_eq!(text.matches("dhcp-request").count(), 1, "{text}");
    assert_eq!(run("fuzz all").text("name"), Some("all"));
    assert!(refusal("fuzz lightning").contains("dhcp-request"));
}

#[test]
fn unknown_words_are_named() {
    assert!(refusal("demo --sevrers 3").contains("--sevrers"));
    assert!(refusal("dmeo").contains("dmeo"));
    assert!(refusal("powercut 7").contains('7'));
    assert!(refusal("test fsat").contains("fsat"));
}

#[test]
fn an_option_without_its_value_is_refused() {
    assert!(refusal("demo --report").contains("needs a value"));
    assert!(refusal("demo --report --headless").contains("needs a value"));
    assert!(refusal("image make --name x --version 1").contains("RAW"));
    assert!(refusal("image make x.raw --version 1").contains("--name"));
}

#[test]
fn an_option_given_twice_is_refused_unless_it_is_a_list() {
    assert!(refusal("sim --seed 1 --seed 2").contains("twice"));
    let given = run("mutants --file a.rs --file b.rs");
    assert_eq!(given.all("file"), ["a.rs", "b.rs"]);
}

#[test]
fn prove_means_all_bugs_where_none_is_named() {
    assert_eq!(run("sim --prove").text("prove"), Some("all"));
    assert_eq!(
        run("sim --prove port-moved").text("prove"),
        Some("port-moved")
    );
    assert_eq!(run("sim --prove --seed 4").text("prove"), Some("all"));
}

#[test]
fn deep_takes_any_number_of_scenarios_and_options_of_test() {
    let given = run("test --jobs 1 deep --board linux bios uefi-pxe");
    assert_eq!(given.subcommand(), "deep");
    assert_eq!(given.number("jobs"), Some(1));
    assert_eq!(given.text("board"), Some("linux"));
    assert_eq!(given.all("scenarios"), ["bios", "uefi-pxe"]);
}

#[test]
fn help_of_each_command_names_all_its_arguments() {
    assert!(help("").contains("demo") && help("--help").contains("powercut"));
    for command in COMMANDS {
        for line in [
            format!("{} --help", command.name),
            format!("help {}", command.name),
        ] {
            let text = help(&line);
            for argument in command.arguments.iter().filter(|a| !a.is_positional()) {
                assert!(text.contains(&format!("--{}", argument.name)), "{text}");
            }
            for below in command.subcommands {
                assert!(text.contains(below.about), "{text}");
            }
        }
    }
    assert!(help("test deep --help").contains("[SCENARIO …]"));
    assert!(help("image").contains("inspect"));
}

#[test]
fn every_command_that_runs_says_what_it_is_about_to_do() {
    for command in COMMANDS {
        if command.subcommands.is_empty() || command.optional {
            assert!(!plan(command.name).is_empty(), "{}", command.name);
        }
        for below in command.subcommands {
            let required = match below.name {
                "make" => "x.raw --name x --version 1",
                "inspect" => "x.manifest",
                _ => "",
            };
            let line = format!("{} {} {required}", command.name, below.name);
            assert!(!plan(&line).is_empty(), "{line}");
        }
    }
}

#[test]
fn a_list_of_scenarios_announces_no_build() {
    assert_eq!(plan("test scenario"), "lists the scenarios");
    assert!(plan("test scenario bios").contains("builds"));
}

#[test]
fn paths_of_the_workspace_have_no_parent_folders_in_them() {
    let workspace = xtask::workspace();
    assert!(workspace.join("boards").is_dir());
    assert!(!workspace.display().to_string().contains(".."));
}
