//! The timeline of a node's boot: when each hop was reached, which is due
//! next, and until when. What a late hop leads to is `deadlines`' business.

use crate::interface::Instant;

/// The steps of a network boot, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hop {
    /// The firmware's (or the boot ROM's) first DHCP packet.
    Discover = 0,
    /// An address was offered.
    Offer = 1,
    /// An address was acknowledged.
    Address = 2,
    /// The network-boot program was sent whole.
    Program = 3,
    /// iPXE asked for an address of its own.
    Ipxe = 4,
    /// The boot script was sent.
    Script = 5,
    /// The kernel was sent whole.
    Kernel = 6,
    /// The ramdisk was sent whole.
    Ramdisk = 7,
    /// The agent's handshake was accepted.
    Handshake = 8,
    /// The agent was given its first order.
    Order = 9,
    /// The machine was sent to its own disk.
    LocalBoot = 10,
}

/// How many hops there are.
pub const HOPS: usize = 11;

const SECOND: u64 = 1000;

impl Hop {
    /// All hops, in order.
    pub const ALL: [Hop; HOPS] = [
        Hop::Discover,
        Hop::Offer,
        Hop::Address,
        Hop::Program,
        Hop::Ipxe,
        Hop::Script,
        Hop::Kernel,
        Hop::Ramdisk,
        Hop::Handshake,
        Hop::Order,
        Hop::LocalBoot,
    ];

    /// The hop's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Hop::Discover => "dhcp discover",
            Hop::Offer => "dhcp offer",
            Hop::Address => "dhcp ack",
            Hop::Program => "boot program",
            Hop::Ipxe => "ipxe dhcp",
            Hop::Script => "boot script",
            Hop::Kernel => "kernel",
            Hop::Ramdisk => "ramdisk",
            Hop::Handshake => "agent handshake",
            Hop::Order => "first order",
            Hop::LocalBoot => "local boot",
        }
    }

    /// How long after the hop before it this one may come, in milliseconds.
    /// Generous: a rack of 48 boots at once through one appliance. The first
    /// packet comes after the firmware's self-test, which takes minutes on
    /// large servers.
    pub const fn limit_millis(self) -> u64 {
        match self {
            Hop::Discover => 900 * SECOND,
            Hop::Offer => 10 * SECOND,
            Hop::Address | Hop::Ipxe | Hop::Script => 60 * SECOND,
            Hop::Program | Hop::Order | Hop::LocalBoot => 120 * SECOND,
            Hop::Kernel | Hop::Ramdisk | Hop::Handshake => 300 * SECOND,
        }
    }

    /// The hop that comes behind this one on the way to an agent at work;
    /// `None` where the way ends.
    const fn next(self, rom_is_ipxe: bool) -> Option<Hop> {
        Some(match self {
            Hop::Discover => Hop::Offer,
            Hop::Offer => Hop::Address,
            Hop::Address if rom_is_ipxe => Hop::Script,
            Hop::Address => Hop::Program,
            Hop::Program => Hop::Ipxe,
            Hop::Ipxe => Hop::Script,
            Hop::Script => Hop::Kernel,
            Hop::Kernel => Hop::Ramdisk,
            Hop::Ramdisk => Hop::Handshake,
            Hop::Handshake => Hop::Order,
            Hop::Order | Hop::LocalBoot => return None,
        })
    }
}

/// A span of milliseconds in 16 bits: exact up to four seconds, then to one
/// part in 2048. 0 stands for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span(u16);

const MANTISSA: u32 = 12;

impl Span {
    fn new(millis: u64) -> Self {
        // One more, so that 0 is free; the longest span stands for all
        // longer ones.
        let mut mantissa = millis.saturating_add(1);
        let mut exponent = 0;
        while mantissa >= 1 << MANTISSA && exponent < 15 {
            mantissa >>= 1;
            exponent += 1;
        }
        let mantissa = u16::try_from(mantissa)
            .unwrap_or(u16::MAX)
            .min((1 << MANTISSA) - 1);
        Span(exponent << MANTISSA | mantissa)
    }

    fn millis(self) -> Option<u32> {
        let mantissa = u32::from(self.0) & ((1 << MANTISSA) - 1);
        (mantissa << (self.0 >> MANTISSA)).checked_sub(1)
    }
}

/// When each hop of the present boot was reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeline {
    started: Instant,
    at: [Span; HOPS],
    /// The machine's boot ROM is iPXE: there is no program to be loaded.
    rom_is_ipxe: bool,
}

impl Timeline {
    /// An empty timeline.
    pub const fn new() -> Self {
        Timeline {
            started: Instant::START,
            at: [Span(0); HOPS],
            rom_is_ipxe: false,
        }
    }

    /// Notes the first time that a hop is reached. A DHCP hop after the
    /// script starts the timeline of a new boot.
    pub fn mark(&mut self, hop: Hop, now: Instant) {
        let over = self.reached(Hop::Script).is_some();
        let empty = self.at == [Span(0); HOPS];
        if empty || (over && matches!(hop, Hop::Discover | Hop::Ipxe)) {
            *self = Timeline {
                started: now,
                ..Timeline::new()
            };
        }
        if let Some(at) = self.at.get_mut(hop as usize)
            && *at == Span(0)
        {
            *at = Span::new(now.since(self.started));
        }
    }

    /// Notes that the boot ROM of the machine is iPXE itself.
    pub fn rom_is_ipxe(&mut self) {
        self.rom_is_ipxe = true;
    }

    /// When the boot started: its first hop.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Milliseconds from the first hop to this one, to one part in 2048.
    pub fn reached(&self, hop: Hop) -> Option<u32> {
        self.at.get(hop as usize).and_then(|at| at.millis())
    }

    /// The last hop that was reached.
    pub fn last(&self) -> Option<Hop> {
        Hop::ALL
            .into_iter()
            .rev()
            .find(|hop| self.reached(*hop).is_some())
    }

    /// The hop that is due next, and until when. `since` is when the wait
    /// began: a boot that ended before it counts for nothing, and the first
    /// packet of another one is due. `None` where the way is at its end.
    pub fn due(&self, since: Instant) -> Option<(Hop, Instant)> {
        let last = self.last().and_then(|hop| {
            let reached = u64::from(self.reached(hop)?);
            let at = self.started.plus_millis(reached);
            // It is rounded down: a hop of this very moment is not before it.
            (at.plus_millis(reached / 2048) >= since).then_some((hop, at))
        });
        let (next, from) = match last {
            Some((hop, at)) => (hop.next(self.rom_is_ipxe)?, at),
            None => (Hop::Discover, since),
        };
        Some((next, from.plus_millis(next.limit_millis())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    proptest! {
        #[test]
        fn spans_are_near_what_they_stand_for(millis in 0u64..120_000_000) {
            let span = u64::from(Span::new(millis).millis().unwrap());
            prop_assert!(span <= millis && millis - span <= millis / 2048);
            if millis < 4000 {
                prop_assert_eq!(span, millis);
            }
        }
    }

    #[test]
    fn spans_have_an_end() {
        assert!(Span::new(u64::MAX).millis().unwrap() >= 134_000_000);
        assert_eq!(Span::default().millis(), None);
    }

    #[test]
    fn a_boot_by_pxe_is_due_hop_by_hop() {
        let mut boot = Timeline::new();
        assert_eq!(boot.due(at(5)), Some((Hop::Discover, at(905))));
        let way = Hop::ALL.into_iter().take(10);
        for (second, hop) in (10..).zip(way) {
            assert_eq!(boot.due(at(5)).unwrap().0, hop);
            boot.mark(hop, at(second));
        }
        assert_eq!(boot.due(at(5)), None);
        // That boot is over: another work waits for the next one.
        assert_eq!(boot.due(at(100)), Some((Hop::Discover, at(1000))));
        boot.mark(Hop::Discover, at(120));
        assert_eq!(boot.due(at(100)), Some((Hop::Offer, at(130))));
    }

    #[test]
    fn a_hop_of_this_very_moment_counts_although_it_is_rounded() {
        let mut boot = Timeline::new();
        boot.mark(Hop::Discover, at(0));
        let now = Instant::from_millis(65_560);
        boot.mark(Hop::Handshake, now);
        assert!(boot.reached(Hop::Handshake).unwrap() < 65_560);
        assert_eq!(boot.due(now).unwrap().0, Hop::Order);
        assert_eq!(boot.due(at(67)).unwrap().0, Hop::Discover);
    }

    #[test]
    fn a_packet_that_comes_again_begins_no_other_boot() {
        let mut boot = Timeline::new();
        for (second, hop) in [(3, Hop::Discover), (4, Hop::Discover), (5, Hop::Ipxe)] {
            boot.mark(hop, at(second));
        }
        assert_eq!(boot.started(), at(3));
        assert_eq!(boot.reached(Hop::Discover), Some(0));
        assert_eq!(boot.reached(Hop::Ipxe), Some(2000));
        boot.mark(Hop::Script, at(12));
        boot.mark(Hop::Kernel, at(13));
        assert_eq!(boot.started(), at(3), "the same boot goes on");
        boot.mark(Hop::Ipxe, at(20));
        assert_eq!(boot.started(), at(20));
    }

    #[test]
    fn hops_have_their_time() {
        let seconds = [900, 10, 60, 120, 60, 60, 300, 300, 300, 120, 120];
        for (hop, seconds) in Hop::ALL.into_iter().zip(seconds) {
            assert_eq!(hop.limit_millis(), seconds * 1000, "{hop:?}");
        }
    }

    #[test]
    fn a_rom_that_is_ipxe_needs_no_program() {
        let mut boot = Timeline::new();
        boot.mark(Hop::Discover, at(1));
        boot.rom_is_ipxe();
        boot.mark(Hop::Offer, at(1));
        boot.mark(Hop::Address, at(2));
        assert_eq!(boot.due(at(0)), Some((Hop::Script, at(62))));
    }
}
