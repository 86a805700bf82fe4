//! LoRA: `y = W x + b + s · B A dropout(x)`.
//!
//! Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021); rank
//! stabilisation from Kalajdzievski (2023). Field names follow PEFT's `LoraConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::backbone::{BackboneShape, LinearSite};

/// Configuration of a LoRA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoraConfig {
    /// Rank of the update.
    pub r: usize,
    /// Numerator of the scaling.
    pub lora_alpha: f64,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub lora_dropout: f64,
    /// Scale by `alpha / √r` instead of `alpha / r`.
    #[serde(default)]
    pub use_rslora: bool,
    /// The linear layers that are updated, without repeats.
    pub targets: Vec<LinearSite>,
    /// The layers that are updated; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<usize>>,
}

/// A LoRA configuration that can't be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LoraError {
    /// Zero, or larger than any backbone's hidden size.
    #[error("`r` is {0}; the rank must lie between 1 and 65536")]
    Rank(usize),
    /// Not a number.
    #[error("`lora_alpha` is {0}; it must be a finite number")]
    Alpha(f64),
    /// Outside 0..1.
    #[error("`lora_dropout` is {0}; it must lie in 0 ≤ p < 1")]
    Dropout(f64),
    /// No target, or one twice.
    #[error("`targets` must name at least one linear layer, each once")]
    Targets,
    /// A layer that the backbone does not have.
    #[error("`layers` names layer {layer}, but the backbone has layers 0 to {last}")]
    Layer {
        /// The layer that does not exist.
        layer: usize,
        /// The last layer that does.
        last: usize,
    },
}

impl LoraConfig {
    /// Rank `r` with `alpha`, on queries and values of every layer.
    pub fn query_value(r: usize, lora_alpha: f64) -> Self {
        Self {
            r,
            lora_alpha,
            lora_dropout: 0.0,
            use_rslora: false,
            targets: vec![LinearSite::Query, LinearSite::Value],
            layers: None,
        }
    }

    /// Factor `s` on the update.
    pub fn scaling(&self) -> f64 {
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// Whether this linear layer is updated.
    pub fn is_at(&self, layer: usize, site: LinearSite) -> bool {
        self.targets.contains(&site) && self.layers.as_ref().is_none_or(|layers| layers.contains(&layer))
    }

    pub(super) fn summary(&self) -> String {
        let targets: Vec<_> = self.targets.iter().map(|t| t.as_str()).collect();
        format!("lora r{} {}", self.r, targets.join(","))
    }

    pub(super) fn validate(&self, shape: &BackboneShape) -> Result<(), LoraError> {
        if !(1..=1 << 16).contains(&self.r) {
            return Err(LoraError::Rank(self.r));
        }
        if !self.lora_alpha.is_finite() {
            return Err(LoraError::Alpha(self.lora_alpha));
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            return Err(LoraError::Dropout(self.lora_dropout));
        }
        let repeats = self.targets.iter().enumerate().any(|(i, t)| self.targets[..i].contains(t));
        if self.targets.is_empty() || repeats {
            return Err(LoraError::Targets);
        }
        let beyond = self.layers.iter().flatten().find(|&&layer| layer >= shape.num_layers);
        match beyond {
            Some(&layer) => Err(LoraError::Layer { layer, last: shape.num_layers - 1 }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_follows_peft() {
        let plain = LoraConfig::query_value(4, 8.0);
        assert!((plain.scaling() - 2.0).abs() < 1e-12);
        assert!((LoraConfig { use_rslora: true, ..plain }.scaling() - 4.0).abs() < 1e-12);
    }
}
