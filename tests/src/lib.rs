//! What the tests share: harnesses for the registry, the CLI and the Python libraries.
#![allow(clippy::expect_used, reason = "a test that can't set itself up must fail")]

pub mod cli;
pub mod collector;
mod device;
pub mod gguf;
pub mod golden;
pub mod heads;
pub mod hub;
pub mod hugging_face;
pub mod interop;
pub mod issuer;
pub mod memory;
mod note;
pub mod provider;
pub mod proxy;
pub mod receiver;
pub mod services;
pub mod serving;
pub mod sounds;
pub mod tap;
mod wait;
pub mod words;

pub use device::device;
pub use note::note;
pub use wait::eventually;
