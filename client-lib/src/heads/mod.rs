//! What turns hidden states into predictions.

mod classification;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{head::Head, layout::Slot};

use crate::{
    backbones::{Backbone, Batch, Mode},
    init::Initialiser,
};

pub use classification::Classification;

/// A loaded head.
#[derive(Debug)]
pub enum PredictionHead {
    /// One class per sequence.
    Classification(Classification),
}

impl PredictionHead {
    /// Builds a head on tensors by slot.
    pub fn build(head: &Head, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let Head::Classification(config) = head;
        Classification::new(config, tensors).map(Self::Classification)
    }

    /// Logits `[b, labels]` from the last hidden state `[b, t, h]`.
    pub fn forward(&self, backbone: &Backbone, state: &Tensor, batch: &Batch, mode: Mode) -> Result<Tensor> {
        let Self::Classification(head) = self;
        head.forward(&head.pool(backbone, state, batch)?, mode)
    }

    /// What the head reads, `[b, h]`: constant in training when nothing below it is trained.
    pub fn pool(&self, backbone: &Backbone, state: &Tensor, batch: &Batch) -> Result<Tensor> {
        let Self::Classification(head) = self;
        head.pool(backbone, state, batch)
    }

    /// Logits from what [`pool`](Self::pool) returned.
    pub fn logits(&self, pooled: &Tensor, mode: Mode) -> Result<Tensor> {
        let Self::Classification(head) = self;
        head.forward(pooled, mode)
    }
}

/// How a fresh tensor of a head is drawn: as BERT's own, N(0, 0.02²) and zero biases.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "the name of a slot, not of a file")]
pub fn initialiser(slot: &Slot) -> Initialiser {
    if slot.name.ends_with(".bias") { Initialiser::Constant(0.0) } else { Initialiser::Normal { std: 0.02 } }
}
