//! Who sends a request of the API: passwords are checked in pieces, one at a
//! time, so that a check holds nobody up for more than a moment.

use core::cell::RefCell;
use core::net::Ipv4Addr;

use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::semaphore::{FairSemaphore, Semaphore};
use farrier_api::access::{AccessCounters, Check, Refusal};
use farrier_api::{Admission, Gate, Peer, Principal, View, WORK_ROUNDS};
use farrier_controller::NotDurable;
use farrier_http::Head;

use crate::controller::now;
use crate::queues::WAITERS;
use crate::{Board, Context};

/// The gate, and the one check that goes on.
#[derive(Debug)]
pub struct Access {
    gate: RefCell<Gate>,
    check: RefCell<Option<Check>>,
    turns: FairSemaphore<NoopRawMutex, WAITERS>,
}

impl Access {
    pub(crate) fn new(gate: Gate) -> Self {
        Self {
            gate: RefCell::new(gate),
            check: RefCell::new(None),
            turns: FairSemaphore::new(1),
        }
    }

    pub(crate) fn counters(&self) -> AccessCounters {
        *self.gate.borrow().counters()
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// In whose name the request is carried out whose head is in `received`.
    pub(crate) async fn admit(
        &self,
        peer: Ipv4Addr,
        received: &[u8],
    ) -> Result<Result<Principal, Refusal>, NotDurable> {
        match self.look(peer, received, false).await? {
            Admission::Granted(who) => return Ok(Ok(who)),
            Admission::Refused(refusal) => return Ok(Err(refusal)),
            Admission::Wait | Admission::Check(_) => {}
        }
        // All workers have room to wait.
        let _turn = self.access.turns.acquire(1).await.map_err(|_| NotDurable)?;
        match self.look(peer, received, true).await? {
            Admission::Granted(who) => return Ok(Ok(who)),
            Admission::Refused(refusal) => return Ok(Err(refusal)),
            Admission::Wait => return Err(NotDurable),
            Admission::Check(check) => self.access.check.replace(Some(check)),
        };
        loop {
            match self.work() {
                Some(Admission::Granted(who)) => return Ok(Ok(who)),
                Some(Admission::Refused(refusal)) => return Ok(Err(refusal)),
                Some(Admission::Wait | Admission::Check(_)) | None => yield_now().await,
            }
        }
    }

    async fn look(
        &self,
        address: Ipv4Addr,
        received: &[u8],
        in_turn: bool,
    ) -> Result<Admission, NotDurable> {
        self.shared
            .view(|rack| match Head::parse(received) {
                Ok(Some((head, _))) => {
                    let is_machine = rack.is_machine(address);
                    let peer = Peer {
                        address,
                        is_machine,
                    };
                    let mut gate = self.access.gate.borrow_mut();
                    gate.admit(&head, peer, in_turn, now(), &View::of(rack, now()))
                }
                // The caller has parsed it before.
                _ => Admission::Refused(Refusal::Unreadable),
            })
            .await
    }

    /// Does a piece of the check. Apart, so that its stack is free again
    /// while others run.
    #[inline(never)]
    fn work(&self) -> Option<Admission> {
        let mut check = self.access.check.borrow_mut();
        let Some(going_on) = check.as_mut() else {
            return Some(Admission::Refused(Refusal::Wrong));
        };
        let right = going_on.run(WORK_ROUNDS)?;
        let admission = self
            .access
            .gate
            .borrow_mut()
            .checked(going_on, right, now());
        *check = None;
        Some(admission)
    }
}
