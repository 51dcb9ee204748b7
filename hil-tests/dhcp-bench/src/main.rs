//! The program that is counted, and the client of those beside it:
//!
//! - `serve LEASES EXCHANGES`: the appliance without a network;
//! - `ask LEASES FROM EXCHANGES`: a relay's clients, to the server on the
//!   network;
//! - `stress SEED ROUNDS`: prints what was seen; fails where a promise was
//!   broken.

use std::process::ExitCode;

use farrier_dhcp_bench::{appliance, client, stress};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), String> {
    let number = |place: usize| -> Result<u64, String> {
        let word = words.get(place).ok_or("a number is missing")?;
        word.parse().map_err(|_| format!("{word} is no number"))
    };
    let small = |place| u32::try_from(number(place)?).map_err(|_| "too large".to_owned());
    match words.first().map(String::as_str) {
        Some("serve") => {
            let (leases, exchanges) = (small(1)?, small(2)?);
            if !(1..=u32::from(client::POOL_LEN)).contains(&leases) {
                return Err(format!("1 to {} leases", client::POOL_LEN));
            }
            let mut server = appliance::Appliance::new();
            let messages = appliance::messages(leases);
            server.prepare(leases)?;
            server.exchanges(&messages, exchanges)?;
            println!("{} sectors opened", server.opened());
            Ok(())
        }
        Some("ask") => {
            client::exchanges(small(1)?, small(2)?, small(3)?).map_err(|error| error.to_string())
        }
        Some("stress") => {
            let seen = stress::run(number(1)?, number(2)?);
            println!(
                "{} rounds, {} offers, {} leases, {} refused, {} broken",
                seen.rounds, seen.offers, seen.leases, seen.refused, seen.broken
            );
            match seen.broken {
                0 => Ok(()),
                _ => Err("an address was promised twice".into()),
            }
        }
        _ => Err("serve, ask or stress".into()),
    }
}
