//! VLANs of the switch, against a simple model of IEEE 802.1Q, and the captures
//! that prove them.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::collections::HashMap;
use std::time::Duration;

use farrier_ethernet::lldp;
use farrier_hil_tests::switch::wires::Isolation;
use farrier_hil_tests::switch::{HostPort, Mac, PortMode, Switch, SwitchConfig, Verdict, VlanId};
use support::{ALL, SOON, frame, mac};

fn vlan(number: u16) -> VlanId {
    VlanId::new(number).unwrap()
}

fn access(number: u16) -> PortMode {
    PortMode::access(vlan(number))
}

fn trunk(tags: &[u16], native: Option<u16>) -> PortMode {
    PortMode::trunk(tags.iter().map(|tag| vlan(*tag)), native.map(vlan))
}

/// A frame with the tag's control field.
fn tagged(frame: &[u8], control: u16) -> Vec<u8> {
    let [high, low] = control.to_be_bytes();
    [&frame[..12], &[0x81, 0x00, high, low], &frame[12..]].concat()
}

fn drain(port: &HostPort) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| port.try_recv())
        .map(|frame| frame.to_vec())
        .collect()
}

/// A switch whose ports have these modes, and everything captured.
struct Rig {
    switch: Switch,
    ports: Vec<HostPort>,
    directory: tempfile::TempDir,
}

impl Rig {
    fn new(modes: &[PortMode]) -> Self {
        let switch = Switch::start(SwitchConfig::default()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ports = (0..modes.len()).map(|n| switch.add_host_port(&format!("p{n}")).unwrap());
        let ports: Vec<_> = ports.collect();
        let rig = Self {
            switch,
            ports,
            directory,
        };
        rig.switch.capture_wires(&rig.path()).unwrap();
        for (port, mode) in rig.ports.iter().zip(modes) {
            rig.switch.control().set_mode(port.id(), mode.clone());
        }
        rig
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("wires.pcapng")
    }

    /// What each port receives when one sends.
    fn send(&self, port: usize, frame: &[u8]) -> Vec<Vec<Vec<u8>>> {
        self.ports[port].send(frame);
        self.ports.iter().map(drain).collect()
    }

    fn isolation(&self) -> Isolation {
        self.switch.flush_captures();
        let own = SwitchConfig::default().mac;
        Isolation::of(&self.path(), own).unwrap()
    }
}

#[test]
fn tags_come_off_and_go_on() {
    let modes = [
        access(10),
        access(10),
        access(20),
        trunk(&[10, 20], Some(30)),
    ];
    let rig = Rig::new(&modes);
    let plain = frame(mac(1), ALL, b"to all");
    let none = Vec::new();
    assert_eq!(
        rig.send(0, &plain),
        [
            none.clone(),
            vec![plain.clone()],
            none.clone(),
            vec![tagged(&plain, 10)]
        ]
    );
    let back = frame(mac(4), mac(1), b"from the trunk");
    assert_eq!(
        rig.send(3, &tagged(&back, 10)),
        [vec![back.clone()], vec![], vec![], vec![]],
        "learnt there"
    );
    // The same two addresses in another VLAN are others: flooded there.
    assert_eq!(
        rig.send(3, &tagged(&back, 0x6000 | 20)),
        [vec![], vec![], vec![back.clone()], vec![]],
        "the priority is lost"
    );
    // What a port does not carry.
    for (port, wrong) in [(0, 10), (0, 20), (3, 30), (3, 40), (3, 4095)] {
        let before = rig.ports[port].counters().drops.vlan;
        let heard = rig.send(port, &tagged(&plain, wrong));
        assert!(heard.concat().is_empty(), "{port} {wrong}");
        assert_eq!(rig.ports[port].counters().drops.vlan, before + 1);
    }
    let priority = rig.send(0, &tagged(&plain, 0xE000));
    assert_eq!(priority[1], [plain], "a priority is no VLAN");
    let found = rig.isolation();
    found.ensure().unwrap();
    assert_eq!((found.proven, found.refused), (6, 5));
}

#[test]
fn plain_ports_are_a_switch_of_their_own() {
    let modes = [
        PortMode::Plain,
        PortMode::Plain,
        access(10),
        trunk(&[10], None),
    ];
    let rig = Rig::new(&modes);
    for sent in [
        frame(mac(1), ALL, b"untagged"),
        tagged(&frame(mac(1), ALL, b"tagged"), 10),
        frame(mac(1), Mac(lldp::NEAREST_BRIDGE), b"lldp"),
    ] {
        let heard = rig.send(0, &sent);
        assert_eq!(heard, [vec![], vec![sent], vec![], vec![]], "as it is");
    }
    let heard = rig.send(3, &frame(mac(9), ALL, b"untagged on a trunk"));
    assert!(heard.concat().is_empty());
    rig.isolation().ensure().unwrap();
}

#[test]
fn a_moved_port_hears_nothing_of_its_old_network() {
    let rig = Rig::new(&[access(10), access(10), access(20)]);
    rig.send(0, &frame(mac(1), ALL, b"here"));
    rig.send(1, &frame(mac(2), mac(1), b"here too"));
    assert_eq!(rig.switch.port_of(mac(1)), Some(rig.ports[0].id()));
    assert_eq!(
        rig.switch.control().addresses(),
        [
            (mac(1), Some(vlan(10)), rig.ports[0].id()),
            (mac(2), Some(vlan(10)), rig.ports[1].id())
        ]
    );

    // One that waits when the port moves is dropped.
    rig.ports[1].send(&frame(mac(2), mac(1), b"late"));
    rig.switch.control().set_mode(rig.ports[0].id(), access(20));
    assert!(drain(&rig.ports[0]).is_empty());
    assert_eq!(rig.ports[0].counters().drops.vlan, 1);
    assert_eq!(rig.switch.port_of(mac(1)), None, "forgotten");

    let lost = rig.send(1, &frame(mac(2), mac(1), b"where are you"));
    assert!(lost.concat().is_empty(), "flooded to nobody");
    let heard = rig.send(2, &frame(mac(3), mac(1), b"new network"));
    assert_eq!(heard[0].len(), 1);

    // A trunk that gets one tag more loses nothing that waits.
    rig.ports[2].send(&frame(mac(3), ALL, b"waits"));
    rig.switch
        .control()
        .set_mode(rig.ports[0].id(), trunk(&[10], Some(20)));
    assert_eq!(drain(&rig.ports[0]).len(), 1);

    let found = rig.isolation();
    found.ensure().unwrap();
    let stays: Vec<_> = found.stays_of("p0").collect();
    let modes: Vec<_> = stays.iter().map(|stay| stay.mode.to_string()).collect();
    assert_eq!(
        modes,
        [
            "plain",
            "untagged 10 tagged -",
            "untagged 20 tagged -",
            "untagged 20 tagged 10"
        ]
    );
    assert_eq!(stays[1].heard, [mac(2)].into());
    assert_eq!(stays[2].heard, [mac(3)].into());
    assert_eq!(stays[1].senders, [mac(1)].into());
}

#[test]
fn hooks_and_observers_see_frames_without_tags_and_captures_with_them() {
    let rig = Rig::new(&[trunk(&[10], None), access(10)]);
    let whole = rig.directory.path().join("whole.pcap");
    rig.switch.capture(&whole).unwrap();
    let observer = rig.switch.observe(|seen| seen.vlan == VlanId::new(10));
    let sent = frame(mac(1), ALL, b"observed");
    let expected = sent.clone();
    rig.switch
        .add_hook(Box::new(move |_, frame| match *frame == expected {
            true => Verdict::Pass,
            false => Verdict::Drop,
        }));
    assert_eq!(
        rig.send(0, &tagged(&sent, 10))[1],
        std::slice::from_ref(&sent)
    );
    let seen = observer.next(SOON).unwrap().unwrap();
    assert_eq!((seen.vlan, &*seen.frame), (VlanId::new(10), &*sent));
    rig.switch.flush_captures();
    let bytes = std::fs::read(whole).unwrap();
    assert_eq!(bytes[40..], tagged(&sent, 10));
}

#[test]
fn lldp_tells_each_port_and_is_not_forwarded() {
    let rig = Rig::new(&[access(10), trunk(&[10], None)]);
    let strange = frame(mac(1), Mac(lldp::NEAREST_BRIDGE), b"from a peer");
    assert!(rig.send(0, &strange).concat().is_empty());
    assert_eq!(rig.ports[0].counters().drops.reserved, 1);

    assert!(drain(&rig.ports[0]).is_empty(), "off by default");
    rig.switch
        .control()
        .set_lldp(Some(Duration::from_millis(20)));
    for _ in 0..2 {
        for (number, port) in rig.ports.iter().enumerate() {
            let frame = port.recv(SOON).unwrap();
            let told = lldp::parse(&frame).unwrap();
            assert_eq!(frame[..6], lldp::NEAREST_BRIDGE);
            assert_eq!(told.chassis.mac(4), Some(SwitchConfig::default().mac.0));
            assert_eq!(told.port.subtype, 5);
            assert_eq!(told.port.text(), Some(&*format!("p{number}")));
            assert_eq!(told.system_name, "rack-switch");
            let native = [VlanId::new(10), None][number];
            assert_eq!(told.native_vlan, native);
        }
    }
    rig.switch.control().set_lldp(None);
    let found = rig.isolation();
    assert_eq!(found.unproven, 0, "{:?}", found.violations);
    assert!(found.own >= 4 && found.own == found.proven);
    assert!(found.ensure().is_err(), "no frame of a peer passed");
}

#[test]
fn without_power_nothing_passes_and_nothing_is_remembered() {
    let rig = Rig::new(&[access(10), access(10), access(10)]);
    rig.send(0, &frame(mac(1), ALL, b"before"));
    rig.ports[1].send(&frame(mac(2), mac(1), b"waits"));
    rig.switch.control().set_power(false);
    let lost = rig.send(1, &frame(mac(2), mac(1), b"lost"));
    assert!(lost.concat().is_empty());
    assert_eq!(rig.ports[0].counters().drops.no_power, 1, "what waited");
    assert_eq!(rig.ports[1].counters().drops.no_power, 1);
    rig.switch.control().set_power(true);
    let heard = rig.send(1, &frame(mac(2), mac(1), b"after"));
    assert_eq!(
        (heard[0].len(), heard[2].len()),
        (1, 1),
        "not learnt: flooded"
    );
    rig.isolation().ensure().unwrap();
}

/// What must come of a frame, by the standard's words: a filtering database by
/// VLAN and address, membership, and the tagged and the untagged set.
struct Oracle {
    modes: Vec<PortMode>,
    learnt: HashMap<(u16, Mac), usize>,
}

impl Oracle {
    fn expect(&mut self, from: usize, sent: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut heard = vec![Vec::new(); self.modes.len()];
        let tag = (sent[12..14] == [0x81, 0x00])
            .then(|| u16::from_be_bytes([sent[14], sent[15]]) & 0xFFF);
        // The VLAN; 0 for the network of plain ports.
        let number = match (&self.modes[from], tag) {
            (PortMode::Plain, _) => 0,
            (PortMode::Vlans { untagged, .. }, None | Some(0)) => match untagged {
                Some(vlan) => vlan.get(),
                None => return heard,
            },
            (PortMode::Vlans { tagged, .. }, Some(tag)) => {
                match tagged.iter().any(|vlan| vlan.get() == tag) {
                    true => tag,
                    false => return heard,
                }
            }
        };
        let inner = match (number, tag) {
            (1.., Some(_)) => [&sent[..12], &sent[16..]].concat(),
            _ => sent.to_vec(),
        };
        let address = |at: usize| Mac(inner[at..at + 6].try_into().unwrap());
        let (to, source) = (address(0), address(6));
        self.learnt.insert((number, source), from);
        let known = self.learnt.get(&(number, to)).copied();
        for (port, mode) in self.modes.iter().enumerate() {
            if port == from || known.is_some_and(|known| known != port) {
                continue;
            }
            match mode {
                PortMode::Plain if number == 0 => heard[port].push(inner.clone()),
                PortMode::Vlans { .. } if number == 0 => {}
                PortMode::Vlans { untagged, .. } if *untagged == VlanId::new(number) => {
                    heard[port].push(inner.clone());
                }
                PortMode::Vlans { tagged: tags, .. } if tags.contains(&vlan(number)) => {
                    heard[port].push(tagged(&inner, number));
                }
                _ => {}
            }
        }
        heard
    }
}

#[test]
fn forwards_as_the_standard_says_whatever_the_modes() {
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    let modes = vec![PortMode::Plain; 5];
    let rig = Rig::new(&modes);
    let mut oracle = Oracle {
        modes,
        learnt: HashMap::new(),
    };
    let choice = [
        PortMode::Plain,
        PortMode::closed(),
        access(10),
        access(20),
        trunk(&[10, 20], None),
        trunk(&[10], Some(20)),
        trunk(&[20, 30], Some(10)),
    ];
    let (mut delivered, mut refused) = (0, 0);
    for step in 0..20_000_u32 {
        let port = random(5);
        if random(50) == 0 {
            let mode = &choice[random(choice.len())];
            if oracle.modes[port] != *mode {
                oracle.modes[port] = mode.clone();
                oracle.learnt.retain(|_, behind| *behind != port);
            }
            rig.switch
                .control()
                .set_mode(rig.ports[port].id(), mode.clone());
            continue;
        }
        let to = [ALL, mac(1), mac(2), mac(3), mac(4)][random(5)];
        let plain = frame(mac(1 + random(4) as u8), to, &step.to_be_bytes());
        let sent = match random(7) {
            0 => tagged(&plain, 0),
            1 => tagged(&plain, 10),
            2 => tagged(&plain, 20),
            3 => tagged(&plain, 30),
            4 => tagged(&plain, 0xFFF),
            _ => plain,
        };
        let expected = oracle.expect(port, &sent);
        assert_eq!(
            rig.send(port, &sent),
            expected,
            "{step}: {:?}",
            oracle.modes
        );
        delivered += expected.concat().len();
        refused += usize::from(expected.concat().is_empty());
    }
    assert!(
        delivered > 5_000 && refused > 3_000,
        "{delivered} {refused}"
    );
    let found = rig.isolation();
    found.ensure().unwrap();
    assert_eq!(found.proven, delivered as u64);
}

#[test]
fn the_check_finds_a_frame_on_a_network_that_it_did_not_come_from() {
    let rig = Rig::new(&[access(10), access(20), trunk(&[10, 20], None)]);
    rig.send(0, &frame(mac(1), ALL, b"of ten"));
    rig.isolation().ensure().unwrap();
    // The same wires, but for a port whose mode is said to be another one:
    // what a switch does that forgets to move its data path.
    let bytes = {
        rig.switch.flush_captures();
        std::fs::read(rig.path()).unwrap()
    };
    let text = b"untagged 10 tagged -";
    let at = bytes.windows(text.len()).position(|part| part == text);
    let at = at.unwrap();
    let mut wrong = bytes.clone();
    wrong[at + 9] = b'2';
    let path = rig.directory.path().join("wrong.pcapng");
    std::fs::write(&path, &wrong).unwrap();
    let found = Isolation::of(&path, SwitchConfig::default().mac).unwrap();
    assert_eq!((found.proven, found.unproven), (0, 1));
    let said = found.ensure().unwrap_err().to_string();
    assert!(
        said.contains("p2") && said.contains("came in by p0 in VLAN 20"),
        "{said}"
    );

    // A file that ends within a block is read up to there.
    std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let cut = Isolation::of(&path, SwitchConfig::default().mac).unwrap();
    assert_eq!((cut.proven, cut.unproven), (0, 0));
    // A frame of nobody.
    let text = b"of ten";
    let at = bytes.windows(text.len()).rposition(|part| part == text);
    let at = at.unwrap();
    let mut wrong = bytes;
    wrong[at] = b'O';
    std::fs::write(&path, &wrong).unwrap();
    let found = Isolation::of(&path, SwitchConfig::default().mac).unwrap();
    let said = found.ensure().unwrap_err().to_string();
    assert!(said.contains("nobody had sent it"), "{said}");
}
