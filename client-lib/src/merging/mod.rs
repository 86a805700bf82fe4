//! Several adapters as one, adapters inside the backbone's weights, and an adapter
//! out of a fine-tuned backbone.
//!
//! | what | where |
//! |---|---|
//! | weighted sum of adapters of any method | [`average_tensors`] |
//! | fourteen rules for LoRA, PEFT's and `adapters`' | [`merge_lora`], [`merge_lora_adapters`], [`MergeKind`] |
//! | whole adapters with their heads | [`merge_adapters`] |
//! | best LoRA of rank `r` of a full fine-tuning | [`extract_layer`], [`extract`] |
//! | updates into a backbone's weights, and out again bit for bit | [`bake`], [`unbake`] |
//!
//! Everything is computed in double precision on the CPU and rounded once.
//!
//! Singular value decompositions come from `faer`. Measured on two cores, in double
//! precision with random elements: 384 x 1536 in 0.1 s and 768 x 3072 in 0.5 s, with
//! a relative error of the recomposed matrix of 6e-15; `nalgebra` takes 0.6 s and
//! 15 s for the same accuracy. A BERT-base has 72 such matrices. `faer` runs on the
//! `gemm` and `pulp` that the project has anyway; it is built without its own thread
//! pool, because layers are independent and shared out here.

pub mod averaged;
mod bake;
pub mod cat;
pub mod clamp;
mod combine;
pub mod dare;
pub mod decomposed;
mod error;
mod extract;
mod factors;
pub mod factorwise;
mod kind;
mod lora;
mod lora_folder;
mod matrix;
mod named;
mod numbers;
pub mod prune;
mod sum;
mod svd;
#[cfg(test)]
mod tests;
pub mod ties;
mod weights;
mod whole;

pub use bake::{BakeReport, BakedAdapter, Delta, Deltas, UnbakeReport, bake, unbake};
pub use error::MergeError;
pub use extract::{
    ExtractOptions, ExtractedHead, Extraction, LayerReport, OtherDifference, extract, extract_head,
    extract_layer, linear_layers,
};
pub use factors::Factors;
pub use kind::{MajoritySign, MergeKind, MergeOptions, UnknownKind, UnknownSign};
pub use lora::{LoraLayers, merge_lora, merge_lora_adapters};
pub use lora_folder::{LoraTensors, lora_layers, lora_tensors};
pub use matrix::Matrix;
pub use named::{Normalise, average_tensors};
pub use svd::Svd;
pub use whole::{HeadRule, Member, MergedAdapter, merge_adapters};
