//! What the tests share: harnesses for the registry, the CLI and the Python libraries.

pub mod hub;
pub mod interop;
pub mod golden;
