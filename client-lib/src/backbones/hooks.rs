//! The places where an adapter can change what a backbone computes.
//!
//! | hook | sees | returns |
//! |---|---|---|
//! | `embeddings` | the normalised embeddings | the first block's input |
//! | `linear` | a linear layer's input and output | its output |
//! | `keys_values` | attention keys, values and mask | the same, perhaps longer |
//! | `sublayer` | a sub-layer's output, the residual and the norm | the normalised sum |
//! | `block` | a block's output | the next block's input |
//!
//! Every method has the default "no adapter".

use candle_core::{Result, Tensor};
use hub_schemas::backbone::{LinearSite, SubLayer};

use crate::ops::{KeyMask, Norm};

/// Whether dropout is on, and which masks it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Eval,
    /// Dropout masks are a pure function of `seed`, `step` and the place.
    Train {
        /// The run.
        seed: u64,
        /// The optimiser step.
        step: u64,
    },
}

/// What every hook knows about the forward pass it is in.
#[derive(Debug, Clone)]
pub struct Context {
    /// `[b, t]`, 1 for tokens and 0 for padding.
    pub attention_mask: Tensor,
    /// Whether this is training.
    pub mode: Mode,
}

/// Attention keys and values `[b, s, h]` with the mask over the `s` keys.
#[derive(Debug, Clone)]
pub struct KeysValues {
    /// Keys.
    pub keys: Tensor,
    /// Values.
    pub values: Tensor,
    /// Which keys are visible.
    pub mask: KeyMask,
}

/// What adapters do at each hook point.
pub trait Hooks {
    /// After the embedding block; `x [b, t, h]`.
    fn embeddings(&self, x: Tensor, _context: &Context) -> Result<Tensor> {
        Ok(x)
    }

    /// At a linear layer with input `x [b, t, in]` and frozen output `y [b, t, out]`.
    fn linear(
        &self,
        _layer: usize,
        _site: LinearSite,
        _x: &Tensor,
        y: Tensor,
        _context: &Context,
    ) -> Result<Tensor> {
        Ok(y)
    }

    /// At the attention's keys and values, after their projections.
    fn keys_values(&self, _layer: usize, keys_values: KeysValues, _context: &Context) -> Result<KeysValues> {
        Ok(keys_values)
    }

    /// At a sub-layer's output `z [b, t, h]`, before residual and norm: returns what
    /// replaces `norm(z + residual)`.
    fn sublayer(
        &self,
        _layer: usize,
        _sublayer: SubLayer,
        z: Tensor,
        residual: &Tensor,
        norm: &Norm,
        _context: &Context,
    ) -> Result<Tensor> {
        norm.forward_sum(&z, residual)
    }

    /// After a block; `x [b, t, h]`.
    fn block(&self, _layer: usize, x: Tensor, _context: &Context) -> Result<Tensor> {
        Ok(x)
    }
}

/// The plain backbone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}
