//! Development driver: scenarios with light servers, without xtask.
#[path = "../../xtask/src/store.rs"]
mod store;

use anyhow::{Context, Result};
use farrier_core::boot::{KERNEL, RAMDISK, TRUST};
use farrier_core::interface::config::{
    CONFIG_ASSET, Config, IDENTITY_ASSET, Identity, OPERATOR_KEY_ASSET,
};
use farrier_deploy_ramdisk::ramdisk::Trust;
use farrier_hil_tests::job::Watch;
use farrier_hil_tests::qemu::ApplianceSpec;
use farrier_hil_tests::scenario::Bench;
use farrier_hil_tests::server::Form;
use farrier_hil_tests::{light, scenarios};
use farrier_image::maker::{Options, SecretKey, make};
use farrier_protocol::server::Keys;
use farrier_protocol::signing;
use farrier_asset_store::AssetKind;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use store::Asset;

struct Lines(Instant);
impl Watch for Lines {
    fn say(&self, server: &str, text: &str) {
        println!("[{:6.1}] {server} {text}", self.0.elapsed().as_secs_f64());
    }
    fn progress(&self, server: &str, what: &str, done: u64, total: u64, rate: u64) {
        println!(
            "[{:6.1}] {server} {what} {done}/{total} {rate}/s",
            self.0.elapsed().as_secs_f64()
        );
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let board = arguments.next().context("board: linux or an ELF")?;
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    let folder = target.join("light");
    let assets = light::assets::write(&folder)?;
    let key = SecretKey::from_bytes(&[42; 32]);
    let mut data = Vec::new();
    let options = Options::new(light::assets::IMAGE, 1);
    let made = make(
        File::open(&assets.image)?,
        &mut data,
        &options,
        &key,
        |_| {},
    )?;
    let operator = key.public().0;
    let manifest = made.manifest.clone();
    let write = move |path: &std::path::Path| -> Result<()> {
        let identity = Identity {
            noise: [7; 32],
            signing: [8; 32],
        };
        let trust = Trust {
            appliance_session: *Keys::new(identity.noise, [0; 32]).public(),
            appliance_orders: signing::SecretKey::from_bytes(&identity.signing).public().0,
            operator,
        };
        let mut list = vec![
            Asset::bytes(
                CONFIG_ASSET,
                AssetKind::Config,
                postcard::to_stdvec(&Config::default())?,
            ),
            Asset::bytes(
                IDENTITY_ASSET,
                AssetKind::Identity,
                postcard::to_stdvec(&identity)?,
            ),
            Asset::bytes(OPERATOR_KEY_ASSET, AssetKind::OperatorKey, operator.to_vec()),
            Asset::file(KERNEL, AssetKind::Public, &assets.kernel),
            Asset::file(RAMDISK, AssetKind::Public, &assets.ramdisk),
            Asset::bytes(TRUST, AssetKind::Public, trust.archive()),
            Asset::bytes("images/light.manifest", AssetKind::Manifest, manifest.clone()),
            Asset::bytes("images/light.data", AssetKind::ImageData, data.clone()),
        ];
        for (name, path) in &assets.programs {
            list.push(Asset::file(name, AssetKind::Public, path));
        }
        store::write(path, &list, 48)
    };
    let linux = target.join("debug/farrier-linux");
    let emulator: Vec<String> = [
        "-M",
        "mps2-an500",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "stdio",
        "-semihosting-config",
        "enable=on,target=native,arg=farrier,arg=store={store}",
        "-nic",
        "none",
        "-net",
        "nic,model=lan9118,netdev=rack",
        "-netdev",
        "stream,id=rack,server=off,addr.type=unix,addr.path={switch}",
        "-kernel",
        "{elf}",
    ]
    .map(String::from)
    .into();
    let bench = Bench {
        form: Form::Light,
        agent: target.join("debug").join(light::AGENT_PROGRAM),
        tools: Arc::new(|name| Ok(std::process::Command::new(name))),
        image: light::assets::IMAGE.into(),
        work: target.join("rigs"),
        address: Config::default().address,
        prefix: 24,
        write_store: Arc::new(write),
        appliance: Arc::new(move |store| {
            if board == "linux" {
                ApplianceSpec::host(&linux, store)
            } else {
                ApplianceSpec::emulated("qemu-system-arm", &emulator, board.as_ref(), store)
            }
        }),
    };
    for name in arguments {
        let scenario = scenarios::ALL
            .iter()
            .find(|s| s.name == name)
            .context("no such scenario")?;
        let began = Instant::now();
        let result = (scenario.run)(&bench, &Lines(began));
        println!(
            "== {name}: {:.1} s: {result:?}",
            began.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
