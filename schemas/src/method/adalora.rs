//! `AdaLoRA`: `ΔW = B diag(e) A · alpha / r`, the rank of each layer found in training.
//!
//! Zhang et al., "Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning"
//! (2023). Training prunes singular values `e`; a file holds those that are left.
//! Field names follow PEFT's `AdaLoraConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of an `AdaLoRA` adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AdaLoraConfig {
    /// Rank before pruning: what the scaling divides by.
    pub init_r: usize,
    /// Numerator of the scaling.
    pub lora_alpha: f64,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub lora_dropout: f64,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Mean rank over all layers that training leaves; all of it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_r: Option<usize>,
    /// Layers that kept fewer singular values than `init_r`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pruned: Vec<PrunedRank>,
}

/// A layer that kept fewer singular values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrunedRank {
    /// The layer.
    #[schema(value_type = String)]
    pub module: Module,
    /// How many it kept.
    pub r: usize,
}

impl AdaLoraConfig {
    /// Singular values at `module`.
    pub fn rank(&self, module: Module) -> usize {
        self.pruned.iter().find(|p| p.module == module).map_or(self.init_r, |p| p.r)
    }

    /// Factor on every update: `alpha / (r + 1e-5)`, as PEFT guards the division.
    pub fn scaling(&self) -> f64 {
        self.lora_alpha / (self.init_r as f64 + 1e-5)
    }
}

impl MethodSpec for AdaLoraConfig {
    fn kind(&self) -> &'static str {
        "adalora"
    }

    fn summary(&self) -> String {
        format!("adalora r{} {}", self.init_r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("init_r", self.init_r)?;
        let positive = f64::MIN_POSITIVE..=f64::MAX;
        spec::within("lora_alpha", self.lora_alpha, positive, "it must be a positive number")?;
        spec::dropout("lora_dropout", self.lora_dropout)?;
        if let Some(target_r) = self.target_r {
            let expected = "training can't leave a higher rank than `init_r`";
            spec::within("target_r", target_r, 1..=self.init_r, expected)?;
        }
        spec::targets(&self.targets, shape, Module::is_linear, "AdaLoRA updates linear layers")?;
        for pruned in &self.pruned {
            spec::within(
                "pruned.r",
                pruned.r,
                0..=self.init_r,
                "pruning can't raise the rank above `init_r`",
            )?;
            if !self.targets.contains(pruned.module) {
                let expected = "a rank is for a module among `targets`";
                return Err(MethodError::Module { field: "pruned", module: pruned.module, expected });
            }
        }
        Ok(())
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let ((inputs, outputs), r) = (shape.module_dims(module), self.rank(module));
            [("ada_a", vec![r, inputs]), ("ada_b", vec![outputs, r]), ("ada_e", vec![r, 1])]
                .map(|(part, dims)| Slot::new(Place::Module(module), part, &dims))
        };
        self.targets.iter().flat_map(of).collect()
    }
}
