//! Tests the client with wire messages of a scripted server.

mod common;

use common::{MAC, SERVER};
use farrier_dhcp::client::{Action, Client, Config, Destination, Event, State};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use std::net::Ipv4Addr;

const ADDR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// A client with a clock and random numbers.
struct Rig<'a> {
    client: Client<'a>,
    now: u64,
    random: u32,
}

impl<'a> Rig<'a> {
    fn new(config: Config<'a>) -> Self {
        Self {
            client: Client::new(config),
            now: 5_000,
            random: 1,
        }
    }

    fn poll(&mut self) -> (Action, Vec<u8>) {
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let mut buf = [0; 548];
        let action = self.client.poll(self.now, self.random, &mut buf).unwrap();
        let len = if let Action::Send { len, .. } = action {
            len
        } else {
            0
        };
        (action, buf[..len].to_vec())
    }

    /// Advances the time until the client's action is not a wait.
    fn run(&mut self) -> (Action, Vec<u8>) {
        loop {
            match self.poll() {
                (Action::Wait(until), _) => {
                    assert!(until >= self.now);
                    self.now = until;
                }
                other => return other,
            }
        }
    }

    /// Returns the next message and its destination.
    fn sent(&mut self) -> (Vec<u8>, Destination) {
        match self.run() {
            (Action::Send { to, .. }, bytes) => (bytes, to),
            (other, _) => panic!("{other:?}"),
        }
    }

    fn answer(
        &mut self,
        request: &[u8],
        kind: MessageType,
        change: impl Fn(&mut Reply<'_>),
    ) -> Event {
        let request = Request::parse(request).unwrap();
        let mut reply = Reply::answering(&request, kind, SERVER);
        if kind != MessageType::Nak {
            reply.yiaddr = ADDR;
            reply.mask = Some(Ipv4Addr::new(255, 255, 255, 0));
            reply.router = Some(SERVER);
            reply.lease_secs = Some(1_000);
        }
        change(&mut reply);
        let mut buf = [0; 1500];
        let len = reply.emit(&mut buf).unwrap();
        self.client.process(self.now, &buf[..len])
    }

    /// Runs DISCOVER to ACK.
    fn bind(&mut self, change: impl Fn(&mut Reply<'_>)) {
        let (discover, _) = self.sent();
        assert_eq!(
            self.answer(&discover, MessageType::Offer, &change),
            Event::Offered
        );
        let (request, _) = self.sent();
        assert_eq!(
            self.answer(&request, MessageType::Ack, &change),
            Event::Bound
        );
        assert_eq!(self.client.state(), State::Bound);
    }
}

#[test]
fn discover_offer_request_ack_gives_a_lease() {
    let config = Config {
        uuid: Some(common::UUID),
        class_id: Some(b"farrier-agent"),
        ..Config::new(MAC)
    };
    let mut rig = Rig::new(config);
    let (bytes, to) = rig.sent();
    let discover = Request::parse(&bytes).unwrap();
    assert_eq!(
        (discover.message_type, to),
        (MessageType::Discover, Destination::Broadcast)
    );
    assert_eq!(
        discover.client_id,
        Some(&[1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56][..])
    );
    assert_eq!(discover.uuid(), Some(common::UUID));
    assert_eq!(discover.class_id, Some(&b"farrier-agent"[..]));
    assert!(discover.wants(1) && discover.wants(3));
    assert_eq!(
        rig.answer(&bytes, MessageType::Offer, |_| ()),
        Event::Offered
    );

    // RFC 2131 table 4: 50 and 54 from the offer, ciaddr zero, same xid.
    let (bytes, to) = rig.sent();
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(
        (request.message_type, to),
        (MessageType::Request, Destination::Broadcast)
    );
    assert_eq!(
        (request.requested_ip, request.server_id),
        (Some(ADDR), Some(SERVER))
    );
    assert_eq!(request.ciaddr, Ipv4Addr::UNSPECIFIED);
    assert_eq!(request.xid, discover.xid);
    assert!(rig.client.lease().is_none());
    assert_eq!(rig.answer(&bytes, MessageType::Ack, |_| ()), Event::Bound);

    let lease = rig.client.lease().unwrap();
    assert_eq!(
        (lease.ip, lease.server, lease.router),
        (ADDR, SERVER, Some(SERVER))
    );
    assert_eq!(lease.mask, Ipv4Addr::new(255, 255, 255, 0));
    assert_eq!(lease.renew_at - rig.now, 500_000);
    assert_eq!(lease.rebind_at - rig.now, 875_000);
    assert_eq!(lease.expires_at - rig.now, 1_000_000);
    assert_eq!(rig.poll().0, Action::Wait(rig.now + 500_000));
}

#[test]
fn unanswered_messages_are_repeated_with_backoff_and_jitter() {
    let mut rig = Rig::new(Config::new(MAC));
    let mut last = None;
    let mut expected = 1_000;
    let mut xids = Vec::new();
    for _ in 0..8 {
        let (bytes, _) = rig.sent();
        let discover = Request::parse(&bytes).unwrap();
        assert_eq!(u64::from(discover.secs), (rig.now - 5_000) / 1_000);
        xids.push(discover.xid);
        if let Some(last) = last {
            let pause = rig.now - last;
            assert!(
                (expected * 3 / 4..=expected * 5 / 4).contains(&pause),
                "{pause}"
            );
            expected = (expected * 2).min(16_000);
        }
        last = Some(rig.now);
    }
    xids.dedup();
    assert_eq!(xids.len(), 1, "repetitions keep their transaction");
}

#[test]
fn mismatched_replies_are_ignored() {
    let mut rig = Rig::new(Config {
        server: Some(SERVER),
        ..Config::new(MAC)
    });
    let (discover, _) = rig.sent();
    let offer = MessageType::Offer;
    assert_eq!(rig.answer(&discover, offer, |r| r.xid ^= 1), Event::Ignored);
    assert_eq!(
        rig.answer(&discover, offer, |r| r.chaddr[5] ^= 1),
        Event::Ignored
    );
    assert_eq!(
        rig.answer(&discover, offer, |r| r.server_id = OTHER),
        Event::Ignored
    );
    for no_host in [
        [0, 0, 0, 0],
        [255, 255, 255, 255],
        [224, 0, 0, 1],
        [127, 0, 0, 1],
    ] {
        assert_eq!(
            rig.answer(&discover, offer, |r| r.yiaddr = no_host.into()),
            Event::Ignored
        );
    }
    assert_eq!(
        rig.answer(&discover, MessageType::Ack, |_| ()),
        Event::Ignored
    );
    assert_eq!(
        rig.answer(&discover, MessageType::Nak, |_| ()),
        Event::Ignored
    );
    assert_eq!(rig.client.process(rig.now, &discover), Event::Ignored);
    assert_eq!(rig.client.process(rig.now, &[]), Event::Ignored);

    assert_eq!(rig.answer(&discover, offer, |_| ()), Event::Offered);
    assert_eq!(rig.answer(&discover, offer, |_| ()), Event::Ignored);
    let (request, _) = rig.sent();
    assert_eq!(
        rig.answer(&request, MessageType::Ack, |r| r.lease_secs = None),
        Event::Ignored
    );
    assert_eq!(rig.answer(&request, MessageType::Ack, |_| ()), Event::Bound);
    assert_eq!(
        rig.answer(&request, MessageType::Ack, |_| ()),
        Event::Ignored
    );
}

#[test]
fn another_server_can_not_ack_or_nak_an_offer() {
    let mut rig = Rig::new(Config::new(MAC));
    let (discover, _) = rig.sent();
    rig.answer(&discover, MessageType::Offer, |_| ());
    let (request, _) = rig.sent();
    for kind in [MessageType::Ack, MessageType::Nak] {
        assert_eq!(
            rig.answer(&request, kind, |r| r.server_id = OTHER),
            Event::Ignored
        );
    }
    assert_eq!(
        rig.answer(&request, MessageType::Nak, |_| ()),
        Event::Refused
    );
    // Not at once, and with a new transaction id.
    let refused_at = rig.now;
    let (again, _) = rig.sent();
    assert!(rig.now >= refused_at + 1_000);
    let again = Request::parse(&again).unwrap();
    assert_eq!(again.message_type, MessageType::Discover);
    assert_ne!(again.xid, Request::parse(&request).unwrap().xid);
}

#[test]
fn unacknowledged_offer_is_dropped() {
    let mut rig = Rig::new(Config::new(MAC));
    let (discover, _) = rig.sent();
    rig.answer(&discover, MessageType::Offer, |_| ());
    let kinds: Vec<_> = (0..5)
        .map(|_| Request::parse(&rig.sent().0).unwrap().message_type)
        .collect();
    assert_eq!(kinds[..4], [MessageType::Request; 4]);
    assert_eq!(kinds[4], MessageType::Discover);
}

#[test]
fn lease_is_renewed_then_rebound_then_expires() {
    let mut rig = Rig::new(Config {
        broadcast: true,
        ..Config::new(MAC)
    });
    rig.bind(|_| ());
    let bound_at = rig.now;

    // T1: unicast to the server, with ciaddr and neither 50 nor 54.
    let (bytes, to) = rig.sent();
    assert_eq!(
        (rig.now, to),
        (bound_at + 500_000, Destination::Unicast(SERVER))
    );
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.ciaddr, ADDR);
    assert_eq!((request.requested_ip, request.server_id), (None, None));
    assert!(!request.broadcast);
    assert_eq!(rig.answer(&bytes, MessageType::Ack, |_| ()), Event::Renewed);
    assert_eq!(rig.client.lease().unwrap().expires_at, rig.now + 1_000_000);

    // No answer: at most one repetition a minute, then rebinding.
    let renewed_at = rig.now;
    let mut times = Vec::new();
    let (expired, mut last) = loop {
        match rig.run() {
            (Action::Send { to, .. }, bytes) => {
                times.push((rig.now - renewed_at, to));
                if to == Destination::Broadcast {
                    assert_eq!(rig.client.state(), State::Rebinding);
                }
                assert_eq!(Request::parse(&bytes).unwrap().ciaddr, ADDR);
            }
            (action, _) => break (action, rig.now - renewed_at),
        }
    };
    assert_eq!(expired, Action::Expired);
    assert_eq!(last, 1_000_000);
    assert_eq!(times[0], (500_000, Destination::Unicast(SERVER)));
    assert!(times.contains(&(875_000, Destination::Broadcast)));
    for (at, to) in times.into_iter().rev() {
        assert!(
            last - at >= 60_000 || last == 875_000 || last == 1_000_000,
            "{at} {last}"
        );
        assert_eq!(to == Destination::Broadcast, at >= 875_000);
        last = at;
    }
    assert!(rig.client.lease().is_none());
    let (discover, _) = rig.sent();
    assert_eq!(
        Request::parse(&discover).unwrap().message_type,
        MessageType::Discover
    );
}

#[test]
fn any_server_can_answer_a_rebinding_client() {
    for kind in [MessageType::Ack, MessageType::Nak] {
        let mut rig = Rig::new(Config::new(MAC));
        rig.bind(|_| ());
        let bytes = loop {
            let (bytes, to) = rig.sent();
            if to == Destination::Broadcast {
                break bytes;
            }
        };
        let event = rig.answer(&bytes, kind, |r| r.server_id = OTHER);
        if kind == MessageType::Ack {
            assert_eq!(event, Event::Renewed);
            assert_eq!(rig.client.lease().unwrap().server, OTHER);
        } else {
            assert_eq!(event, Event::Refused);
            assert!(rig.client.lease().is_none());
        }
    }
}

#[test]
fn renewal_times_of_the_server_count_if_in_order() {
    let times = |t1, t2| {
        let mut rig = Rig::new(Config::new(MAC));
        rig.bind(|r| (r.renewal_secs, r.rebinding_secs) = (Some(t1), Some(t2)));
        let lease = rig.client.lease().unwrap();
        (
            (lease.renew_at - rig.now) / 1_000,
            (lease.rebind_at - rig.now) / 1_000,
        )
    };
    assert_eq!(times(100, 200), (100, 200));
    assert_eq!(times(1_000, 1_000), (1_000, 1_000));
    for (t1, t2) in [(0, 200), (300, 200), (100, 1_001)] {
        assert_eq!(times(t1, t2), (500, 875));
    }
}

#[test]
fn infinite_lease_is_not_renewed() {
    let mut rig = Rig::new(Config::new(MAC));
    rig.bind(|r| r.lease_secs = Some(u32::MAX));
    assert_eq!(rig.poll().0, Action::Wait(u64::MAX));
    rig.now = u64::MAX - 1;
    assert_eq!(rig.poll().0, Action::Wait(u64::MAX));
}

#[test]
fn decline_and_release_follow_table_5() {
    let mut rig = Rig::new(Config {
        host_name: Some(b"n1"),
        ..Config::new(MAC)
    });
    let mut buf = [0; 548];
    assert_eq!(rig.client.decline(0, &mut buf), Ok(None));
    assert_eq!(rig.client.release(0, &mut buf), Ok(None));

    rig.bind(|_| ());
    let len = rig.client.decline(rig.now, &mut buf).unwrap().unwrap();
    let decline = Request::parse(&buf[..len]).unwrap();
    assert_eq!(decline.message_type, MessageType::Decline);
    assert_eq!(
        (decline.requested_ip, decline.server_id),
        (Some(ADDR), Some(SERVER))
    );
    assert_eq!(
        (decline.ciaddr, decline.host_name),
        (Ipv4Addr::UNSPECIFIED, None)
    );
    assert_eq!(decline.parameter_list, None);
    assert_eq!(rig.poll().0, Action::Wait(rig.now + 10_000));

    rig.now += 10_000;
    rig.bind(|_| ());
    let (len, to) = rig.client.release(rig.now, &mut buf).unwrap().unwrap();
    let release = Request::parse(&buf[..len]).unwrap();
    assert_eq!((release.message_type, to), (MessageType::Release, SERVER));
    assert_eq!((release.ciaddr, release.requested_ip), (ADDR, None));
    assert!(rig.client.lease().is_none());
}
