//! Compares the state machine with its data, `data/provision-states.csv` and
//! `data/provision-transitions.csv`.

use std::collections::BTreeMap;

use farrier_lifecycle::{ProvisionEvent, ProvisionState, Unknown, Verb};

const STATES: &str = include_str!("../data/provision-states.csv");
const TRANSITIONS: &str = include_str!("../data/provision-transitions.csv");

fn rows(csv: &'static str) -> impl Iterator<Item = [&'static str; 3]> {
    csv.lines().skip(1).map(|line| {
        let mut cells = line.split(',');
        let row = std::array::from_fn(|_| cells.next().expect("three cells"));
        assert_eq!(cells.next(), None, "{line}");
        row
    })
}

fn state(name: &str) -> ProvisionState {
    name.parse()
        .unwrap_or_else(|Unknown| panic!("no state {name:?}"))
}

#[test]
fn states_are_those_of_the_data() {
    let mut seen = 0;
    for [name, stable, target] in rows(STATES) {
        let state = state(name);
        assert_eq!(state.is_stable(), stable == "yes", "{name}");
        assert_eq!(
            state.target().map_or("", ProvisionState::as_str),
            target,
            "{name}"
        );
        seen += 1;
    }
    assert_eq!(seen, ProvisionState::ALL.len());
}

#[test]
fn transitions_are_those_of_the_data() {
    let table: BTreeMap<(&str, &str), &str> = rows(TRANSITIONS)
        .map(|[from, event, to]| ((from, event), to))
        .collect();
    assert_eq!(table.len(), 93);
    for (from, event) in table.keys() {
        state(from);
        let known = event
            .parse::<ProvisionEvent>()
            .unwrap_or_else(|Unknown| panic!("no event {event:?}"));
        assert_eq!(known.to_string(), *event);
    }
    for from in ProvisionState::ALL {
        for event in ProvisionEvent::ALL {
            let expected = table.get(&(from.as_str(), event.as_str())).copied();
            assert_eq!(
                from.next(event).map(ProvisionState::as_str),
                expected,
                "{from}, {event}"
            );
        }
    }
}

#[test]
fn numbers_and_names_parse_equal() {
    for (number, state) in ProvisionState::ALL.into_iter().enumerate() {
        assert_eq!(state as usize, number);
        assert_eq!(ProvisionState::from_number(number as u8), Some(state));
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert_eq!(ProvisionState::from_number(30), None);
    assert_eq!("Active".parse::<ProvisionState>(), Err(Unknown));
    for (number, event) in ProvisionEvent::ALL.into_iter().enumerate() {
        assert_eq!(event as usize, number);
        assert_eq!(event.as_str().parse(), Ok(event));
    }
    for (number, verb) in Verb::ALL.into_iter().enumerate() {
        assert_eq!(verb as usize, number);
        assert_eq!(verb.as_str().parse(), Ok(verb));
    }
    assert_eq!("deploy".parse(), Ok(Verb::Active));
    assert_eq!("undeploy".parse(), Ok(Verb::Deleted));
    assert_eq!("done".parse::<Verb>(), Err(Unknown));
}

#[test]
fn kinds_of_states_do_not_overlap() {
    for state in ProvisionState::ALL {
        let waits = !state.is_busy() && !state.is_hold() && state.deadline().is_some();
        let kinds = [
            state.is_stable() && state != ProvisionState::Error,
            state.is_busy(),
            state.is_failure(),
            state.is_hold(),
            waits,
        ];
        assert_eq!(kinds.iter().filter(|k| **k).count(), 1, "{state}");
    }
}

#[test]
fn deadline_of_every_working_state_leads_to_its_failure() {
    for state in ProvisionState::ALL {
        let resting = state.is_stable() || state.is_failure() || state.is_hold();
        match state.deadline() {
            None => assert!(resting, "{state}"),
            Some(deadline) => {
                assert!(!resting, "{state}");
                assert!(deadline.millis >= 60_000, "{state}");
                assert_eq!(state.next(deadline.expired), state.failure(), "{state}");
            }
        }
    }
}

#[test]
fn failure_is_the_target_of_fail_or_abort() {
    for state in ProvisionState::ALL {
        if let Some(failure) = state.failure() {
            let fail = state
                .next(ProvisionEvent::Fail)
                .or(state.next(ProvisionEvent::Abort));
            assert_eq!(Some(failure), fail, "{state}");
        } else {
            assert_eq!(state.next(ProvisionEvent::Fail), None, "{state}");
        }
    }
}

#[test]
fn every_state_has_a_way_out() {
    // Busy and waiting states have a deadline; all others accept a verb.
    for state in ProvisionState::ALL {
        let verbs = Verb::ALL.into_iter().any(|v| state.event(v).is_some());
        assert!(verbs || state.deadline().is_some(), "{state}");
    }
}

#[test]
fn busy_states_refuse_verbs() {
    assert_eq!(ProvisionState::Deleting.event(Verb::Clean), None);
    assert_eq!(ProvisionState::Cleaning.event(Verb::Manage), None);
    assert_eq!(
        ProvisionState::Cleaning.next(ProvisionEvent::Manage),
        Some(ProvisionState::Manageable)
    );
    assert_eq!(
        ProvisionState::CleanWait.event(Verb::Abort),
        Some(ProvisionEvent::Abort),
        "a wait can be broken off"
    );
    assert_eq!(ProvisionState::Active.event(Verb::Active), None);
    assert_eq!(
        ProvisionState::Active.event(Verb::Deleted),
        Some(ProvisionEvent::Delete)
    );
}

#[test]
fn restart_fails_busy_states() {
    let changed: Vec<_> = ProvisionState::ALL
        .into_iter()
        .filter(|s| s.after_restart() != *s)
        .map(|s| (s.as_str(), s.after_restart().as_str()))
        .collect();
    assert_eq!(
        changed,
        [
            ("verifying", "enroll"),
            ("inspecting", "inspect failed"),
            ("cleaning", "clean failed"),
            ("deploying", "deploy failed"),
            ("deleting", "error"),
            ("adopting", "adopt failed"),
            ("rescuing", "rescue failed"),
            ("unrescuing", "unrescue failed"),
            ("servicing", "service failed"),
        ]
    );
}

#[test]
fn lookups_are_answered_only_in_states_that_expect_an_agent() {
    let names: Vec<_> = ProvisionState::ALL
        .into_iter()
        .filter(|s| s.answers_lookup())
        .map(ProvisionState::as_str)
        .collect();
    assert_eq!(
        names,
        [
            "inspecting",
            "inspect wait",
            "cleaning",
            "clean wait",
            "deploying",
            "wait call-back",
            "rescuing",
            "rescue wait",
            "service wait",
        ]
    );
}
