use super::*;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::boxed::Box;

const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const OPEN: Question = Question::Open(Transport::Http);

fn poll<F: Future>(future: core::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The controller's part: takes a job and answers it.
fn answer(queues: &Queues, texts: &Texts, text: &[u8]) {
    let Ok(Job::File(place)) = queues.jobs.try_receive() else {
        panic!("no question waits");
    };
    let cell = queues.files.cell(place).unwrap();
    texts[place].borrow_mut()[..text.len()].copy_from_slice(text);
    cell.served.replace(Served::Text(text.len()));
    queues.files.answered(cell);
}

fn made() -> (Box<Queues>, Box<Texts>) {
    (Box::new(Queues::new()), Box::new(texts()))
}

#[test]
fn text_reaches_the_asker() {
    let (queues, texts) = made();
    let mut text = [0; 16];
    {
        let mut asking = pin!(queues.ask(&texts, OPEN, PEER, "boot.ipxe", &mut text));
        assert_eq!(poll(asking.as_mut()), Poll::Pending);
        answer(&queues, &texts, b"#!ipxe");
        assert_eq!(poll(asking.as_mut()), Poll::Ready(Served::Text(6)));
    }
    assert_eq!(&text[..6], b"#!ipxe");
}

#[test]
fn text_that_does_not_fit_is_no_file() {
    let (queues, texts) = made();
    let mut text = [0; 5];
    let mut asking = pin!(queues.ask(&texts, OPEN, PEER, "boot.ipxe", &mut text));
    assert_eq!(poll(asking.as_mut()), Poll::Pending);
    answer(&queues, &texts, b"#!ipxe");
    assert_eq!(poll(asking.as_mut()), Poll::Ready(Served::NotFound));
}

#[test]
fn asker_that_leaves_frees_its_cell_only_after_the_step() {
    let (queues, texts) = made();
    for _ in 0..3 * FILE_REQUESTS {
        {
            let mut asking = pin!(queues.ask(&texts, OPEN, PEER, "a", &mut []));
            assert_eq!(poll(asking.as_mut()), Poll::Pending);
        }
        // The step is done all the same.
        answer(&queues, &texts, b"");
    }
    for left in (0..FILE_REQUESTS).rev() {
        {
            let mut asking = pin!(queues.ask(&texts, OPEN, PEER, "a", &mut []));
            assert_eq!(poll(asking.as_mut()), Poll::Pending);
        }
        assert_eq!(queues.jobs.len(), FILE_REQUESTS - left);
    }
    let mut asking = pin!(queues.ask(&texts, OPEN, PEER, "b", &mut []));
    assert_eq!(poll(asking.as_mut()), Poll::Pending);
    assert_eq!(queues.jobs.len(), FILE_REQUESTS, "no cell is free");
    answer(&queues, &texts, b"");
    assert_eq!(poll(asking.as_mut()), Poll::Pending);
    assert_eq!(queues.jobs.len(), FILE_REQUESTS, "the freed cell is taken");
}

#[test]
fn asker_that_leaves_before_its_turn_leaves_no_trace() {
    let (queues, texts) = made();
    let texts = &texts;
    let mut first: [_; FILE_REQUESTS] =
        core::array::from_fn(|_| Box::pin(queues.ask(texts, OPEN, PEER, "a", &mut [])));
    for asking in &mut first {
        assert_eq!(poll(asking.as_mut()), Poll::Pending);
    }
    {
        let mut late = pin!(queues.ask(texts, OPEN, PEER, "late", &mut []));
        assert_eq!(poll(late.as_mut()), Poll::Pending);
    }
    let mut next = pin!(queues.ask(texts, OPEN, PEER, "next", &mut []));
    assert_eq!(poll(next.as_mut()), Poll::Pending);
    answer(&queues, texts, b"");
    assert_eq!(poll(first[0].as_mut()), Poll::Ready(Served::Text(0)));
    assert_eq!(poll(next.as_mut()), Poll::Pending);
    let Ok(Job::File(place)) = core::iter::repeat_with(|| queues.jobs.try_receive())
        .take(FILE_REQUESTS)
        .last()
        .unwrap()
    else {
        panic!("the next question waits");
    };
    let cell = queues.files.cell(place).unwrap();
    assert_eq!(cell.ask.borrow().path, "next");
}

#[test]
fn full_queue_is_counted_and_asked_again() {
    let (queues, texts) = made();
    let texts = &texts;
    let mut waiting: std::vec::Vec<_> = (0..FILE_REQUESTS + WAITERS)
        .map(|_| Box::pin(queues.ask(texts, OPEN, PEER, "a", &mut [])))
        .collect();
    for asking in &mut waiting {
        assert_eq!(poll(asking.as_mut()), Poll::Pending);
    }
    let mut asking = pin!(queues.ask(texts, OPEN, PEER, "a", &mut []));
    assert_eq!(poll(asking.as_mut()), Poll::Ready(Served::Busy));
    assert_eq!(queues.counters.files_full.get(), 1);
}

#[test]
fn path_that_is_too_long_is_no_file() {
    let (queues, texts) = made();
    let path = "a".repeat(PATH + 1);
    let mut asking = pin!(queues.ask(&texts, OPEN, PEER, &path, &mut []));
    assert_eq!(poll(asking.as_mut()), Poll::Ready(Served::NotFound));
    assert_eq!(queues.counters.files_full.get(), 0);
}
