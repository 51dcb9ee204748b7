//! Runs the protocol client over a UDP socket.

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use farrier_protocol::MAX_DATAGRAM;
use farrier_protocol::agent_client::AgentClient;
use farrier_protocol::handler::{AgentRunner, RunnerPoll};

use crate::agent::{Agent, Machine};

/// Interval at which the client polls a running task.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longest sleep without a task. It bounds the time between two calls of
/// `housekeeping`.
const IDLE: Duration = Duration::from_millis(1000);

/// Runs the session with the appliance to which `socket` is connected until it
/// ends, and returns the agent. Calls `housekeeping` at least once a second.
pub fn run<M: Machine>(
    socket: &UdpSocket,
    client: AgentClient,
    agent: Agent<M>,
    mut housekeeping: impl FnMut(),
) -> AgentRunner<Agent<M>> {
    let began = Instant::now();
    let now = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut runner = AgentRunner::new(client, agent);
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        housekeeping();
        match runner.poll(now()) {
            RunnerPoll::Transmit(datagram) => {
                // The client sends the datagram again, as after a loss.
                if socket.send(datagram).is_err() {
                    std::thread::sleep(POLL_INTERVAL);
                }
                continue;
            }
            RunnerPoll::Over => return runner,
            RunnerPoll::Until(time) => {
                let most = if runner.handler().is_working() {
                    POLL_INTERVAL
                } else {
                    IDLE
                };
                let wait = Duration::from_millis(time.saturating_sub(now())).min(most);
                if let Some(length) = receive(socket, wait, &mut buffer) {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    runner.process(now(), datagram);
                }
            }
        }
    }
}

fn receive(socket: &UdpSocket, wait: Duration, buffer: &mut [u8]) -> Option<usize> {
    // Zero would disable the timeout.
    let wait = wait.max(Duration::from_millis(1));
    if socket.set_read_timeout(Some(wait)).is_err() {
        std::thread::sleep(wait);
        return None;
    }
    match socket.recv(buffer) {
        Ok(length) => Some(length),
        Err(error) => {
            // ECONNREFUSED returns at once: no socket listens there yet.
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
