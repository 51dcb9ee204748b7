//! The brain with its hands: one lock around the rack, its outputs, the
//! entropy and the way out for datagrams, so that a fact goes in and all of
//! its effects are carried out, in their order, before the next fact.

use core::net::{Ipv4Addr, SocketAddrV4};
use farrier_core::interface::NetworkId;

use embassy_futures::block_on;
use embassy_time::{Duration, Instant, Timer};
use farrier_core::interface::PowerAction;

use farrier_core::{Effect, Effects, Input, Rack, Serve, Transport};
use farrier_dhcp::route::Route;
use farrier_protocol::message::NodeId;
use heapless::String;

use crate::assets::AssetStore;
use crate::lines::{Show, error, info, warning};
use crate::net::RawUdpSender;
use crate::records::{NotDurable, Store};
use crate::{Board, Context};

const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const BROADCAST: [u8; 6] = [0xFF; 6];

/// Whoever switches machines: a BMC, a power strip, a person.
pub trait Power {
    /// Asks for a machine's power to become so. Whether it did is seen by
    /// what the machine does next.
    fn want(&mut self, node: NodeId, action: PowerAction);
}

/// Says on the console what should be switched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Console;

impl Power for Console {
    fn want(&mut self, node: NodeId, action: PowerAction) {
        let [a, b, c, d, ..] = node.0;
        let wanted = match action {
            PowerAction::On => "on",
            PowerAction::Off | PowerAction::SoftOff => "off",
            PowerAction::Reboot | PowerAction::SoftReboot => "off and on",
        };
        info!(
            "power: node {:02x}{:02x}{:02x}{:02x}… should be switched {}",
            a, b, c, d, wanted
        );
    }
}

/// The rack and its hands.
pub struct Brain<B: Board, const N: usize, const L: usize, const D: usize> {
    pub(crate) rack: &'static mut Rack<N, L, D>,
    pub(crate) outputs: &'static mut Effects,
    pub(crate) entropy: B::Entropy,
    pub(crate) records: B::Store,
    pub(crate) power: B::Power,
    pub(crate) sender: RawUdpSender,
}

impl<B: Board, const N: usize, const L: usize, const D: usize> core::fmt::Debug
    for Brain<B, N, L, D>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Brain").finish_non_exhaustive()
    }
}

/// What to serve, with the text in the asker's own buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// So many bytes of text.
    Text(usize),
    /// An asset of the store.
    Asset(String<64>),
    /// A part of a slot: offset and length on the device.
    Slot(u64, u64),
    /// No such file.
    NotFound,
    /// Ask again later.
    Busy,
}

/// The time as the brain counts it.
#[must_use]
pub fn now() -> farrier_core::Instant {
    farrier_core::Instant::from_millis(Instant::now().as_millis())
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Brain<B, N, L, D> {
    /// Takes a fact in and carries out what follows from it. `neighbour` is
    /// the hardware address that the fact came from, where it came by frame.
    /// Answers that concern the asker alone stay in `self.outputs`.
    pub async fn step(
        &mut self,
        input: Input<'_>,
        neighbour: Option<[u8; 6]>,
        store: &AssetStore<B::Blocks>,
    ) {
        self.rack
            .step(now(), input, &mut self.entropy, self.outputs);
        let agent_port = self.rack.config().agent_port;
        if self.append().is_err() {
            // What is not written down has not happened: nobody may be told,
            // neither now nor by whoever looks at the outputs afterwards. A
            // store that fails once takes nothing any more, so that nothing
            // can be built on what is in RAM only.
            error!("records lost, their effects are withheld until a restart");
            self.outputs.clear();
            return;
        }
        for output in self.outputs.effects() {
            match output {
                Effect::Record(_) => {}
                Effect::Dhcp { route, payload } => {
                    let neighbour = neighbour.unwrap_or(BROADCAST);
                    let (mac, ip, port) = match route {
                        Route::Relay(ip) => (neighbour, ip, DHCP_SERVER),
                        Route::Unicast(ip) => (neighbour, ip, DHCP_CLIENT),
                        Route::Broadcast => (BROADCAST, Ipv4Addr::BROADCAST, DHCP_CLIENT),
                        Route::RawUnicast { mac, ip } => (mac, ip, DHCP_CLIENT),
                    };
                    let to = SocketAddrV4::new(ip, port);
                    if self
                        .sender
                        .send(DHCP_SERVER, mac, to, payload)
                        .await
                        .is_err()
                    {
                        warning!("a DHCP reply did not fit a frame");
                    }
                }
                Effect::Agent { to, datagram } => {
                    let address = SocketAddrV4::new(to.ip, to.port);
                    let sent = self
                        .sender
                        .send(agent_port, to.mac.0, address, datagram)
                        .await;
                    if sent.is_err() {
                        warning!("an agent's reply did not fit a frame");
                    }
                }
                Effect::StoreStatement {
                    slot,
                    part,
                    statement,
                } => {
                    let bytes = self.rack.statement(statement);
                    // The length in front is part of the statement's place.
                    let length = u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
                    if let Err(error) = store.write_slot(slot, part, 0, &[&length, bytes]).await {
                        error!("a statement was not kept: {}", Show(error));
                    }
                }
                Effect::Power { node, action, .. } => self.power.want(node, action),
                Effect::Serve(_) | Effect::Answer(_) => {}
            }
        }
        if self.maintain().is_err() {
            error!("the journal can not be kept bounded");
        }
    }

    /// Makes the step's records durable. On the spot, not by waiting: what a
    /// task keeps while it waits it keeps for ever, and each of the workers
    /// would have room of its own for the journal's work. Flash that a
    /// processor writes by itself holds it up anyway.
    #[inline(never)]
    fn append(&mut self) -> Result<(), NotDurable> {
        block_on(self.records.append(self.outputs.records()))
    }

    /// Lets the store do what is due for it to stay bounded.
    #[inline(never)]
    fn maintain(&mut self) -> Result<(), NotDurable> {
        let (rack, now) = (&*self.rack, now());
        block_on(
            self.records
                .maintain(|from, room| rack.snapshot(now, from, room)),
        )
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Asks the brain what to serve to a peer for a path. Text is put into
    /// `text`; a longer text is as good as none.
    pub async fn open_file(
        &self,
        transport: Transport,
        peer: Ipv4Addr,
        path: &str,
        text: &mut [u8],
    ) -> Served {
        let mut brain = self.brain.lock().await;
        let input = Input::Open {
            network: NetworkId::PROVISIONING,
            transport,
            peer,
            path,
        };
        brain.step(input, None, &self.store).await;
        let serve = brain.outputs.iter().find_map(|output| match output {
            Effect::Serve(serve) => Some(serve),
            _ => None,
        });
        match serve {
            None | Some(Serve::NotFound) => Served::NotFound,
            Some(Serve::Busy) => Served::Busy,
            Some(Serve::Asset(name)) => {
                String::try_from(name).map_or(Served::NotFound, Served::Asset)
            }
            Some(Serve::Slot { slot, part, len }) => self
                .store
                .slot(slot, part)
                .map_or(Served::NotFound, |at| Served::Slot(at, u64::from(len))),
            Some(Serve::Text(bytes)) => match text.get_mut(..bytes.len()) {
                Some(room) => {
                    room.copy_from_slice(bytes);
                    Served::Text(bytes.len())
                }
                None => Served::NotFound,
            },
        }
    }

    /// Tells the brain that a transfer has ended.
    pub async fn sent(&self, peer: Ipv4Addr, path: &str, bytes: u64, complete: bool) {
        let input = Input::Sent {
            network: NetworkId::PROVISIONING,
            peer,
            path,
            bytes,
            complete,
        };
        self.brain.lock().await.step(input, None, &self.store).await;
    }

    /// Calls the brain whenever it wants to look at its deadlines.
    pub async fn run_clock(&self) -> ! {
        loop {
            let at = {
                let mut brain = self.brain.lock().await;
                brain.step(Input::Tick, None, &self.store).await;
                brain.rack.wake_at()
            };
            let at = Instant::from_millis(at.millis());
            // At least a millisecond of peace, whatever the brain says.
            Timer::at(at.max(Instant::now() + Duration::from_millis(1))).await;
        }
    }
}
