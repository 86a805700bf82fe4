//! VeRA: learned diagonals around random matrices that all layers share.
//!
//! Kopiczko et al., "VeRA: Vector-based Random Matrix Adaptation" (2024):
//! `ΔW = Λ_b B Λ_d A`, `A` and `B` frozen and cut to each layer's size.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Dora, MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a VeRA adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VeraConfig {
    /// Rank of the shared matrices.
    pub r: usize,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Initial value of the diagonal between the matrices.
    #[serde(default = "initial_d")]
    pub d_initial: f64,
    /// Initial value of the diagonal behind them.
    #[serde(default)]
    pub b_initial: f64,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub dropout: f64,
    /// What the diagonals are.
    pub scaling: VeraScaling,
    /// Numerator of a scaling by `alpha / r`; PEFT has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Magnitude and direction of each row are learned apart (DVoRA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dora: Option<Dora>,
    /// A learned gate per example replaces the scaling (`adapters` only).
    #[serde(default)]
    pub use_gating: bool,
}

/// What stands between and behind the shared matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VeraScaling {
    /// Vectors: the paper, PEFT. `A [r, widest input]`, `B [widest output, r]`.
    Diagonal,
    /// Square matrices that start diagonal: `adapters` 1.2 and later. `A` and `B`
    /// have the size of the first adapted layer.
    Matrix,
}

const fn initial_d() -> f64 {
    0.1
}

impl VeraConfig {
    /// Rows and columns of the shared matrices: `(widest input, widest output)`.
    fn shared_dims(&self, shape: &BackboneShape) -> (usize, usize) {
        let dims: Vec<(usize, usize)> = self.targets.iter().map(|m| shape.module_dims(m)).collect();
        let widest = |side: fn(&(usize, usize)) -> usize| dims.iter().map(side).max().unwrap_or_default();
        (widest(|d| d.0), widest(|d| d.1))
    }
}

impl MethodSpec for VeraConfig {
    fn kind(&self) -> &'static str {
        "vera"
    }

    fn summary(&self) -> String {
        format!("vera r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::finite("d_initial", self.d_initial)?;
        spec::finite("b_initial", self.b_initial)?;
        spec::finite("alpha", self.alpha.unwrap_or(1.0))?;
        spec::dropout("dropout", self.dropout)?;
        spec::targets(&self.targets, shape, Module::is_linear, "VeRA updates linear layers")?;
        let mixed = self.targets.iter().find(|&m| shape.module_dims(m) != self.shared_dims(shape));
        match (self.scaling, mixed) {
            (VeraScaling::Matrix, Some(module)) => Err(MethodError::Module {
                field: "targets",
                module,
                expected: "with matrices for diagonals all targets have the same shape",
            }),
            _ => Ok(()),
        }
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let (inputs, outputs) = self.shared_dims(shape);
        let mut slots = vec![
            Slot::new(Place::Shared, "vera_a", &[self.r, inputs]).frozen(),
            Slot::new(Place::Shared, "vera_b", &[outputs, self.r]).frozen(),
        ];
        for module in self.targets.iter() {
            let (inputs, outputs) = shape.module_dims(module);
            let mut push =
                |part: &str, dims: &[usize]| slots.push(Slot::new(Place::Module(module), part, dims));
            match self.scaling {
                VeraScaling::Diagonal => {
                    push("lambda_d", &[self.r]);
                    push("lambda_b", &[outputs]);
                }
                VeraScaling::Matrix => {
                    push("lambda_d", &[self.r, self.r]);
                    push("lambda_b", &[outputs, outputs]);
                }
            }
            if self.dora.is_some() {
                push("magnitude", &[outputs]);
            }
            if self.use_gating {
                push("gate.weight", &[1, inputs]);
                push("gate.bias", &[1]);
            }
        }
        slots
    }
}
