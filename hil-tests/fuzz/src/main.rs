//! The program that libFuzzer drives: it runs the one body that the
//! environment names.
#![no_main]

use std::sync::OnceLock;

use farrier_fuzz::{BODY, Body, named};

/// The body of this process.
fn body() -> &'static Body {
    static CHOSEN: OnceLock<&'static Body> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var(BODY).unwrap_or_default();
        named(&name).unwrap_or_else(|| panic!("{BODY} names no body: {name:?}"))
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (body().run)(bytes));
