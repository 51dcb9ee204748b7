//! Glue between the controller and embassy: tasks that turn packets into
//! inputs and effects into packets, the network below them, the asset store
//! beside them.
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
//! | [`crash`] | the record of a crash |
//! | [`controller`] | the controller, the only one that changes the rack; the clock |
//! | [`queues`] | bounded queues to and from it |
//! | [`refusals`] | who was refused what |
//! | [`shared`] | the rack for those who look at it |
//! | [`datagrams`] | DHCP and agent datagrams, as inputs and effects |
//! | [`statements`] | statements of agents, on their way to the block device |
//! | [`power`] | the power driver |
//! | [`switch`] | the switches' driver |
//! | [`watchdog`] | feeds the watchdog while there is progress |
//! | [`tftp`] | listener and workers |
//! | [`http`] | workers |
//! | [`access`] | who sends them |
//! | [`api`] | requests of the API, within a worker |
//! | [`bringup`] | from a board's parts to running tasks |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod access;
pub mod api;
pub mod assets;
pub mod bringup;
pub mod controller;
pub mod crash;
pub mod datagrams;
mod fmt;
pub mod http;
pub mod net;
pub mod power;
pub mod queues;
pub mod refusals;
pub mod shared;
pub mod statements;
pub mod switch;
pub mod tftp;
pub mod watchdog;

pub use farrier_controller::{JournalStore, KeyStore, NotDurable};
pub use farrier_core::persist::seal::{BOARD_KEY_LEN, BoardKeys, NO_KEY};
pub use power::ManualPower;
pub use watchdog::NoWatchdog;
#[doc(hidden)]
pub use {aligned, embassy_executor, farrier_core, farrier_sizes as sizes, static_cell};

use core::cell::Cell;

use aligned::A4;
use block_device_driver::BlockDevice;
use embassy_net_driver::Driver;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use farrier_api::{JournalState, LastCrash, Services, Source};
use farrier_asset_store::SECTOR;
use farrier_controller::{ControllerCounters, RecordStore};
use farrier_core::rack::Entropy;

use access::Access;
use api::{ApiSlots, Statement};
use assets::AssetStore;
use crash::Crash;
use http::HttpCounters;
use net::{Dropped, Network};
use power::PowerDriver;
use queues::{Queues, Texts};
use shared::Shared;
use tftp::Tftp;
use watchdog::Watchdog;

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
    type Records: RecordStore;
    /// What switches machines.
    type Power: PowerDriver;
    /// What restarts the appliance when it hangs.
    type Watchdog: Watchdog;

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
    pub records: B::Records,
    /// What switches machines.
    pub power: B::Power,
    /// What restarts the appliance when it hangs.
    pub watchdog: B::Watchdog,
    /// The end of an earlier run, if it was a crash.
    pub crash: Option<Crash>,
}

impl<B: Board> core::fmt::Debug for Parts<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What all tasks share: a rack of at most `N` nodes with `D` disks between
/// them and `L` leases, and the ways to it.
pub struct Context<B: Board, const N: usize, const L: usize, const D: usize> {
    /// Makes sockets.
    pub network: Network,
    /// The rack, to be looked at.
    pub shared: &'static Shared<B, N, L, D>,
    /// Queues to and from the controller.
    pub queues: &'static Queues,
    /// Texts that are served.
    pub texts: &'static Texts,
    /// What the controller has counted.
    pub controller: Cell<ControllerCounters>,
    /// The journal's state.
    pub journal: Cell<JournalState>,
    /// The end of an earlier run, if it was a crash.
    pub crash: Option<Crash>,
    /// Assets and slots.
    pub store: AssetStore<B::Blocks>,
    /// TFTP's listener and workers.
    pub tftp: &'static Tftp,
    /// What HTTP has counted.
    pub http: HttpCounters,
    /// Looks at the API's requests first.
    pub access: Access,
    /// Room for the API's requests.
    pub slots: &'static ApiSlots,
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
        let (controller, queues) = (self.controller.get(), &self.queues.counters);
        let [dhcp, agents] = self.network.lanes();
        let places = self.network.gate().counts();
        let [held_boots, held_agents, held_operators, held_strangers] = places.held;
        let [
            refused_boots,
            refused_agents,
            refused_operators,
            refused_strangers,
        ] = places.refused;
        for (name, count) in [
            ("controller_withheld", controller.withheld),
            ("controller_unknown_records", controller.unknown_records),
            ("controller_maintain_failed", controller.maintain_failed),
            ("views_waited", self.shared.views_waited()),
            ("http_held_boots", held_boots),
            ("http_held_agents", held_agents),
            ("http_held_operators", held_operators),
            ("http_held_strangers", held_strangers),
            ("http_refused_boots", refused_boots),
            ("http_refused_agents", refused_agents),
            ("http_refused_operators", refused_operators),
            ("http_refused_strangers", refused_strangers),
            ("http_idle_given_up", places.idle_given_up),
            ("http_heads_given_up", places.heads_given_up),
            ("http_transfers_given_up", places.transfers_given_up),
        ] {
            report(name, count);
        }
        let access = self.access.counters();
        for (name, count) in [
            ("access_machines", access.machines),
            ("access_foreign", access.foreign),
            ("access_anonymous", access.anonymous),
            ("access_checks", access.checks),
            ("access_wrong", access.wrong),
            ("access_limited", access.limited),
        ] {
            report(name, count);
        }
        for (name, counter) in [
            ("mux_rx", &mux.rx),
            ("mux_tx", &mux.tx),
            ("dhcp_queued", &dhcp.queued),
            ("dhcp_full", &dhcp.full),
            ("dhcp_over_share", &dhcp.over_share),
            ("agents_queued", &agents.queued),
            ("agents_full", &agents.full),
            ("agents_over_share", &agents.over_share),
            ("mux_solicitations", &mux.solicitations),
            ("mux_arp_answers", &mux.arp_answers),
            ("tftp_complete", &tftp.complete),
            ("tftp_probes", &tftp.probes),
            ("tftp_failed", &tftp.failed),
            ("tftp_waited", &tftp.waited),
            ("tftp_ignored", &tftp.ignored),
            ("tftp_over_share", &mux.tftp_over_share),
            ("tftp_unanswered", &tftp.unanswered),
            ("tftp_given_up", &tftp.given_up),
            ("tftp_slow", &tftp.slow),
            ("tftp_malformed", &tftp.malformed),
            ("http_connections", &http.connections),
            ("http_requests", &http.requests),
            ("http_malformed", &http.malformed),
            ("http_broken", &http.broken),
            ("http_slow_heads", &http.slow_heads),
            ("http_slow_bodies", &http.slow_bodies),
            ("files_full", &queues.files_full),
            ("api_full", &queues.api_full),
            ("replies_full", &queues.replies_full),
            ("agents_deferred", &queues.agents_deferred),
            ("statements_failed", &queues.statements_failed),
            ("power_full", &queues.power_full),
            ("switch_full", &queues.switch_full),
            ("switch_done", &queues.switch_done),
            ("switch_failed", &queues.switch_failed),
            ("dhcp_elsewhere", &queues.dhcp_elsewhere),
        ] {
            report(name, counter.get());
        }
        for (why, name) in Dropped::ALL {
            report(name, mux.dropped(why));
        }
    }

    fn refusals(&self, report: &mut dyn FnMut(&'static str, Source, u32)) {
        self.network.gate().refusals().report(report);
    }

    fn last_crash(&self) -> Option<LastCrash<'_>> {
        self.crash.as_ref().map(|crash| LastCrash {
            start: crash.start,
            uptime_secs: crash.uptime_secs,
            count: crash.count,
            cause: crash.cause.as_str(),
            text: &crash.text,
        })
    }

    fn journal(&self) -> JournalState {
        self.journal.get()
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
            use $crate::bringup::Memory;
            use $crate::controller::ControllerParts;
            use $crate::embassy_executor::{self, Spawner};
            use $crate::farrier_core::Rack;
            use $crate::http::ConnectionBuffers;
            use $crate::net::{Gate, Resources, Runner};
            use $crate::queues::{Queues, Texts};
            use $crate::shared::{FirmwareController, Shared};
            use $crate::sizes::{DISKS, HTTP_CONNECTIONS, LEASES, NODES, SOCKETS, TFTP_TRANSFERS};
            use $crate::statements::{StatementMemory, StatementReceiver};
            use $crate::static_cell::{ConstStaticCell, StaticCell};
            use $crate::switch::SwitchBuffers;
            use $crate::tftp::{ListenerBuffers, Tftp, WorkerBuffers};

            type Context = $crate::Context<$board, NODES, LEASES, DISKS>;
            type Piece = Aligned<A4, [u8; PIECE_LEN]>;
            type Net = <$board as $crate::Board>::Net;

            static NET: ConstStaticCell<Resources<SOCKETS>> =
                ConstStaticCell::new(Resources::new());
            static GATE: ConstStaticCell<Gate> = ConstStaticCell::new(Gate::new());
            static RACK: ConstStaticCell<Rack<NODES, LEASES, DISKS>> =
                ConstStaticCell::new(Rack::new());
            static SHARED: StaticCell<Shared<$board, NODES, LEASES, DISKS>> = StaticCell::new();
            static CONTROLLER: StaticCell<FirmwareController<$board, NODES, LEASES, DISKS>> =
                StaticCell::new();
            static QUEUES: ConstStaticCell<Queues> = ConstStaticCell::new(Queues::new());
            static TEXTS: ConstStaticCell<Texts> = ConstStaticCell::new($crate::queues::texts());
            static TFTP: ConstStaticCell<Tftp> = ConstStaticCell::new(Tftp::new());
            static STATEMENTS: ConstStaticCell<StatementMemory> =
                ConstStaticCell::new(StatementMemory::new());
            static PIECE: ConstStaticCell<Piece> = ConstStaticCell::new(Aligned([0; PIECE_LEN]));
            static SLOTS: ConstStaticCell<$crate::api::ApiSlots> =
                ConstStaticCell::new($crate::api::slots());
            static STATEMENT: ConstStaticCell<$crate::api::Statement> =
                ConstStaticCell::new([0; $crate::api::STATEMENT]);
            static CONTEXT: StaticCell<Context> = StaticCell::new();
            static LISTENER: ConstStaticCell<ListenerBuffers> =
                ConstStaticCell::new(ListenerBuffers::new());
            static SWITCH: ConstStaticCell<SwitchBuffers> =
                ConstStaticCell::new(SwitchBuffers::new());
            static WORKERS: [ConstStaticCell<WorkerBuffers>; TFTP_TRANSFERS] =
                [const { ConstStaticCell::new(WorkerBuffers::new()) }; TFTP_TRANSFERS];
            static CONNECTIONS: [ConstStaticCell<ConnectionBuffers>; HTTP_CONNECTIONS] =
                [const { ConstStaticCell::new(ConnectionBuffers::new()) }; HTTP_CONNECTIONS];

            #[embassy_executor::task]
            async fn net(mut runner: Runner<Net>) -> ! {
                runner.run().await
            }

            #[embassy_executor::task]
            async fn gate(gate: &'static Gate) -> ! {
                gate.run().await
            }

            #[embassy_executor::task]
            async fn controller(
                context: &'static Context,
                parts: ControllerParts<$board, NODES, LEASES, DISKS>,
            ) -> ! {
                context.run_controller(parts).await
            }

            #[embassy_executor::task]
            async fn statements(context: &'static Context, receiver: StatementReceiver) -> ! {
                context.run_statements(receiver).await
            }

            #[embassy_executor::task]
            async fn power(
                context: &'static Context,
                driver: <$board as $crate::Board>::Power,
            ) -> ! {
                context.run_power(driver).await
            }

            #[embassy_executor::task]
            async fn switch(context: &'static Context, buffers: &'static mut SwitchBuffers) -> ! {
                context.run_switch(buffers).await
            }

            #[embassy_executor::task]
            async fn watchdog(
                context: &'static Context,
                driver: <$board as $crate::Board>::Watchdog,
            ) -> ! {
                context.run_watchdog(driver).await
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
                    gate: GATE.take(),
                    rack: RACK.take(),
                    shared: &SHARED,
                    controller: &CONTROLLER,
                    queues: QUEUES.take(),
                    texts: TEXTS.take(),
                    tftp: TFTP.take(),
                    statements: STATEMENTS.take(),
                    piece: PIECE.take(),
                    statement: STATEMENT.take(),
                    slots: SLOTS.take(),
                    context: &CONTEXT,
                };
                // Pinned where it is made: awaited by value, it would be on the
                // stack first.
                let starting = ::core::pin::pin!($crate::bringup::start(parts, memory));
                let running = match starting.await {
                    Ok(running) => running,
                    Err(error) => panic!("the appliance does not start: {error}"),
                };
                let context = running.context;
                // Each pool has as many places as are taken here, once.
                spawner.spawn(net(running.runner).expect("spawned once"));
                spawner.spawn(gate(context.network.gate()).expect("spawned once"));
                spawner.spawn(controller(context, running.controller).expect("spawned once"));
                spawner.spawn(statements(context, running.statements).expect("spawned once"));
                spawner.spawn(power(context, running.power).expect("spawned once"));
                spawner.spawn(switch(context, SWITCH.take()).expect("spawned once"));
                spawner.spawn(clock(context).expect("spawned once"));
                spawner.spawn(watchdog(context, running.watchdog).expect("spawned once"));
                spawner.spawn(tftp_listener(context, LISTENER.take()).expect("spawned once"));
                for buffers in &WORKERS {
                    spawner.spawn(tftp_worker(context, buffers.take()).expect("pool size"));
                }
                for buffers in &CONNECTIONS {
                    spawner.spawn(http_worker(context, buffers.take()).expect("pool size"));
                }
                $crate::crash::set_running();
            }

            /// Starts the appliance on an executor.
            pub fn spawn(spawner: Spawner, parts: $crate::Parts<$board>) {
                spawner.spawn(start(spawner, parts).expect("spawned once"));
            }
        }
        use farrier_program::spawn;
    };
}
