//! What the appliance asks a person to do about a machine's power, on its console,
//! and the rig as that person.

use crate::console::Position;
use crate::scenario::Rack;
use crate::server::Server;
use crate::switch::Mac;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::time::{Duration, Instant};

/// How long the appliance may take to ask: it waits some 20 s after a restart
/// for machines that show themselves, then up to 4 s more.
const ASKS: Duration = Duration::from_secs(90);
/// First word of the console line that asks for power.
const LINE: &str = "power: node ";

/// What the appliance wants done to a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// On.
    On,
    /// Off.
    Off,
    /// Off and on.
    Cycle,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Cycle => "off and on",
        })
    }
}

/// Whether the appliance has asked for a machine's power behind `from`, and the
/// position up to which lines were read.
pub fn asked(rack: &Rack, from: Position, mac: Mac) -> (Option<Wanted>, Position) {
    let (lines, end) = rack.appliance().console().lines(from);
    (lines.iter().find_map(|line| wanted_in(line, mac)), end)
}

/// Waits until the appliance has asked for a machine's power behind `from`.
///
/// # Errors
/// It does not ask in time.
pub fn wait_until_asked(rack: &Rack, from: Position, mac: Mac) -> Result<Wanted> {
    let end = Instant::now() + ASKS;
    let mut from = from;
    loop {
        let (wanted, read) = asked(rack, from, mac);
        if let Some(wanted) = wanted {
            return Ok(wanted);
        }
        from = read;
        ensure!(
            Instant::now() < end,
            "the appliance does not ask for the power of the machine {mac} again within {ASKS:?}; \
             its console:\n{}",
            rack.appliance().console().tail()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What a console line asks for, if it is about this machine's power.
fn wanted_in(line: &str, mac: Mac) -> Option<Wanted> {
    let (_, rest) = line.split_once(LINE)?;
    let (_, words) = rest.split_once(&format!("MAC address {mac} "))?;
    let has = |wanted: &str| words.split_ascii_whitespace().any(|word| word == wanted);
    match (has("on"), has("off")) {
        (true, true) => Some(Wanted::Cycle),
        (true, false) => Some(Wanted::On),
        (false, true) => Some(Wanted::Off),
        (false, false) => None,
    }
}

/// Does with the machine's power what the appliance asked for.
///
/// # Errors
/// The machine does not start.
pub fn carry_out(server: &Server, wanted: Wanted) -> Result<()> {
    match wanted {
        Wanted::On => server.power_on(),
        Wanted::Off => {
            server.power_off();
            Ok(())
        }
        Wanted::Cycle => server.power_cycle(),
    }
    .with_context(|| format!("switching the server {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consoles_words_name_machine_and_action() {
        let mac = Mac([0x52, 0x54, 0, 0xFA, 0, 1]);
        let line = |mac: &str, action: &str| {
            format!(
                "info: power: node web-1 has no power interface. Switch the machine with the MAC \
                 address {mac} {action} by hand"
            )
        };
        for wanted in [Wanted::On, Wanted::Off, Wanted::Cycle] {
            let action = &wanted.to_string();
            let asked = wanted_in(&line("52:54:00:fa:00:01", action), mac);
            assert_eq!(asked, Some(wanted));
            assert_eq!(wanted_in(&line("52:54:00:fa:00:02", action), mac), None);
        }
        assert_eq!(wanted_in(&format!("dhcp: MAC address {mac} on"), mac), None);
    }
}
