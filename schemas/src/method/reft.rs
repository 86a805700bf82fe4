//! ReFT: low-rank interventions on the hidden states of some positions.
//!
//! Wu et al., "ReFT: Representation Finetuning for Language Models" (2024). After a
//! block, at the first and last positions that are not padding:
//! `Φ(h) = h + Rᵀ (f(W h + b) − R h)`; DiReFT has no `− R h`; LoReFT has orthonormal
//! rows in `R`. Field names follow `ReftConfig` of `adapters`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Activation, MethodError, MethodSpec, spec};
use crate::{
    backbone::BackboneShape,
    layout::{Place, Slot},
};

/// Configuration of a ReFT adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReftConfig {
    /// Rank of the intervention.
    pub r: usize,
    /// Number of positions at the start.
    pub prefix_positions: usize,
    /// Number of positions at the end.
    pub suffix_positions: usize,
    /// The adapted layers; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<usize>>,
    /// The rows of `R` are orthonormal.
    pub orthogonality: bool,
    /// Start and end share one intervention.
    #[serde(default)]
    pub tied_weights: bool,
    /// `R h` is subtracted.
    pub subtract_projection: bool,
    /// `f`; the identity when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_linearity: Option<Activation>,
    /// Probability of dropping an element of the changed state in training.
    #[serde(default)]
    pub dropout: f64,
}

impl ReftConfig {
    /// LoReFT of rank `r` at the first three positions of every layer, the library's default.
    pub const fn loreft(r: usize) -> Self {
        Self {
            r,
            prefix_positions: 3,
            suffix_positions: 0,
            layers: None,
            orthogonality: true,
            tied_weights: false,
            subtract_projection: true,
            non_linearity: None,
            dropout: 0.05,
        }
    }

    /// Whether this layer is adapted.
    pub fn is_at(&self, layer: usize) -> bool {
        self.layers.as_ref().is_none_or(|layers| layers.contains(&layer))
    }

    /// Number of interventions per layer.
    pub const fn units(&self) -> usize {
        if self.tied_weights { 1 } else { 2 }
    }
}

impl MethodSpec for ReftConfig {
    fn kind(&self) -> &'static str {
        "reft"
    }

    fn summary(&self) -> String {
        let name = match (self.orthogonality, self.subtract_projection) {
            (true, _) => "loreft",
            (false, true) => "noreft",
            (false, false) => "direft",
        };
        format!("{name} r{} {}+{}", self.r, self.prefix_positions, self.suffix_positions)
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::within("r", self.r, 1..=shape.hidden_size, "the rank must lie between 1 and the hidden size")?;
        spec::dropout("dropout", self.dropout)?;
        spec::layers("layers", self.layers.iter().flatten(), shape)?;
        let positions = self.prefix_positions.max(self.suffix_positions);
        spec::within("prefix_positions", positions, 1..=1 << 16, "1 to 65536 positions must be changed")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let h = shape.hidden_size;
        let mut slots = Vec::new();
        for layer in (0..shape.num_layers).filter(|&layer| self.is_at(layer)) {
            for unit in 0..self.units() {
                let mut push = |part: &str, dims: &[usize]| {
                    slots.push(Slot::new(Place::Block { layer }, &format!("unit{unit}.{part}"), dims));
                };
                push("source.weight", &[self.r, h]);
                push("source.bias", &[self.r]);
                push("projection", &[self.r, h]);
            }
        }
        slots
    }
}
