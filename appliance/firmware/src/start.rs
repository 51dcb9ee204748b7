//! From a board's parts to a running appliance: open the store, read
//! configuration and keys, put the stack on the driver, teach the brain its
//! images.

use aligned::{A4, Aligned};
use embassy_sync::mutex::Mutex;
use farrier_asset_store::{AssetKind, Entry};
use farrier_core::interface::Image;
use farrier_core::interface::config::ConfigError;
use farrier_core::rack::Entropy;
use farrier_core::{Config, Effects, Identity, Input, Rack};
use farrier_image::manifest::{HEADER_LEN, Header, PublicKey, SIGNED_LEN, manifest_root};
use heapless::String;

use crate::api::{Desks, Statement};
use crate::assets::{AssetStore, BUFFER, PIECE, StoreError};
use crate::brain::Brain;
use crate::door::DHCP_PORT;
use crate::http::HttpCounters;
use crate::lines::{Show, error, info, warning};
use crate::net::{self, Address, RawUdpReceiver, Resources, Runner, Started};
use crate::records::Store;
use crate::tftp::Tftp;
use crate::{Board, Context, Parts};

/// Why the appliance does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartError {
    /// The store can not be read.
    Store(StoreError),
    /// What the rack knew before the reset can not be read.
    Records,
    /// The store has no asset of this kind.
    Missing(AssetKind),
    /// The asset of this kind does not decode.
    Damaged(AssetKind),
    /// The configuration is impossible.
    Config(ConfigError),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Static memory of the appliance, apart from its sockets' buffers. The parts
/// are statics of their own, so that those which start as zeros take no
/// flash.
#[derive(Debug)]
pub struct Memory<const SOCKETS: usize, const N: usize, const L: usize, const D: usize> {
    /// The stack's sockets and the multiplexer's queues.
    pub net: &'static mut Resources<SOCKETS>,
    /// The rack.
    pub rack: &'static mut Rack<N, L, D>,
    /// Effects of one step.
    pub outputs: &'static mut Effects,
    /// The store's buffer.
    pub piece: &'static mut Aligned<A4, [u8; BUFFER]>,
    /// Room for an inspection that the API reads back.
    pub statement: &'static mut Statement,
    /// Room for the API's requests.
    pub desks: &'static Desks,
}

/// A started appliance: what its tasks need.
#[derive(Debug)]
pub struct Running<B: Board, const N: usize, const L: usize, const D: usize> {
    /// Shared by all tasks.
    pub context: Context<B, N, L, D>,
    /// The stack's task.
    pub runner: Runner<B::Net>,
    /// The raw door's task.
    pub receiver: RawUdpReceiver,
}

/// Starts the appliance.
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
    memory: Memory<SOCKETS, N, L, D>,
) -> Result<Running<B, N, L, D>, StartError> {
    let Memory {
        net,
        rack,
        outputs,
        piece,
        statement,
        desks,
    } = memory;
    let store = AssetStore::open(parts.blocks, piece).await?;
    let config: Config = decode(&store, AssetKind::Config).await?;
    let identity: Identity = decode(&store, AssetKind::Identity).await?;
    let mut entropy = parts.entropy;
    configure(rack, config, &identity, &mut entropy)?;
    let mut records = parts.records;
    restore(rack, &mut records).await?;
    let config = rack.config();
    let agent_port = config.agent_port;

    let address = Address {
        address: config.address,
        prefix: config.prefix,
        gateway: None,
    };
    let mut seed = [0; 8];
    entropy.fill(&mut seed);
    let ports = [DHCP_PORT, agent_port];
    let Started {
        network,
        runner,
        receiver,
        sender,
    } = net::start(parts.net, net, &address, ports, u64::from_le_bytes(seed));

    let mut brain = Brain {
        rack,
        outputs,
        entropy,
        records,
        power: parts.power,
        sender,
    };
    let images = learn_images(&mut brain, &store).await?;
    info!(
        "{} is up: {} assets, {} images, room for {} nodes",
        Show(address.address),
        store.entries(),
        images,
        N,
    );
    Ok(Running {
        context: Context {
            network,
            brain: Mutex::new(brain),
            store,
            tftp: Tftp::new(),
            http: HttpCounters::default(),
            desks,
            statement: Mutex::new(statement),
        },
        runner,
        receiver,
    })
}

/// Gives the rack back what it knew before the reset.
async fn restore<S: Store, const N: usize, const L: usize, const D: usize>(
    rack: &mut Rack<N, L, D>,
    records: &mut S,
) -> Result<(), StartError> {
    let now = crate::brain::now();
    let mut unknown = 0u32;
    let layout = rack.layout();
    let opened = records
        .open(layout, |record| {
            unknown += u32::from(!rack.restore(now, record));
        })
        .await
        .map_err(|_| StartError::Records)?;
    if unknown > 0 {
        warning!("{} records are of newer firmware, and passed over", unknown);
    }
    rack.restored(now, opened.run, opened.lost);
    Ok(())
}

/// Gives the rack its configuration. Apart from [`start`], as is
/// [`verified`], so that the stack which it takes is free again afterwards:
/// inlined into one frame, these would lie below everything that follows.
#[inline(never)]
fn configure<const N: usize, const L: usize, const D: usize>(
    rack: &mut Rack<N, L, D>,
    config: Config,
    identity: &Identity,
    entropy: &mut dyn Entropy,
) -> Result<(), StartError> {
    rack.configure(config, identity, entropy)
        .map_err(StartError::Config)
}

/// The first asset of a kind.
async fn first<D: crate::Blocks>(
    store: &AssetStore<D>,
    kind: AssetKind,
) -> Result<Entry, StartError> {
    for place in 0..store.entries() {
        let entry = store.entry(place).await?;
        if entry.kind == kind {
            return Ok(entry);
        }
    }
    Err(StartError::Missing(kind))
}

/// Decodes the one asset of a kind out of its first piece.
async fn decode<T: serde::de::DeserializeOwned, D: crate::Blocks>(
    store: &AssetStore<D>,
    kind: AssetKind,
) -> Result<T, StartError> {
    let entry = first(store, kind).await?;
    let length = entry.len.min(PIECE as u64) as usize;
    let piece = store.read(entry.offset, length).await?;
    postcard::from_bytes(&piece).map_err(|_| StartError::Damaged(kind))
}

/// Verifies every manifest of the store and tells the brain of it. Returns
/// how many are good.
async fn learn_images<B: Board, const N: usize, const L: usize, const D: usize>(
    brain: &mut Brain<B, N, L, D>,
    store: &AssetStore<B::Blocks>,
) -> Result<u32, StartError> {
    let mut images = 0;
    for place in 0..store.entries() {
        let entry = store.entry(place).await?;
        if entry.kind != AssetKind::Manifest {
            continue;
        }
        match image(store, &entry).await? {
            Ok(image) => {
                brain.step(Input::Image(&image), None, store).await;
                images += 1;
            }
            // The others can still be deployed.
            Err(why) => error!("image {}: {}", entry.name(), why),
        }
    }
    Ok(images)
}

/// Reads one manifest's header. The inner error is for the operator.
async fn image<D: crate::Blocks>(
    store: &AssetStore<D>,
    entry: &Entry,
) -> Result<Result<Image, &'static str>, StartError> {
    let key = match first(store, AssetKind::OperatorKey).await {
        Ok(key) => key,
        Err(StartError::Missing(_)) => return Ok(Err("no key that could verify it")),
        Err(error) => return Err(error),
    };
    let key = match store.read(key.offset, 32).await?.first_chunk() {
        Some(key) => PublicKey(*key),
        None => return Ok(Err("the operator's key is cut short")),
    };
    let piece = store.read(entry.offset, SIGNED_LEN).await?;
    let Some((header, root)) = verified(&key, &piece) else {
        return Ok(Err("the manifest's signature does not hold"));
    };
    drop(piece);
    let Some(data) = data_of(store, entry.name()).await? else {
        return Ok(Err("its data is not in the store"));
    };
    let image = path(entry.name())
        .zip(path(data.name()))
        .map(|(manifest_path, data_path)| Image {
            name: header.name,
            version: header.version,
            raw_size: header.raw_size,
            root,
            manifest_path,
            data_path,
        });
    Ok(image.ok_or("its paths are too long"))
}

/// Header and root of a manifest whose signature holds.
#[inline(never)]
fn verified(key: &PublicKey, manifest: &[u8]) -> Option<(Header, [u8; 32])> {
    let header = Header::verify(key, None, manifest).ok()?;
    Some((header, manifest.get(..HEADER_LEN).map(manifest_root)?))
}

/// The image data of the same stem as a manifest.
async fn data_of<D: crate::Blocks>(
    store: &AssetStore<D>,
    manifest: &str,
) -> Result<Option<Entry>, StartError> {
    for place in 0..store.entries() {
        let entry = store.entry(place).await?;
        if entry.kind == AssetKind::ImageData && stem(entry.name()) == stem(manifest) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn path(name: &str) -> Option<String<96>> {
    let mut path = String::new();
    path.push('/').ok()?;
    path.push_str(name).ok()?;
    Some(path)
}
