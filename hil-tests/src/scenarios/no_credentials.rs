//! Who is no operator changes nothing and learns nothing: requests without
//! credentials and with wrong ones, from a machine's address, for another
//! host, by another site's page, with a body that is no JSON, and of accounts
//! whose role does not permit them. And how the first account comes to be.

use crate::job::{ServerJob, Watch};
use crate::port_forward::{PortForward, PortForwardConfig};
use crate::qemu::ServerSpec;
use crate::scenario::{Api, Bench, FIRST_ACCOUNT, Rack};
use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A password as long as one has to be.
const PASSWORD: &str = "a password of tests";
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const JSON: &str = "Content-Type: application/json\r\n";

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = bench.small_disks(ServerSpec::bios("server", 1));
    let rack = bench.rack("no-credentials", vec![spec])?;
    let server = rack.server(0)?;
    let job = ServerJob::power_on(server, rack.api(), watch)?;
    let node = job.node.clone();
    let client = Client::new(&rack)?;
    let secrets = [node.clone(), server.mac().to_string()];

    watch.say(
        "operator",
        "every method of every resource without credentials",
    );
    let before = everything(rack.api())?;
    for path in resources(&node, &secrets[1]) {
        for method in METHODS {
            let reply = client.send(method, &path, JSON, body(method, &path))?;
            let open = matches!(method, "GET" | "HEAD") && matches!(&*path, "/" | "/v1");
            let expected = if open { 200 } else { 401 };
            reply.expect(expected, &format!("{method} {path} without credentials"))?;
            reply.without(&secrets)?;
            if !open {
                ensure!(
                    reply.text.contains("WWW-Authenticate: Basic realm="),
                    "{method} {path}: no challenge: {}",
                    reply.text
                );
            }
        }
    }
    unchanged(&rack, &before)?;

    watch.say("operator", "the right password in the wrong request");
    let right = basic(FIRST_ACCOUNT, &bench.password);
    let create = r#"{"driver": "farrier"}"#;
    for (headers, status, what) in [
        (
            format!("{right}Host: evil.example\r\n{JSON}"),
            400,
            "another host",
        ),
        (
            format!("{right}Origin: http://evil.example\r\n{JSON}"),
            403,
            "another site's page",
        ),
        (
            format!("{right}Sec-Fetch-Site: cross-site\r\n{JSON}"),
            403,
            "another site's page",
        ),
        (
            format!("{right}Content-Type: text/plain\r\n"),
            415,
            "a text",
        ),
        (
            format!("{right}Content-Type: application/x-www-form-urlencoded\r\n"),
            415,
            "a browser's form",
        ),
        (right.clone(), 415, "a body without a type"),
        (
            "Authorization: Bearer abc\r\n".to_owned() + JSON,
            400,
            "another scheme",
        ),
        (
            "Authorization: Basic ?\r\n".to_owned() + JSON,
            400,
            "no base64",
        ),
    ] {
        let reply = client.send("POST", "/v1/nodes", &headers, create)?;
        reply.expect(status, what)?;
        reply.without(&secrets)?;
    }
    unchanged(&rack, &before)?;

    watch.say("operator", "accounts of the other roles");
    roles(&rack, &client, &node)?;

    watch.say("server", "its own address is no operator's");
    let lease = address_of(rack.api(), &node)?;
    server.power_off();
    let machine = PortForward::open(
        rack.switch().add_host_port("machine")?,
        PortForwardConfig {
            mac: server.mac(),
            address: lease,
            prefix: bench.prefix,
            target: SocketAddrV4::new(bench.address, 80),
        },
    )?;
    let before = everything(rack.api())?;
    let from_machine = Client::at(machine.address());
    for path in resources(&node, &secrets[1]) {
        for method in METHODS {
            let headers = format!("{right}{JSON}");
            let reply = from_machine.send(method, &path, &headers, body(method, &path))?;
            reply.expect(403, &format!("{method} {path} from {lease}"))?;
            reply.without(&secrets)?;
        }
    }
    unchanged(&rack, &before)?;

    watch.say("operator", "wrong passwords, until there is no other try");
    let mut limited = 0;
    for number in 0..30 {
        let name = [FIRST_ACCOUNT, "nobody", "reader"][number % 3];
        let headers = format!("{}{JSON}", basic(name, &format!("wrong password {number}")));
        let reply = client.send(
            "PUT",
            &power_of(&node),
            &headers,
            r#"{"target":"power on"}"#,
        )?;
        reply.without(&secrets)?;
        match reply.status {
            401 => ensure!(limited == 0, "a try behind the last one"),
            429 => limited += 1,
            other => bail!("wrong password {number}: {other}"),
        }
    }
    ensure!(
        limited >= 15,
        "only {limited} of 30 tries were refused unseen"
    );
    // Who was let in before still is.
    unchanged(&rack, &before)?;
    let status = rack.api().get("/farrier/v1/status")?;
    let count = |name: &str| status["services"][name].as_u64().unwrap_or(0);
    for name in [
        "access_machines",
        "access_foreign",
        "access_anonymous",
        "access_wrong",
        "access_limited",
    ] {
        ensure!(count(name) > 0, "{name} is not counted: {status}");
    }
    drop(rack);
    first_contact(bench, watch)
}

/// An appliance without an account prints a code, with which the first one can
/// be made, once.
fn first_contact(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    watch.say("operator", "an appliance without an account");
    let bare = Bench {
        write_store: bench.write_bare_store.clone(),
        ..bench.clone()
    };
    let rack = bare.rack("no-account", Vec::new())?;
    let console = rack.appliance().console();
    let printed = console.text();
    let line = printed
        .lines()
        .find(|line| line.contains("there is no account"));
    let line = line.with_context(|| format!("no code in {printed}"))?;
    let groups = |word: &&str| word.len() == 19 && word.split('-').all(|group| group.len() == 4);
    let mut words = line.split([' ', ',', ':']);
    let code = words
        .find(groups)
        .with_context(|| format!("no code in {line}"))?;
    let client = Client::new(&rack)?;
    let path = "/farrier/v1/accounts/admin";
    let account = json!({"password": PASSWORD}).to_string();
    let with_code = format!("{}{JSON}", basic(FIRST_ACCOUNT, code));
    let guess = format!("{}{JSON}", basic(FIRST_ACCOUNT, "aaaa-bbbb-cccc-dddd"));
    for (method, path, headers, status) in [
        ("PUT", path, &guess, 401),
        ("GET", "/v1/nodes", &with_code, 403),
        ("PUT", "/farrier/v1/accounts/other", &with_code, 403),
        ("PUT", path, &with_code, 204),
        ("PUT", path, &with_code, 401),
    ] {
        let body = if method == "PUT" { &*account } else { "" };
        let reply = client.send(method, path, headers, body)?;
        reply.expect(status, &format!("{method} {path} of first contact"))?;
    }
    let admin = rack.api().with_account(FIRST_ACCOUNT, PASSWORD);
    admin.get("/v1/nodes")?;
    rack.restart_appliance(Duration::from_millis(100))?;
    admin.get("/v1/nodes").context("after a restart")?;
    Ok(())
}

/// What readers and members may do and see.
fn roles(rack: &Rack, client: &Client, node: &str) -> Result<()> {
    let admin = rack.api();
    for role in ["reader", "member"] {
        let account = json!({"role": role, "password": PASSWORD});
        admin.put(&format!("/farrier/v1/accounts/{role}"), &account)?;
    }
    // One node of the member's, and one that is not.
    let own = "11111111-2222-4333-8444-555555555555";
    let create = json!({"driver": "farrier", "uuid": own, "name": "own", "owner": "member"});
    let right = basic(FIRST_ACCOUNT, &client.password);
    let headers = format!("{right}{JSON}");
    let made = client.send("POST", "/v1/nodes", &headers, &create.to_string())?;
    made.expect(201, "POST /v1/nodes of the admin")?;
    let before = everything(admin)?;

    let reader = admin.with_account("reader", PASSWORD);
    ensure!(
        reader.get("/v1/nodes")?["nodes"].as_array().map(Vec::len) == Some(2),
        "a reader sees every node"
    );
    let headers = format!("{}{JSON}", basic("reader", PASSWORD));
    for path in resources(node, "02:00:00:00:00:09") {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let reply = client.send(method, &path, &headers, body(method, &path))?;
            ensure!(
                matches!(reply.status, 403..=405),
                "{method} {path} of a reader: {}",
                reply.text
            );
        }
    }
    let raise = json!({"role": "admin"}).to_string();
    client
        .send("PUT", "/farrier/v1/accounts/reader", &headers, &raise)?
        .expect(403, "a reader makes itself an admin")?;

    let member = admin.with_account("member", PASSWORD);
    let seen = member.get("/v1/nodes")?;
    let all = seen["nodes"].as_array().context("a list")?;
    ensure!(
        all.len() == 1 && all[0]["uuid"] == own,
        "a member sees its node alone: {seen}"
    );
    ensure!(
        member.get("/v1/ports")?["ports"] == json!([]),
        "a member sees ports of others"
    );
    let headers = format!("{}{JSON}", basic("member", PASSWORD));
    for path in resources(node, "02:00:00:00:00:09") {
        for method in METHODS {
            let reply = client.send(method, &path, &headers, body(method, &path))?;
            reply.without(&[node.to_owned()])?;
            ensure!(
                method == "GET" || method == "HEAD" || reply.status >= 400,
                "{method} {path} of a member: {}",
                reply.text
            );
        }
    }
    let patch = json!([{"op": "replace", "path": "/owner", "value": "reader"}]);
    let path = format!("/v1/nodes/{own}");
    client
        .send("PATCH", &path, &headers, &patch.to_string())?
        .expect(403, "a member gives its node away")?;
    unchanged(rack, &before)?;
    let why = json!({"reason": "mine"});
    member.put(&format!("{path}/maintenance"), &why)?;
    ensure!(
        admin.get(&path)?["maintenance_reason"] == "mine",
        "a member works with its node"
    );
    let history = admin.get(&format!("{path}/history"))?;
    ensure!(
        history["history"].to_string().contains("member"),
        "the history names the account: {history}"
    );
    Ok(())
}

/// Paths of every resource of one node.
fn resources(node: &str, mac: &str) -> Vec<String> {
    let mut all: Vec<String> = [
        "/",
        "/v1",
        "/v1/nodes",
        "/v1/nodes/detail",
        "/v1/ports",
        "/v1/ports/detail",
        "/v1/allocations",
        "/v1/drivers",
        "/v1/conductors",
        "/v1/chassis",
        "/v1/nothing",
        "/farrier/v1/flavors",
        "/farrier/v1/flavors/small",
        "/farrier/v1/networks",
        "/farrier/v1/networks/blue",
        "/farrier/v1/addresses",
        "/farrier/v1/images",
        "/farrier/v1/status",
        "/farrier/v1/accounts",
        "/farrier/v1/accounts/admin",
        "/farrier/v1/accounts/other",
    ]
    .map(str::to_owned)
    .into();
    all.push(format!("/farrier/v1/addresses/provisioning/{mac}"));
    all.push(format!("/farrier/v1/nodes/{node}/rebind"));
    all.push(format!("/v1/nodes/{node}"));
    for part in [
        "states",
        "states/provision",
        "states/power",
        "maintenance",
        "traits",
        "traits/CUSTOM_A",
        "validate",
        "inventory",
        "ports",
        "history",
        "allocation",
        "vifs",
    ] {
        all.push(format!("/v1/nodes/{node}/{part}"));
    }
    all
}

fn power_of(node: &str) -> String {
    format!("/v1/nodes/{node}/states/power")
}

/// A body that the request would be carried out with.
fn body(method: &str, path: &str) -> &'static str {
    match method {
        "PATCH" => r#"[{"op": "add", "path": "/name", "value": "taken"}]"#,
        "POST" if path == "/v1/nodes" => r#"{"driver": "farrier"}"#,
        "POST" => r#"{"resource_class": "small"}"#,
        "PUT" if path.ends_with("/provision") => r#"{"target": "manage"}"#,
        "PUT" if path.ends_with("/power") => r#"{"target": "rebooting"}"#,
        "PUT" if path.contains("/accounts/") => r#"{"role": "admin", "password": "0123456789ab"}"#,
        "PUT" if path.ends_with("/traits") => r#"{"traits": ["CUSTOM_B"]}"#,
        "PUT" if path.contains("/networks/") => {
            r#"{"vlan": 7, "pool_first": "10.1.0.10", "pool_len": 5}"#
        }
        "PUT" => "{}",
        _ => "",
    }
}

/// All that an operator can set, as the API shows it.
fn everything(api: &Api) -> Result<Vec<Value>> {
    let fields = "uuid,name,provision_state,maintenance,owner,lessee,traits,driver_info,\
                  resource_class,instance_info,target_power_state,protected,retired";
    [
        &format!("/v1/nodes?fields={fields}"),
        "/v1/ports",
        "/v1/allocations",
        "/farrier/v1/flavors",
        "/farrier/v1/networks",
        "/farrier/v1/addresses",
        "/farrier/v1/accounts",
    ]
    .into_iter()
    .map(|path| api.get(path))
    .collect()
}

fn unchanged(rack: &Rack, before: &[Value]) -> Result<()> {
    let now = everything(rack.api())?;
    for (was, is) in before.iter().zip(&now) {
        ensure!(was == is, "something changed: it was {was} and is {is}");
    }
    Ok(())
}

/// The address that a node's machine has.
fn address_of(api: &Api, node: &str) -> Result<Ipv4Addr> {
    let status = api.get("/farrier/v1/status")?;
    let mut all = status["nodes"].as_array().into_iter().flatten();
    let shown = all.find(|shown| shown["uuid"] == node);
    let address = shown.and_then(|shown| shown["address"].as_str());
    Ok(address.context("the node has an address")?.parse()?)
}

fn basic(name: &str, password: &str) -> String {
    let token = STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {token}\r\n")
}

/// A client that sends what it is told to.
struct Client {
    to: SocketAddr,
    password: String,
}

impl Client {
    fn new(rack: &Rack) -> Result<Self> {
        let url = rack.api_url();
        let to = url.strip_prefix("http://").context("a URL")?;
        Ok(Self {
            to: to.trim_end_matches('/').parse()?,
            password: rack.password().to_owned(),
        })
    }

    fn at(to: SocketAddr) -> Self {
        Self {
            to,
            password: String::new(),
        }
    }

    /// Sends a request on a connection of its own. `headers` are whole lines.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Result<Reply> {
        let host = match headers.contains("Host:") {
            true => String::new(),
            false => format!("Host: {}\r\n", self.to),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}\
             X-OpenStack-Ironic-API-Version: latest\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let talk = || -> Result<String> {
            let mut stream = TcpStream::connect(self.to)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply)?;
            Ok(String::from_utf8_lossy(&reply).into_owned())
        };
        let text = talk().with_context(|| format!("{method} {path}"))?;
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        Ok(Reply {
            status: status.with_context(|| format!("{method} {path}: no reply: {text:?}"))?,
            text,
        })
    }
}

/// A reply, head and body.
struct Reply {
    status: u16,
    text: String,
}

impl Reply {
    fn expect(&self, status: u16, what: &str) -> Result<()> {
        ensure!(
            self.status == status,
            "{what}: {} in place of {status}: {}",
            self.status,
            self.text
        );
        Ok(())
    }

    /// Nothing of this is in it.
    fn without(&self, secrets: &[String]) -> Result<()> {
        let lower = self.text.to_lowercase();
        // The path of the request may be named in an error.
        for secret in secrets.iter().map(|secret| secret.to_lowercase()) {
            let shown = lower.replace(&format!("/{secret}"), "").contains(&secret);
            ensure!(
                !shown || self.status >= 400 && lower.contains("could not be found"),
                "{secret} is told: {}",
                self.text
            );
        }
        Ok(())
    }
}
