//! One vector per sequence, as `sentence-transformers` computes it (Reimers & Gurevych
//! 2019): pooling, then the Euclidean length is made one.

use candle_core::{D, Result, Tensor};
use hub_schemas::head::EmbeddingHead;

use super::{HeadInput, pooling::pool};

/// Below this a vector counts as zero and keeps its length; PyTorch's `normalize` has the same bound.
const SHORTEST: f64 = 1e-12;

/// An embedding head. It has no weights.
#[derive(Debug)]
pub struct Embedding(EmbeddingHead);

impl Embedding {
    pub(super) fn new(config: &EmbeddingHead) -> Self {
        Self(config.clone())
    }

    /// `[b, h]`: `x / max(‖x‖₂, 10⁻¹²)` of the pooled `x`.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Tensor> {
        let x = pool(self.0.pooling, &input.features)?;
        if !self.0.normalize {
            return Ok(x);
        }
        let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        x.broadcast_div(&length.maximum(SHORTEST)?)
    }
}
