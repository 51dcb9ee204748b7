//! The faults and lies of a BMC. All of them may be on at a time, and be changed
//! while it runs.

/// Each n-th time, beginning with the n-th; 0 for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Every {
    /// The n.
    pub each: u32,
    count: u32,
    once: bool,
}

impl Every {
    /// Each n-th time.
    #[must_use]
    pub const fn new(each: u32) -> Self {
        Self {
            each,
            count: 0,
            once: false,
        }
    }

    /// The n-th time, and never again.
    #[must_use]
    pub const fn once(n: u32) -> Self {
        Self {
            each: n,
            count: 0,
            once: true,
        }
    }

    pub(crate) const fn strikes(&mut self) -> bool {
        if self.each == 0 {
            return false;
        }
        self.count += 1;
        if self.count < self.each {
            return false;
        }
        self.count = 0;
        if self.once {
            self.each = 0;
        }
        true
    }
}

/// Where a BMC has another key than it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongKey {
    /// In RAKP 2: as if it had another password.
    Rakp2,
    /// In RAKP 4: as if it had another key of its own.
    Rakp4,
    /// In the packets of a session.
    Session,
}

/// What is wrong with a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// It neither hears nor answers.
    pub silent: bool,
    /// Datagrams that are lost on their way to it.
    pub lose_in: Every,
    /// Datagrams that are lost on their way from it.
    pub lose_out: Every,
    /// Answers that come this much later, in milliseconds.
    pub delay_ms: u64,
    /// Answers that come after the next one, or half a second later.
    pub reorder: Every,
    /// Answers that come twice, and once more a second later.
    pub replay: Every,
    /// Answers that are cut off at half of their length.
    pub truncate: Every,
    /// Answers with a wrong bit.
    pub corrupt: Every,
    /// Answers that name another session.
    pub other_session: Every,
    /// Answers of sessions to another number than that of the request.
    pub other_number: Every,
    /// Answers of sessions to another command than that of the request.
    pub other_command: Every,
    /// Answers of sessions that are neither encrypted nor authenticated.
    pub unprotected: Every,
    /// Refusals that somebody has forged come before each message that opens a
    /// session.
    pub forged_refusals: bool,
    /// It takes each message that opens a session once, and gives the session up
    /// where one is repeated.
    pub strict_opening: bool,
    /// It opens sessions of suite 0, whatever it is asked for.
    pub suite_0: bool,
    /// It makes another random number for each RAKP 1, also for a repetition.
    pub fresh_random: bool,
    /// It says that it has no sessions of IPMI 2.0.
    pub no_rmcp_plus: bool,
    /// It has another key.
    pub wrong_key: Option<WrongKey>,
    /// It has forgotten its users.
    pub no_users: bool,
    /// It is busy for each n-th command.
    pub busy: Every,
    /// It starts anew in place of each n-th command that changes something, before
    /// it is carried out.
    pub reset_before: Every,
    /// The same, after the command is carried out and before the answer.
    pub reset_after: Every,
    /// It takes commands for the power, and does nothing.
    pub ignore_control: bool,
    /// It takes boot flags, and does not keep them.
    pub ignore_boot_flags: bool,
    /// It refuses boot flags.
    pub refuse_boot_flags: bool,
    /// It has the boot flags until the machine starts, which starts without.
    pub lose_boot_flags: bool,
    /// It does not know the parameters around the boot flags.
    pub no_boot_dance: bool,
    /// It says the power of before for so long after a change, in milliseconds.
    pub stale_power_ms: u64,
    /// It does not acknowledge each n-th payload of the console.
    pub deaf_console: Every,
    /// Reservations end before each n-th part of a record.
    pub lose_reservation: Every,
    /// Longest part of a record that it answers with, in bytes; 0 for any.
    pub record_part: u8,
}
