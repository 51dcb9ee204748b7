//! Who is let in: credentials, sessions, tries, hosts, pages, machines.

use crate::api_rig::*;
use crate::common::*;
use farrier_api::access::{AccessCounters, Asked, Refusal};
use farrier_api::{Admission, Gate, Peer, Principal, REPLY_BUFFER, View};
use farrier_core::accounts::{Role, Verifier, password};
use farrier_core::{Command, Input, Instant};
use farrier_http::Head;
use std::net::Ipv4Addr;

const PASSWORD: &str = "a long password";
/// Outside of the pool.
const DESK: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 2);

/// A gate in front of a lab.
struct Front<'l> {
    lab: &'l mut Lab,
    gate: Gate,
    from: Ipv4Addr,
}

/// Credentials as a header.
fn basic(name: &str, password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut token = String::new();
    for group in format!("{name}:{password}").as_bytes().chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, n| {
            bits << 8 | u32::from(*group.get(n).unwrap_or(&0))
        });
        for n in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * n)) as usize % 64];
            token.push(if n > group.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    format!("Authorization: Basic {token}\r\n")
}

impl<'l> Front<'l> {
    fn new(lab: &'l mut Lab) -> Self {
        let mut gate = Gate::new();
        gate.start([3; 32], core::array::from_fn(|n| n as u8));
        Front {
            lab,
            gate,
            from: DESK,
        }
    }

    fn ask(&mut self, method: &str, path: &str, headers: &str) -> Result<Principal, Refusal> {
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}\r\n");
        let request = match headers.contains("Host:") {
            true => request,
            false => request.replacen("\r\n", "\r\nHost: 172.22.0.1\r\n", 1),
        };
        let (head, _) = Head::parse(request.as_bytes()).unwrap().unwrap();
        let now = Instant::from_millis(self.lab.now);
        let peer = Peer {
            address: self.from,
            is_machine: self.lab.rack().is_machine(self.from),
        };
        for in_turn in [false, true] {
            let view = View::of(self.lab.rack(), now);
            let admission = match self.gate.admit(&head, peer, in_turn, now, &view) {
                Admission::Wait if !in_turn => continue,
                Admission::Check(mut check) => {
                    let right = loop {
                        if let Some(right) = check.run(999) {
                            break right;
                        }
                    };
                    self.gate.checked(&check, right, now)
                }
                settled => settled,
            };
            return match admission {
                Admission::Granted(who) => Ok(who),
                Admission::Refused(refusal) => Err(refusal),
                Admission::Wait | Admission::Check(_) => panic!("it is settled in turn"),
            };
        }
        panic!("nobody waits twice");
    }

    fn get(&mut self, headers: &str) -> Result<Principal, Refusal> {
        self.ask("GET", "/v1/nodes", headers)
    }

    fn counters(&self) -> AccessCounters {
        *self.gate.counters()
    }
}

fn put_account(lab: &mut Lab, name: &str, role: Role, password: &str) -> Result<(), String> {
    let salt = core::array::from_fn(|n| password.as_bytes()[n % password.len()]);
    lab.operator(Command::PutAccount {
        name,
        role: Some(role),
        verifier: Some(password::verifier(password.as_bytes(), salt)),
    })
}

fn lab_with_admin() -> Lab {
    let mut lab = Lab::new();
    put_account(&mut lab, "admin", Role::Admin, PASSWORD).unwrap();
    lab
}

#[test]
fn versions_are_open_and_all_else_is_not() {
    let mut lab = lab_with_admin();
    let mut front = Front::new(&mut lab);
    for path in ["/", "/v1", "/v1/"] {
        assert!(front.ask("GET", path, "").is_ok(), "{path}");
        assert!(front.ask("HEAD", path, "").is_ok(), "{path}");
        assert_eq!(
            front.ask("POST", path, ""),
            Err(Refusal::Anonymous),
            "{path}"
        );
    }
    for path in [
        "/v1/nodes",
        "/v1/nothing",
        "/farrier/v1/status",
        "/farrier/v1",
    ] {
        assert_eq!(
            front.ask("GET", path, ""),
            Err(Refusal::Anonymous),
            "{path}"
        );
    }
    assert_eq!(front.counters().anonymous, 7);
}

#[test]
fn a_password_is_checked_once_a_session() {
    let mut lab = lab_with_admin();
    let mut front = Front::new(&mut lab);
    for _ in 0..20 {
        let who = front.get(&basic("admin", PASSWORD)).unwrap();
        assert_eq!(who.actor().account, "admin");
    }
    assert_eq!(front.counters().checks, 1);
    front.lab.now += 3_600_001;
    assert!(front.get(&basic("admin", PASSWORD)).is_ok());
    assert_eq!(front.counters().checks, 2, "an hour later");
    // Every session finds room, and the one that was not used for longest
    // goes.
    for number in 0..20 {
        let name = format!("reader-{}", number % 7);
        let password = format!("{PASSWORD} {number}");
        put_account(front.lab, &name, Role::Reader, &password).unwrap();
        assert!(front.get(&basic(&name, &password)).is_ok());
        front.lab.now += 1;
    }
    assert!(front.get(&basic("admin", PASSWORD)).is_ok());
}

#[test]
fn another_password_or_none_ends_the_session() {
    let mut lab = lab_with_admin();
    put_account(&mut lab, "ops", Role::Admin, "the first password").unwrap();
    let mut front = Front::new(&mut lab);
    let old = basic("ops", "the first password");
    let mut who = front.get(&old).unwrap();
    put_account(front.lab, "ops", Role::Admin, "the second password").unwrap();
    assert_eq!(front.get(&old), Err(Refusal::Wrong));
    // A request that was let in before is not carried out any more.
    let request = "DELETE /farrier/v1/accounts/admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let reply = exchange_as(front.lab, who, request.as_bytes(), 7, REPLY_BUFFER);
    assert_eq!(reply.status, 403, "{}", reply.fault());
    let new = basic("ops", "the second password");
    who = front.get(&new).unwrap();
    let reply = exchange_as(front.lab, who, request.as_bytes(), 7, REPLY_BUFFER);
    assert_eq!(reply.status, 204);
    front
        .lab
        .operator(Command::DeleteAccount { name: "ops" })
        .unwrap_err();
}

#[test]
fn wrong_passwords_are_few_and_those_of_nobody_take_as_long() {
    let mut lab = lab_with_admin();
    let mut front = Front::new(&mut lab);
    for number in 0..10 {
        let name = ["admin", "nobody"][number % 2];
        let wrong = basic(name, &format!("wrong {number}"));
        assert_eq!(front.get(&wrong), Err(Refusal::Wrong));
    }
    assert_eq!(
        front.counters().checks,
        10,
        "also for accounts that there are not"
    );
    let limited = Err(Refusal::TooMany { seconds: 30 });
    assert_eq!(
        front.get(&basic("admin", PASSWORD)),
        limited,
        "the right one too"
    );
    assert_eq!(front.counters().checks, 10);
    front.from = Ipv4Addr::new(172, 22, 0, 3);
    assert!(
        front.get(&basic("admin", PASSWORD)).is_ok(),
        "from elsewhere"
    );
    front.from = DESK;
    assert!(
        front.get(&basic("admin", PASSWORD)).is_ok(),
        "proven before"
    );
    assert_eq!(front.counters().limited, 1);
}

#[test]
fn credentials_that_can_not_be_read() {
    let mut lab = lab_with_admin();
    let mut front = Front::new(&mut lab);
    let long = basic("admin", &"x".repeat(80));
    let twice = basic("admin", PASSWORD).repeat(2);
    for (header, refusal) in [
        ("Authorization: Basic\r\n", Refusal::Unreadable),
        ("Authorization: Bearer abc\r\n", Refusal::OtherScheme),
        ("Authorization: Basic ???\r\n", Refusal::Undecodable),
        // No colon in it.
        ("Authorization: Basic YWRtaW4=\r\n", Refusal::Undecodable),
        ("Authorization: Basic YWRtaW46eA\r\n", Refusal::Undecodable),
        (&long, Refusal::Wrong),
        (&twice, Refusal::Unreadable),
    ] {
        assert_eq!(front.get(header), Err(refusal), "{header}");
    }
}

#[test]
fn machines_of_the_rack_are_no_operators() {
    let mut lab = lab_with_admin();
    let leased = lab.dhcp(1, ipxe).unwrap().address;
    let right = basic("admin", PASSWORD);
    let mut front = Front::new(&mut lab);
    // The last one is of the pool, and nobody's yet.
    for address in [leased, Ipv4Addr::new(172, 22, 0, 219)] {
        front.from = address;
        assert_eq!(front.get(&right), Err(Refusal::Machine));
        assert_eq!(front.ask("GET", "/", ""), Err(Refusal::Machine));
    }
    front.from = Ipv4Addr::new(172, 22, 0, 220);
    assert!(front.get(&right).is_ok());
}

#[test]
fn another_host_or_page_is_refused() {
    let mut lab = lab_with_admin();
    let mut front = Front::new(&mut lab);
    let right = basic("admin", PASSWORD);
    for (host, own) in [
        ("172.22.0.1", true),
        ("172.22.0.1:80", true),
        ("172.22.0.1:8080", true),
        ("172.22.0.10", false),
        ("172.22.0.1.evil.example", false),
        ("evil.example", false),
        ("", false),
    ] {
        let asked = front.get(&format!("Host: {host}\r\n{right}"));
        assert_eq!(asked.is_ok(), own, "{host}");
        assert!(own || asked == Err(Refusal::Host));
    }
    for (header, own) in [
        ("Origin: http://172.22.0.1\r\n", true),
        ("Origin: http://evil.example\r\n", false),
        ("Origin: null\r\n", false),
        ("Sec-Fetch-Site: none\r\n", true),
        ("Sec-Fetch-Site: same-origin\r\n", true),
        ("Sec-Fetch-Site: cross-site\r\n", false),
    ] {
        let asked = front.get(&format!("{header}{right}"));
        assert_eq!(asked.is_ok(), own, "{header}");
        assert!(own || asked == Err(Refusal::Origin));
    }
}

#[test]
fn bodies_are_json_by_their_type() {
    let mut lab = lab_with_admin();
    let mut front = Front::new(&mut lab);
    let right = basic("admin", PASSWORD);
    for (method, kind, fits) in [
        ("POST", "application/json", true),
        ("PUT", "application/json; charset=utf-8", true),
        ("PATCH", "application/json-patch+json", true),
        ("PUT", "application/json-patch+json", false),
        ("POST", "text/plain", false),
        ("POST", "multipart/form-data", false),
        ("POST", "application/x-www-form-urlencoded", false),
    ] {
        for length in ["Content-Length: 2", "Transfer-Encoding: chunked"] {
            let headers = format!("{right}Content-Type: {kind}\r\n{length}\r\n");
            let asked = front.ask(method, "/v1/nodes", &headers);
            assert_eq!(asked.is_ok(), fits, "{method} {kind}");
        }
    }
    let headers = format!("{right}Content-Length: 2\r\n");
    assert_eq!(
        front.ask("POST", "/v1/nodes", &headers),
        Err(Refusal::ContentType)
    );
}

#[test]
fn the_code_makes_the_first_account_and_nothing_else() {
    let mut lab = Lab::new();
    let mut front = Front::new(&mut lab);
    let code = front.gate.code().to_owned();
    assert_eq!(code.len(), 19);
    assert_eq!(front.get(&basic("admin", PASSWORD)), Err(Refusal::Wrong));
    assert_eq!(front.get(&basic("ops", &code)), Err(Refusal::Wrong));
    let who = front.get(&basic("admin", &code)).unwrap();
    let body = format!(r#"{{"password": "{PASSWORD}"}}"#);
    let put = |path: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut send =
        |request: String| exchange_as(front.lab, who, request.as_bytes(), 7, REPLY_BUFFER).status;
    assert_eq!(
        send("GET /v1/nodes HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        403
    );
    assert_eq!(send(put("/farrier/v1/accounts/ops")), 403);
    assert_eq!(send(put("/farrier/v1/accounts/admin")), 204);
    assert_eq!(send(put("/farrier/v1/accounts/admin")), 403, "once");
    assert_eq!(front.get(&basic("admin", &code)), Err(Refusal::Wrong));
    assert!(front.get(&basic("admin", PASSWORD)).is_ok());
}

#[test]
fn guesses_of_the_code_are_few() {
    let mut lab = Lab::new();
    let mut front = Front::new(&mut lab);
    let mut refusals = Vec::new();
    for number in 0..12 {
        refusals.push(front.get(&basic("admin", &number.to_string())));
    }
    assert_eq!(refusals[9], Err(Refusal::Wrong));
    assert_eq!(refusals[10], Err(Refusal::TooMany { seconds: 30 }));
    let code = front.gate.code().to_owned();
    assert!(
        front.get(&basic("admin", &code)).is_err(),
        "also the right one"
    );
}

#[test]
fn the_stores_account_is_taken_once() {
    let mut lab = Lab::new();
    let first =
        |password: &str| password::verifier(password.as_bytes(), [password.len() as u8; 16]);
    let of = |lab: &Lab| -> Verifier { lab.rack().accounts()[0].verifier };
    let (one, other) = (
        first("the store's password"),
        first("another store's password"),
    );
    lab.step(Input::FirstAccount(one));
    assert!(of(&lab) == one);
    put_account(&mut lab, "admin", Role::Admin, PASSWORD).unwrap();
    lab.restart(0);
    lab.step(Input::FirstAccount(one));
    assert!(of(&lab) != one, "an operator has changed the password");
    lab.step(Input::FirstAccount(other));
    assert!(of(&lab) == other, "another store was put in");
    assert_eq!(lab.rack().accounts().len(), 1);
}

#[test]
fn there_is_always_an_admin_and_never_too_many_accounts() {
    let mut lab = lab_with_admin();
    let delete = |lab: &mut Lab, name| lab.operator(Command::DeleteAccount { name });
    let last = Err("LastAdmin".to_owned());
    assert_eq!(delete(&mut lab, "admin"), last.clone());
    assert_eq!(put_account(&mut lab, "admin", Role::Reader, PASSWORD), last);
    assert_eq!(delete(&mut lab, "nobody"), Err("NoSuchAccount".into()));
    let only_role = Command::PutAccount {
        name: "ops",
        role: Some(Role::Admin),
        verifier: None,
    };
    assert_eq!(lab.operator(only_role), Err("IncompleteAccount".into()));
    for number in 1..farrier_core::accounts::MAX_ACCOUNTS {
        put_account(&mut lab, &format!("a-{number}"), Role::Admin, PASSWORD).unwrap();
    }
    let full = put_account(&mut lab, "more", Role::Reader, PASSWORD);
    assert_eq!(full, Err("AccountsFull".into()));
    assert_eq!(delete(&mut lab, "admin"), Ok(()));
    put_account(&mut lab, "more", Role::Reader, PASSWORD).unwrap();
    lab.check_every_sweep();
}

#[test]
fn replies_to_refusals_are_those_of_ironic() {
    let head = |method: &str| format!("{method} /v1/nodes HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = |refusal: Refusal, request: &str| {
        let (head, _) = Head::parse(request.as_bytes()).unwrap().unwrap();
        let mut buffer = [0; 768];
        let length = refusal.reply(Asked::of(&head, true), &mut buffer);
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let text = reply(Refusal::Anonymous, &head("GET"));
    assert!(text.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{text}");
    assert!(text.contains("WWW-Authenticate: Basic realm=\"Baremetal API\"\r\n"));
    assert!(text.ends_with(r#"{"error":{"message":"Authorization required","code":401}}"#));
    let text = reply(Refusal::Undecodable, &head("GET"));
    assert!(text.starts_with("HTTP/1.1 400 "));
    assert!(
        text.ends_with(
            r#"{"error":{"message":"Could not decode authorization token","code":400}}"#
        )
    );
    // The stock client shows this envelope alone.
    let text = reply(Refusal::Host, &head("GET"));
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("faultstring"));
    let text = reply(Refusal::Machine, &head("GET"));
    assert!(text.starts_with("HTTP/1.1 403 Forbidden\r\n"));
    assert!(text.contains("error_message") && text.contains("faultstring"));
    let text = reply(Refusal::TooMany { seconds: 17 }, &head("GET"));
    assert!(text.contains("429 Too Many Requests") && text.contains("Retry-After: 17\r\n"));
    let text = reply(Refusal::Wrong, &head("HEAD"));
    assert!(text.ends_with("\r\n\r\n") && text.contains("Connection: keep-alive"));
    // A body is not read: the connection ends.
    let text = reply(
        Refusal::ContentType,
        "PUT /v1/nodes HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    );
    assert!(text.contains("415 ") && text.contains("Connection: close"));
}

/// A request by an account of this role.
fn send_as(
    lab: &mut Lab,
    role: Role,
    method: &str,
    path: &str,
    body: &str,
) -> crate::api_rig::Reply {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nX-OpenStack-Ironic-API-Version: 1.81\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange_as(lab, operator(role), request.as_bytes(), 7, REPLY_BUFFER)
}

#[test]
fn roles_see_and_do_what_is_theirs() {
    let mut lab = rack();
    let second = id(&lab, 1);
    let patch = r#"[{"op":"add","path":"/owner","value":"operator"}]"#;
    assert_eq!(
        call(&mut lab, "PATCH", "/v1/nodes/rack-1", patch).status,
        200
    );
    let mut send =
        |role, method: &str, path: &str, body: &str| send_as(&mut lab, role, method, path, body);
    let all = send(Role::Reader, "GET", "/v1/nodes", "").body;
    assert_eq!(all["nodes"].as_array().unwrap().len(), 2);
    let own = send(Role::Member, "GET", "/v1/nodes/detail", "").body;
    assert_eq!(own["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(own["nodes"][0]["owner"], "operator");
    let ports = send(Role::Member, "GET", "/v1/ports", "").body;
    assert_eq!(ports["ports"].as_array().unwrap().len(), 1);
    let hidden = format!("/v1/nodes/{second}");
    for path in [
        &hidden,
        &format!("{hidden}/states"),
        &format!("{hidden}/history"),
    ] {
        assert_eq!(send(Role::Member, "GET", path, "").status, 404, "{path}");
        assert_eq!(send(Role::Reader, "GET", path, "").status, 200, "{path}");
    }
    for (method, path, body, member) in [
        ("PUT", "/v1/nodes/rack-1/maintenance", "{}", 202),
        (
            "PATCH",
            "/v1/nodes/rack-1",
            r#"[{"op":"add","path":"/name","value":"n"}]"#,
            200,
        ),
        (
            "PATCH",
            "/v1/nodes/n",
            r#"[{"op":"add","path":"/owner","value":"x"}]"#,
            403,
        ),
        (
            "PATCH",
            "/v1/nodes/n",
            r#"[{"op":"add","path":"/driver_info/k","value":"v"}]"#,
            403,
        ),
        (
            "PATCH",
            "/v1/nodes/n",
            r#"[{"op":"add","path":"/driver","value":"ipmi"}]"#,
            403,
        ),
        ("DELETE", "/v1/nodes/n", "", 403),
        ("POST", "/v1/nodes", r#"{"driver":"farrier"}"#, 403),
        ("DELETE", "/farrier/v1/accounts/x", "", 403),
        ("GET", "/farrier/v1/accounts", "", 403),
        ("GET", "/farrier/v1/status", "", 403),
    ] {
        let reply = send(Role::Reader, method, path, body);
        let refused = matches!(reply.status, 403 | 404);
        assert!(
            refused || path == "/farrier/v1/status",
            "{method} {path}: {}",
            reply.status
        );
        let reply = send(Role::Member, method, path, body);
        assert_eq!(reply.status, member, "{method} {path}: {}", reply.body);
    }
    // An allocation of a member gets a node of the member's, or none.
    let free = send(
        Role::Member,
        "POST",
        "/v1/allocations",
        r#"{"resource_class":"baremetal"}"#,
    );
    assert_eq!(free.status, 409);
}

#[test]
fn member_changes_nothing_of_a_node_whose_records_were_lost() {
    let mut lab = available();
    let patch = r#"[{"op":"add","path":"/lessee","value":"operator"}]"#;
    let path = "/v1/nodes/rack-1";
    assert_eq!(call(&mut lab, "PATCH", path, patch).status, 200);
    lab.restart(3);
    let mut send =
        |role, method: &str, path: &str, body: &str| send_as(&mut lab, role, method, path, body);
    let end = r#"[{"op":"replace","path":"/maintenance","value":false}]"#;
    let states = format!("{path}/states/provision");
    let power = format!("{path}/states/power");
    let maintenance = format!("{path}/maintenance");
    for (method, path, body) in [
        ("DELETE", &*maintenance, ""),
        ("PATCH", path, end),
        ("PUT", &states, r#"{"target":"provide"}"#),
        ("PUT", &power, r#"{"target":"power off"}"#),
    ] {
        let reply = send(Role::Member, method, path, body);
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.body);
        assert!(reply.fault().contains("lost records"), "{}", reply.fault());
    }
    assert_eq!(
        send(Role::Member, "GET", path, "").body["maintenance"],
        true
    );
    assert_eq!(send(Role::Admin, "DELETE", &maintenance, "").status, 202);
    // The admin has looked: it is the lessee's again.
    assert_eq!(send(Role::Member, "PUT", &maintenance, "{}").status, 202);
    assert_eq!(send(Role::Member, "DELETE", &maintenance, "").status, 202);
}
