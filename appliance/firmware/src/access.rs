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
    /// Turns at the queue for [`Self::turns`], for sources that did not log in to
    /// the account before: of all of them one waits there at a time, so that the
    /// others wait for two checks at most, however many guess.
    others: FairSemaphore<NoopRawMutex, WAITERS>,
}

impl Access {
    pub(crate) fn new(gate: Gate) -> Self {
        Self {
            gate: RefCell::new(gate),
            check: RefCell::new(None),
            turns: FairSemaphore::new(1),
            others: FairSemaphore::new(1),
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
        let (admission, first) = self.look(peer, received, false).await?;
        match admission {
            Admission::Granted(who) => return Ok(Ok(who)),
            Admission::Refused(refusal) => return Ok(Err(refusal)),
            Admission::Wait | Admission::Check(_) => {}
        }
        // All workers have room to wait.
        let _other = match first {
            true => None,
            false => Some(
                self.access
                    .others
                    .acquire(1)
                    .await
                    .map_err(|_| NotDurable)?,
            ),
        };
        let _turn = self.access.turns.acquire(1).await.map_err(|_| NotDurable)?;
        match self.look(peer, received, true).await?.0 {
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

    /// What becomes of a request, and whether it waits before those of others.
    async fn look(
        &self,
        address: Ipv4Addr,
        received: &[u8],
        in_turn: bool,
    ) -> Result<(Admission, bool), NotDurable> {
        self.shared
            .view(|rack| match Head::parse(received) {
                Ok(Some((head, _))) => {
                    let is_machine = rack.is_machine(address);
                    let peer = Peer {
                        address,
                        is_machine,
                    };
                    let mut gate = self.access.gate.borrow_mut();
                    let view = View::of(rack, now());
                    let admission = gate.admit(&head, peer, in_turn, now(), &view);
                    let waits = matches!(admission, Admission::Wait);
                    let first = waits && gate.comes_first(&head, address, &view);
                    (admission, first)
                }
                // The caller has parsed it before.
                _ => (Admission::Refused(Refusal::Unreadable), false),
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
