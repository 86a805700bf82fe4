//! What the tests share: harnesses for the registry, the CLI and the Python libraries.

pub mod cli;
pub mod hub;
pub mod interop;
pub mod golden;
pub mod proxy;
