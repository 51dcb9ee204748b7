//! The frames of the hostile machine, kind by kind.

use core::net::Ipv4Addr;

use farrier_core::interface::{Sighting, SightingKind};
use farrier_core::rack::Entropy as _;
use farrier_core::{Input, Transport};
use farrier_dhcp::wire::{MessageType, Request};
use farrier_protocol::message::Mac;
use farrier_testkit::outcome::Served;

use super::{Frame, Hostile, Kind, OWN, OWN_IP};
use crate::faults::Fault;
use crate::network::Packet;
use crate::simulation::{Event, Simulation};

impl Hostile {
    /// A frame with a change in it that leaves none of its meanings sure.
    pub(super) fn changed(&mut self, mut packet: Packet, kind: Kind) -> Frame {
        let random = &mut self.random;
        let bytes = match &mut packet {
            Packet::Dhcp(bytes) | Packet::Agent(_, bytes) => bytes,
        };
        let at = random.below(bytes.len() as u64) as usize;
        let mut kind = kind;
        match random.below(6) {
            0 => {
                bytes.truncate(at);
                if kind == Kind::Changed {
                    kind = Kind::Truncated;
                }
            }
            1 => bytes.push(random.word() as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        // DHCP under its own address: that in others' names is another kind.
        let from = match &packet {
            Packet::Dhcp(_) => OWN,
            Packet::Agent(from, _) => from.mac,
        };
        Frame {
            kind,
            from,
            packet,
            copy: None,
        }
    }
}

impl Simulation {
    /// One of very many machines that were never seen.
    pub(super) fn stranger(&mut self) -> Frame {
        let random = &mut self.hostile.random;
        let [a, b, c, ..] = random.bytes::<8>();
        let mac = Mac([0x66, 1, a, b, c, 0]);
        let kind = match random.below(3) {
            0 => MessageType::Request,
            _ => MessageType::Discover,
        };
        let mut request = Request::new(kind, random.word() as u32, mac.0);
        if random.below(2) == 0 {
            request.user_class = Some(b"iPXE");
            request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
        }
        if kind == MessageType::Request || random.below(4) == 0 {
            // Addresses that are reserved for others, too.
            request.requested_ip = Some(Ipv4Addr::new(172, 22, 0, random.word() as u8));
        }
        if random.below(16) == 0 {
            // A relay that nobody has configured.
            request.giaddr = Ipv4Addr::new(172, 22, 0, random.word() as u8);
        }
        frame(Kind::Stranger, mac, &request)
    }

    /// DHCP in a machine's name, with one of many identities.
    pub(super) fn impersonated(&mut self) -> Frame {
        let random = &mut self.hostile.random;
        let index = random.below(self.machines.len() as u64) as usize;
        let machine = &self.machines[index];
        let mac = random.choose(&machine.macs).copied().unwrap_or(OWN);
        let kind = random.pick(&[
            MessageType::Discover,
            MessageType::Request,
            MessageType::Release,
            MessageType::Decline,
        ]);
        let mut request = Request::new(kind, random.word() as u32, mac.0);
        let identity = [2, random.word() as u8];
        if random.below(2) == 0 {
            request.client_id = Some(&identity);
        }
        let mut id = [0; 17];
        id[1..].copy_from_slice(&machine.uuid);
        match random.below(3) {
            0 => request.machine_id = Some(&id),
            1 => {
                id[9] ^= 0x55;
                request.machine_id = Some(&id);
            }
            _ => {}
        }
        if random.below(2) == 0 {
            request.user_class = Some(b"iPXE");
            request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
        }
        let address = match random.below(2) {
            0 => machine.ip,
            _ => Ipv4Addr::new(172, 22, 0, random.word() as u8),
        };
        match kind {
            MessageType::Release => request.ciaddr = address,
            _ => request.requested_ip = Some(address),
        }
        frame(Kind::Impersonated, mac, &request)
    }

    pub(super) fn nonsense(&mut self) -> Frame {
        let random = &mut self.hostile.random;
        let length = random.below(400) as usize;
        let mut bytes = vec![0; length];
        random.fill(&mut bytes);
        if let Some(kind) = bytes.first_mut() {
            *kind %= 8;
        }
        let packet = match random.below(2) {
            0 => Packet::Dhcp(bytes),
            _ => Packet::Agent(self.somewhere(), bytes),
        };
        Frame {
            kind: Kind::Nonsense,
            from: OWN,
            packet,
            copy: None,
        }
    }

    /// A handshake at a machine's place, with the identifier of a fresh ticket and
    /// a guessed MAC.
    pub(super) fn made_up_init(&mut self) -> Frame {
        let from = self.somewhere();
        let clock = self.appliance.clock(self.now).millis() as u32;
        let run = self.appliance.run();
        let random = &mut self.hostile.random;
        let mut bytes = vec![0x5a; 240];
        random.fill(&mut bytes);
        let at = clock.wrapping_sub(random.below(600_000) as u32);
        bytes[0] = 1;
        bytes[1..3].copy_from_slice(&((run & 0xffff) as u16).to_be_bytes());
        bytes[3..7].copy_from_slice(&at.to_be_bytes());
        Frame {
            kind: Kind::Handshake,
            from: from.mac,
            packet: Packet::Agent(from, bytes),
            copy: None,
        }
    }

    /// What was heard, as it was or changed, from its sender or another place.
    pub(super) fn repeated(&mut self) -> Frame {
        let length = self.hostile.heard.len() as u64;
        let place = self.hostile.random.below(length) as usize;
        let Some(heard) = self.hostile.heard.get(place) else {
            return self.nonsense();
        };
        let packet = heard.packet.clone();
        match (packet, self.hostile.random.below(4)) {
            (Packet::Agent(from, datagram), 0) => Frame {
                kind: Kind::Copied,
                from: from.mac,
                packet: Packet::Agent(from, datagram),
                copy: Some(place),
            },
            (Packet::Agent(_, datagram), 1) => {
                let from = self.somewhere();
                Frame {
                    kind: Kind::Moved,
                    from: from.mac,
                    packet: Packet::Agent(from, datagram),
                    copy: Some(place),
                }
            }
            (Packet::Dhcp(bytes), 0) if self.hostile.impersonates => Frame {
                kind: Kind::Impersonated,
                from: chaddr(&bytes).unwrap_or(OWN),
                packet: Packet::Dhcp(bytes),
                copy: Some(place),
            },
            (packet, _) => self.hostile.changed(packet, Kind::Changed),
        }
    }

    /// A datagram to an agent that is not the appliance's, or not for now.
    pub(super) fn forge_reply(&mut self) {
        let hostile = &mut self.hostile;
        let reply = hostile.random.choose(&hostile.replies).cloned();
        let Some(Packet::Agent(to, datagram)) = reply else {
            return;
        };
        let packet = match hostile.random.below(4) {
            0 => Packet::Agent(to, datagram),
            _ => {
                hostile
                    .changed(Packet::Agent(to, datagram), Kind::Reply)
                    .packet
            }
        };
        hostile.count(Kind::Reply);
        self.faults.count(Fault::Hostile);
        if let Some(index) = self.owner(to.mac) {
            self.at(1, Event::Down(index, packet));
        }
    }

    /// Asks for a script or a config drive: by HTTP from its own address, by TFTP
    /// from any. There is none for it.
    pub(super) fn ask_for_file(&mut self) {
        let place = self.somewhere();
        let hostile = &mut self.hostile;
        let heard = hostile.random.choose(&hostile.paths).cloned();
        let path = match (hostile.random.below(4), heard) {
            (0, _) => "config-drive".to_owned(),
            (1, _) => {
                let word = hostile.random.word();
                format!("boot/{:016x}-{word:016x}.ipxe", word >> 8)
            }
            (_, Some(path)) => path,
            (_, None) => return,
        };
        let (transport, peer) = match hostile.random.below(2) {
            0 => (Transport::Http, OWN_IP),
            _ => (Transport::Tftp, place.ip),
        };
        hostile.count(Kind::File);
        self.faults.count(Fault::Hostile);
        let mut effects = Vec::new();
        let Some((network, vlan)) = self.place_of_others() else {
            return;
        };
        self.answers_by(vlan);
        let served = self
            .appliance
            .open(self.now, (network, transport), peer, &path, &mut effects);
        self.carry_out(effects);
        self.answers_by(0);
        if !matches!(served, Served::NotFound | Served::Busy) {
            let text =
                format!("{transport:?} serves {path} to {peer}, which forged it: {served:?}");
            self.invariants.wrong(self.now, || text);
        }
        let request = Frame {
            kind: Kind::File,
            from: OWN,
            packet: Packet::Dhcp(path.into_bytes()),
            copy: None,
        };
        self.compare(&request);
    }
}

impl Simulation {
    /// Asks the proxyDHCP service, from an address of any kind.
    pub(super) fn ask_pxe(&mut self) {
        let frame = match self.hostile.random.below(4) {
            0 => self.nonsense(),
            1 if self.hostile.impersonates => self.impersonated(),
            _ => self.stranger(),
        };
        let (Packet::Dhcp(payload), place) = (frame.packet, self.somewhere()) else {
            return;
        };
        let source = match self.hostile.random.below(3) {
            0 => OWN_IP,
            1 => Ipv4Addr::new(172, 22, 0, self.hostile.random.word() as u8),
            _ => place.ip,
        };
        let Some((network, vlan)) = self.place_of_others() else {
            return;
        };
        let frame = Frame {
            kind: Kind::Pxe,
            packet: Packet::Dhcp(payload.clone()),
            ..frame
        };
        let input = Input::PxeRequest {
            network,
            from: frame.from,
            source,
            payload: &payload,
        };
        self.hostile_input(&frame, vlan, input);
    }

    /// Answers as a DHCP server, or claims an address by ARP.
    pub(super) fn is_sighted(&mut self) {
        let place = self.somewhere();
        let random = &mut self.hostile.random;
        let kind = random.pick(&[
            SightingKind::DhcpServer,
            SightingKind::OwnAddress,
            SightingKind::Address,
        ]);
        let address = match random.below(3) {
            0 => OWN_IP,
            1 => Ipv4Addr::new(172, 22, 0, random.word() as u8),
            _ => place.ip,
        };
        let mac = random.pick(&[OWN, place.mac]);
        let Some((network, vlan)) = self.place_of_others() else {
            return;
        };
        let frame = Frame {
            kind: Kind::Sighting,
            from: mac,
            packet: Packet::Dhcp(Vec::new()),
            copy: None,
        };
        let input = Input::Sighting(Sighting {
            kind,
            network,
            vlan,
            mac,
            address,
        });
        self.hostile_input(&frame, vlan, input);
    }

    /// The rack takes an input of the hostile machine, and what it does then is
    /// compared.
    pub(super) fn takes(&mut self, frame: &Frame, input: Input<'_>) {
        let mut effects = Vec::new();
        self.invariants.input(&input);
        self.appliance.step(self.now, input, &mut effects);
        self.check_answers(frame, &effects);
        self.carry_out(effects);
        self.compare(frame);
    }

    /// The rack takes what is neither DHCP nor a datagram of an agent.
    fn hostile_input(&mut self, frame: &Frame, vlan: u16, input: Input<'_>) {
        self.faults.count(Fault::Hostile);
        self.hostile.count(frame.kind);
        self.answers_by(vlan);
        self.takes(frame, input);
        self.answers_by(0);
    }
}

/// The interface in whose name a DHCP message is.
fn chaddr(message: &[u8]) -> Option<Mac> {
    message.get(28..34)?.try_into().ok().map(Mac)
}

fn frame(kind: Kind, from: Mac, request: &Request<'_>) -> Frame {
    let mut buffer = [0; 600];
    let length = request.emit(&mut buffer).unwrap_or(0);
    debug_assert!(length > 0, "a forged message fits");
    Frame {
        kind,
        from,
        packet: Packet::Dhcp(buffer[..length].to_vec()),
        copy: None,
    }
}
