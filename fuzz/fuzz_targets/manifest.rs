//! `scripts/fuzz manifest`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hub_fuzz::targets::manifest(bytes));
