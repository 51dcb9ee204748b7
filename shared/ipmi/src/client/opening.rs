//! How a client opens a session: what it sends, when it gives up, and what it tries
//! next.

use super::send::{Random, byte, command};
use super::session::{Opening, Stage, State};
use super::{Client, Exchange, Failure, Output, Privilege};
use crate::message::{self, NetFn};
use crate::packet::{self, PayloadType};
use crate::rakp::{BY_NAME, OpenRequest, Rakp1, Rakp3, Status};

/// How often an opening begins anew because the BMC has given its session up, as some
/// do when RAKP 1 or 3 is repeated.
const RESTARTS: u8 = 3;

const fn is_gone(stage: Stage, failure: Failure) -> bool {
    matches!(
        (stage, failure),
        (
            Stage::Rakp1 | Stage::Rakp3,
            Failure::Refused(Status::INVALID_SESSION | Status::INACTIVE)
        )
    )
}

impl Client {
    /// Begins to open a session where there is a reason to.
    pub(super) fn begin(&mut self, now_ms: u64, random: Random<'_>) {
        self.closing = false;
        if now_ms >= self.reopen_ms && (self.held || self.request.is_some()) {
            self.begin_anew(0, now_ms, random);
        }
    }

    fn begin_anew(&mut self, restarts: u8, now_ms: u64, random: Random<'_>) {
        let mut session = [0; 4];
        random(&mut session);
        let mut console_random = [0; 16];
        random(&mut console_random);
        self.state = State::Opening(Opening {
            stage: Stage::Capabilities,
            exchange: Exchange::new(now_ms, self.next_number()),
            restarts,
            // 0 means no session.
            console_session: u32::from_le_bytes(session).max(1),
            bmc_session: 0,
            console_random,
            bmc_random: [0; 16],
            guid: [0; 16],
            sik: None,
        });
    }

    pub(super) fn poll_opening(
        &mut self,
        now_ms: u64,
        out: &mut [u8],
        random: Random<'_>,
    ) -> Option<Output> {
        let State::Opening(opening) = &self.state else {
            return None;
        };
        let (mut exchange, stage) = (opening.exchange, opening.stage);
        if now_ms < exchange.due_ms {
            return None;
        }
        // No other answer is to be expected, and another session costs nothing.
        let is_gone = exchange
            .doubtful
            .is_some_and(|failure| is_gone(stage, failure));
        if is_gone || exchange.is_given_up(self.settings.timing.tries) {
            let failure = exchange.doubtful.unwrap_or(Failure::Silent);
            return match self.goes_on(failure, now_ms, random) {
                true => self.poll_opening(now_ms, out, random),
                false => None,
            };
        }
        // A BMC that makes a new random number for each RAKP 1 knows the last one
        // only: an answer to one before is of no use.
        if stage == Stage::Rakp1 && exchange.tries > 0 {
            exchange.number = self.next_number();
        }
        self.next_try(&mut exchange, now_ms, random);
        if let State::Opening(opening) = &mut self.state {
            opening.exchange = exchange;
        }
        let len = self.emit_opening(out);
        self.sent(exchange.tries, len)
    }

    /// Decides what follows a message without a good answer. Returns whether another
    /// opening has begun.
    fn goes_on(&mut self, failure: Failure, now_ms: u64, random: Random<'_>) -> bool {
        let State::Opening(opening) = &self.state else {
            return false;
        };
        let restarts = opening.restarts;
        if is_gone(opening.stage, failure) && restarts < RESTARTS {
            self.begin_anew(restarts + 1, now_ms, random);
            return true;
        }
        if failure == Failure::NoSuite {
            if let Some(suite) = self.settings.suites.after(self.suite) {
                self.suite = suite;
                self.begin_anew(restarts, now_ms, random);
                return true;
            }
            self.suite = self.settings.suites.first();
        }
        self.fail(failure, now_ms, byte(random));
        false
    }

    fn emit_opening(&self, out: &mut [u8]) -> Option<usize> {
        let State::Opening(opening) = &self.state else {
            return None;
        };
        let tag = opening.exchange.number;
        let role = self.settings.privilege as u8 | BY_NAME;
        let mut payload = [0; 96];
        let (kind, len) = match opening.stage {
            Stage::Capabilities => {
                let request = message::Request {
                    net_fn: NetFn::App as u8,
                    lun: 0,
                    number: tag & 0x3f,
                    command: command::CAPABILITIES,
                    // The channel that this comes by; with what IPMI 2.0 adds.
                    data: &[0x8e, self.settings.privilege as u8],
                };
                let len = request.emit(&mut payload)?;
                return packet::emit_sessionless(payload.get(..len)?, out);
            }
            Stage::Open => {
                let request = OpenRequest {
                    tag,
                    // Some BMCs refuse what others want: as ipmitool asks.
                    privilege: match self.settings.privilege {
                        Privilege::Administrator => 0,
                        level => level as u8,
                    },
                    console_session: opening.console_session,
                    algorithms: self.suite.algorithms(),
                };
                (PayloadType::OpenRequest, request.emit(&mut payload)?)
            }
            Stage::Rakp1 => {
                let rakp1 = Rakp1 {
                    tag,
                    bmc_session: opening.bmc_session,
                    random: &opening.console_random,
                    role,
                    name: self.credentials.name(),
                };
                (PayloadType::Rakp1, rakp1.emit(&mut payload)?)
            }
            Stage::Rakp3 => {
                let code = self.rakp(opening).rakp3(self.credentials.password());
                let rakp3 = Rakp3 {
                    tag,
                    status: Status::OK,
                    bmc_session: opening.bmc_session,
                    code: code.as_bytes(),
                };
                (PayloadType::Rakp3, rakp3.emit(&mut payload)?)
            }
        };
        packet::emit_plain(kind, payload.get(..len)?, out)
    }

    /// What both ends know of the session that is being opened.
    pub(super) fn rakp<'a>(&'a self, opening: &'a Opening) -> crate::rakp::Exchange<'a> {
        crate::rakp::Exchange {
            suite: self.suite,
            console_session: opening.console_session,
            bmc_session: opening.bmc_session,
            console_random: &opening.console_random,
            bmc_random: &opening.bmc_random,
            guid: &opening.guid,
            role: self.settings.privilege as u8 | BY_NAME,
            name: self.credentials.name(),
        }
    }
}
