//! What an adapter can do, hook point by hook point.

use candle_core::{Result, Tensor};
use hub_schemas::backbone::{Module, SubLayer};

use super::SubLayerAdapter;
use crate::{
    backbones::{AttentionInput, Context, EmbeddingInput, GatedPrompt, LinearInput},
    ops::LowRank,
};

/// How a linear layer's output changes.
#[derive(Debug, Clone)]
pub enum Update {
    /// `y + Δ`, `Δ [b, t, out]`.
    Add(Tensor),
    /// `y ⊙ s`, `s` broadcast to `[b, t, out]`.
    Scale(Tensor),
}

impl Update {
    /// `y` with this update.
    pub fn apply(&self, y: &Tensor) -> Result<Tensor> {
        match self {
            Self::Add(delta) => y + delta,
            Self::Scale(factors) => y.broadcast_mul(factors),
        }
    }
}

/// Keys and values to put in front of an attention's own, `[b, p, h]` each.
#[derive(Debug, Clone)]
pub struct PrefixStates {
    /// Keys.
    pub keys: Tensor,
    /// Values.
    pub values: Tensor,
}

/// A loaded adapter: what one method does at the hook points it uses. Everywhere
/// else it returns `None`, and compositions see to the rest.
pub trait Adapter: std::fmt::Debug + Send + Sync {
    /// The trained copy of the backbone tensor with this canonical name.
    fn replaced(&self, _name: &str) -> Option<&Tensor> {
        None
    }

    /// What stands for the `rows` `[b, t, h]` that a lookup gives.
    fn embedding(&self, _at: &EmbeddingInput<'_>, _rows: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// The word embeddings `[b, t, h]` with learned tokens in front.
    fn words(&self, _words: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Whether it puts learned tokens behind the embeddings: what else changes them comes before.
    fn lengthens_embeddings(&self) -> bool {
        false
    }

    /// What the blocks get instead of the embedding block's output `[b, t, h]`.
    fn embeddings(&self, _x: &Tensor, _context: &Context) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// The inverse of [`embeddings`](Self::embeddings), for a language model's head.
    fn invert(&self, _x: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Whether this adapter changes a module: its updates or transformations, not its copies.
    fn is_at(&self, _module: Module) -> bool {
        false
    }

    /// Whether [`transform`](Self::transform) gives a module's output.
    fn transforms(&self, _module: Module) -> bool {
        false
    }

    /// Whether [`undecomposed`](Self::undecomposed) and [`rescaled`](Self::rescaled) give something.
    fn decomposes(&self, _module: Module) -> bool {
        false
    }

    /// Whether this adapter was trained without the input's segments.
    fn drops_token_types(&self) -> bool {
        false
    }

    /// How far this adapter shifts the input's positions.
    fn position_offset(&self) -> usize {
        0
    }

    /// Whether [`prefix`](Self::prefix) or [`gated_prompt`](Self::gated_prompt) give something.
    fn is_at_attention(&self, _layer: usize) -> bool {
        false
    }

    /// The whole output of a linear layer, for methods that change its weight.
    fn transform(&self, _at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// How the output of a linear layer changes. `input` is the layer's input, or what
    /// an adapter before this one has made of it.
    fn update(&self, _at: &LinearInput<'_>, _input: &Tensor) -> Result<Option<Update>> {
        Ok(None)
    }

    /// The same update, where it is a product of low rank and nothing else.
    fn low_rank(&self, _at: &LinearInput<'_>) -> Option<LowRank<'_>> {
        None
    }

    /// The update under the magnitudes of a `DoRA` of `adapters`, `[b, t, out]`: composed like any other,
    /// before the last of them scales the sum.
    fn undecomposed(&self, _at: &LinearInput<'_>, _input: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// `y [b, t, out]`, frozen output and updates together, scaled by the magnitudes of a `DoRA` of
    /// `adapters`.
    fn rescaled(&self, _at: &LinearInput<'_>, _y: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Learned keys and values for the rows of `at.x`.
    fn prefix(&self, _at: &AttentionInput<'_>) -> Result<Option<PrefixStates>> {
        Ok(None)
    }

    /// Learned keys and values with a softmax of their own.
    fn gated_prompt(&self, _at: &AttentionInput<'_>) -> Result<Option<GatedPrompt>> {
        Ok(None)
    }

    /// The bottleneck after a sub-layer.
    fn sublayer(&self, _layer: usize, _sublayer: SubLayer) -> Option<&dyn SubLayerAdapter> {
        None
    }

    /// What the next block gets instead of this block's output `[b, t, h]`.
    fn block(&self, _layer: usize, _x: &Tensor, _context: &Context) -> Result<Option<Tensor>> {
        Ok(None)
    }
}
