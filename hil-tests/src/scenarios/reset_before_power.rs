//! The appliance is reset between the decision that a machine's power has to
//! change and the change itself. What should be true of the machine follows
//! from durable state, so the appliance asks again after its restart.
//!
//! No driver switches a machine of this rack: the appliance asks for it on
//! its console, and the rig carries it out. Two resets come before that: one
//! right behind the decision, one before the restarted appliance has asked.

use crate::console::Position;
use crate::job::{Patience, ServerJob, Tenant, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use crate::server::Server;
use crate::switch::Mac;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::time::{Duration, Instant};

/// For how long the appliance is without power.
const DARK: Duration = Duration::from_millis(500);
/// How long the appliance may take to ask: it waits some 20 s after a restart
/// for machines that show themselves, then up to 4 s more.
const ASKS: Duration = Duration::from_secs(90);
/// First word of the console line that asks for power.
const LINE: &str = "power: node ";

/// What the appliance wants done to a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    On,
    Off,
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

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = bench.small_disks(ServerSpec::bios("switched", 1));
    let rack = bench.rack("reset-before-power", vec![spec])?;
    let server = rack.server(0)?;
    let patience = Patience::of(bench.form);
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.inspect()?;
    job.provide()?;
    let tenant = Tenant::new("switched", 1, server.mac());
    job.deploy(&bench.image, &tenant)?;

    // A released machine runs its tenant's system and has to be restarted
    // into the ramdisk.
    decide_and_reset(&rack, server, &mut job, watch, |job| job.verb("deleted"))?;
    job.wait_for("available", patience.boot + patience.clean)?;
    job.read_disks(&tenant)?;
    ensure!(
        job.report.residue_bytes == 0,
        "{} bytes of the tenant are left",
        job.report.residue_bytes
    );
    Ok(())
}

/// Lets the appliance decide on a machine's power, resets it twice before
/// anything has happened to the machine, and does what it asks for then.
fn decide_and_reset<'r>(
    rack: &Rack,
    server: &Server,
    job: &mut ServerJob<'r>,
    watch: &dyn Watch,
    decide: impl FnOnce(&mut ServerJob<'r>) -> Result<()>,
) -> Result<()> {
    let start = rack.appliance().console().mark();
    decide(job)?;
    watch.say("appliance", "reset between decision and effect");
    rack.restart_appliance(DARK)?;
    job.look()?;
    watch.say("appliance", "reset before it asks again");
    let early = asked(rack, start, server.mac()).0;
    // What the runs before this one printed does not count.
    let mark = rack.appliance().console().mark();
    rack.restart_appliance(DARK)?;
    let wanted = wait_until_asked(rack, mark, server.mac())?;
    watch.say(
        "appliance",
        &match early {
            Some(early) => format!("asks to switch {wanted}; before its last reset: {early}"),
            None => format!("asks to switch {wanted}; before its last reset it did not ask"),
        },
    );
    carry_out(server, wanted)
}

/// Whether the appliance has asked for a machine's power behind `from`, and the
/// position up to which lines were read.
pub(super) fn asked(rack: &Rack, from: Position, mac: Mac) -> (Option<Wanted>, Position) {
    let (lines, end) = rack.appliance().console().lines(from);
    (lines.iter().find_map(|line| wanted_in(line, mac)), end)
}

pub(super) fn wait_until_asked(rack: &Rack, from: Position, mac: Mac) -> Result<Wanted> {
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
pub(super) fn carry_out(server: &Server, wanted: Wanted) -> Result<()> {
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
