//! Our service, judged by sushy (PyPI), the library that Ironic uses, over loopback.
//! Skipped, with a reason, where its packages can't be installed.

mod common;
mod peers;

use std::process::Command;

use common::{TARGET, UUID_TEXT};
use farrier_redfish_service::tcp::Server;
use farrier_redfish_service::{Service, Simulated, model};
use peers::{output, python};

#[test]
fn sushy_finds_what_it_expects() {
    let Some(python) = python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sushy_library.py");
    for model in model::MODELS {
        let mut model = model.clone();
        // It waits in real time.
        model.task_ms = model.task_ms.map(|_| 1_500);
        // sushy takes no ETag out of a document, so it has none to send here.
        model.if_match &= model.etags != model::Etags::InDocument;
        let machine = Simulated::new(false).delay(300);
        let service =
            Service::new(model.clone(), TARGET.user, TARGET.password).system(UUID_TEXT, machine);
        let server = Server::start(service, ([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}", server.address());
        let mut command = Command::new(&python);
        command.args([script, &url, TARGET.user, TARGET.password, model.name]);
        match output(&mut command) {
            Ok(printed) => print!("{printed}"),
            Err(text) => panic!("{}: {text}", model.name),
        }
        assert!(server.with(|service| service.log.len()) > 20);
    }
}
