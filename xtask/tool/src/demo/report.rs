//! The demo's last word: a table for people, JSON for programs.

use anyhow::{Context, Result};
use farrier_hil_tests::job::ServerReport;
use serde_json::{Value, json};
use std::path::Path;

/// Every figure of a finished demo.
#[derive(Debug)]
pub struct Report {
    /// The appliance's board.
    pub board: String,
    /// Bytes of flash that the firmware takes; 0 for a host process.
    pub flash_bytes: u64,
    /// Bytes of RAM that it takes, stack included; 0 for a host process.
    pub ram_bytes: u64,
    /// Bytes of the ramdisk.
    pub ramdisk_bytes: u64,
    /// Bytes of the image as it lies on a disk, and on the wire.
    pub image_bytes: (u64, u64),
    /// The servers.
    pub servers: Vec<ServerReport>,
    /// Frames on all wires that were proven to be on their own network only.
    pub frames_proven: u64,
    /// What did not hold, in words.
    pub failures: Vec<String>,
}

impl Report {
    /// Whether all of it was verified.
    pub fn ok(&self) -> bool {
        self.failures.is_empty()
            && !self.servers.is_empty()
            && self.servers.iter().all(|server| {
                server.residue_bytes == 0
                    && !server.instance_proof.is_empty()
                    && server
                        .states
                        .last()
                        .is_some_and(|state| state == "available")
            })
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(&self.json())?;
        std::fs::write(path, text + "\n").with_context(|| format!("{}", path.display()))
    }

    fn json(&self) -> Value {
        let servers: Vec<Value> = self.servers.iter().map(server_json).collect();
        json!({
            "ok": self.ok(),
            "board": self.board,
            "flash_bytes": self.flash_bytes,
            "ram_bytes": self.ram_bytes,
            "ramdisk_bytes": self.ramdisk_bytes,
            "image_raw_bytes": self.image_bytes.0,
            "image_wire_bytes": self.image_bytes.1,
            "frames_proven": self.frames_proven,
            "failures": self.failures,
            "servers": servers,
        })
    }

    /// Prints the table.
    pub fn print(&self) {
        println!();
        println!("Board {}", self.board);
        if self.flash_bytes > 0 {
            println!("  firmware flash     {:>13} bytes", self.flash_bytes);
            println!(
                "  firmware RAM       {:>13} bytes, stack included",
                self.ram_bytes
            );
        }
        println!("  ramdisk            {:>13} bytes", self.ramdisk_bytes);
        println!("  image on disk      {:>13} bytes", self.image_bytes.0);
        println!("  image on the wire  {:>13} bytes", self.image_bytes.1);
        for server in &self.servers {
            println!();
            println!("Server {} ({})", server.name, server.firmware);
            println!("  states: {}", server.states.join(" > "));
            for (hop, seconds) in &server.hops {
                println!("  {hop:<40} {seconds:>8.1} s");
            }
            println!("  {:<40} {:>8} bytes", "image written", server.image_bytes);
            println!(
                "  {:<40} {:>8} bytes",
                "agent's peak memory", server.agent_peak_rss_bytes
            );
            println!(
                "  {:<40} {:>8} bytes",
                "left of the tenant on the disk", server.residue_bytes
            );
            println!("  VLANs of its port: {}", vlans(&server.vlans));
            println!("  {}", server.instance_proof);
        }
        println!();
        println!(
            "{} frames on all wires, each on its own network only",
            self.frames_proven
        );
        println!();
        for failure in &self.failures {
            println!("FAILED: {failure}");
        }
        println!(
            "{}",
            if self.ok() {
                "All of it was verified."
            } else {
                "Not everything was verified."
            }
        );
    }
}

fn vlans(all: &[u16]) -> String {
    let all: Vec<String> = all.iter().map(u16::to_string).collect();
    all.join(" > ")
}

fn server_json(server: &ServerReport) -> Value {
    let hops: Vec<Value> = server
        .hops
        .iter()
        .map(|(name, seconds)| json!({ "name": name, "seconds": seconds }))
        .collect();
    json!({
        "name": server.name,
        "firmware": server.firmware,
        "states": server.states,
        "hops": hops,
        "image_bytes": server.image_bytes,
        "agent_peak_rss_bytes": server.agent_peak_rss_bytes,
        "instance_proof": server.instance_proof,
        "residue_bytes": server.residue_bytes,
        "vlans": server.vlans,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        Report {
            board: "mps2-an500".into(),
            frames_proven: 1,
            flash_bytes: 1,
            ram_bytes: 2,
            ramdisk_bytes: 3,
            image_bytes: (4, 5),
            servers: vec![ServerReport {
                states: vec!["enroll".into(), "available".into()],
                instance_proof: "farrier-instance: …".into(),
                ..ServerReport::default()
            }],
            failures: Vec::new(),
        }
    }

    #[test]
    fn only_a_complete_run_is_ok() {
        assert!(good().ok());
        let spoilt: [fn(&mut Report); 5] = [
            |r| r.servers.clear(),
            |r| r.servers[0].residue_bytes = 1,
            |r| r.servers[0].instance_proof.clear(),
            |r| r.servers[0].states.push("clean failed".into()),
            |r| r.failures.push("no power".into()),
        ];
        for spoil in spoilt {
            let mut report = good();
            spoil(&mut report);
            assert!(!report.ok(), "{report:?}");
            assert_eq!(report.json()["ok"], false);
        }
    }
}
