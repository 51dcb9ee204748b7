//! A BMC with a machine in memory at a UDP port, until it is killed:
//! `farrier-bmc 127.0.0.1:6230 NAME:PASSWORD:PRIVILEGE…`. It prints its address.
//! Privileges are `user`, `operator` and `administrator`.

use farrier_bmc::{Bmc, Config, User, VirtualMachine, udp};
use farrier_ipmi::Privilege;
use std::net::UdpSocket;
use std::process::ExitCode;
use std::sync::Mutex;

fn user(text: &str) -> Option<User> {
    let (name, rest) = text.split_once(':')?;
    let (password, privilege) = rest.rsplit_once(':')?;
    let privilege = match privilege {
        "user" => Privilege::User,
        "operator" => Privilege::Operator,
        "administrator" => Privilege::Administrator,
        _ => return None,
    };
    (name.len() <= 16 && password.len() <= 20).then(|| User::new(name, password, privilege))
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:0".to_owned());
    let users: Option<Vec<User>> = arguments.map(|text| user(&text)).collect();
    let Some(users) = users else {
        eprintln!("A user is NAME:PASSWORD:PRIVILEGE, with user, operator or administrator.");
        return ExitCode::FAILURE;
    };
    let mut config = Config::default();
    if !users.is_empty() {
        config.users = users;
    }
    let socket = match UdpSocket::bind(&address) {
        Ok(socket) => socket,
        Err(error) => {
            eprintln!("{address} can't be bound: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(address) = socket.local_addr() {
        println!("{address}");
    }
    let bmc = Mutex::new(Bmc::new(config, VirtualMachine::new()));
    match udp::serve(&bmc, &socket, || true) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the socket fails: {error}");
            ExitCode::FAILURE
        }
    }
}
