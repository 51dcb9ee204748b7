//! Glue between the brain and embassy: tasks that turn packets into facts
//! and effects into packets, the network below them, the store beside them.
//!
//! Everything is generic over one [`Board`]; there is no heap, and no policy:
//! what a machine gets is `farrier-core`'s to decide. A board calls
//! [`program!`] once, which makes the tasks and their memory at the sizes of
//! its `board.toml`, and then `spawn`s them on its executor.
//!
//! | module | task |
//! |---|---|
//! | [`net`] | stack, L2 multiplexer, sockets |
//! | [`assets`] | assets and scratch slots on the block device |
//! | [`brain`] | one lock around rack and effects; deadlines |
//! | [`door`] | DHCP and agent datagrams |
//! | [`tftp`] | listener and workers |
//! | [`http`] | workers |
//! | [`api`] | the operator's requests, within a worker |
//! | [`start`] | bring-up |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod api;
pub mod assets;
pub mod brain;
pub mod door;
pub mod http;
mod lines;
pub mod net;
pub mod records;
pub mod start;
pub mod tftp;

#[doc(hidden)]
pub use {aligned, embassy_executor, farrier_core, farrier_sizes as sizes, static_cell};

use aligned::A4;
use block_device_driver::BlockDevice;
use embassy_net_driver::Driver;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use farrier_api::Services;
use farrier_asset_store::SECTOR;
use farrier_core::rack::Entropy;

use api::{Desks, Statement};
use assets::AssetStore;
use brain::{Brain, Power};
use http::HttpCounters;
use net::Network;
use records::Store;
use tftp::Tftp;

/// A block device of 512-byte sectors.
pub trait Blocks: BlockDevice<SECTOR, Align = A4> + 'static {}

impl<T: BlockDevice<SECTOR, Align = A4> + 'static> Blocks for T {}

/// The types of a board's parts.
pub trait Board: 'static {
    /// Network driver.
    type Net: Driver + 'static;
    /// Where the asset store lies.
    type Blocks: Blocks;
    /// Source of random bytes; keys and tickets are made of them.
    type Entropy: Entropy;
    /// Where records go.
    type Store: Store;
    /// Who switches machines.
    type Power: Power;

    /// Reports what the network driver has counted; names begin with `nic_`.
    fn nic_counters(report: &mut dyn FnMut(&'static str, u32));
}

/// A board's parts, ready to be used. The clock is embassy-time's driver,
/// which the board links in.
pub struct Parts<B: Board> {
    /// Network driver, brought up.
    pub net: B::Net,
    /// The device with the asset store.
    pub blocks: B::Blocks,
    /// Source of random bytes.
    pub entropy: B::Entropy,
    /// Where records go.
    pub records: B::Store,
    /// Who switches machines.
    pub power: B::Power,
}

impl<B: Board> core::fmt::Debug for Parts<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What all tasks share: a rack of at most `N` nodes with `D` disks between
/// them and `L` leases, and the doors to it.
pub struct Context<B: Board, const N: usize, const L: usize, const D: usize> {
    /// Makes sockets.
    pub network: Network,
    /// The rack and its hands.
    pub brain: Mutex<NoopRawMutex, Brain<B, N, L, D>>,
    /// Assets and slots.
    pub store: AssetStore<B::Blocks>,
    /// TFTP's meeting point.
    pub tftp: Tftp,
    /// What HTTP has counted.
    pub http: HttpCounters,
    /// Room for the API's requests.
    pub desks: &'static Desks,
    /// Room for an inspection that is read back.
    pub statement: Mutex<NoopRawMutex, &'static mut Statement>,
}

impl<B: Board, const N: usize, const L: usize, const D: usize> core::fmt::Debug
    for Context<B, N, L, D>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Services for Context<B, N, L, D> {
    fn counters(&self, report: &mut dyn FnMut(&'static str, u32)) {
        B::nic_counters(report);
        let (mux, tftp, http) = (self.network.counters(), &self.tftp.counters, &self.http);
        for (name, counter) in [
            ("mux_rx", &mux.rx),
            ("mux_tx", &mux.tx),
            ("mux_raw_udp", &mux.raw_udp),
            ("mux_raw_udp_dropped", &mux.raw_udp_dropped),
            ("mux_solicitations", &mux.solicitations),
            ("tftp_complete", &tftp.complete),
            ("tftp_probes", &tftp.probes),
            ("tftp_failed", &tftp.failed),
            ("tftp_busy", &tftp.busy),
            ("tftp_malformed", &tftp.malformed),
            ("http_connections", &http.connections),
            ("http_requests", &http.requests),
            ("http_malformed", &http.malformed),
            ("http_broken", &http.broken),
        ] {
            report(name, counter.get());
        }
    }
}

/// Makes the appliance's tasks and their static memory, at the sizes of
/// [`farrier_sizes`], and a function `spawn(Spawner, Parts<Board>)` that starts
/// them. A program uses it once.
#[macro_export]
macro_rules! program {
    (
        board: $board:ty $(,)?
    ) => {
        mod farrier_program {
            #[allow(
                unused_imports,
                reason = "the board's names, for the macro's arguments"
            )]
            use super::*;
            use $crate::aligned::{A4, Aligned};
            use $crate::assets::BUFFER as PIECE_LEN;
            use $crate::embassy_executor::{self, Spawner};
            use $crate::farrier_core::{Effects, Rack};
            use $crate::http::ConnectionBuffers;
            use $crate::net::{RawUdpReceiver, Resources, Runner};
            use $crate::sizes::{DISKS, HTTP_CONNECTIONS, LEASES, NODES, SOCKETS, TFTP_TRANSFERS};
            use $crate::start::{Memory, Running};
            use $crate::static_cell::{ConstStaticCell, StaticCell};
            use $crate::tftp::{ListenerBuffers, WorkerBuffers};

            type Context = $crate::Context<$board, NODES, LEASES, DISKS>;
            type Piece = Aligned<A4, [u8; PIECE_LEN]>;
            type Net = <$board as $crate::Board>::Net;

            static NET: ConstStaticCell<Resources<SOCKETS>> =
                ConstStaticCell::new(Resources::new());
            static RACK: ConstStaticCell<Rack<NODES, LEASES, DISKS>> =
                ConstStaticCell::new(Rack::new());
            static OUTPUTS: ConstStaticCell<Effects> = ConstStaticCell::new(Effects::new());
            static PIECE: ConstStaticCell<Piece> = ConstStaticCell::new(Aligned([0; PIECE_LEN]));
            static DESKS: ConstStaticCell<$crate::api::Desks> =
                ConstStaticCell::new($crate::api::Desks::new());
            static STATEMENT: ConstStaticCell<$crate::api::Statement> =
                ConstStaticCell::new([0; $crate::api::STATEMENT]);
            static CONTEXT: StaticCell<Context> = StaticCell::new();
            static LISTENER: ConstStaticCell<ListenerBuffers> =
                ConstStaticCell::new(ListenerBuffers::new());
            static WORKERS: [ConstStaticCell<WorkerBuffers>; TFTP_TRANSFERS] =
                [const { ConstStaticCell::new(WorkerBuffers::new()) }; TFTP_TRANSFERS];
            static CONNECTIONS: [ConstStaticCell<ConnectionBuffers>; HTTP_CONNECTIONS] =
                [const { ConstStaticCell::new(ConnectionBuffers::new()) }; HTTP_CONNECTIONS];

            #[embassy_executor::task]
            async fn net(mut runner: Runner<Net>) -> ! {
                runner.run().await
            }

            #[embassy_executor::task]
            async fn door(context: &'static Context, receiver: RawUdpReceiver) -> ! {
                context.run_door(receiver).await
            }

            #[embassy_executor::task]
            async fn clock(context: &'static Context) -> ! {
                context.run_clock().await
            }

            #[embassy_executor::task]
            async fn tftp_listener(
                context: &'static Context,
                buffers: &'static mut ListenerBuffers,
            ) -> ! {
                context.run_tftp_listener(buffers).await
            }

            #[embassy_executor::task(pool_size = TFTP_TRANSFERS)]
            async fn tftp_worker(
                context: &'static Context,
                buffers: &'static mut WorkerBuffers,
            ) -> ! {
                context.run_tftp_worker(buffers).await
            }

            #[embassy_executor::task(pool_size = HTTP_CONNECTIONS)]
            async fn http_worker(
                context: &'static Context,
                buffers: &'static mut ConnectionBuffers,
            ) -> ! {
                context.run_http_worker(buffers).await
            }

            #[embassy_executor::task]
            async fn start(spawner: Spawner, parts: $crate::Parts<$board>) {
                let memory = Memory {
                    net: NET.take(),
                    rack: RACK.take(),
                    outputs: OUTPUTS.take(),
                    piece: PIECE.take(),
                    statement: STATEMENT.take(),
                    desks: DESKS.take(),
                };
                let Running {
                    context,
                    runner,
                    receiver,
                } = match $crate::start::start(parts, memory).await {
                    Ok(running) => running,
                    Err(error) => panic!("the appliance does not start: {error:?}"),
                };
                let context: &'static Context = CONTEXT.init(context);
                // Each pool has as many places as are taken here, once.
                spawner.spawn(net(runner).expect("spawned once"));
                spawner.spawn(door(context, receiver).expect("spawned once"));
                spawner.spawn(clock(context).expect("spawned once"));
                spawner.spawn(tftp_listener(context, LISTENER.take()).expect("spawned once"));
                for buffers in &WORKERS {
                    spawner.spawn(tftp_worker(context, buffers.take()).expect("pool size"));
                }
                for buffers in &CONNECTIONS {
                    spawner.spawn(http_worker(context, buffers.take()).expect("pool size"));
                }
            }

            /// Starts the appliance on an executor.
            pub fn spawn(spawner: Spawner, parts: $crate::Parts<$board>) {
                spawner.spawn(start(spawner, parts).expect("spawned once"));
            }
        }
        use farrier_program::spawn;
    };
}
