//! Classes, sets of classes or numbers for a whole sequence: linear layers on one vector.
//!
//! Losses: cross-entropy for classification, binary cross-entropy with logits for
//! multi-label classification, mean squared error for regression.

use candle_core::{Result, Tensor};
use hub_schemas::head::{ClassificationHead, Pooling};

use super::{Features, HeadInput, Tensors, linear_layers::LinearLayers, pooling::pool};
use crate::backbones::Mode;

/// A loaded head of one of the three kinds.
#[derive(Debug)]
pub struct Classification {
    pooling: Pooling,
    layers: LinearLayers,
}

impl Classification {
    pub(super) fn new(config: &ClassificationHead, tensors: &Tensors) -> Result<Self> {
        Ok(Self { pooling: config.pooling, layers: LinearLayers::new(&config.stack(), tensors)? })
    }

    /// One vector per sequence, `[b, h]`.
    pub(super) fn pool(&self, features: &Features<'_>) -> Result<Tensor> {
        pool(self.pooling, features)
    }

    /// Scores `[b, labels]` from what [`pool`](Self::pool) returned.
    pub(super) fn scores(&self, pooled: &Tensor, mode: Mode) -> Result<Tensor> {
        self.layers.forward(pooled, mode)
    }

    /// Scores `[b, labels]`.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Tensor> {
        self.layers.classify(&self.pool(&input.features)?, input)
    }
}
