//! Exchanges messages with an independent codec, `dhcproto`, in both directions.

mod common;

use common::{MAC, SERVER};
use dhcproto::v4::relay::{RelayAgentInformation, RelayCode, RelayInfo};
use dhcproto::v4::{self, Architecture, DhcpOption as O, Message, OptionCode as C};
use dhcproto::{Decodable, Encodable};
use farrier_dhcp::fuzz;
use farrier_dhcp::wire::{AddrList, Arch, MessageType, Reply, Request};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn addr() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 4]>().prop_map(Ipv4Addr::from)
}

fn bytes(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), len)
}

proptest! {
    #[test]
    fn dhcproto_parses_emitted_requests(
        xid in any::<u32>(),
        secs in any::<u16>(),
        broadcast in any::<bool>(),
        ciaddr in addr(),
        giaddr in addr(),
        ip in of(addr()),
        lease_secs in of(any::<u32>()),
        size in of(any::<u16>()),
        client_id in of(bytes(2..40)),
        class_id in of(bytes(1..60)),
        user_class in of(bytes(1..20)),
        machine_id in of(bytes(17..18)),
        ipxe in of(bytes(0..60)),
    ) {
        let request = Request {
            secs,
            broadcast,
            ciaddr,
            giaddr,
            requested_ip: ip,
            server_id: ip,
            lease_secs,
            max_message_size: size,
            client_id: client_id.as_deref(),
            class_id: class_id.as_deref(),
            user_class: user_class.as_deref(),
            machine_id: machine_id.as_deref(),
            ipxe: ipxe.as_deref(),
            ..Request::new(MessageType::Request, xid, MAC)
        };
        let mut buf = [0; 1024];
        let len = request.emit(&mut buf).unwrap();
        let read = Message::from_bytes(&buf[..len]).unwrap();
        prop_assert_eq!(read.opcode(), v4::Opcode::BootRequest);
        prop_assert_eq!((read.xid(), read.secs(), read.hlen()), (xid, secs, 6));
        prop_assert_eq!(read.flags().broadcast(), broadcast);
        prop_assert_eq!((read.ciaddr(), read.giaddr()), (ciaddr, giaddr));
        prop_assert_eq!(read.chaddr(), &MAC[..]);
        let opts = read.opts();
        prop_assert!(opts.has_msg_type(v4::MessageType::Request));
        prop_assert_eq!(opts.get(C::RequestedIpAddress).cloned(), ip.map(O::RequestedIpAddress));
        prop_assert_eq!(opts.get(C::ServerIdentifier).cloned(), ip.map(O::ServerIdentifier));
        prop_assert_eq!(
            opts.get(C::AddressLeaseTime).cloned(), lease_secs.map(O::AddressLeaseTime)
        );
        prop_assert_eq!(opts.get(C::MaxMessageSize).cloned(), size.map(O::MaxMessageSize));
        prop_assert_eq!(opts.get(C::ClientIdentifier).cloned(), client_id.map(O::ClientIdentifier));
        prop_assert_eq!(opts.get(C::ClassIdentifier).cloned(), class_id.map(O::ClassIdentifier));
        prop_assert_eq!(opts.get(C::UserClass).cloned(), user_class.map(O::UserClass));
        prop_assert_eq!(
            opts.get(C::ClientMachineIdentifier).cloned(),
            machine_id.map(O::ClientMachineIdentifier)
        );
        fuzz::request(&buf[..len]);
    }

    #[test]
    fn dhcproto_parses_emitted_replies(
        xid in any::<u32>(),
        broadcast in any::<bool>(),
        yiaddr in addr(),
        giaddr in addr(),
        next_server in addr(),
        boot_file in "[ -~]{1,100}",
        secs in any::<(u32, u32, u32)>(),
        mask in addr(),
        router in of(addr()),
        dns in vec(addr(), 0..4),
        client_id in of(bytes(2..40)),
        remote_id in bytes(1..40),
    ) {
        let info = [&[2, remote_id.len() as u8], &remote_id[..]].concat();
        let request = Request {
            broadcast,
            giaddr,
            class_id: Some(b"PXEClient:Arch:00007:UNDI:003016"),
            client_id: client_id.as_deref(),
            relay_info: Some(&info),
            ..Request::new(MessageType::Discover, xid, MAC)
        };
        let reply = Reply {
            yiaddr,
            next_server: Some(next_server),
            boot_file: Some(boot_file.as_bytes()),
            lease_secs: Some(secs.0),
            renewal_secs: Some(secs.1),
            rebinding_secs: Some(secs.2),
            mask: Some(mask),
            router,
            dns: AddrList::new(&dns),
            ..Reply::answering(&request, MessageType::Offer, SERVER)
        };
        let mut buf = [0; 1024];
        let len = reply.emit(&mut buf).unwrap();
        let read = Message::from_bytes(&buf[..len]).unwrap();
        prop_assert_eq!(read.opcode(), v4::Opcode::BootReply);
        prop_assert_eq!((read.xid(), read.flags().broadcast()), (xid, broadcast));
        prop_assert_eq!((read.yiaddr(), read.giaddr(), read.siaddr()), (yiaddr, giaddr, next_server));
        let opts = read.opts();
        prop_assert!(opts.has_msg_type(v4::MessageType::Offer));
        // `dhcproto` ignores overloaded fields, so all options fit here.
        prop_assert!(opts.get(C::OptionOverload).is_none());
        let file = read.fname().and_then(|file| file.strip_suffix(b"\0"));
        prop_assert_eq!(file, Some(boot_file.as_bytes()));
        prop_assert_eq!(
            opts.get(C::BootfileName), Some(&O::BootfileName(boot_file.into_bytes()))
        );
        prop_assert_eq!(
            opts.get(C::TFTPServerName),
            Some(&O::TFTPServerName(next_server.to_string().into_bytes()))
        );
        prop_assert_eq!(opts.get(C::ServerIdentifier), Some(&O::ServerIdentifier(SERVER)));
        prop_assert_eq!(opts.get(C::AddressLeaseTime), Some(&O::AddressLeaseTime(secs.0)));
        prop_assert_eq!(opts.get(C::Renewal), Some(&O::Renewal(secs.1)));
        prop_assert_eq!(opts.get(C::Rebinding), Some(&O::Rebinding(secs.2)));
        prop_assert_eq!(opts.get(C::SubnetMask), Some(&O::SubnetMask(mask)));
        prop_assert_eq!(opts.get(C::Router).cloned(), router.map(|r| O::Router(vec![r])));
        let servers = (!dns.is_empty()).then_some(O::DomainNameServer(dns));
        prop_assert_eq!(opts.get(C::DomainNameServer).cloned(), servers);
        prop_assert_eq!(
            opts.get(C::ClassIdentifier), Some(&O::ClassIdentifier(b"PXEClient".to_vec()))
        );
        prop_assert_eq!(opts.get(C::ClientIdentifier).cloned(), client_id.map(O::ClientIdentifier));
        let Some(O::RelayAgentInformation(relay)) = opts.get(C::RelayAgentInformation) else {
            panic!("option 82 is missing");
        };
        prop_assert_eq!(
            relay.get(RelayCode::AgentRemoteId), Some(&RelayInfo::AgentRemoteId(remote_id))
        );
        fuzz::reply(&buf[..len]);
    }

    #[test]
    fn requests_of_dhcproto_are_parsed(
        xid in any::<u32>(),
        giaddr in addr(),
        broadcast in any::<bool>(),
        ip in addr(),
        arch in 0_u16..40,
        size in any::<u16>(),
        client_id in bytes(2..40),
        class_id in bytes(1..60),
        circuit_id in bytes(1..30),
        list in vec(1_u8..=254, 1..30),
    ) {
        let mut relay = RelayAgentInformation::default();
        relay.insert(RelayInfo::AgentCircuitId(circuit_id.clone()));
        let mut message = Message::default();
        message.set_opcode(v4::Opcode::BootRequest).set_xid(xid).set_giaddr(giaddr);
        message.set_chaddr(&MAC);
        if broadcast {
            message.set_flags(v4::Flags::default().set_broadcast());
        }
        let opts = message.opts_mut();
        opts.insert(O::MessageType(v4::MessageType::Discover));
        opts.insert(O::RequestedIpAddress(ip));
        opts.insert(O::MaxMessageSize(size));
        opts.insert(O::ClientIdentifier(client_id.clone()));
        opts.insert(O::ClassIdentifier(class_id.clone()));
        opts.insert(O::ClientSystemArchitecture(Architecture::from(arch)));
        opts.insert(O::ParameterRequestList(list.iter().copied().map(C::from).collect()));
        opts.insert(O::RelayAgentInformation(relay));
        let bytes = message.to_vec().unwrap();

        let request = Request::parse(&bytes).unwrap();
        prop_assert_eq!(request.message_type, MessageType::Discover);
        prop_assert_eq!((request.xid, request.giaddr, request.broadcast), (xid, giaddr, broadcast));
        prop_assert_eq!((request.chaddr, request.requested_ip), (MAC, Some(ip)));
        prop_assert_eq!(request.max_message_size, Some(size));
        prop_assert_eq!(request.client_id, Some(&client_id[..]));
        prop_assert_eq!(request.class_id, Some(&class_id[..]));
        prop_assert_eq!(request.arch_list.first(), Some(Arch(arch)));
        prop_assert_eq!(request.parameter_list, Some(&list[..]));
        prop_assert_eq!(request.relay_sub_option(1), Some(&circuit_id[..]));
        fuzz::request(&bytes);
    }

    #[test]
    fn replies_of_dhcproto_are_parsed(
        xid in any::<u32>(),
        yiaddr in addr(),
        siaddr in addr(),
        file in "[a-z/.]{1,100}",
        secs in any::<u32>(),
        mask in addr(),
        routers in vec(addr(), 1..4),
        dns in vec(addr(), 1..4),
    ) {
        let mut message = Message::default();
        message.set_opcode(v4::Opcode::BootReply).set_xid(xid).set_yiaddr(yiaddr);
        message.set_siaddr(siaddr).set_chaddr(&MAC).set_fname_str(&file);
        let opts = message.opts_mut();
        opts.insert(O::MessageType(v4::MessageType::Ack));
        opts.insert(O::ServerIdentifier(SERVER));
        opts.insert(O::AddressLeaseTime(secs));
        opts.insert(O::SubnetMask(mask));
        opts.insert(O::Router(routers.clone()));
        opts.insert(O::DomainNameServer(dns.clone()));
        let bytes = message.to_vec().unwrap();

        let reply = Reply::parse(&bytes).unwrap();
        prop_assert_eq!(reply.message_type, MessageType::Ack);
        prop_assert_eq!((reply.xid, reply.yiaddr, reply.server_id), (xid, yiaddr, SERVER));
        prop_assert_eq!(reply.next_server, Some(siaddr).filter(|a| !a.is_unspecified()));
        prop_assert_eq!(reply.boot_file, Some(file.as_bytes()));
        prop_assert_eq!((reply.lease_secs, reply.mask), (Some(secs), Some(mask)));
        prop_assert_eq!(reply.router, routers.first().copied());
        prop_assert_eq!(reply.dns.iter().collect::<Vec<_>>(), dns);
        fuzz::reply(&bytes);
    }
}
