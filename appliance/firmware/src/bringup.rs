//! From a board's parts to a running appliance: open the asset store, read
//! configuration, restore the rack, put the stack on the
//! driver, give the rack its images. What the assets mean is decided in
//! `farrier_controller::catalogue`; here they are read.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{self, Poll};

use aligned::{A4, Aligned};
use embassy_net_driver::Driver as _;
use embassy_sync::mutex::Mutex;
use farrier_api::JournalState;
use farrier_asset_store::AssetKind;
use farrier_controller::catalogue::{AssetError, Catalogue, Extent, Need, Survey, decode};
use farrier_controller::{Controller, RecordStore};
use farrier_core::interface::{ConfigError, Link};
use farrier_core::{Config, Input, Rack};
use serde::de::DeserializeOwned;
use static_cell::StaticCell;

use crate::access::Access;
use crate::api::{ApiSlots, Statement};
use crate::assets::{AssetStore, BUFFER, PIECE, StoreError};
use crate::controller::{ControllerParts, journal_state, now, report_health};
use crate::crash::set_start;
use crate::datagrams::DHCP_SERVER;
use crate::fmt::{Show, Text, error, info, warning};
use crate::http::{HttpCounters, PORT};
use crate::net::{self, Gate, LINKS, Ports, Resources, Runner, Started};
use crate::queues::{Queues, Texts};
use crate::shared::{FirmwareController, Shared, SharedEntropy, SharedRack};
use crate::statements::{StatementMemory, StatementReceiver};
use crate::tftp::Tftp;
use crate::{Board, Context, Parts};

/// Why the appliance does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartError {
    /// The asset store can not be read.
    Store(StoreError),
    /// An asset that the appliance needs is unusable.
    Asset(AssetError),
    /// The rack could not take an image: a record was not written.
    NotDurable,
    /// The configuration is impossible.
    Config(ConfigError),
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            StartError::Store(why) => write!(f, "the asset store can not be read: {why:?}"),
            StartError::Asset(why) => why.fmt(f),
            StartError::NotDurable => f.write_str("the journal's flash does not take records"),
            StartError::Config(why) => {
                write!(
                    f,
                    "the configuration in the asset store is impossible: {why:?}"
                )
            }
        }
    }
}

impl core::error::Error for StartError {}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AssetError> for StartError {
    fn from(error: AssetError) -> Self {
        Self::Asset(error)
    }
}

/// Static memory of the appliance, apart from its sockets' buffers. The parts
/// are statics of their own, so that those which start as zeros take no
/// flash, and so that nothing large is moved.
pub struct Memory<B: Board, const SOCKETS: usize, const N: usize, const L: usize, const D: usize> {
    /// The stack's sockets and the multiplexer's queues.
    pub net: &'static mut Resources<SOCKETS>,
    /// The way to the HTTP server's sockets.
    pub gate: &'static Gate,
    /// The rack.
    pub rack: &'static mut Rack<N, L, D>,
    /// The rack for others than the controller.
    pub shared: &'static StaticCell<Shared<B, N, L, D>>,
    /// The controller.
    pub controller: &'static StaticCell<FirmwareController<B, N, L, D>>,
    /// Queues to and from the controller.
    pub queues: &'static Queues,
    /// Texts that are served.
    pub texts: &'static Texts,
    /// TFTP's listener and workers.
    pub tftp: &'static Tftp,
    /// Statements on their way to the block device.
    pub statements: &'static mut StatementMemory,
    /// The store's buffer.
    pub piece: &'static mut Aligned<A4, [u8; BUFFER]>,
    /// Room for an inspection that the API reads back.
    pub statement: &'static mut Statement,
    /// Room for the API's requests.
    pub slots: &'static ApiSlots,
    /// What all tasks share.
    pub context: &'static StaticCell<Context<B, N, L, D>>,
}

impl<B: Board, const SOCKETS: usize, const N: usize, const L: usize, const D: usize>
    core::fmt::Debug for Memory<B, SOCKETS, N, L, D>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// A started appliance: what its tasks need.
#[derive(Debug)]
pub struct Running<B: Board, const N: usize, const L: usize, const D: usize> {
    /// Shared by all tasks.
    pub context: &'static Context<B, N, L, D>,
    /// The stack's task.
    pub runner: Runner<B::Net>,
    /// The controller's task.
    pub controller: ControllerParts<B, N, L, D>,
    /// The power driver's task.
    pub power: B::Power,
    /// The watchdog's task.
    pub watchdog: B::Watchdog,
    /// The task that writes statements.
    pub statements: StatementReceiver,
}

/// What the asset store and the journal have said.
struct Opened<B: Board> {
    store: AssetStore<B::Blocks>,
    journal: Option<JournalState>,
    gate: farrier_api::Gate,
    images: u32,
}

/// Starts the appliance. The stack of the network takes most room on the program's
/// stack where it is made, so nothing else is beside it there: what comes before
/// and behind has frames of its own, which are gone by then or not there yet.
///
/// # Errors
/// [`StartError`]; there is nothing to run then.
pub async fn start<
    B: Board,
    const SOCKETS: usize,
    const N: usize,
    const L: usize,
    const D: usize,
>(
    parts: Parts<B>,
    memory: Memory<B, SOCKETS, N, L, D>,
) -> Result<Running<B, N, L, D>, StartError> {
    let Parts {
        net,
        blocks,
        entropy,
        records,
        power,
        watchdog,
        crash,
    } = parts;
    if let Some(crash) = &crash {
        error!("the appliance has restarted: {}", Text(crash));
    }
    let shared = &*memory.shared.init(Shared::new(memory.rack, entropy));
    let controller = apart(|| {
        let (rack, entropy) = (SharedRack(shared), SharedEntropy(shared));
        let controller = Controller::new(rack, records, entropy);
        memory.controller.init(controller)
    });
    let longest = net.capabilities().max_transmission_unit;
    controller.carries(u16::try_from(longest).unwrap_or(u16::MAX));
    let opened = {
        let mut opening = pin!(open(controller, shared, blocks, memory.piece));
        poll_fn(|cx| poll_apart(opening.as_mut(), cx)).await?
    };

    let (address, links, agent_port) = shared.look(|rack| {
        let config = rack.config();
        let links: heapless::Vec<Link, LINKS> = rack.links().collect();
        (config.address, links, config.agent_port)
    });
    let mut seed = [0; 8];
    shared.fill(&mut seed);
    let ports = Ports {
        raw_udp: [DHCP_SERVER, agent_port],
        http: PORT,
    };
    let Started {
        network,
        runner,
        dhcp,
        agents,
        sender,
    } = net::start(
        net,
        memory.net,
        memory.gate,
        shared,
        (address, &links),
        ports,
        u64::from_le_bytes(seed),
    );
    shared.look(|rack| network.set_relays(rack.ipam().relays().map(|(_, relay)| relay)));
    info!(
        "{} is up: {} assets, {} images, room for {} nodes",
        Show(address),
        opened.store.entries(),
        opened.images,
        N,
    );
    let (statement_sender, statement_receiver) = memory.statements.split();
    let counters = *controller.counters();
    let context = apart(|| {
        memory.context.init(Context {
            network,
            shared,
            queues: memory.queues,
            texts: memory.texts,
            controller: counters.into(),
            journal: opened.journal.unwrap_or(UNREADABLE).into(),
            crash,
            store: opened.store,
            tftp: memory.tftp,
            http: HttpCounters::default(),
            access: Access::new(opened.gate),
            slots: memory.slots,
            statement: Mutex::new(memory.statement),
        })
    });
    Ok(Running {
        context,
        runner,
        controller: ControllerParts {
            controller,
            dhcp,
            agents,
            sender,
            statements: statement_sender,
            agent_port,
        },
        power,
        watchdog,
        statements: statement_receiver,
    })
}

/// Polls a future in a frame of its own: inlined, its locals would lie in that of
/// who waits for it, below everything that follows.
#[inline(never)]
fn poll_apart<F: Future>(future: Pin<&mut F>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
    future.poll(cx)
}

/// Does something in a frame of its own, see [`poll_apart`].
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Opens the asset store and gives the rack what it is made of: its
/// configuration, what it knew before the reset, its keys, its images.
async fn open<B: Board, const N: usize, const L: usize, const D: usize>(
    controller: &mut FirmwareController<B, N, L, D>,
    shared: &'static Shared<B, N, L, D>,
    blocks: B::Blocks,
    piece: &'static mut Aligned<A4, [u8; BUFFER]>,
) -> Result<Opened<B>, StartError> {
    let store = AssetStore::open(blocks, piece).await?;
    let survey = survey(&store).await?;
    let config: Config = read(&store, AssetKind::Config, survey.config()?).await?;
    configure(controller, config)?;
    let journal = restore(controller).await;
    // Without its records the rack answers nobody: whoever asks is told.
    shared.settled(journal.is_some());
    let gate = match journal.is_some() {
        true => {
            begin(controller, &store, survey.key()).await?;
            accounts(controller, shared).await?
        }
        false => farrier_api::Gate::new(),
    };
    let images = give_images(controller, &store, survey.key()).await?;
    Ok(Opened {
        store,
        journal,
        gate,
        images,
    })
}

/// Gives the rack its configuration. Apart from [`start`], so that the stack
/// which it takes is free again afterwards: inlined into one frame, it would
/// lie below everything that follows.
#[inline(never)]
fn configure<B: Board, const N: usize, const L: usize, const D: usize>(
    controller: &mut FirmwareController<B, N, L, D>,
    config: Config,
) -> Result<(), StartError> {
    controller
        .configure(config, None)
        .map_err(StartError::Config)
}

/// A journal that can't be read.
const UNREADABLE: JournalState = JournalState {
    start: 0,
    sectors: 0,
    used: 0,
    given_up: 0,
    cycles: 0,
    health: "unreadable",
};

/// Gives the rack back what it knew before the reset. Returns none where that
/// can't be read.
async fn restore<B: Board, const N: usize, const L: usize, const D: usize>(
    controller: &mut FirmwareController<B, N, L, D>,
) -> Option<JournalState> {
    let opened = match controller.restore(now()).await {
        Ok(opened) => opened,
        Err(why) => {
            error!(
                "journal: {}. The appliance does not know its nodes and answers nobody. Restore \
                 the journal's flash, or erase it and enrol every node anew",
                Show(why)
            );
            return None;
        }
    };
    set_start(opened.run);
    let (usage, counters) = (controller.store().usage(), *controller.counters());
    info!(
        "journal: start {}, {} records in {} of {} sectors",
        opened.run, counters.restored_records, usage.used, usage.sectors
    );
    if opened.lost > 0 {
        warning!(
            "journal: the records of {} steps are missing. Every node is in maintenance until an \
             operator has looked at it",
            opened.lost
        );
    }
    let unknown = counters.unknown_records;
    if unknown > 0 {
        warning!(
            "journal: {} records are of other firmware and were ignored",
            unknown
        );
    }
    let state = journal_state(opened.run, usage);
    report_health(usage.health());
    Some(state)
}

/// Begins with the appliance's keys, which it makes at its first start, and
/// with the operator's key for images.
async fn begin<B: Board, const N: usize, const L: usize, const D: usize>(
    controller: &mut FirmwareController<B, N, L, D>,
    store: &AssetStore<B::Blocks>,
    key: Option<Extent>,
) -> Result<(), StartError> {
    let mut images = None;
    if let Some(extent) = key {
        let piece = store.read(extent.offset, 32).await?;
        images = piece.first_chunk().copied();
    }
    controller
        .step(now(), Input::Start { images })
        .await
        .map_err(|_| StartError::NotDurable)
}

/// Takes the first account of the configuration. Where there is no account at
/// all, a code goes to the console with which one can be made, once.
async fn accounts<B: Board, const N: usize, const L: usize, const D: usize>(
    controller: &mut FirmwareController<B, N, L, D>,
    shared: &Shared<B, N, L, D>,
) -> Result<farrier_api::Gate, StartError> {
    if let Some(verifier) = shared.look(|rack| rack.config().admin) {
        controller
            .step(now(), Input::FirstAccount(verifier))
            .await
            .map_err(|_| StartError::NotDurable)?;
    }
    let (mut key, mut code) = ([0; 32], [0; 16]);
    shared.fill(&mut key);
    shared.fill(&mut code);
    let mut gate = farrier_api::Gate::new();
    gate.start(key, code);
    if shared.look(|rack| rack.accounts().is_empty()) {
        info!(
            "there is no account. PUT /farrier/v1/accounts/admin with a password, as the user \
             admin with the password {}, which is good until then",
            gate.code()
        );
    }
    Ok(gate)
}

/// Finds the appliance's own assets.
async fn survey<D: crate::Blocks>(store: &AssetStore<D>) -> Result<Survey, StartError> {
    let mut survey = Survey::new(store.entries());
    while let Some(place) = survey.wants() {
        survey.entry(&store.entry(place).await?);
    }
    Ok(survey)
}

/// Decodes an asset out of its first piece.
async fn read<T: DeserializeOwned, D: crate::Blocks>(
    store: &AssetStore<D>,
    kind: AssetKind,
    extent: Extent,
) -> Result<T, StartError> {
    let length = extent.len.min(PIECE as u64) as usize;
    let piece = store.read(extent.offset, length).await?;
    Ok(decode(kind, &piece)?)
}

/// Gives the rack the images of the asset store. Returns how many there are.
async fn give_images<B: Board, const N: usize, const L: usize, const D: usize>(
    controller: &mut FirmwareController<B, N, L, D>,
    store: &AssetStore<B::Blocks>,
    key: Option<Extent>,
) -> Result<u32, StartError> {
    let mut images = 0;
    let mut catalogue = Catalogue::new(store.entries(), key);
    loop {
        match catalogue.poll() {
            Need::Entry(place) => {
                let entry = store.entry(place).await?;
                catalogue.entry(&entry);
            }
            Need::Bytes(extent) => {
                // At most `catalogue::MOST_BYTES`.
                let piece = store.read(extent.offset, extent.len as usize).await?;
                catalogue.bytes(&piece);
            }
            Need::Image(image) => {
                let step = controller.step(now(), Input::Image(image)).await;
                // A rack without its journal takes nothing, and says so.
                if step.is_err() && !controller.is_broken() {
                    return Err(StartError::NotDurable);
                }
                images += 1;
            }
            Need::Refused(name, why) => error!("image {}: {}", name, Text(why)),
            Need::Done => return Ok(images),
        }
    }
}
