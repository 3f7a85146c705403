//! Requests of a hostile guest: `cargo +nightly fuzz run ioreq_page` in `xen-ctrl`.
#![no_main]

#[path = "../../tests/common/fake_model.rs"]
mod fake_model;
#[path = "../../tests/common/hostile.rs"]
mod hostile;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    hostile::serve(input);
});
