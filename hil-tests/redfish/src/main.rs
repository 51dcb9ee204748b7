//! The service as a program, with a machine of time alone behind it:
//! `farrier-redfish-service [MODEL [ADDRESS]]`. The account is `admin`, the
//! password `farrier`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use farrier_redfish_service::{Service, Simulated, model, tcp::Server};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("standard".into());
    let address = arguments.next().unwrap_or("127.0.0.1:0".into());
    let names = || model::MODELS.map(|model| model.name).join(", ");
    let model = model::MODELS.into_iter().find(|model| model.name == name);
    let model = model.with_context(|| format!("no model {name}; there are {}", names()))?;
    let address: SocketAddr = address.parse().context("ADDRESS is host:port")?;
    let machine = Simulated::new(false).delay(2_000);
    let service = Service::new(model.clone(), "admin", "farrier")
        .system("c3b1f2de-0f5a-4d3e-9b6a-2f6f2f0e8a11", machine);
    let server = Server::start(service, address)?;
    println!("http://{}/redfish/v1/", server.address());
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
