//! One vector per sequence.

use candle_core::{Result, Tensor};
use hub_schemas::head::Pooling;

use super::Features;

/// The vector that `pooling` names, `[b, h]`, of a last hidden state `[b, t, h]`.
pub(super) fn pool(pooling: Pooling, features: &Features<'_>) -> Result<Tensor> {
    let state = features.state;
    match pooling {
        Pooling::First => state.narrow(1, 0, 1)?.squeeze(1)?.contiguous(),
        Pooling::Mean => mean_of_tokens(state, features.attention_mask),
        Pooling::Pooler => match features.backbone.pool(state, features.hooks)? {
            Some(pooled) => Ok(pooled),
            None => candle_core::bail!("the head reads the pooled output, but this backbone has no pooler"),
        },
    }
}

/// Mean over the positions where the mask is 1 (Reimers & Gurevych 2019).
fn mean_of_tokens(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let mask = mask.to_dtype(state.dtype())?.unsqueeze(2)?;
    let sum = state.broadcast_mul(&mask)?.sum(1)?;
    sum.broadcast_div(&mask.sum(1)?.maximum(1e-9)?)
}
