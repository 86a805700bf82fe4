//! One class per sequence: dropout, linear, activation, …, dropout, linear on one vector.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    head::{ClassificationHead, Pooling},
    method::Activation,
};

use crate::{
    backbones::{Backbone, Batch, Mode, NoHooks},
    ops::{DropoutKey, activate, dropout, linear},
};

/// Keeps the head's dropout masks apart from those of adapters.
const SITE: u64 = 1 << 63;

/// A loaded classification head.
#[derive(Debug)]
pub struct Classification {
    pooling: Pooling,
    activation: Activation,
    dropout: f64,
    layers: Vec<(Tensor, Tensor)>,
}

impl Classification {
    pub(super) fn new(config: &ClassificationHead, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let part = |layer: usize, part: &str| match tensors.get(&format!("head.{layer}.{part}")) {
            Some(tensor) => Ok(tensor.clone()),
            None => candle_core::bail!("the head has no tensor for `head.{layer}.{part}`"),
        };
        let layers = (0..config.layers).map(|i| Ok((part(i, "weight")?, part(i, "bias")?)));
        Ok(Self {
            pooling: config.pooling,
            activation: config.activation,
            dropout: config.dropout,
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// One vector per sequence, `[b, h]`.
    pub(super) fn pool(&self, backbone: &Backbone, state: &Tensor, batch: &Batch) -> Result<Tensor> {
        match self.pooling {
            Pooling::First => state.narrow(1, 0, 1)?.squeeze(1)?.contiguous(),
            Pooling::Mean => mean_of_tokens(state, &batch.attention_mask),
            Pooling::Pooler => match backbone.pool(state, &NoHooks)? {
                Some(pooled) => Ok(pooled),
                None => {
                    candle_core::bail!("the head reads the pooled output, but this backbone has no pooler")
                }
            },
        }
    }

    /// Logits `[b, labels]`.
    pub(super) fn forward(&self, pooled: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = pooled.clone();
        for (i, (weight, bias)) in self.layers.iter().enumerate() {
            if i > 0 {
                x = activate(&x, self.activation)?;
            }
            if let Mode::Train { seed, step } = mode {
                x = dropout(&x, self.dropout, DropoutKey { seed, step, site: SITE | i as u64 })?;
            }
            x = linear(&x, weight, Some(bias))?;
        }
        Ok(x)
    }
}

/// Mean over the positions where the mask is 1 (Reimers & Gurevych 2019).
pub(crate) fn mean_of_tokens(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let mask = mask.to_dtype(state.dtype())?.unsqueeze(2)?;
    let sum = state.broadcast_mul(&mask)?.sum(1)?;
    sum.broadcast_div(&mask.sum(1)?.maximum(1e-9)?)
}
