//! Listens for LLDP on every interface.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farrier_protocol::message::HeardNeighbour;

use super::console::log;
use super::link::{self, Frames};
use super::{hardware, text};
use crate::engine::cmdline::parse_mac;
use crate::engine::lldp::heard;

/// Buffer for the longest frame.
const FRAME: usize = 1600;
/// How often new interfaces are looked for. Drivers load firmware for minutes.
const LOOK: Duration = Duration::from_secs(2);

/// What was heard last, by the name of the interface.
type Heard = BTreeMap<String, HeardNeighbour>;

/// The listener. Its threads run until the server goes down.
#[derive(Debug, Default)]
pub struct Listener {
    heard: Mutex<Heard>,
}

impl Listener {
    /// Begins to listen on the interfaces that there are, and on those that appear.
    ///
    /// # Errors
    /// There is no room for a thread.
    pub fn spawn() -> std::io::Result<Arc<Self>> {
        let listener = Arc::new(Self::default());
        let looks = Arc::clone(&listener);
        std::thread::Builder::new()
            .name("lldp".into())
            .stack_size(crate::STACK)
            .spawn(move || {
                let mut known: Vec<String> = Vec::new();
                loop {
                    for name in hardware::interfaces() {
                        if !known.contains(&name) && looks.listen(&name) {
                            known.push(name);
                        }
                    }
                    std::thread::sleep(LOOK);
                }
            })?;
        Ok(listener)
    }

    /// What was heard last on each interface.
    pub fn heard(&self) -> Vec<HeardNeighbour> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.values().cloned().collect()
    }

    /// What was heard last on an interface.
    pub fn on(&self, name: &str) -> Option<HeardNeighbour> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(name).cloned()
    }

    /// Listens on an interface by a thread of its own. Returns whether it does.
    fn listen(self: &Arc<Self>, name: &str) -> bool {
        let address = text(format!("/sys/class/net/{name}/address"));
        let (Some(index), Some(mac)) = (hardware::interface_index(name), parse_mac(&address))
        else {
            return false;
        };
        // LLDP goes to a group address, which cards drop otherwise.
        if let Err(error) = link::up(index).and_then(|()| link::hear_groups(index)) {
            log(&format!("no LLDP on {name}: {error}"));
        }
        let frames = match Frames::open_lldp(index) {
            Ok(frames) => frames,
            Err(error) => {
                log(&format!("no LLDP on {name}: {error}"));
                return false;
            }
        };
        let (listener, name) = (Arc::clone(self), name.to_owned());
        let thread = std::thread::Builder::new()
            .name("lldp".into())
            .stack_size(crate::STACK);
        let spawned = thread.spawn(move || {
            let mut buffer = [0; FRAME];
            loop {
                match frames.receive(LOOK, &mut buffer) {
                    Ok(Some(length)) => {
                        let frame = buffer.get(..length).unwrap_or_default();
                        if let Some(neighbour) = heard(mac, frame) {
                            listener.take(&name, neighbour);
                        }
                    }
                    Ok(None) => {}
                    // The interface is down, or gone.
                    Err(_) => std::thread::sleep(LOOK),
                }
            }
        });
        spawned.is_ok()
    }

    fn take(&self, name: &str, neighbour: HeardNeighbour) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.get(name) != Some(&neighbour) {
            log(&format!(
                "{name} is in port {} of {} {}",
                neighbour.port, neighbour.chassis, neighbour.system
            ));
            heard.insert(name.to_owned(), neighbour);
        }
    }
}
