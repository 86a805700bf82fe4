//! One generic transformer with named hook points.
//!
//! Adapter methods attach to hook points and never see an architecture; an
//! architecture is a mapping of names and sizes (`architectures`) and never sees an
//! adapter. All weights here are frozen: they are plain tensors inside operations
//! whose backward computes no gradient for them.

mod base_head;
mod batch;
mod block;
mod compute;
mod convolution;
mod cross;
mod decoder;
mod distances;
mod embedding;
mod frames;
mod head_inputs;
mod hooks;
mod layer_sum;
mod library_padding;
mod linear;
mod patches;
mod pieces;
mod pooler;
mod relative;
mod replicated;
mod signal;
mod trace;
mod transformer;
mod weights;
mod windows;

pub use base_head::BaseHead;
pub use batch::{Batch, Passed};
pub(crate) use batch::{mask_of, padded};
pub use compute::{Compute, DeviceChoice, DeviceError, is_out_of_memory};
pub use decoder::DecoderInputs;
pub use head_inputs::HeadInputs;
pub(crate) use hooks::repeat_rows;
pub use hooks::{
    AttentionInput, Context, EmbeddingInput, GatedPrompt, Hooks, KeyValueProjection, KeysValues, LinearInput,
    Mode, NoHooks, ProjectionInput, Stand, SubLayerInput,
};
pub use library_padding::LibraryPadding;
pub use linear::Linear;
pub use pieces::Pieces;
pub(crate) use pooler::mean_of_tokens;
pub use signal::Signal;
pub use trace::{Noted, Trace};
pub use transformer::{Backbone, Encoded, Hidden, OpenError};
pub(crate) use weights::tensor;
