//! The conversation over a UDP socket, until it is over.

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use farrier_protocol::MAX_DATAGRAM;
use farrier_protocol::agent_client::AgentClient;
use farrier_protocol::handler::{AgentRunner, RunnerPoll};

use crate::agent::{Agent, Machine};

/// How often work in progress is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Longest sleep without work: the caller's chores shall not wait longer.
const IDLE: Duration = Duration::from_millis(1000);

/// Talks to the appliance that `socket` is connected to until the
/// conversation is over, and hands the agent back. `chores` is called at
/// least once a second.
pub fn converse<M: Machine>(
    socket: &UdpSocket,
    client: AgentClient,
    agent: Agent<M>,
    mut chores: impl FnMut(),
) -> AgentRunner<Agent<M>> {
    let began = Instant::now();
    let now = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut driver = AgentRunner::new(client, agent);
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        chores();
        match driver.poll(now()) {
            RunnerPoll::Transmit(datagram) => {
                // A datagram that can't be sent is one that is lost: the
                // conversation repeats it.
                if socket.send(datagram).is_err() {
                    std::thread::sleep(LOOK);
                }
                continue;
            }
            RunnerPoll::Over => return driver,
            RunnerPoll::Until(time) => {
                let most = if driver.handler().is_working() {
                    LOOK
                } else {
                    IDLE
                };
                let wait = Duration::from_millis(time.saturating_sub(now())).min(most);
                if let Some(length) = receive(socket, wait, &mut buffer) {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    driver.process(now(), datagram);
                }
            }
        }
    }
}

fn receive(socket: &UdpSocket, wait: Duration, buffer: &mut [u8]) -> Option<usize> {
    // Zero would mean to wait for ever.
    let wait = wait.max(Duration::from_millis(1));
    if socket.set_read_timeout(Some(wait)).is_err() {
        std::thread::sleep(wait);
        return None;
    }
    match socket.recv(buffer) {
        Ok(length) => Some(length),
        Err(error) => {
            // "Connection refused" comes at once: nobody listens there yet.
            if !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) {
                std::thread::sleep(wait);
            }
            None
        }
    }
}
