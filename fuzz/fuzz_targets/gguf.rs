//! `scripts/fuzz gguf`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hub_fuzz::targets::gguf(bytes));
