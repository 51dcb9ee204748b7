//! Which slot a held SYN gets.

use core::net::Ipv4Addr;

use super::{Class, Places};

impl<const N: usize, const H: usize> Places<N, H> {
    /// The slot for a SYN that is to be held: a free one, or that of another SYN,
    /// which is dropped for it.
    pub(super) fn slot_for(&self, source: Ipv4Addr, class: Class) -> Option<usize> {
        let of_source = self.waiting.iter().flatten();
        let of_source = of_source.filter(|w| *w.peer.ip() == source).count();
        if of_source >= usize::from(self.policy.waiting_per_source) {
            return None;
        }
        // A class that waits with as many as it may makes room among its own.
        let own_only = class == Class::Stranger && self.held(class) >= (H / 2).max(1);
        let free = self.waiting.iter().position(Option::is_none);
        free.filter(|_| !own_only)
            .or_else(|| self.displaced(source, class, own_only))
            .or_else(|| self.beyond_its_share(class))
    }

    /// The slot of the source that has most, which must have more than this one.
    fn displaced(&self, source: Ipv4Addr, class: Class, own_only: bool) -> Option<usize> {
        let waiting = self.waiting.iter().enumerate();
        waiting
            .filter_map(|(slot, w)| Some((slot, w.as_ref()?)))
            .filter(|(_, w)| w.class == class || !own_only && self.exceeds_its_share(w.class))
            .map(|(slot, w)| (slot, self.of_source(*w.peer.ip())))
            .filter(|(_, has)| *has > self.of_source(source))
            .max_by_key(|(_, has)| *has)
            .map(|(slot, _)| slot)
    }

    /// For a class that waits with less than its share, the slot of a class that
    /// waits with more: what came last of the one that has most.
    fn beyond_its_share(&self, class: Class) -> Option<usize> {
        if self.held(class) >= share(class, H) {
            return None;
        }
        let waiting = self.waiting.iter().enumerate();
        waiting
            .filter_map(|(slot, w)| Some((slot, w.as_ref()?)))
            .filter(|(_, w)| w.class != class && self.exceeds_its_share(w.class))
            .max_by_key(|(_, w)| (self.held(w.class), w.since))
            .map(|(slot, _)| slot)
    }

    fn exceeds_its_share(&self, class: Class) -> bool {
        self.held(class) > share(class, H)
    }

    /// Segments of this class that wait.
    fn held(&self, class: Class) -> usize {
        let waiting = self.waiting.iter().flatten();
        waiting.filter(|w| w.class == class).count()
    }
}

/// The share of a class in slots that may all be taken by one class until
/// another one needs them.
const fn share(class: Class, slots: usize) -> usize {
    let eighth = if slots < 8 { 1 } else { slots / 8 };
    match class {
        Class::Boot => 2 * eighth,
        Class::Agent | Class::Operator | Class::Stranger => eighth,
    }
}
