//! One vector per sequence.

use candle_core::{DType, Result, Tensor};
use hub_schemas::head::Pooling;

use super::Features;
use crate::backbones::mean_of_tokens;

/// The vector that `pooling` names, `[b, h]`, of a last hidden state `[b, t, h]`.
pub(crate) fn pool(pooling: Pooling, features: &Features<'_>) -> Result<Tensor> {
    let state = features.state;
    match pooling {
        Pooling::First => state.narrow(1, 0, 1)?.squeeze(1)?.contiguous(),
        Pooling::Last => last_of_tokens(state, features.attention_mask),
        Pooling::Mean => mean_of_tokens(state, features.attention_mask),
        Pooling::FirstAndMean => {
            let (first, others) = (state.narrow(1, 0, 1)?, state.dim(1)?.saturating_sub(1));
            let mean = state.narrow(1, 1, others)?.mean(1)?;
            Tensor::cat(&[&first.squeeze(1)?, &mean], 1)
        }
        Pooling::LayerMean => match features.layer_sum {
            Some(sum) => mean_of_tokens(sum, features.attention_mask),
            None => {
                candle_core::bail!(
                    "the head reads a weighted sum of all layers, which this backbone does not have"
                )
            }
        },
        Pooling::Pooler => match features.backbone.pool(state, features.attention_mask, features.hooks)? {
            Some(pooled) => Ok(pooled),
            None => candle_core::bail!("the head reads the pooled output, but this backbone has no pooler"),
        },
    }
}

/// The last position where the mask is 1; the last of all where there is none.
fn last_of_tokens(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let t = state.dim(1)?;
    let last = |row: &Vec<f32>| row.iter().rposition(|&m| m != 0.0).unwrap_or(t.saturating_sub(1));
    let rows = mask.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let rows = rows.iter().enumerate().map(|(i, row)| (i * t + last(row)) as u32).collect::<Vec<_>>();
    let rows = Tensor::new(rows, state.device())?;
    state.flatten(0, 1)?.index_select(&rows, 0)
}
