//! Console lines, through `defmt` on a microcontroller and `log` on
//! a host: the board picks one by feature. What lives here: macros that take
//! the same text for both, hence positional arguments only, and wrappers
//! for values that `defmt` has no own format for.

#[cfg(all(feature = "defmt", feature = "log"))]
compile_error!("a board's console lines go through `defmt` or through `log`, not both");

/// Shows a value as its `Debug` does.
#[derive(Clone, Copy)]
pub(crate) struct Show<T>(pub(crate) T);

impl<T: core::fmt::Debug> core::fmt::Display for Show<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "defmt")]
impl<T: core::fmt::Debug> defmt::Format for Show<T> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Debug2Format(&self.0));
    }
}

/// Shows a value as its `Display` does.
#[derive(Clone, Copy)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: core::fmt::Display> core::fmt::Display for Text<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "defmt")]
impl<T: core::fmt::Display> defmt::Format for Text<T> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Display2Format(&self.0));
    }
}

macro_rules! line {
    ($level:ident, $text:literal $(, $value:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        ::defmt::$level!($text $(, $value)*);
        #[cfg(feature = "log")]
        ::log::$level!($text $(, $value)*);
        // Without either, as in this crate's own tests, there is no console.
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { $(let _ = &$value;)* }
    }};
}

macro_rules! error {
    ($($line:tt)+) => { $crate::fmt::line!(error, $($line)+) };
}
macro_rules! warning {
    ($($line:tt)+) => { $crate::fmt::line!(warn, $($line)+) };
}
macro_rules! info {
    ($($line:tt)+) => { $crate::fmt::line!(info, $($line)+) };
}
macro_rules! debug {
    ($($line:tt)+) => { $crate::fmt::line!(debug, $($line)+) };
}

pub(crate) use {debug, error, info, line, warning};
