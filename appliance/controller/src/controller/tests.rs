use super::*;
use crate::store::{JournalStore, MemoryKeys};
use crate::testing::{MemoryStore, ready};
use core::future::{Future, pending};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use farrier_core::Command;
use farrier_core::interface::{Actor, NewNode};
use farrier_core::persist::seal::NO_KEY;
use farrier_journal::sim::{Cut, SimFlash};
use farrier_protocol::message::NodeId;
use std::boxed::Box;
use std::vec::Vec;

type TestRack = Rack<8, 16, 16>;
type TestController<S> = Controller<Box<TestRack>, S, Counting>;
type Chip = SimFlash<8, 4096>;

const NOW: Instant = Instant::from_millis(1000);
const IDENTITY: Identity = Identity {
    noise: [3; 32],
    signing: [4; 32],
};

/// Gives one byte after the other.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

fn started<S: RecordStore>(store: S) -> TestController<S> {
    let mut controller = Controller::new(Box::new(Rack::new()), store, Counting(0));
    controller
        .configure(Config::default(), Some(&IDENTITY))
        .unwrap();
    ready(controller.restore(NOW)).unwrap();
    controller
}

/// A step that makes a node, and so has records.
fn create(number: u8) -> Input<'static> {
    command(Command::CreateNode(NewNode::new(NodeId([number; 16]))))
}

fn delete(number: u8) -> Input<'static> {
    let node = NodeId([number; 16]);
    command(Command::DeleteNode { node })
}

fn command(command: Command<'_>) -> Input<'_> {
    Input::Command {
        actor: Actor::OPERATOR,
        command,
    }
}

fn answers<S>(controller: &TestController<S>) -> usize {
    let answers = |effect: &Effect<'_>| matches!(effect, Effect::Answer(Ok(())));
    controller.effects().filter(answers).count()
}

/// A store whose appends never end.
struct Stuck(MemoryKeys);

impl RecordStore for Stuck {
    type OpenError = NotDurable;
    type Keys = MemoryKeys;

    async fn open(&mut self, _: u16, _: impl FnMut(&[u8])) -> Result<Opened, NotDurable> {
        Ok(Opened { run: 1, lost: 0 })
    }

    async fn append<'a>(
        &mut self,
        _: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), NotDurable> {
        pending().await
    }

    async fn maintain(
        &mut self,
        _: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), NotDurable> {
        Ok(())
    }

    fn keys(&mut self) -> &mut MemoryKeys {
        &mut self.0
    }
}

#[test]
fn effects_wait_for_their_records() {
    let mut controller = started(MemoryStore::new());
    assert!(controller.decide(NOW, create(1)), "the step has records");
    assert!(controller.records().next().is_some());
    assert_eq!(answers(&controller), 0);
    assert!(!controller.is_durable());
    assert_eq!(controller.rack().nodes().len(), 1, "checkers look between");
    ready(controller.append()).unwrap();
    assert_eq!(answers(&controller), 1);
    assert!(controller.is_durable());
    let records: Vec<_> = controller.records().map(<[u8]>::to_vec).collect();
    assert_eq!(controller.store().records, records);
}

#[test]
fn step_without_records_needs_no_append() {
    let mut controller = started(MemoryStore::new());
    ready(controller.step(NOW, create(1))).unwrap();
    let refused = !controller.decide(NOW, create(1));
    assert!(refused && controller.is_durable());
    let is_error = |effect: Effect<'_>| matches!(effect, Effect::Answer(Err(_)));
    assert!(controller.effects().any(is_error));
}

#[test]
fn failed_append_withholds_all_later_effects() {
    let mut store = MemoryStore::new();
    store.fails_after = Some(1);
    let mut controller = started(store);
    ready(controller.step(NOW, create(1))).unwrap();
    assert_eq!(ready(controller.step(NOW, create(2))), Err(NotDurable));
    assert_eq!(answers(&controller), 0);
    assert_eq!(controller.records().count(), 0);
    // The store would take records again.
    controller.store_mut().fails_after = None;
    for input in [create(3), Input::Tick, create(1)] {
        assert_eq!(ready(controller.step(NOW, input)), Err(NotDurable));
        assert_eq!(controller.effects().count(), 0);
    }
    assert!(controller.is_broken());
    assert_eq!(ready(controller.maintain(NOW)), Err(NotDurable));
    assert_eq!(controller.counters().withheld, 4);
    assert_eq!(controller.counters().steps, 2, "the rack takes no more");
    assert!(controller.wake_at(NOW) >= NOW.plus_millis(60_000));
}

#[test]
fn dropped_append_withholds_all_later_effects() {
    let mut controller = started(Stuck(MemoryKeys::default()));
    controller.decide(NOW, create(1));
    {
        let mut append = pin!(controller.append());
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(append.as_mut().poll(&mut context), Poll::Pending);
    }
    assert_eq!(answers(&controller), 0);
    assert_eq!(ready(controller.step(NOW, Input::Tick)), Err(NotDurable));
    assert!(controller.is_broken());
}

#[test]
fn restart_restores_what_was_durable() {
    let mut store = MemoryStore::new();
    store.fails_after = Some(2);
    let mut controller = started(store);
    for number in [1, 2, 3] {
        let stepped = ready(controller.step(NOW, create(number)));
        assert_eq!(stepped.is_ok(), number < 3);
    }
    let (_, store, _) = controller.into_parts();
    let controller = started(store);
    let ids: Vec<_> = controller
        .rack()
        .nodes()
        .iter()
        .map(|n| n.id.0[0])
        .collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!(controller.store().run, 2);
}

#[test]
fn lost_records_quarantine_every_node() {
    let mut controller = started(MemoryStore::new());
    ready(controller.step(NOW, create(1))).unwrap();
    let (_, mut store, _) = controller.into_parts();
    store.lost = 1;
    let controller = started(store);
    assert_eq!(controller.rack().counters().records_lost, 1);
}

#[test]
fn unknown_records_are_counted() {
    let mut controller = started(MemoryStore::new());
    ready(controller.step(NOW, create(1))).unwrap();
    let (_, mut store, _) = controller.into_parts();
    store.records.push(std::vec![0xfe; 9]);
    let controller = started(store);
    let counters = controller.counters();
    assert_eq!(counters.unknown_records, 1);
    assert_eq!(
        counters.restored_records as usize,
        controller.store().records.len()
    );
    assert_eq!(controller.rack().nodes().len(), 1);
}

#[test]
fn sweeps_keep_the_journal_bounded_and_the_rack_whole() {
    let mut controller = started(JournalStore::new(Chip::new(8), MemoryKeys::default()));
    ready(controller.step(NOW, create(1))).unwrap();
    for round in 0..3000 {
        let input = if round % 2 == 0 { create(2) } else { delete(2) };
        ready(controller.step(NOW, input)).unwrap();
        assert_eq!(answers(&controller), 1);
        ready(controller.maintain(NOW)).unwrap();
    }
    assert!(controller.store().usage().opened > 16, "around the chip");
    let (_, store, _) = controller.into_parts();
    let (flash, keys) = store.into_parts();
    let controller = started(JournalStore::new(flash.unwrap(), keys));
    let ids: Vec<_> = controller
        .rack()
        .nodes()
        .iter()
        .map(|n| n.id.0[0])
        .collect();
    assert_eq!(ids, [1]);
}

#[test]
fn power_cut_in_an_append_breaks_the_controller_until_a_restart() {
    let mut controller = started(JournalStore::new(Chip::new(8), MemoryKeys::default()));
    ready(controller.step(NOW, create(1))).unwrap();
    let journal = controller.store_mut().journal_mut().unwrap();
    journal.flash_mut().cut_after(1, Cut::Torn(7));
    assert_eq!(ready(controller.step(NOW, create(2))), Err(NotDurable));
    let (_, store, _) = controller.into_parts();
    let (chip, keys) = store.into_parts();
    let mut chip = chip.unwrap();
    chip.power_on();
    let mut controller = started(JournalStore::new(chip, keys));
    assert_eq!(controller.rack().nodes().len(), 1);
    ready(controller.step(NOW, create(2))).unwrap();
    assert_eq!(answers(&controller), 1);
}

#[test]
fn journal_opens_once() {
    let mut controller = started(JournalStore::new(Chip::new(8), MemoryKeys::default()));
    assert!(ready(controller.mount(NOW)).is_err());
    // Nobody knows what it has restored then.
    assert_eq!(ready(controller.step(NOW, create(1))), Err(NotDurable));
    assert_eq!(answers(&controller), 0);
}

/// A board of these random bytes that was never started before, with the
/// records of a store.
fn board(store: MemoryStore, random: u8) -> TestController<MemoryStore> {
    let mut controller = Controller::new(Box::new(Rack::new()), store, Counting(random));
    controller.configure(Config::default(), None).unwrap();
    ready(controller.restore(NOW)).unwrap();
    let images = Some([7; 32]);
    ready(controller.step(NOW, Input::Start { images })).unwrap();
    controller
}

#[test]
fn each_board_makes_its_own_keys_and_keeps_them() {
    let one = board(MemoryStore::new(), 0);
    let other = board(MemoryStore::new(), 1);
    let keys = one.rack().trusted_keys().unwrap();
    let others = other.rack().trusted_keys().unwrap();
    assert_ne!((keys.session, keys.orders), (others.session, others.orders));
    assert_ne!(keys.session, others.session);
    assert_eq!(keys.images, [7; 32]);
    let (_, store, _) = one.into_parts();
    let records = store.records.len();
    let again = board(store, 9);
    assert_eq!(again.rack().trusted_keys(), Some(keys));
    let (_, store, _) = again.into_parts();
    assert_eq!(store.records.len(), records, "they are written once");
    // A sweep keeps them too.
    let mut swept = MemoryStore::new();
    let mut room = [0; farrier_core::persist::record::MAX_RECORD];
    let (rack, store, _) = board(store, 9).into_parts();
    swept.keys = store.keys;
    let mut from = 0;
    while let Some((place, length)) = rack.snapshot(NOW, from, &mut room) {
        swept.records.push(room[..length].to_vec());
        from = place + 1;
    }
    assert_eq!(board(swept, 5).rack().trusted_keys(), Some(keys));
}

#[test]
fn a_rack_whose_records_can_not_be_read_answers_nobody() {
    // No journal fits the flash.
    let store = JournalStore::new(Chip::new(2), MemoryKeys::default());
    let mut controller: TestController<_> =
        Controller::new(Box::new(Rack::new()), store, Counting(0));
    controller
        .configure(Config::default(), Some(&IDENTITY))
        .unwrap();
    assert!(ready(controller.restore(NOW)).is_err());
    assert!(controller.is_broken());
    assert_eq!(ready(controller.step(NOW, create(2))), Err(NotDurable));
    assert_eq!(answers(&controller), 0);
}

/// Lets an hour pass, minute by minute.
fn an_hour<S: RecordStore>(controller: &mut TestController<S>, from: Instant) -> Instant {
    let mut now = from;
    for _ in 0..62 {
        now = now.plus_millis(60_000);
        ready(controller.step(now, Input::Tick)).unwrap();
        ready(controller.maintain(now)).unwrap();
    }
    now
}

#[test]
fn the_journal_does_not_tell_the_keys_without_the_board() {
    let controller = board(MemoryStore::new(), 0);
    let keys = controller.rack().trusted_keys().unwrap();
    let (_, store, _) = controller.into_parts();
    let again = board(store.clone(), 9);
    let same = again.rack().trusted_keys().unwrap();
    assert_eq!((same.session, same.orders), (keys.session, keys.orders));

    let mut elsewhere = store;
    elsewhere.keys = MemoryKeys::default();
    let other = board(elsewhere, 99);
    let new = other.rack().trusted_keys().unwrap();
    assert!(new.session != keys.session && new.orders != keys.orders);
    let restarted = board(other.into_parts().1, 7);
    assert_eq!(
        restarted.rack().trusted_keys().unwrap().session,
        new.session
    );
}

#[test]
fn the_key_is_replaced_once_a_secret_may_have_ended_and_the_old_one_erased() {
    let controller = board(MemoryStore::new(), 0);
    let trusted = controller.rack().trusted_keys().unwrap().session;
    let first = controller.store().keys.clone();
    assert_eq!(first.0.iter().filter(|key| **key != NO_KEY).count(), 1);
    let now = NOW;
    let mut restarted = board(controller.into_parts().1, 33);
    let now = an_hour(&mut restarted, now);
    let second = restarted.store().keys.clone();
    assert_eq!(second.0.iter().filter(|key| **key != NO_KEY).count(), 1);
    assert_ne!(second, first, "what had ended may not be opened any more");
    // Nothing has ended since.
    an_hour(&mut restarted, now);
    assert_eq!(restarted.store().keys, second);
    let again = board(restarted.into_parts().1, 66);
    assert_eq!(again.rack().trusted_keys().unwrap().session, trusted);
}

#[test]
fn a_start_between_any_two_steps_of_a_replacement_keeps_the_keys() {
    let controller = board(MemoryStore::new(), 0);
    let trusted = controller.rack().trusted_keys().unwrap().session;
    let store = controller.into_parts().1;
    for steps in 0..8 {
        let mut controller = board(store.clone(), 33);
        let now = NOW.plus_millis(3_600_000);
        for step in 0..steps {
            let now = now.plus_millis(step * 2000);
            if step % 2 == 0 {
                ready(controller.maintain(now)).unwrap();
            } else {
                ready(controller.step(now, Input::Tick)).unwrap();
            }
        }
        let again = board(controller.into_parts().1, 77);
        let same = again.rack().trusted_keys().unwrap().session;
        assert_eq!(same, trusted, "after {steps} steps");
    }
}
