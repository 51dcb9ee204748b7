//! Scenarios of ports that are moved, over the shipping drivers and the switches'
//! models.

use farrier_core::interface::SwitchKind;

use super::*;
use crate::faults::Fault;
use crate::invariants::BOUND;
use crate::managed::{IDLE, TENANTS};

/// One server in the first port of a switch of that kind, with separate networks,
/// as far as its node is available.
fn available_on(kind: SwitchKind) -> Result<Simulation, String> {
    let seed = (0..200).find(|seed| {
        let options = Options {
            switches: Some(true),
            ..Options::new(*seed)
        };
        let managed = crate::managed::Managed::new(&options);
        managed.is_some_and(|managed| managed.is_plain(kind))
    });
    let seed = seed.ok_or("no seed has such a switch")?;
    let mut sim = Simulation::new(Options {
        nodes: 1,
        kinds: Kinds::NONE,
        operators: false,
        switches: Some(true),
        trace: std::env::var_os("FARRIER_TRACE").is_some(),
        ..Options::new(seed)
    });
    sim.machines[0].has_bmc = true;
    sim.found_tenancy();
    until(&mut sim, 0, ProvisionState::Enroll)?;
    sim.links(0);
    ask(&mut sim, 0, Verb::Manage)?;
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::Available)?;
    Ok(sim)
}

/// Its deployment for the first tenants' network begins.
fn deploys(sim: &mut Simulation) -> Verdict {
    must(sim.choose_image(0), "the image is not taken")?;
    sim.attaches_to(0, TENANTS[0].1);
    ask(sim, 0, Verb::Active)
}

fn active_on(kind: SwitchKind) -> Result<Simulation, String> {
    let mut sim = available_on(kind)?;
    deploys(&mut sim)?;
    until(&mut sim, 0, ProvisionState::Active)?;
    is_on(&sim, TENANTS[0].0)?;
    tenant_runs(&sim)?;
    Ok(sim)
}

fn vlan(sim: &Simulation) -> u16 {
    sim.managed.as_ref().map_or(0, |managed| managed.vlan(0))
}

fn is_on(sim: &Simulation, wanted: u16) -> Verdict {
    let vlan = vlan(sim);
    match vlan == wanted {
        true => Ok(()),
        false => Err(format!("the machine is on VLAN {vlan}, not on {wanted}")),
    }
}

/// A server's ports follow its work, by each driver of switches.
pub(super) fn moved() -> Verdict {
    for kind in [SwitchKind::Ovsdb, SwitchKind::Netconf] {
        follows(kind).map_err(|what| format!("{kind:?}: {what}"))?;
    }
    Ok(())
}

fn follows(kind: SwitchKind) -> Verdict {
    let mut sim = active_on(kind)?;
    ask(&mut sim, 0, Verb::Deleted)?;
    until(&mut sim, 0, ProvisionState::Available)?;
    pass(&mut sim, 10 * 60_000)?;
    is_on(&sim, IDLE)
}

/// The tenants' VLAN is missing on the trunk: nothing proves the move.
pub(super) fn flip_without_proof() -> Verdict {
    for kind in [SwitchKind::Ovsdb, SwitchKind::Netconf] {
        let mut sim = available_on(kind)?;
        if let Some(managed) = &mut sim.managed {
            managed.lack(TENANTS[0].0);
        }
        deploys(&mut sim)?;
        until(&mut sim, 0, ProvisionState::DeployFailed)?;
        must(
            error_of(&sim).contains("VLAN 101"),
            "the node's last error does not name the VLAN",
        )?;
    }
    Ok(())
}

/// A move that nothing proves is over within its bound, whatever is said of it.
pub(super) fn move_without_end() -> Verdict {
    for kind in [SwitchKind::Ovsdb, SwitchKind::Netconf] {
        let mut sim = available_on(kind)?;
        if let Some(managed) = &mut sim.managed {
            managed.lack(TENANTS[0].0);
        }
        deploys(&mut sim)?;
        // The invariants look at the bound.
        pass(&mut sim, 2 * HOUR)?;
        is(&sim, 0, ProvisionState::DeployFailed)?;
        let mut ports = sim.appliance.rack().ports_of(0);
        must(!ports.any(|port| port.is_moving()), "a port is on its way")?;
    }
    Ok(())
}

/// Somebody else moves a port: the node says so, and nothing is done with it until it
/// is back.
pub(super) fn moved_by_others() -> Verdict {
    for kind in [SwitchKind::Ovsdb, SwitchKind::Netconf] {
        let mut sim = active_on(kind)?;
        sim.carry(0, TENANTS[1].0);
        // The invariants look at the bound.
        pass(&mut sim, HOUR)?;
        is_on(&sim, TENANTS[1].0)?;
        must(
            error_of(&sim).contains("somebody has moved it"),
            "the node's last error does not say so",
        )?;
        sim.carry(0, TENANTS[0].0);
        pass(&mut sim, HOUR)?;
        ask(&mut sim, 0, Verb::Deleted)?;
        until(&mut sim, 0, ProvisionState::Available)?;
    }
    Ok(())
}

/// Nobody switches a tenant's machine off: it stays where it is.
pub(super) fn clean_while_running() -> Verdict {
    let mut sim = active_on(SwitchKind::Ovsdb)?;
    sim.driver_off_until = u64::MAX;
    ask(&mut sim, 0, Verb::Deleted)?;
    pass(&mut sim, HOUR)?;
    is_on(&sim, TENANTS[0].0)?;
    tenant_runs(&sim)?;
    is(&sim, 0, ProvisionState::Error)?;
    must(
        error_of(&sim).contains("switch the machine off"),
        "the node's last error does not say what to do",
    )?;
    sim.driver_off_until = 0;
    ask(&mut sim, 0, Verb::Deleted)?;
    // The link shows it.
    sim.switch(0, Act::Off, false);
    until(&mut sim, 0, ProvisionState::Available)
}

/// A machine with data on its disks, of which nothing is known, is attached to a
/// tenants' network.
pub(super) fn unerased_attached() -> Verdict {
    let mut sim = available_on(SwitchKind::Ovsdb)?;
    sim.machines[0].was_in_use();
    ask(&mut sim, 0, Verb::Manage)?;
    sim.attaches_to(0, TENANTS[0].1);
    for _ in 0..4 {
        pass(&mut sim, 15 * 60_000)?;
        is_on(&sim, IDLE)?;
    }
    Ok(())
}

/// Every fault of a switch in the middle of a deployment, and of a release.
pub(super) fn faults_of_switches() -> Verdict {
    const FAULTS: [Fault; 10] = [
        Fault::SwitchRefuses,
        Fault::SwitchHangs,
        Fault::SwitchDrops,
        Fault::SwitchLocked,
        Fault::SwitchPower,
        Fault::SwitchHalf,
        Fault::SwitchLies,
        Fault::SwitchBomb,
        Fault::SwitchKey,
        Fault::RestartBehindMove,
    ];
    for kind in [SwitchKind::Ovsdb, SwitchKind::Netconf] {
        let mut sim = available_on(kind)?;
        for (fault, number) in FAULTS.into_iter().flat_map(|f| [(f, 0), (f, 1), (f, 2)]) {
            let word = (number << 20) * 0x1_0101 + (number << 33) + number * 400_000;
            let case = |what: String| format!("{kind:?}, {}, {number}: {what}", fault.name());
            sim.afflict_switch(fault, 0, word);
            deploys(&mut sim).map_err(case)?;
            let end = sim.now + 2 * HOUR;
            while sim.now < end && sim.state(0) != Some(ProvisionState::Active) {
                pass(&mut sim, 60_000).map_err(case)?;
                if sim.state(0) == Some(ProvisionState::DeployFailed) {
                    must(!error_of(&sim).is_empty(), "it does not say why").map_err(case)?;
                    sim.stop_faults();
                    pass(&mut sim, BOUND).map_err(case)?;
                    ask(&mut sim, 0, Verb::Rebuild).map_err(case)?;
                }
            }
            is(&sim, 0, ProvisionState::Active).map_err(case)?;
            is_on(&sim, TENANTS[0].0).map_err(case)?;
            sim.stop_faults();
            sim.afflict_switch(fault, 0, word);
            ask(&mut sim, 0, Verb::Deleted).map_err(case)?;
            while sim.now < end + 2 * HOUR && sim.state(0) != Some(ProvisionState::Available) {
                pass(&mut sim, 60_000).map_err(case)?;
                if sim.state(0) == Some(ProvisionState::Error) {
                    must(!error_of(&sim).is_empty(), "it does not say why").map_err(case)?;
                    sim.stop_faults();
                    ask(&mut sim, 0, Verb::Deleted).map_err(case)?;
                }
                if sim.state(0) == Some(ProvisionState::CleanFailed) {
                    must(!error_of(&sim).is_empty(), "it does not say why").map_err(case)?;
                    sim.stop_faults();
                    pass(&mut sim, BOUND).map_err(case)?;
                    ask(&mut sim, 0, Verb::Manage).map_err(case)?;
                    ask(&mut sim, 0, Verb::Provide).map_err(case)?;
                }
            }
            is(&sim, 0, ProvisionState::Available).map_err(case)?;
            sim.stop_faults();
            pass(&mut sim, BOUND).map_err(case)?;
            is_on(&sim, IDLE).map_err(case)?;
        }
    }
    Ok(())
}

/// The appliance is away for longer than a switch waits for the confirmation.
pub(super) fn confirm_runs_out() -> Verdict {
    let mut sim = available_on(SwitchKind::Netconf)?;
    sim.afflict_switch(Fault::ConfirmRunsOut, 0, 0);
    deploys(&mut sim)?;
    pass(&mut sim, HOUR)?;
    must(
        sim.faults.counts()[Fault::ConfirmRunsOut as usize] > 0,
        "the switch should have taken a move back",
    )?;
    until(&mut sim, 0, ProvisionState::Active)?;
    is_on(&sim, TENANTS[0].0)
}
