//! Every verb in every state, as a command and through the API, with the
//! data of the life cycle as oracle.

use crate::api_rig::{Reply, call, get};
use crate::common::*;
use farrier_core::interface::{Actor, CommandError};
use farrier_core::node::flags::Flags;
use farrier_core::node::{Node, Reason};
use farrier_core::persist::record::Record;
use farrier_core::provisioning::steps::{Step, Steps};
use farrier_core::{Command, Effect, Input};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::NodeId;
use serde_json::{Value, json};
use std::collections::HashMap;

const TRANSITIONS: &str =
    include_str!("../../../../shared/lifecycle/data/provision-transitions.csv");
const NODE: NodeId = NodeId([7; 16]);

/// The transitions as the data has them, by state and event.
fn table() -> HashMap<(&'static str, &'static str), &'static str> {
    let rows = TRANSITIONS.lines().skip(1).map(|line| {
        let mut cells = line.split(',');
        let mut cell = || cells.next().unwrap();
        ((cell(), cell()), cell())
    });
    rows.collect()
}

/// States in which the appliance is at work, as the API's `reservation`.
const LOCKED: [ProvisionState; 9] = [
    ProvisionState::Verifying,
    ProvisionState::Inspecting,
    ProvisionState::Cleaning,
    ProvisionState::Deploying,
    ProvisionState::Deleting,
    ProvisionState::Adopting,
    ProvisionState::Rescuing,
    ProvisionState::Unrescuing,
    ProvisionState::Servicing,
];

/// A rack with one node in that state that lacks nothing.
struct Bench(Lab);

impl Bench {
    fn new(state: ProvisionState) -> Self {
        Self::with_flags(state, Flags::empty())
    }

    fn with_flags(state: ProvisionState, flags: Flags) -> Self {
        let mut lab = Lab::new();
        for record in [
            Record::Place {
                place: 0,
                node: NODE,
            },
            Record::Ports {
                node: NODE,
                macs: &[2; 6],
            },
            Record::Name {
                node: NODE,
                name: "n",
            },
            Record::State {
                node: NODE,
                state: state as u8,
                reason: Reason::Requested as u8,
            },
            Record::Flags {
                node: NODE,
                flags: flags.bits(),
            },
            Record::Instance {
                node: NODE,
                image: "debian12",
            },
            Record::Disk {
                node: NODE,
                place: 0,
                serial: "D",
                size: 8 * GIB,
            },
        ] {
            lab.restore(&record);
        }
        Self(lab)
    }

    /// The states that the node has gone through, from its history.
    fn went(&self) -> Vec<ProvisionState> {
        self.0.rack().history(0).map(|entry| entry.to).collect()
    }

    fn node(&self) -> &Node {
        self.0.node(0)
    }

    fn verb(&mut self, verb: Verb) -> Result<(), CommandError> {
        self.0.step_quietly(Input::Command {
            actor: Actor::OPERATOR,
            command: Command::ProvisionSteps {
                node: NODE,
                verb,
                steps: steps_of(verb),
                config_drive: None,
            },
        });
        let answer = self.0.controller.effects().find_map(|effect| match effect {
            Effect::Answer(answer) => Some(answer),
            _ => None,
        });
        answer.expect("every command is answered")
    }

    /// The same verb through the API.
    fn over_api(&mut self, verb: Verb) -> Reply {
        let target = "/v1/nodes/n/states/provision";
        call(&mut self.0, "PUT", target, &body_of(verb))
    }
}

/// Verbs that can't do without steps are given one.
fn steps_of(verb: Verb) -> Steps {
    match verb {
        Verb::Clean => Steps::NONE.with(Step::Erase).unwrap(),
        Verb::Service => Steps::NONE.with(Step::Inspect).unwrap(),
        _ => Steps::NONE,
    }
}

fn body_of(verb: Verb) -> String {
    let steps = match verb {
        Verb::Clean => r#", "clean_steps": [{"interface": "deploy", "step": "erase_devices"}]"#,
        Verb::Service => r#", "service_steps": [{"step": "collect_inventory"}]"#,
        _ => "",
    };
    format!(r#"{{"target": "{verb}"{steps}}}"#)
}

/// What the answer must be: the first state that is entered, or the status
/// of the refusal.
fn expected(state: ProvisionState, verb: Verb) -> Result<&'static str, u16> {
    if LOCKED.contains(&state) {
        return Err(409);
    }
    match table().get(&(state.as_str(), verb.event().as_str())) {
        None => Err(400),
        // The agent has no rescue system.
        Some(_) if verb == Verb::Rescue => Err(400),
        Some(next) => Ok(next),
    }
}

/// Every state that was gone through was led to by an event of the data.
fn is_path(from: ProvisionState, went: &[ProvisionState]) {
    let table = table();
    let mut at = from.as_str();
    for next in went {
        let led = table
            .iter()
            .any(|((state, _), to)| *state == at && *to == next.as_str());
        assert!(led, "{at} -> {next}");
        at = next.as_str();
    }
}

#[test]
fn every_verb_in_every_state() {
    let mut allowed = 0;
    for state in ProvisionState::ALL {
        for verb in Verb::ALL {
            let mut bench = Bench::new(state);
            let answer = bench.verb(verb);
            let went = bench.went();
            let mut over_api = Bench::new(state);
            let reply = over_api.over_api(verb);
            let status = reply.status;
            assert_eq!(over_api.went(), went, "{state}, {verb}");
            match expected(state, verb) {
                Ok(first) => {
                    assert_eq!(answer, Ok(()), "{state}, {verb}");
                    assert_eq!(status, 202, "{state}, {verb}: {}", reply.body);
                    assert_eq!(went.first().map(|s| s.as_str()), Some(first));
                    is_path(state, &went);
                    let node = bench.node();
                    assert_eq!(Some(&node.state), went.last());
                    assert_eq!(node.deadline.is_some(), node.state.deadline().is_some());
                    allowed += 1;
                }
                Err(expected) => {
                    assert!(answer.is_err(), "{state}, {verb}");
                    assert_eq!(status, expected, "{state}, {verb}: {}", reply.body);
                    assert_eq!(bench.node().state, state);
                    assert!(went.is_empty());
                    assert!(!reply.fault().is_empty());
                }
            }
        }
    }
    // Of the 93 transitions, 49 are the operators' in a state in which the
    // appliance is not at work; five of them start a rescue system.
    assert_eq!(allowed, 44);
}

#[test]
fn a_protected_node_is_neither_released_nor_rebuilt() {
    for state in ProvisionState::ALL {
        for verb in Verb::ALL {
            let mut bench = Bench::with_flags(state, Flags::PROTECTED);
            let answer = bench.verb(verb);
            if matches!(verb, Verb::Deleted | Verb::Rebuild) && expected(state, verb).is_ok() {
                assert_eq!(answer, Err(CommandError::Protected), "{state}, {verb}");
                assert_eq!(bench.over_api(verb).status, 403);
            } else {
                assert_eq!(answer.is_ok(), expected(state, verb).is_ok());
            }
        }
    }
}

#[test]
fn admin_flags_and_what_they_forbid() {
    for state in ProvisionState::ALL {
        let busy = LOCKED.contains(&state);
        let mut bench = Bench::new(state);
        let target = "/v1/nodes/n/maintenance";
        let reply = call(&mut bench.0, "PUT", target, r#"{"reason": "new fan"}"#);
        assert_eq!(reply.status, 202, "{}", reply.body);
        let shown = get(&mut bench.0, "/v1/nodes/n");
        assert_eq!(shown["maintenance"], true);
        assert_eq!(shown["maintenance_reason"], "new fan");
        for verb in [Verb::Active, Verb::Rebuild, Verb::Unrescue, Verb::Service] {
            if expected(state, verb).is_ok() {
                assert_eq!(bench.verb(verb), Err(CommandError::Maintenance));
            }
        }
        assert_eq!(call(&mut bench.0, "DELETE", target, "").status, 202);
        let shown = get(&mut bench.0, "/v1/nodes/n");
        assert_eq!(shown["maintenance_reason"], Value::Null);
        assert_eq!(bench.node().flags, Flags::empty());

        let retire = json!([
            {"op": "add", "path": "/retired", "value": true},
            {"op": "add", "path": "/retired_reason", "value": "old"},
        ]);
        let reply = call(&mut bench.0, "PATCH", "/v1/nodes/n", &retire.to_string());
        let refused = busy || state == ProvisionState::Available;
        let wanted = if refused { 409 } else { 200 };
        assert_eq!(reply.status, wanted, "{state}: {}", reply.body);
        assert_eq!(bench.node().flags.contains(Flags::RETIRED), !refused);
        if state == ProvisionState::Manageable {
            assert_eq!(bench.verb(Verb::Provide), Err(CommandError::Retired));
        }

        let protect = r#"[{"op":"add","path":"/protected","value":"true"}]"#;
        let reply = call(&mut bench.0, "PATCH", "/v1/nodes/n", protect);
        let deployed = matches!(
            state,
            ProvisionState::Active
                | ProvisionState::DeployFailed
                | ProvisionState::DeployHold
                | ProvisionState::WaitCallBack
                | ProvisionState::Rescue
                | ProvisionState::RescueWait
                | ProvisionState::RescueFailed
                | ProvisionState::UnrescueFailed
                | ProvisionState::ServiceWait
                | ProvisionState::ServiceHold
                | ProvisionState::ServiceFailed
                | ProvisionState::Error
        );
        let wanted = if deployed { 200 } else { 409 };
        assert_eq!(reply.status, wanted, "{state}: {}", reply.body);
        assert_eq!(bench.node().flags.contains(Flags::PROTECTED), deployed);
    }
}

#[test]
fn every_wait_ends_in_the_failure_that_names_the_hop() {
    for state in ProvisionState::ALL {
        let Some(deadline) = state.deadline() else {
            continue;
        };
        let mut bench = Bench::new(state);
        // A restart sets the deadlines: of work that nobody goes on with, at
        // once.
        bench.0.restart_with_what_is_left(0);
        bench.0.now += deadline.millis;
        bench.0.step_quietly(Input::Tick);
        assert_eq!(Some(bench.node().state), state.failure(), "{state}");
        is_path(state, &bench.went());
        let node = bench.node();
        assert_eq!(node.deadline, None);
        let error = node.last_error.as_str();
        assert!(error.contains(state.as_str()), "{error}");
        let boots = matches!(
            state,
            ProvisionState::Inspecting
                | ProvisionState::InspectWait
                | ProvisionState::Cleaning
                | ProvisionState::CleanWait
                | ProvisionState::Deploying
                | ProvisionState::WaitCallBack
                | ProvisionState::Servicing
                | ProvisionState::ServiceWait
        );
        assert_eq!(error.contains("missing: dhcp discover"), boots, "{error}");
        assert_eq!(bench.0.rack().counters().deadlines, 1);
    }
}
