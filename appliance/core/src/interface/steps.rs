//! The steps of a node's work: cleaning, deploying, servicing.
//!
//! A queue of at most [`MAX_STEPS`] steps fits in a word, four bits each.

/// Most steps of one piece of work.
pub const MAX_STEPS: usize = 8;
/// The priority of writing the image among the steps of a deployment: steps
/// of a higher one come before it.
pub const WRITE_PRIORITY: u8 = 100;

/// One step. The numbers are for records: never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Take the inventory.
    Inspect = 1,
    /// Erase every disk and certify it.
    Erase = 2,
    /// Write the image and prove it.
    Write = 3,
    /// Wait until an operator gives `unhold`.
    Hold = 4,
    /// Restart the machine into the ramdisk.
    Reboot = 5,
}

impl Step {
    pub(crate) const ALL: [Step; 5] = [
        Step::Inspect,
        Step::Erase,
        Step::Write,
        Step::Hold,
        Step::Reboot,
    ];

    /// The step's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inspect => "collect_inventory",
            Self::Erase => "erase_devices",
            Self::Write => "write_image",
            Self::Hold => "hold",
            Self::Reboot => "reboot",
        }
    }

    /// The interface that the step belongs to in the API; empty for those
    /// that belong to none.
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Inspect | Self::Erase | Self::Write => "deploy",
            Self::Hold | Self::Reboot => "",
        }
    }

    /// The step of that name that operators may choose.
    pub fn chosen(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u32 == number)
    }
}

/// Steps in the order in which they are carried out; the first is in the
/// lowest four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steps(u32);

impl Steps {
    /// No step.
    pub const NONE: Steps = Steps(0);

    /// The first step.
    pub fn first(self) -> Option<Step> {
        Step::from_number(self.0 & 0xf)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.first().is_none()
    }

    /// The steps behind the first.
    #[must_use]
    pub const fn rest(self) -> Steps {
        Steps(self.0 >> 4)
    }

    /// All steps, in order.
    pub fn iter(self) -> impl Iterator<Item = Step> {
        core::iter::successors(Some(self), |steps| Some(steps.rest())).map_while(Steps::first)
    }

    /// One more step at the end; `None` where there are [`MAX_STEPS`].
    #[must_use]
    pub fn with(self, step: Step) -> Option<Steps> {
        let count = self.iter().count();
        let shift = u32::try_from(count).ok()? * 4;
        (count < MAX_STEPS).then(|| Steps(self.0 | (step as u32) << shift))
    }

    /// The bits, for a record.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The steps with these bits; unknown ones end the queue.
    pub const fn from_bits(bits: u32) -> Self {
        Steps(bits)
    }
}
