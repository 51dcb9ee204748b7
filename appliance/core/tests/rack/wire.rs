//! What agents say, word by word: sessions whose requests a test makes
//! itself, so that they can be wrong in ways that the shipping agent's never
//! are.

use crate::api_rig::{call, get, id, put};
use crate::common::*;
use farrier_core::interface::NetworkId;
use farrier_core::node::Hop;
use farrier_core::{Config, Endpoint, Input};
use farrier_dhcp::wire::MessageType;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::client::{Handshake, HandshakeEntropy, Session};
use farrier_protocol::message::*;
use farrier_protocol::parts::cut;
use farrier_protocol::server::Keys;
use farrier_protocol::signing::{SecretKey, sign_statement};
use farrier_protocol::ticket::Ticket;
use farrier_protocol::{MAX_STATEMENT, version};
use farrier_testkit::machine::dhcp_message;
use std::net::Ipv4Addr;

/// A reply that owns what it says.
#[derive(Debug, PartialEq)]
enum Said {
    Wait(u32),
    Order(Box<Order>),
    Ack,
    Stored(u32),
    Partial(u32),
    Busy,
    Refused(Refusal),
    /// Nothing, or nothing that its session opens.
    Nothing,
}

struct Speaker {
    session: Session,
    welcome: HandshakeReply,
    from: Endpoint,
    key: SecretKey,
    statement: u32,
    last: Vec<u8>,
}

impl Speaker {
    /// A machine boots up to a session.
    fn new(lab: &mut Lab, mac: u8) -> Self {
        // Each boot has a ticket of its own.
        lab.now += 1;
        let (ip, script) = lab.boot(mac);
        let ticket = Ticket::from_command_line(&script).unwrap().unwrap();
        let key = SecretKey::from_bytes(&[mac + 50; 32]);
        let hello = AgentHandshake {
            version_min: version::MIN,
            version_max: version::CURRENT,
            boot_key: key.public().0,
            boot_mac: mac_of(mac),
            system_uuid: [mac; 16],
            boot_mode: BootMode::Bios,
        };
        let entropy = HandshakeEntropy {
            static_secret: [mac + 51; 32],
            ephemeral: [mac + 52; 32],
        };
        let appliance = *Keys::new(IDENTITY.noise, [0; 32]).public();
        let handshake = Handshake::new(&appliance, &ticket, &hello, &entropy).unwrap();
        let from = Endpoint {
            network: NetworkId::PROVISIONING,
            mac: mac_of(mac),
            ip,
            port: 8471,
        };
        let response = sent(lab, from, handshake.datagram()).expect("a response");
        let (session, welcome) = handshake.process(&response).unwrap();
        Speaker {
            session,
            welcome,
            from,
            key,
            statement: 0,
            last: Vec::new(),
        }
    }

    fn says(&mut self, lab: &mut Lab, request: &Request<'_>) -> Said {
        let mut datagram = [0; 1200];
        let len = self.session.seal_request(request, &mut datagram).unwrap();
        self.last = datagram[..len].to_vec();
        self.hears(lab)
    }

    /// Sends the last request's bytes, and reads the answer.
    fn hears(&mut self, lab: &mut Lab) -> Said {
        let Some(reply) = sent(lab, self.from, &self.last) else {
            return Said::Nothing;
        };
        let mut buffer = [0; 1200];
        match self.session.open_reply(&reply, &mut buffer) {
            Err(_) => Said::Nothing,
            Ok(Reply::Wait { millis }) => Said::Wait(millis),
            Ok(Reply::Order { body, .. }) => {
                Said::Order(Box::new(postcard::from_bytes(body).unwrap()))
            }
            Ok(Reply::Ack) => Said::Ack,
            Ok(Reply::Stored { statement }) => Said::Stored(statement),
            Ok(Reply::Partial { have }) => Said::Partial(have),
            Ok(Reply::Busy { .. }) => Said::Busy,
            Ok(Reply::Refused(refusal)) => Said::Refused(refusal),
        }
    }

    fn order(&mut self, lab: &mut Lab) -> Order {
        match self.says(lab, &Request::Ask) {
            Said::Order(order) => *order,
            other => panic!("no order but {other:?}"),
        }
    }

    /// A signed statement under the next counter.
    fn signed(&mut self, order: u32, report: Report) -> Vec<u8> {
        self.statement += 1;
        let statement = Statement {
            node: self.welcome.node,
            boot: self.welcome.boot,
            counter: self.statement,
            order,
            report,
        };
        let mut buffer = [0; MAX_STATEMENT];
        sign_statement(&self.key, &statement, &mut buffer)
            .unwrap()
            .to_vec()
    }

    /// Signs a report and says it in as many parts as it takes.
    fn states(&mut self, lab: &mut Lab, order: u32, report: Report) -> Said {
        let signed = self.signed(order, report);
        self.tells(lab, &signed)
    }

    fn tells(&mut self, lab: &mut Lab, signed: &[u8]) -> Said {
        let mut said = Said::Nothing;
        for index in 0..u16::MAX {
            let Some(part) = cut(self.statement, signed, index) else {
                break;
            };
            said = self.says(lab, &Request::Part(part));
        }
        said
    }

    /// Answers the order to look at the hardware.
    fn inspects(&mut self, lab: &mut Lab, disks: &[DiskId]) {
        let order = self.order(lab);
        assert_eq!(order.task, Task::Inspect);
        let [.., mac] = self.from.mac.0;
        let mut inspection = inspection(disks);
        inspection.system_uuid = [mac; 16];
        let said = self.states(lab, order.counter, Report::Inspection(inspection));
        assert_eq!(said, Said::Stored(self.statement));
    }
}

fn sent(lab: &mut Lab, from: Endpoint, datagram: &[u8]) -> Option<Vec<u8>> {
    let did = lab.step(Input::Agent { from, datagram });
    did.into_iter().find_map(|did| match did {
        Outcome::Agent(_, reply) => Some(reply),
        _ => None,
    })
}

fn certificate(disk: &DiskId) -> Report {
    Report::Erased(EraseCertificate {
        disk: disk.clone(),
        method: EraseMethod::WriteZeroes,
        verified_bytes: disk.size,
        repaired_bytes: 0,
        millis: 1,
    })
}

fn progress(order: u32, step: AgentStep, done: u64) -> Request<'static> {
    Request::Progress(Progress {
        order,
        step,
        done,
        total: 100,
        rate: 1,
        peak_rss_kib: 1,
    })
}

/// A node that is being cleaned, and whose hardware is known.
fn inspected() -> (Lab, Speaker, DiskId) {
    let mut lab = Lab::new();
    let disk = disk("DISK0", 8 * GIB);
    let mut agent = Speaker::new(&mut lab, 1);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    agent.inspects(&mut lab, std::slice::from_ref(&disk));
    (lab, agent, disk)
}

/// The same up to the order to erase.
fn cleaning() -> (Lab, Speaker, Order, DiskId) {
    let (mut lab, mut agent, disk) = inspected();
    let order = agent.order(&mut lab);
    assert!(matches!(order.task, Task::Erase { .. }));
    (lab, agent, order, disk)
}

#[test]
fn sessions_are_told_apart() {
    let mut lab = Lab::new();
    let mut agents = [1, 2, 3].map(|mac| Speaker::new(&mut lab, mac));
    lab.verb(1, Verb::Manage).unwrap();
    lab.verb(1, Verb::Inspect).unwrap();
    for (index, agent) in agents.iter_mut().enumerate() {
        assert_eq!(agent.welcome.version, version::CURRENT);
        assert_eq!(agent.welcome.node, lab.node(index).id);
        match agent.says(&mut lab, &Request::Ask) {
            Said::Order(order) => assert_eq!((index, order.node), (1, lab.node(1).id)),
            said => assert_eq!((index == 1, said), (false, Said::Wait(2000))),
        }
    }
    // A session that nobody has.
    let forged = lab.rack().counters().agent_stray;
    agents[0].last[1] ^= 0x80;
    assert_eq!(agents[0].hears(&mut lab), Said::Nothing);
    assert_eq!(lab.rack().counters().agent_stray, forged + 1);
}

#[test]
fn a_request_that_comes_twice_is_answered_twice_and_heard_once() {
    let (mut lab, mut agent, order, _) = cleaning();
    let repeated = agent.hears(&mut lab);
    // Its first answer was read already, so the session drops the second.
    assert_eq!(repeated, Said::Nothing);
    let said = agent.says(&mut lab, &Request::Ask);
    assert_eq!(said, Said::Order(Box::new(order)), "the same order again");

    // A farewell that comes again after the machine is at work again.
    agent.says(&mut lab, &Request::FinalReport(FinalReport::PowerOff));
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    let farewell = agent.last.clone();
    assert!(matches!(
        agent.says(&mut lab, &Request::Ask),
        Said::Order(_)
    ));
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    let newer = std::mem::replace(&mut agent.last, farewell);
    agent.hears(&mut lab);
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    agent.last = newer;
    agent.says(&mut lab, &Request::FinalReport(FinalReport::Reboot));
    assert_eq!(agent.hears(&mut lab), Said::Nothing);
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
}

#[test]
fn a_certificate_counts_for_the_order_to_erase_only() {
    // While it is to look at its hardware.
    let (mut lab, mut agent, disk) = inspected();
    agent.says(&mut lab, &Request::FinalReport(FinalReport::Reboot));
    let mut agent = Speaker::new(&mut lab, 1);
    let order = agent.order(&mut lab);
    assert_eq!(order.task, Task::Inspect);
    for report in [certificate(&disk), Report::Done] {
        let said = agent.states(&mut lab, order.counter, report);
        assert_eq!(said, Said::Stored(agent.statement), "kept as evidence");
    }
    assert_eq!(lab.node(0).boot.erased, 0);
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    assert!(lab.node(0).boot.order.is_some(), "the order stands");

    // While it is to write.
    let (mut lab, mut agent, order, disk) = cleaning();
    agent.states(&mut lab, order.counter, certificate(&disk));
    agent.states(&mut lab, order.counter, Report::Done);
    assert_eq!(lab.state(0), ProvisionState::Available);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    let order = agent.order(&mut lab);
    assert!(matches!(order.task, Task::Deploy(_)));
    agent.states(&mut lab, order.counter, Report::Done);
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    assert!(lab.node(0).boot.order.is_some(), "the order stands");
}

/// The proof that the image of these tests is on a disk.
fn proof(disk: &DiskId) -> Report {
    Report::ImageWritten(ImageProof {
        disk: disk.clone(),
        manifest_root: [9; 32],
        image_bytes: GIB,
        fetched_bytes: 1,
        refetched_chunks: 0,
        config_drive: [0; 32],
        peak_rss_kib: 1,
        millis: 1,
    })
}

#[test]
fn a_proof_of_another_disk_than_the_ordered_one_fails_the_deployment() {
    let (mut lab, mut agent, order, disk) = cleaning();
    agent.states(&mut lab, order.counter, certificate(&disk));
    agent.states(&mut lab, order.counter, Report::Done);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    let order = agent.order(&mut lab);
    let mut other = disk;
    other.serial = "OTHER".try_into().unwrap();
    agent.states(&mut lab, order.counter, proof(&other));
    assert_eq!(lab.state(0), ProvisionState::DeployFailed);
    let error = lab.node(0).last_error.as_str();
    assert!(error.contains("another disk"), "{error}");
}

#[test]
fn a_proof_counts_for_the_order_to_write_only() {
    let (mut lab, mut agent, order, disk) = cleaning();
    agent.states(&mut lab, order.counter, proof(&disk));
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    assert_eq!(lab.node(0).written, None);
    assert!(lab.node(0).boot.order.is_some(), "the order stands");
}

#[test]
fn a_statement_under_another_counter_than_its_parts_is_refused() {
    let (mut lab, mut agent, order, disk) = cleaning();
    let signed = agent.signed(order.counter, certificate(&disk));
    agent.statement += 1;
    let said = agent.tells(&mut lab, &signed);
    assert_eq!(said, Said::Refused(Refusal::Misaddressed));
    assert_eq!(lab.node(0).boot.erased, 0);
    // What is wrong with parts has names.
    let part = |count, bytes| {
        Request::Part(Part {
            statement: 90,
            index: 0,
            count,
            bytes,
        })
    };
    let said = agent.says(&mut lab, &part(16, &[0; 1024]));
    assert_eq!(said, Said::Refused(Refusal::TooLong));
    let said = agent.says(&mut lab, &part(2, &[0; 1]));
    assert_eq!(said, Said::Refused(Refusal::Malformed));
    let said = agent.says(&mut lab, &part(1, &[0; 1024]));
    assert_eq!(said, Said::Refused(Refusal::BadSignature));
}

#[test]
fn statements_of_several_agents_are_put_together_at_once() {
    let mut lab = Lab::new();
    let mut agents = [1, 2, 3].map(|mac| Speaker::new(&mut lab, mac));
    let long = vec![7; 1500];
    let first = |agent: &mut Speaker, lab: &mut Lab| {
        agent.statement = 1;
        let part = cut(1, &long, 0).unwrap();
        agent.says(lab, &Request::Part(part))
    };
    let [one, two, three] = &mut agents;
    assert_eq!(first(one, &mut lab), Said::Partial(1));
    assert_eq!(first(two, &mut lab), Said::Partial(1));
    assert_eq!(first(three, &mut lab), Said::Busy);
    // Each goes on in its own place.
    lab.now += 4_000;
    assert_eq!(first(two, &mut lab), Said::Partial(1));
    lab.now += 999;
    assert_eq!(first(three, &mut lab), Said::Busy);
    // A statement that does not grow for five seconds loses it; the same part
    // again is no growth.
    lab.now += 1;
    assert_eq!(first(three, &mut lab), Said::Partial(1));
    assert_eq!(first(one, &mut lab), Said::Partial(1));
    assert_eq!(first(two, &mut lab), Said::Busy);
    let part = cut(1, &long, 1).unwrap();
    for agent in [one, three] {
        let said = agent.says(&mut lab, &Request::Part(part));
        assert_eq!(said, Said::Refused(Refusal::BadSignature), "both parts");
    }
}

#[test]
fn a_node_that_goes_leaves_its_place_for_statements() {
    let mut lab = Lab::new();
    let [mut one, mut two, mut three] = [1, 2, 3].map(|mac| Speaker::new(&mut lab, mac));
    let long = vec![7; 1500];
    let part = |index| Request::Part(cut(1, &long, index).unwrap());
    assert_eq!(one.says(&mut lab, &part(0)), Said::Partial(1));
    assert_eq!(two.says(&mut lab, &part(0)), Said::Partial(1));
    assert_eq!(three.says(&mut lab, &part(0)), Said::Busy);
    let target = format!("/v1/nodes/{}", id(&lab, 1));
    assert_eq!(call(&mut lab, "DELETE", &target, "").status, 204);
    assert_eq!(three.says(&mut lab, &part(0)), Said::Partial(1));
    let said = one.says(&mut lab, &part(1));
    assert_eq!(said, Said::Refused(Refusal::BadSignature), "both parts");
}

#[test]
fn a_relay_that_nobody_configured_reaches_no_lease() {
    let mut lab = Lab::new();
    let own = lab.dhcp(1, ipxe).expect("a lease").address;
    let relayed = |lab: &mut Lab, kind| {
        let payload = dhcp_message(kind, mac_of(1), |r| {
            r.giaddr = Ipv4Addr::new(172, 22, 0, 99);
            r.ciaddr = own;
            r.requested_ip = Some(own);
            r.server_id = (kind != MessageType::Discover).then_some(Config::default().address);
        });
        lab.step(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from: mac_of(9),
            payload: &payload,
        })
    };
    use MessageType::{Decline, Discover, Inform, Release};
    for kind in [Discover, MessageType::Request, Release, Decline, Inform] {
        assert_eq!(relayed(&mut lab, kind), [], "{kind:?}");
    }
    let again = lab.dhcp(1, ipxe).expect("a lease").address;
    assert_eq!(again, own, "it was not released");
}

#[test]
fn a_replayed_request_does_not_keep_a_dead_agent_alive() {
    let (mut lab, mut agent, _, _) = cleaning();
    agent.says(&mut lab, &Request::Ask);
    for _ in 0..10 {
        // The agent is dead. Somebody sends its last datagram again.
        assert!(sent(&mut lab, agent.from, &agent.last).is_some());
        lab.pass(10);
    }
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
}

#[test]
fn progress_of_the_order_keeps_the_work_alive() {
    let (mut lab, mut agent, order, _) = cleaning();
    let limit = lab.node(0).deadline.unwrap().millis() - lab.now;
    let mut left = |lab: &mut Lab, order, step, done| {
        lab.now += 1000;
        assert_eq!(agent.says(lab, &progress(order, step, done)), Said::Ack);
        lab.node(0).deadline.unwrap().millis() - lab.now
    };
    let mut before = limit;
    for (order, step, done, moves) in [
        (order.counter, AgentStep::Erase, 10, true),
        (order.counter, AgentStep::Erase, 10, false),
        (order.counter, AgentStep::Erase, 9, false),
        (order.counter, AgentStep::Erase, 9, false),
        (order.counter, AgentStep::Erase, 11, true),
        (order.counter, AgentStep::VerifyErase, 3, true),
        (order.counter + 1, AgentStep::VerifyErase, 50, false),
    ] {
        let now = left(&mut lab, order, step, done);
        assert_eq!(now == limit, moves, "{step:?} {done}");
        assert!(moves || now == before - 1000);
        before = now;
    }
    assert_eq!(lab.node(0).boot.progress.unwrap().done, 3);
    let status = get(&mut lab, "/farrier/v1/status");
    assert_eq!(
        status["nodes"][0]["progress"],
        serde_json::json!({
            "step": "verify erase", "done": 3, "total": 100, "rate": 1, "peak_rss_kib": 1,
        })
    );
    // Another order begins at nothing.
    agent.states(&mut lab, order.counter, Report::Done);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
}

#[test]
fn a_copy_of_the_last_progress_moves_no_deadline() {
    let (mut lab, mut agent, order, _) = cleaning();
    agent.says(&mut lab, &progress(order.counter, AgentStep::Erase, 5));
    // The agent is dead, and its machine is waited for.
    lab.pass(100);
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    let deadline = lab.node(0).deadline;
    assert!(sent(&mut lab, agent.from, &agent.last).is_some());
    assert_eq!(lab.node(0).deadline, deadline);
}

#[test]
fn a_copy_of_the_last_question_begins_no_new_work() {
    let mut lab = Lab::new();
    let mut agent = Speaker::new(&mut lab, 1);
    lab.verb(0, Verb::Manage).unwrap();
    assert!(matches!(agent.says(&mut lab, &Request::Ask), Said::Wait(_)));
    let question = agent.last.clone();
    lab.verb(0, Verb::Provide).unwrap();
    let before = (lab.state(0), lab.node(0).boot.last_order);
    assert!(sent(&mut lab, agent.from, &question).is_some());
    assert_eq!((lab.state(0), lab.node(0).boot.last_order), before);
    // The agent itself begins it, and is told again what it was told.
    let Said::Order(order) = agent.says(&mut lab, &Request::Ask) else {
        panic!("no order");
    };
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    let began = lab.node(0).boot.last_order;
    assert!(sent(&mut lab, agent.from, &agent.last).is_some());
    assert_eq!(lab.node(0).boot.last_order, began, "{order:?}");
}

#[test]
fn an_agent_that_comes_back_after_a_restart_has_all_of_its_time() {
    let (mut lab, mut agent, order, _) = cleaning();
    lab.restart(0);
    lab.now += 80_000;
    assert_eq!(agent.order(&mut lab), order);
    let limit = ProvisionState::Cleaning.deadline().unwrap().millis;
    let left = |lab: &Lab| lab.node(0).deadline.unwrap().millis() - lab.now;
    assert_eq!(left(&lab), limit);
    // Which is so once.
    lab.now += 1_000;
    assert_eq!(agent.order(&mut lab), order);
    assert_eq!(left(&lab), limit - 1_000);
}

#[test]
fn who_is_idle_for_long_asks_less_often() {
    let mut lab = Lab::new();
    let mut agent = Speaker::new(&mut lab, 1);
    let since = lab.node(0).since.millis();
    for (idle, wait) in [
        (0, 2_000),
        (32_000, 2_000),
        (48_000, 3_000),
        (480_000, 30_000),
        (4_800_000, 30_000),
    ] {
        lab.now = since + idle;
        assert_eq!(agent.says(&mut lab, &Request::Ask), Said::Wait(wait));
    }
}

#[test]
fn an_order_that_was_not_answered_is_given_again_as_it_was() {
    let (mut lab, mut agent, order, disk) = cleaning();
    agent.states(&mut lab, order.counter, certificate(&disk));
    assert_eq!(lab.node(0).boot.erased, 1);
    assert_eq!(agent.order(&mut lab), order);
    assert_eq!(lab.node(0).boot.erased, 1, "what was proven stays so");
    let reached = lab.node(0).timeline.reached(Hop::Order);
    assert!(reached.is_some());
    agent.says(&mut lab, &progress(order.counter, AgentStep::Erase, 5));
    agent.states(&mut lab, order.counter, Report::Done);
    assert_eq!(lab.state(0), ProvisionState::Available);

    // A new one begins anew: nothing is proven, and nothing was done.
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    let second = agent.order(&mut lab);
    assert!(second.counter > order.counter);
    assert_eq!(lab.node(0).boot.erased, 0);
    assert_eq!(lab.node(0).boot.progress, None);
    agent.states(&mut lab, second.counter, Report::Done);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
}

#[test]
fn a_farewell_that_nobody_ordered_is_no_step() {
    let mut lab = Lab::new();
    let mut agent = Speaker::new(&mut lab, 1);
    lab.verb(0, Verb::Manage).unwrap();
    let body = r#"{"target": "clean", "clean_steps": [{"step": "reboot"}, {"step": "hold"}]}"#;
    let node = id(&lab, 0);
    assert_eq!(put(&mut lab, &node, body).status, 202);
    agent.says(&mut lab, &Request::FinalReport(FinalReport::Reboot));
    let mut agent = Speaker::new(&mut lab, 1);
    let mut tasks = Vec::new();
    while let Said::Order(order) = agent.says(&mut lab, &Request::Ask) {
        tasks.push(order.task.clone());
        match order.task {
            Task::Inspect => {
                let report = Report::Inspection(inspection(&[disk("DISK0", 8 * GIB)]));
                agent.states(&mut lab, order.counter, report);
            }
            _ => break,
        }
    }
    assert_eq!(tasks.last(), Some(&Task::Reboot), "it is still to come");
}

#[test]
fn a_table_without_room_for_disks_says_so() {
    let mut lab = Lab::new();
    let disks = |from: u8, count: u8| -> Vec<DiskId> {
        (from..from + count)
            .map(|n| disk(&format!("DISK{n}"), 8 * GIB))
            .collect()
    };
    // Two big machines do not fit; smaller ones always do.
    for (index, count, state) in [
        (0, 24, ProvisionState::Cleaning),
        (1, 24, ProvisionState::CleanFailed),
        (2, 2, ProvisionState::Cleaning),
        (3, 12, ProvisionState::Cleaning),
        (4, 1, ProvisionState::Cleaning),
        (5, 2, ProvisionState::Cleaning),
        (6, 2, ProvisionState::Cleaning),
    ] {
        let mut agent = Speaker::new(&mut lab, index + 1);
        lab.verb(usize::from(index), Verb::Manage).unwrap();
        lab.verb(usize::from(index), Verb::Provide).unwrap();
        agent.inspects(&mut lab, &disks(index * 24, count));
        assert_eq!(lab.state(index.into()), state, "{index}");
    }
    assert_eq!(lab.rack().counters().disks_full, 1);
    assert!(lab.node(1).last_error.contains("table of disks"));
}

#[test]
fn machine_with_other_devices_than_reported_is_inspected_again() {
    let mut lab = Lab::new();
    let mut agent = Speaker::new(&mut lab, 1);
    let disks = [disk("DISK0", 8 * GIB)];
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    agent.inspects(&mut lab, &disks);
    let order = agent.order(&mut lab);
    assert!(matches!(order.task, Task::Erase { .. }));
    let failure = Failure {
        step: AgentStep::Erase,
        reason: Reason::DevicesChanged,
        text: "disk LATE is new".try_into().unwrap(),
    };
    agent.states(&mut lab, order.counter, Report::Failure(failure));
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).last_error.contains("LATE"));
    lab.restart(0);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    agent.inspects(&mut lab, &disks);
}
