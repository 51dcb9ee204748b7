//! From reset to the first OFFER: how much the firmware does before it serves
//! again, the reading of its journal included.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_ethernet::frame;

use super::dhcp::send;
use super::{Line, PATIENCE, SAID};
use crate::scenario::Rack;
use crate::switch::HostPort;

/// How often the client asks again.
const PAUSE: Duration = Duration::from_millis(20);
/// The client's transaction.
const XID: u32 = 0xFA45_0001;
/// The first line about the load is said that long after the firmware's tasks
/// have begun, in its own seconds.
const FIRST_LINE: f64 = 1.0;

/// What a start took.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Instructions from reset to the first OFFER, and what else was done
    /// until the first line about the load, a second of the firmware's later:
    /// no less than what is looked for. Good to a million.
    pub instructions: f64,
    /// What the firmware says of its journal.
    pub journal: String,
}

/// Resets the appliance of a rack and asks it for an address until it offers
/// one.
///
/// # Errors
/// It does not start, or offers nothing.
pub fn to_first_offer(rack: &Rack, port: &HostPort) -> Result<Start> {
    let appliance = rack.appliance();
    appliance.kill();
    let mark = appliance.console().mark();
    appliance.start()?;
    offered(port)?;
    let (_, said) = appliance.console().wait_for(mark, SAID, PATIENCE)?;
    let (line, end) = appliance.console().wait_for(said, super::END, PATIENCE)?;
    let load = Line::parse(&line, end).with_context(|| format!("it said {line:?}"))?;
    let at = seconds(&line).with_context(|| format!("no time in {line:?}"))?;
    let (lines, _) = appliance.console().lines(mark);
    let journal = lines
        .iter()
        .find_map(|line| Some(line.split_once("journal: start ")?.1.to_owned()))
        .context("it says nothing of its journal")?;
    let awake = f64::from(load.counts) * f64::from(load.nanoseconds);
    Ok(Start {
        instructions: (at - FIRST_LINE).max(0.0) * 1e9 + awake,
        journal,
    })
}

/// The time in front of a line, as in `[1.003] INFO …`.
fn seconds(line: &str) -> Option<f64> {
    let (time, _) = line.split_once('[')?.1.split_once(']')?;
    time.trim().parse().ok()
}

fn offered(port: &HostPort) -> Result<()> {
    let request = Request::new(
        MessageType::Discover,
        XID,
        [0x52, 0x54, 0xBF, 0xFF, 0xFF, 1],
    );
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        send(port, &request)?;
        while let Some(answer) = port.recv(PAUSE) {
            let reply = frame::parse(&answer).ok();
            let reply = reply.and_then(|datagram| Reply::parse(datagram.payload).ok());
            if reply.is_some_and(|r| r.xid == XID && r.message_type == MessageType::Offer) {
                return Ok(());
            }
        }
    }
    bail!("the appliance offers nothing after its reset")
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read() {
        assert_eq!(seconds("[1.003] INFO farrier: busy"), Some(1.003));
        assert_eq!(seconds("busy: 3"), None);
    }
}
