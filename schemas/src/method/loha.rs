//! `LoHa`: `ΔW = alpha / r · (A₁ B₁) ⊙ (A₂ B₂)`.
//!
//! Hyeon-Woo et al., "`FedPara`: Low-Rank Hadamard Product" (2022), in the form of Yeh
//! et al., "Navigating Text-to-Image Customization" (2024). Field names follow PEFT's
//! `LoHaConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LoraPattern, MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `LoHa` adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LohaConfig {
    /// Rank of both products.
    pub r: usize,
    /// Numerator of the scaling.
    pub alpha: f64,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Layers with a rank or an alpha of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<LoraPattern>,
}

impl LohaConfig {
    /// Rank and factor `alpha / r` at `module`.
    pub fn rank_and_scaling(&self, module: Module) -> (usize, f64) {
        spec::rank_and_scaling(&self.patterns, module, self.r, self.alpha)
    }
}

impl MethodSpec for LohaConfig {
    fn kind(&self) -> &'static str {
        "loha"
    }

    fn summary(&self) -> String {
        format!("loha r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::finite("alpha", self.alpha)?;
        spec::targets(&self.targets, shape, Module::is_linear, "LoHa updates linear layers")?;
        spec::patterns(&self.patterns, &self.targets)
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let ((inputs, outputs), (r, _)) = (shape.module_dims(module), self.rank_and_scaling(module));
            [
                ("hada_w1_a", [outputs, r]),
                ("hada_w1_b", [r, inputs]),
                ("hada_w2_a", [outputs, r]),
                ("hada_w2_b", [r, inputs]),
            ]
            .map(|(part, dims)| Slot::new(Place::Module(module), part, &dims))
        };
        self.targets.iter().flat_map(of).collect()
    }
}
