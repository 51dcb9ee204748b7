//! Secrets of the rack in its records: sealed under a key of the board, and
//! sealed anew when that is replaced. What seals is in `persist::seal`.

use super::parts::{CONFIG_DRIVE, SESSION, WORK};
use crate::interface::{Effects, Identity, Instant, Setting};
use crate::persist::record::{MAX_RECORD, Record};
use crate::persist::seal::{BOARD_KEY_LEN, BoardKeys, KeyChange, Resealing, Sealed, derive};
use crate::ports::Password;
use crate::rack::Rack;
use crate::strings::Kind;
use farrier_protocol::message::NodeId;

/// So many nodes have their secrets sealed anew in one step, at most.
const NODES_A_STEP: usize = 4;
/// A node is left for the next step where this one has so many records already.
const RECORDS_A_STEP: usize = 2;

/// For secrets that belong to no node.
pub(super) const NO_NODE: NodeId = NodeId([0; 16]);

/// What a secret is. Its number is sealed with it, so numbers never change: what
/// another firmware has sealed opens all the same.
#[derive(Debug, Clone, Copy)]
pub(super) enum Secret {
    /// The keys of a node's session.
    Session,
    /// The key of a node's config drive.
    ConfigDrive,
    /// The appliance's own keys.
    Keys,
    /// The password of the switch in this place.
    SwitchLogin(u8),
    /// A setting of a node's driver, or the one before it.
    Bmc(Setting, bool),
}

impl Secret {
    /// What a secret belongs to: sealed for one node, it does not open for another.
    fn about(self, node: NodeId) -> [u8; 18] {
        let mut about = [0; 18];
        let [kind, place, id @ ..] = &mut about;
        (*kind, *place) = match self {
            Self::Session => (1, 0),
            Self::ConfigDrive => (2, 0),
            Self::Keys => (3, 0),
            Self::SwitchLogin(place) => (4, place),
            Self::Bmc(setting, former) => (5, 2 * setting as u8 + u8::from(former)),
        };
        *id = node.0;
        about
    }
}

/// The seed of the ed25519 key that switches know the appliance by. It follows from
/// the appliance's own, so it is kept nowhere.
pub(super) fn switch_seed(identity: &Identity) -> [u8; 32] {
    derive(&identity.signing, &[b"farrier switch login"])
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The board has these keys. To be called before [`restore`](Self::restore).
    pub fn set_board_keys(&mut self, keys: &BoardKeys) {
        self.sealing.set_keys(keys);
    }

    /// What the board is to do with its keys now, if anything. To be asked
    /// where all records are durable, and answered with
    /// [`board_key_changed`](Self::board_key_changed).
    pub fn board_key_change(&self, now: Instant) -> Option<KeyChange> {
        self.sealing.change(now)
    }

    /// A place for keys of the board has this content now, durably.
    pub fn board_key_changed(&mut self, place: usize, key: &[u8; BOARD_KEY_LEN]) {
        self.sealing.changed(place, key);
    }

    /// Seals secrets of a part of a node. A mark, which is never written, has
    /// them as they are.
    pub(super) fn sealed(
        &self,
        mark: bool,
        secret: Secret,
        node: NodeId,
        body: [[u8; 32]; 2],
    ) -> Option<Sealed> {
        if mark {
            return Some(Sealed {
                epoch: 0,
                nonce: [0; 12],
                tag: [0; 16],
                body,
            });
        }
        self.sealing.seal(&secret.about(node), body)
    }

    /// The secrets of a record.
    pub(super) fn opened(
        &self,
        secret: Secret,
        node: NodeId,
        sealed: &Sealed,
    ) -> Option<[[u8; 32]; 2]> {
        self.sealing.open(&secret.about(node), sealed)
    }

    /// The record of the appliance's keys.
    pub(super) fn keys_record(&self) -> Option<Record<'static>> {
        let identity = self.identity.as_ref()?;
        let body = [identity.noise, identity.signing];
        let keys = self.sealed(false, Secret::Keys, NO_NODE, body)?;
        Some(Record::Keys { keys })
    }

    /// The record of the login to a switch.
    pub(crate) fn switch_login_record(&self, place: u8) -> Option<Record<'_>> {
        let switch = self.ports.switch(place)?;
        let secret = Secret::SwitchLogin(place);
        Some(Record::SwitchLogin {
            place,
            user: &switch.user,
            password: self.sealed(false, secret, NO_NODE, switch.password.to_bytes())?,
        })
    }

    /// The record of a secret of a node's driver, also where it has none.
    pub(crate) fn bmc_secret_record(
        &self,
        index: usize,
        setting: Setting,
        former: bool,
    ) -> Option<Record<'static>> {
        let node = self.nodes.get(index)?.id;
        let text = match former {
            true => self.texts.former(index, setting),
            false => self.texts.setting(index, setting),
        };
        let secret = match text.try_into().map(Password) {
            Ok(password) if !text.is_empty() => {
                let about = Secret::Bmc(setting, former);
                Some(self.sealed(false, about, node, password.to_bytes())?)
            }
            _ => None,
        };
        Some(Record::BmcSecret {
            node,
            setting: setting as u8,
            former,
            secret,
        })
    }

    /// Puts a secret of a node's driver back. Without the board's key it is lost, and
    /// the driver lacks it.
    pub(super) fn apply_bmc_secret(
        &mut self,
        node: NodeId,
        (index, setting, former): (usize, Setting, bool),
        secret: Option<&Sealed>,
    ) {
        let about = Secret::Bmc(setting, former);
        let opened = secret.and_then(|sealed| self.opened(about, node, sealed));
        let password = Password::from_bytes(&opened.unwrap_or_default());
        let kind = match former {
            true => Kind::Former(setting),
            false => Kind::Setting(setting),
        };
        let _full = self.texts.set(index, kind, &password.0);
    }

    /// The record of the host key of a switch.
    pub(crate) fn switch_host_key_record(&self, place: u8) -> Option<Record<'static>> {
        let pinned = self.ports.switch(place)?.host_key.map(|key| key.0);
        Some(Record::SwitchHostKey { place, pinned })
    }

    /// Begins with a new key, where the board has one.
    pub(super) fn begin_epoch(&mut self, out: &mut Effects) {
        if let Some(record) = self.sealing.begin(self.now) {
            record.emit(out);
            if let Some(record) = self.keys_record() {
                record.emit(out);
            }
        }
    }

    /// Seals some of the secrets anew, where the key is a new one.
    pub(crate) fn seal_anew(&mut self, out: &mut Effects) {
        self.begin_epoch(out);
        let Resealing::At(from) = self.sealing.resealing else {
            return;
        };
        let mut room = [0; MAX_RECORD];
        let most = from.saturating_add(NODES_A_STEP).min(self.nodes.len());
        let mut end = from;
        let before = out.len();
        for index in from..most {
            if out.len().saturating_sub(before) >= RECORDS_A_STEP {
                break;
            }
            end = index + 1;
            let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
                continue;
            };
            // What was heard of a session comes behind the session.
            for part in [SESSION, WORK, CONFIG_DRIVE] {
                let secret = node.boot.session.is_some() || part == CONFIG_DRIVE;
                if secret && let Some(record) = self.encode(index, node, part, &mut room) {
                    out.record(record);
                }
            }
            for setting in Setting::SECRETS {
                for former in [false, true] {
                    let text = match former {
                        true => self.texts.former(index, setting),
                        false => self.texts.setting(index, setting),
                    };
                    if !text.is_empty()
                        && let Some(record) = self.bmc_secret_record(index, setting, former)
                    {
                        record.emit(out);
                    }
                }
            }
        }
        self.sealing.resealing = Resealing::At(end);
        if end == self.nodes.len() {
            let switches = self.ports.switches().iter();
            for switch in switches.filter(|switch| switch.has_password()) {
                if let Some(record) = self.switch_login_record(switch.place) {
                    record.emit(out);
                }
            }
        }
        if end == self.nodes.len()
            && let Some(record) = self.sealing.resealed()
        {
            record.emit(out);
        }
    }
}
