//! The appliance: the shipping brain with simulated hands. Facts go in, and
//! what shall happen comes out, in its order and in owned bytes.

use core::net::Ipv4Addr;

use farrier_core::output::PowerWanted;
use farrier_core::{
    Config, Door, Endpoint, Identity, Input, Instant, Output, Outputs, Rack, Serve,
};
use farrier_dhcp::route::Route;
use farrier_protocol::message::{Mac, NodeId};

use crate::image;
use crate::random::Random;

/// The brain with the tables of the microcontroller's firmware.
pub type Brain = Rack<48, 96, 96>;

/// The appliance's keys: the same in every rack, they guard nothing.
pub const IDENTITY: Identity = Identity {
    noise: [3; 32],
    signing: [4; 32],
};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a DHCP reply to this interface, or to all.
    Dhcp(Option<Mac>, Vec<u8>),
    /// Send a datagram to an agent.
    Agent(Endpoint, Vec<u8>),
    /// Switch a machine.
    Power(NodeId, PowerWanted),
    /// Tell the operator.
    Answer(bool),
}

/// What a machine that asked for a file gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// A text.
    Text(String),
    /// The asset of that name.
    Asset(String),
    /// Nothing.
    Nothing,
}

/// See the module.
pub struct Appliance {
    /// The brain.
    pub rack: Box<Brain>,
    out: Box<Outputs>,
    entropy: Random,
    /// When it was started, in the rack's time, less what its clock jumped.
    zero: u64,
    /// Steps of the brain so far.
    pub steps: u64,
    /// What the last step said is to be served.
    served: Served,
}

impl std::fmt::Debug for Appliance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appliance")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Appliance {
    /// A new appliance, started at this time.
    pub fn new(now: u64, seed: u64) -> Self {
        let mut appliance = Appliance {
            rack: Box::new(Rack::new()),
            out: Box::new(Outputs::new()),
            entropy: Random::new(seed, 1),
            zero: now,
            steps: 0,
            served: Served::Nothing,
        };
        let configured =
            appliance
                .rack
                .configure(Config::default(), &IDENTITY, &mut appliance.entropy);
        assert_eq!(configured, Ok(()), "the default configuration is sound");
        let mut none = Vec::new();
        appliance.step(now, Input::Image(&image::catalogue().entry), &mut none);
        appliance
    }

    /// The appliance's own clock.
    pub fn clock(&self, now: u64) -> Instant {
        Instant::from_millis(now.saturating_sub(self.zero))
    }

    /// Lets the appliance's clock jump ahead.
    pub fn jump(&mut self, now: u64, millis: u64) {
        // Not before its own start: then it is as if it had started earlier.
        self.zero = self.zero.saturating_sub(millis.min(now));
    }

    /// When the brain wants to be called, in the rack's time.
    pub fn wake_at(&self) -> u64 {
        self.rack.wake_at().millis().saturating_add(self.zero)
    }

    /// Outputs that found no room.
    pub fn lost(&self) -> u32 {
        self.out.lost()
    }

    /// Lets the brain take a fact in; what follows is put into `effects`.
    pub fn step(&mut self, now: u64, input: Input<'_>, effects: &mut Vec<Effect>) {
        let clock = self.clock(now);
        self.steps += 1;
        self.rack
            .step(clock, input, &mut self.entropy, &mut self.out);
        for output in self.out.iter() {
            effects.push(match output {
                Output::Dhcp { route, payload } => {
                    let to = match route {
                        Route::RawUnicast { mac, .. } => Some(Mac(mac)),
                        // To whoever has that address: the world knows.
                        Route::Unicast(_) | Route::Broadcast | Route::Relay(_) => None,
                    };
                    Effect::Dhcp(to, payload.to_vec())
                }
                Output::Agent { to, datagram } => Effect::Agent(to, datagram.to_vec()),
                Output::Power { node, wanted } => Effect::Power(node, wanted),
                Output::Answer(answer) => Effect::Answer(answer.is_ok()),
                Output::Serve(serve) => {
                    self.served = match serve {
                        Serve::Text(text) => {
                            Served::Text(String::from_utf8_lossy(text).into_owned())
                        }
                        Serve::Asset(name) => Served::Asset(name.to_owned()),
                        Serve::Slot { .. } | Serve::NotFound | Serve::Busy => Served::Nothing,
                    };
                    continue;
                }
                Output::Record(_) | Output::Keep { .. } => continue,
            });
        }
    }

    /// Asks for a file.
    pub fn open(
        &mut self,
        now: u64,
        door: Door,
        peer: Ipv4Addr,
        path: &str,
        effects: &mut Vec<Effect>,
    ) -> Served {
        self.served = Served::Nothing;
        self.step(now, Input::Open { door, peer, path }, effects);
        std::mem::replace(&mut self.served, Served::Nothing)
    }
}
