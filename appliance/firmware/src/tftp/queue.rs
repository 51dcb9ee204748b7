//! From the listener to the workers: who gets one, who waits.

use core::cell::{Cell, RefCell};
use core::net::SocketAddrV4;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use farrier_sizes::{TFTP_TRANSFERS, TFTP_WAITING};
use farrier_tftp::name::normalise;
use farrier_tftp::places::{Admission, Class, Places, Policy};
use farrier_tftp::wire::{Mode, Options, Request};
use heapless::String;

use crate::queues::bump;

/// Longest file name, in the form that the rack is asked with.
const NAME: usize = 80;
/// Workers.
const WORKERS: usize = TFTP_TRANSFERS;
/// What the listener hands to a worker: a read request without its text.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) peer: SocketAddrV4,
    pub(super) name: String<NAME>,
    pub(super) mode: Mode,
    pub(super) options: Options,
}

impl Job {
    /// Takes a request over, its name normalised; `None` for a name that no
    /// file can have.
    pub(super) fn new(peer: SocketAddrV4, request: &Request<'_>) -> Option<Self> {
        let mut room = [0; NAME];
        Some(Self {
            peer,
            name: String::try_from(normalise(request.name, &mut room)?).ok()?,
            mode: request.mode,
            options: request.options,
        })
    }
}

/// What has happened since start. All wrap.
#[derive(Debug, Default)]
pub struct TftpCounters {
    /// Transfers that ended with every byte acknowledged.
    pub complete: Cell<u32>,
    /// Requests for the size alone.
    pub probes: Cell<u32>,
    /// Transfers that ended otherwise.
    pub failed: Cell<u32>,
    /// Requests that waited for a worker.
    pub waited: Cell<u32>,
    /// Requests that were ignored: their source had its share, or too many
    /// waited. Their clients repeat them.
    pub ignored: Cell<u32>,
    /// Transfers whose first packet was not answered, given up for others.
    pub unanswered: Cell<u32>,
    /// Transfers that were too slow or took minutes, given up for others.
    pub given_up: Cell<u32>,
    /// Transfers below the least rate.
    pub slow: Cell<u32>,
    /// Packets to port 69 that are no readable request.
    pub malformed: Cell<u32>,
}

/// How the listener hands requests to workers. A worker's number is its place.
pub struct Tftp {
    places: RefCell<Places<WORKERS, TFTP_WAITING>>,
    /// Requests that wait.
    waiting: RefCell<[Option<Job>; TFTP_WAITING]>,
    /// What each worker is called for.
    jobs: RefCell<[Option<Job>; WORKERS]>,
    /// Calls one worker each. Not one channel for all of them: embassy's
    /// channels remember one waiting task, and several that wait would wake
    /// one another without end.
    calls: [Signal<NoopRawMutex, ()>; WORKERS],
    /// Ends a worker's transfer.
    give_up: [Signal<NoopRawMutex, ()>; WORKERS],
    /// Workers that have started.
    workers: Cell<usize>,
    /// Counters.
    pub counters: TftpCounters,
}

impl core::fmt::Debug for Tftp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tftp")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Default for Tftp {
    fn default() -> Self {
        Self::new()
    }
}

impl Tftp {
    /// No worker has started, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            places: RefCell::new(Places::new(Policy::DEFAULT)),
            waiting: RefCell::new([const { None }; TFTP_WAITING]),
            jobs: RefCell::new([const { None }; WORKERS]),
            calls: [const { Signal::new() }; WORKERS],
            give_up: [const { Signal::new() }; WORKERS],
            workers: Cell::new(0),
            counters: TftpCounters {
                complete: Cell::new(0),
                probes: Cell::new(0),
                failed: Cell::new(0),
                waited: Cell::new(0),
                ignored: Cell::new(0),
                unanswered: Cell::new(0),
                given_up: Cell::new(0),
                slow: Cell::new(0),
                malformed: Cell::new(0),
            },
        }
    }

    /// Takes a request. Returns whether it is to be noted as refused.
    pub(super) fn request(&self, job: Job, class: Class) -> bool {
        let admission = self.places.borrow_mut().request(millis(), job.peer, class);
        match admission {
            Admission::Wait(slot) => {
                if let Some(waiting) = self.waiting.borrow_mut().get_mut(slot) {
                    *waiting = Some(job);
                }
                self.start();
                if self.places.borrow().waits(slot) {
                    bump(&self.counters.waited);
                }
                false
            }
            Admission::Repeated => false,
            Admission::Ignored => {
                bump(&self.counters.ignored);
                true
            }
        }
    }

    /// Calls workers for the requests that may start.
    fn start(&self) {
        loop {
            let next = self.places.borrow_mut().next(millis());
            let Some((slot, place)) = next else {
                return;
            };
            let job = self
                .waiting
                .borrow_mut()
                .get_mut(slot)
                .and_then(Option::take);
            if let (Some(at), Some(call)) =
                (self.jobs.borrow_mut().get_mut(place), self.calls.get(place))
            {
                *at = job;
                call.signal(());
            }
        }
    }

    /// A worker's transfer is over.
    pub(super) fn freed(&self, me: usize) {
        self.places.borrow_mut().freed(me);
        self.start();
    }

    /// The peer has answered a worker's transfer, and has acknowledged so many
    /// bytes of it in all.
    pub(super) fn answered(&self, me: usize, acked: u64) {
        let mut places = self.places.borrow_mut();
        places.answered(me);
        places.acked(me, acked);
    }

    /// A worker's transfer was given up: what of it is counted.
    pub(super) fn count_given_up(&self, me: usize) {
        bump(match self.places.borrow().is_answered(me) {
            true => &self.counters.given_up,
            false => &self.counters.unanswered,
        });
    }

    /// The number of a worker that starts.
    pub(super) fn next_worker(&self) -> usize {
        self.workers.replace(self.workers.get() + 1)
    }

    /// Gives up transfers for requests that wait. Returns whether any waits.
    pub(super) fn look(&self) -> bool {
        loop {
            let victim = self.places.borrow_mut().tick(millis());
            match victim.and_then(|place| self.give_up.get(place)) {
                Some(give_up) => give_up.signal(()),
                None => return self.places.borrow().is_crowded(),
            }
        }
    }

    /// Waits for the listener's call.
    pub(super) async fn next_job(&self, me: usize) -> Job {
        loop {
            match self.calls.get(me) {
                Some(call) => call.wait().await,
                // More workers than places: this one has nothing to do.
                None => core::future::pending().await,
            }
            let job = self.jobs.borrow_mut().get_mut(me).and_then(Option::take);
            if let Some(job) = job {
                if let Some(give_up) = self.give_up.get(me) {
                    give_up.reset();
                }
                return job;
            }
        }
    }

    pub(super) async fn given_up(&self, me: usize) {
        loop {
            match self.give_up.get(me) {
                Some(give_up) => give_up.wait().await,
                None => core::future::pending().await,
            }
            // An answer may have come at the last moment.
            if self.places.borrow().is_given_up(me) {
                return;
            }
        }
    }
}

fn millis() -> u64 {
    Instant::now().as_millis()
}
