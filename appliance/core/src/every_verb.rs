//! Every verb in every state, asked of the brain and through the API, with
//! the data of the life cycle as oracle.

use crate::api::{Exchange, Facts, REPLY_BUFFER};
use crate::interface::Actor;
use crate::interface::CommandError;
use crate::interface::{Command, Image, Input};
use crate::interface::{Effect, Effects};
use crate::node::flags::{AdminFlag, Flags};
use crate::node::{InstanceInfo, Node};
use crate::persist::record::Record;
use crate::provisioning::steps::{Step, Steps};
use crate::rack::{DiskSlot, Entropy, Rack};
use crate::{Config, Identity, Instant};
use farrier_http::{Body, Head, Piece};
use farrier_lifecycle::{State, Verb};
use farrier_protocol::message::{DiskId, Mac, NodeId};
use std::boxed::Box;
use std::collections::HashMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const TRANSITIONS: &str = include_str!("../../../shared/lifecycle/data/provision-transitions.csv");
const NODE: NodeId = NodeId([7; 16]);
const GIB: u64 = 1 << 30;

struct Count(u8);

impl Entropy for Count {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

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
const LOCKED: [State; 9] = [
    State::Verifying,
    State::Inspecting,
    State::Cleaning,
    State::Deploying,
    State::Deleting,
    State::Adopting,
    State::Rescuing,
    State::Unrescuing,
    State::Servicing,
];

/// A rack for unit tests: one size for all, since each is compiled anew.
pub(crate) type TestRack = Rack<8, 8, 16>;

pub(crate) struct Bench {
    pub(crate) rack: Box<TestRack>,
    out: Box<Effects>,
    entropy: Count,
    pub(crate) now: Instant,
    /// Every record so far, as it would lie in a journal.
    pub(crate) records: Vec<Vec<u8>>,
    key: u8,
}

impl Bench {
    /// A rack with one node in that state that lacks nothing.
    pub(crate) fn new(state: State) -> Self {
        let mut bench = Bench {
            rack: Box::new(Rack::new()),
            out: Box::new(Effects::new()),
            entropy: Count(0),
            now: Instant::from_millis(5000),
            records: Vec::new(),
            key: 0,
        };
        let identity = Identity {
            noise: [3; 32],
            signing: [4; 32],
        };
        let config = Config::default();
        bench
            .rack
            .configure(config, &identity, &mut bench.entropy)
            .unwrap();
        let image = Image {
            name: "debian12".try_into().unwrap(),
            version: 1,
            raw_size: GIB,
            root: [9; 32],
            manifest_path: "/m".try_into().unwrap(),
            data_path: "/d".try_into().unwrap(),
        };
        bench.step(Input::Image(&image));
        let mut node = Node::discovered(NODE, Mac([2; 6]), bench.now);
        node.name = "n".try_into().unwrap();
        node.state = state;
        node.deadline = state.deadline().map(|d| bench.now.plus_millis(d.millis));
        node.instance = InstanceInfo {
            image_source: "debian12".try_into().unwrap(),
            ..InstanceInfo::default()
        };
        assert!(bench.rack.nodes.push(node).is_ok());
        let disk = DiskSlot {
            node: 0,
            place: 0,
            id: DiskId {
                serial: "D".try_into().unwrap(),
                size: 8 * GIB,
            },
        };
        assert!(bench.rack.disks.push(disk).is_ok());
        bench
    }

    fn keep_records(&mut self) {
        for output in self.out.iter() {
            if let Effect::Record(bytes) = output {
                self.records.push(bytes.to_vec());
            }
        }
    }

    fn step(&mut self, input: Input<'_>) -> Option<Result<(), CommandError>> {
        self.rack
            .step(self.now, input, &mut self.entropy, &mut self.out);
        assert_eq!(self.out.lost(), 0);
        self.keep_records();
        self.out.iter().find_map(|output| match output {
            Effect::Answer(answer) => Some(answer),
            _ => None,
        })
    }

    /// The states that the last step has gone through, from its records.
    fn went(&self) -> Vec<State> {
        let records = self.out.iter().filter_map(|output| match output {
            Effect::Record(bytes) => Some(postcard::from_bytes::<Record<'_>>(bytes).unwrap()),
            _ => None,
        });
        let mut went: Vec<State> = records
            .filter_map(|record| match record {
                Record::State { node, state, .. } => {
                    assert_eq!(node, NODE);
                    State::from_number(state)
                }
                _ => None,
            })
            .collect();
        // A state whose reason alone changes is told twice.
        went.dedup();
        went
    }

    fn node(&self) -> &Node {
        &self.rack.nodes()[0]
    }

    fn verb(&mut self, verb: Verb) -> Result<(), CommandError> {
        self.step(Input::Command {
            actor: Actor::OPERATOR,
            command: Command::ProvisionSteps {
                node: NODE,
                verb,
                steps: steps_of(verb),
                config_drive: None,
            },
        })
        .expect("every wish is answered")
    }

    /// A request to the API: the status, and the reply as text.
    pub(crate) fn api(&mut self, method: &str, target: &str, body: &str) -> (u16, String) {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (head, length) = Head::parse(request.as_bytes()).unwrap().unwrap();
        let mut exchange = Exchange::begin(&head, &Facts::of(&self.rack, self.now));
        let mut reader = Body::new(head.body);
        let mut input = &request.as_bytes()[length..];
        while let Piece::Data(mut data) = reader.next(&mut input).unwrap() {
            assert_eq!(exchange.push(&mut data), None);
        }
        self.key = self.key.wrapping_add(1);
        exchange.end([self.key; 32], &Facts::of(&self.rack, self.now));
        while let Some(wish) = exchange.operator(&Facts::of(&self.rack, self.now)) {
            let (now, entropy) = (self.now, &mut self.entropy);
            self.rack.step(
                now,
                Input::Command {
                    actor: Actor::OPERATOR,
                    command: wish,
                },
                entropy,
                &mut self.out,
            );
            for output in self.out.iter() {
                if let Effect::Record(bytes) = output {
                    self.records.push(bytes.to_vec());
                }
            }
            let answer = self.out.iter().find_map(|output| match output {
                Effect::Answer(answer) => Some(answer),
                _ => None,
            });
            exchange.answered(answer.unwrap(), &Facts::of(&self.rack, self.now));
        }
        let mut wire = Vec::new();
        let mut buffer = [0; REPLY_BUFFER];
        loop {
            match exchange.reply(&Facts::of(&self.rack, self.now), &[], &mut buffer) {
                0 => break,
                length => wire.extend_from_slice(&buffer[..length]),
            }
        }
        (exchange.status().0, String::from_utf8(wire).unwrap())
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
fn expected(state: State, verb: Verb) -> Result<&'static str, u16> {
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
fn is_path(from: State, went: &[State]) {
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
    for state in State::ALL {
        for verb in Verb::ALL {
            let mut bench = Bench::new(state);
            let answer = bench.verb(verb);
            let went = bench.went();
            let mut over_api = Bench::new(state);
            let (status, reply) =
                over_api.api("PUT", "/v1/nodes/n/states/provision", &body_of(verb));
            assert_eq!(over_api.went(), went, "{state}, {verb}");
            match expected(state, verb) {
                Ok(first) => {
                    assert_eq!(answer, Ok(()), "{state}, {verb}");
                    assert_eq!(status, 202, "{state}, {verb}: {reply}");
                    assert_eq!(went.first().map(|s| s.as_str()), Some(first));
                    is_path(state, &went);
                    let node = bench.node();
                    assert_eq!(Some(&node.state), went.last());
                    assert_eq!(node.deadline.is_some(), node.state.deadline().is_some());
                    assert!(!node.reason.is_empty());
                    allowed += 1;
                }
                Err(expected) => {
                    assert!(answer.is_err(), "{state}, {verb}");
                    assert_eq!(status, expected, "{state}, {verb}: {reply}");
                    assert_eq!(bench.node().state, state);
                    assert!(went.is_empty());
                    assert!(reply.contains("faultstring"), "{reply}");
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
    for state in State::ALL {
        for verb in Verb::ALL {
            let mut bench = Bench::new(state);
            bench.rack.nodes[0].flags.set(Flags::PROTECTED, true);
            let answer = bench.verb(verb);
            if matches!(verb, Verb::Deleted | Verb::Rebuild) && expected(state, verb).is_ok() {
                assert_eq!(answer, Err(CommandError::Protected), "{state}, {verb}");
                let (status, _) = bench.api("PUT", "/v1/nodes/n/states/provision", &body_of(verb));
                assert_eq!(status, 403);
            } else {
                assert_eq!(answer.is_ok(), expected(state, verb).is_ok());
            }
        }
    }
}

#[test]
fn marks_and_what_they_forbid() {
    for state in State::ALL {
        let busy = LOCKED.contains(&state);
        let mut bench = Bench::new(state);
        let target = "/v1/nodes/n/maintenance";
        let (status, reply) = bench.api("PUT", target, r#"{"reason": "new fan"}"#);
        assert_eq!(status, 202, "{reply}");
        let (_, shown) = bench.api("GET", "/v1/nodes/n", "");
        assert!(shown.contains("\"maintenance\":true,\"maintenance_reason\":\"new fan\""));
        for verb in [Verb::Active, Verb::Rebuild, Verb::Unrescue, Verb::Service] {
            if expected(state, verb).is_ok() {
                assert_eq!(bench.verb(verb), Err(CommandError::Maintenance));
            }
        }
        assert_eq!(bench.api("DELETE", target, "").0, 202);
        assert!(
            bench
                .rack
                .texts
                .get(0, AdminFlag::Maintenance.reason())
                .is_empty()
        );
        assert_eq!(bench.node().flags, Flags::NONE);

        let retire = r#"[{"op":"add","path":"/retired","value":true},
            {"op":"add","path":"/retired_reason","value":"old"}]"#;
        let (status, reply) = bench.api("PATCH", "/v1/nodes/n", retire);
        let refused = busy || state == State::Available;
        assert_eq!(status, if refused { 409 } else { 200 }, "{state}: {reply}");
        assert_eq!(bench.node().flags.has(Flags::RETIRED), !refused);
        if state == State::Manageable {
            assert_eq!(bench.verb(Verb::Provide), Err(CommandError::Retired));
        }

        let protect = r#"[{"op":"add","path":"/protected","value":"true"}]"#;
        let (status, reply) = bench.api("PATCH", "/v1/nodes/n", protect);
        let deployed = matches!(
            state,
            State::Active
                | State::DeployFailed
                | State::DeployHold
                | State::WaitCallBack
                | State::Rescue
                | State::RescueWait
                | State::RescueFailed
                | State::UnrescueFailed
                | State::ServiceWait
                | State::ServiceHold
                | State::ServiceFailed
                | State::Error
        );
        let wanted = if deployed { 200 } else { 409 };
        assert_eq!(status, wanted, "{state}: {reply}");
        assert_eq!(bench.node().flags.has(Flags::PROTECTED), deployed);
        let _shown = bench.node().name.to_string();
    }
}

#[test]
fn every_wait_ends_in_the_failure_that_names_the_hop() {
    for state in State::ALL {
        let Some(deadline) = state.deadline() else {
            continue;
        };
        let mut bench = Bench::new(state);
        bench.now = bench.now.plus_millis(deadline.millis);
        bench.step(Input::Tick);
        assert_eq!(Some(bench.node().state), state.failure(), "{state}");
        is_path(state, &bench.went());
        let node = bench.node();
        assert_eq!(node.deadline, None);
        let error = node.last_error.as_str();
        assert!(error.contains(state.as_str()), "{error}");
        let boots = crate::provisioning::agent_phase(state).is_some();
        assert_eq!(error.contains("missing: dhcp discover"), boots, "{error}");
        assert_eq!(bench.rack.counters().deadlines, 1);
    }
}
