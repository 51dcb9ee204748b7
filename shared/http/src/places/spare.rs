//! What is given up for somebody who waits.

use super::{Phase, Place, Places, Waiting};

impl<const N: usize, const H: usize> Places<N, H> {
    /// Whether a connection can be given up for another one.
    pub(super) fn is_spare(&self, place: &Place, now: u64) -> bool {
        let age = now.saturating_sub(place.since);
        match place.phase {
            Phase::Idle => age >= u64::from(self.policy.pause_ms),
            Phase::New | Phase::Head => age >= u64::from(self.policy.young_ms),
            Phase::Busy => age >= u64::from(self.policy.transfer_ms) || self.is_slow(place, age),
            Phase::Opening | Phase::Closing => false,
        }
    }

    /// Whether a file is sent below the fair rate.
    fn is_slow(&self, place: &Place, age: u64) -> bool {
        let fair = age.saturating_mul(u64::from(self.policy.fair_rate)) / 1_000;
        age >= u64::from(self.policy.fair_after_ms) && place.sent.is_some_and(|sent| sent < fair)
    }

    /// What to give up for this one: of the source that has most, and of that
    /// what has waited for longest, without a head before with one. What is at
    /// work comes last, and only for peers that come before it.
    pub(super) fn victim(&self, now: u64, waiting: &Waiting) -> Option<usize> {
        let source = *waiting.peer.ip();
        let own_only = self.of_source(source) >= usize::from(self.policy.per_source);
        let helps = |p: &Place| {
            if own_only || p.peer == waiting.peer {
                *p.peer.ip() == source
            } else if p.class == waiting.class {
                true
            } else {
                !self.has_its_share(waiting.class)
                    && self.used(p.class) > self.kept(p.class)
                    && (p.phase != Phase::Busy || waiting.class.is_first())
            }
        };
        self.places
            .iter()
            .enumerate()
            .filter_map(|(at, place)| Some((at, place.as_ref()?)))
            .filter(|(_, p)| self.is_spare(p, now) && helps(p))
            .max_by_key(|(_, p)| {
                (
                    p.peer == waiting.peer,
                    p.phase != Phase::Busy,
                    p.phase == Phase::Busy && !p.class.is_first(),
                    self.of_source(*p.peer.ip()),
                    p.phase != Phase::Head,
                    now.saturating_sub(p.since),
                )
            })
            .map(|(at, _)| at)
    }
}
