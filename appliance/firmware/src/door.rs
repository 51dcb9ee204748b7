//! DHCP and the agent protocol: datagrams in, facts to the brain. Their
//! answers leave with the brain's other effects.

use farrier_core::interface::NetworkId;
use farrier_core::{Endpoint, Input};
use farrier_protocol::message::Mac;

use crate::net::RawUdpReceiver;
use crate::{Board, Context};

/// The DHCP server's UDP port.
pub const DHCP_PORT: u16 = 67;

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Feeds the brain with everything that comes to the raw door.
    pub async fn run_door(&self, mut receiver: RawUdpReceiver) -> ! {
        loop {
            receiver
                .receive(async |datagram| {
                    let mac = Mac(datagram.src_mac);
                    let input = if datagram.dst_port == DHCP_PORT {
                        Input::Dhcp {
                            network: NetworkId::PROVISIONING,
                            from: mac,
                            payload: datagram.payload,
                        }
                    } else {
                        Input::Agent {
                            from: Endpoint {
                                network: NetworkId::PROVISIONING,
                                mac,
                                ip: datagram.src,
                                port: datagram.src_port,
                            },
                            datagram: datagram.payload,
                        }
                    };
                    let mut brain = self.brain.lock().await;
                    brain.step(input, Some(datagram.src_mac), &self.store).await;
                })
                .await;
        }
    }
}
