//! Config drives: what operators hand over with a deployment, sealed as the
//! appliance's API seals it, and found again on disks.

use farrier_asset_store::DrivePlace;
use farrier_core::interface::StoredConfigDrive;
use farrier_protocol::message::ConfigDriveFormat;
use farrier_protocol::sealed::{Layout, PLAIN_PIECE, SEALED_PIECE};

use farrier_testkit::Random;

/// With what every tenant's text begins, and nothing else.
pub const BEGINS: &[u8] = b"#cloud-config of a simulated tenant, secret ";
/// Bytes of a tenant's text.
pub const LENGTH: usize = BEGINS.len() + 32;

/// A config drive as it lies in its node's slot.
#[derive(Debug, Clone)]
pub struct Drive {
    /// What its command says of it.
    pub stored: StoredConfigDrive,
    /// Its pieces.
    pub sealed: Vec<u8>,
    /// The tenant's text in it: no other drive has the same.
    pub text: Vec<u8>,
}

impl Drive {
    /// A drive that was never there before, for this place of its slot.
    pub fn new(random: &mut Random, place: DrivePlace) -> Self {
        let secret = u128::from_le_bytes(random.bytes());
        let mut text = BEGINS.to_vec();
        text.extend_from_slice(format!("{secret:032x}").as_bytes());
        let shown = String::from_utf8_lossy(&text);
        // Longer than a piece, and no multiple of it.
        let names = "node ".repeat(random.between(1, 600) as usize);
        let json = format!(r#"{{"meta_data": {{"names": "{names}"}}, "user_data": "{shown}"}}"#);
        let key = random.bytes();
        let (sealed, length) = seal(json.as_bytes(), &key);
        Drive {
            stored: StoredConfigDrive {
                length,
                key,
                format: ConfigDriveFormat::Json,
                place,
            },
            sealed,
            text,
        }
    }

    /// Whether it has that length as it lies there.
    pub fn is(&self, length: u32) -> bool {
        u32::try_from(self.sealed.len()) == Ok(length)
    }
}

fn seal(plain: &[u8], key: &[u8; 32]) -> (Vec<u8>, u32) {
    let length = u32::try_from(plain.len()).unwrap_or(u32::MAX);
    let layout = Layout::new(length).unwrap_or_else(|error| panic!("it is short: {error:?}"));
    let mut sealed = Vec::new();
    for (index, piece) in (0..).zip(plain.chunks(PLAIN_PIECE)) {
        let mut buffer = [0; SEALED_PIECE];
        buffer[..piece.len()].copy_from_slice(piece);
        match layout.seal(key, index, &mut buffer) {
            Ok(piece) => sealed.extend_from_slice(piece),
            Err(error) => panic!("a piece fits its buffer: {error:?}"),
        }
    }
    (sealed, length)
}
