//! What is fuzzed; the binaries only hand it bytes.

pub mod targets;
