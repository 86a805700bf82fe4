#![doc = include_str!("../README.md")]
#![expect(clippy::inline_always, reason = "a loop is vectorised only when what it calls is inlined")]

mod awake;
pub mod bf16;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod few;
pub mod fresh;
mod loops;
pub mod mapped;
#[cfg(feature = "allocator")]
pub mod memory;
#[cfg(test)]
mod numbers;
mod panels;
pub mod single;
mod spread;

pub use awake::awake;
pub use loops::{vectorised, vectorised_once};
pub use panels::Side;
