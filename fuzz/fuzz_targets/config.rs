//! `scripts/fuzz config`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hub_fuzz::targets::config(bytes));
