//! Feed-forward networks: `W φ(V x)`, or `W (φ(G x) ⊙ V x)` with a gate (Shazeer 2020).
//!
//! `whole` where nothing changes any of their layers, `half` where something does in front of the non-linearity.

mod half;
mod whole;

pub use half::{activated, gated};
pub use whole::FeedForward;
#[cfg(feature = "cuda")]
pub(in crate::ops) use whole::Op;
