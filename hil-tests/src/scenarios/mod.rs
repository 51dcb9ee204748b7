//! The scenarios: whole servers and the real appliance in one virtual rack,
//! each a story with an end that is checked from outside.
//!
//! A scenario brings no parts: a [`Bench`] has them, built by whoever runs
//! it. It may run beside others; everything of it is in a folder of its own.

mod bit_flip;
mod main_job;
mod power_cycle;
mod stock_client;

use crate::job::Watch;
use crate::scenario::Bench;
use anyhow::Result;

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(&Bench, &dyn Watch) -> Result<()>,
}

/// All scenarios, in the order in which they run.
pub const ALL: [Scenario; 6] = [
    Scenario {
        name: "bios",
        about: "the main job on a BIOS server with iPXE in its ROM and a SATA disk",
        run: main_job::bios,
    },
    Scenario {
        name: "uefi-pxe",
        about: "the main job on a UEFI server that loads iPXE by TFTP, with an NVMe disk",
        run: main_job::uefi_pxe,
    },
    Scenario {
        name: "uefi-http",
        about: "a UEFI server boots by HTTP alone, without TFTP, up to available",
        run: main_job::uefi_http,
    },
    Scenario {
        name: "power-cycle",
        about: "a server loses power in every step and carries on; its neighbour notices nothing",
        run: power_cycle::run,
    },
    Scenario {
        name: "bit-flip",
        about: "a bit of an image flips on the wire behind every checksum, and never gets to the disk",
        run: bit_flip::run,
    },
    Scenario {
        name: "stock-client",
        about: "the stock `baremetal` command line does the main job",
        run: stock_client::run,
    },
];
