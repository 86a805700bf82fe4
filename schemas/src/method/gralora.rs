//! `GraLoRA`: the weight is cut into `k × k` blocks, each with a low-rank update of its own.
//!
//! Jung et al., "`GraLoRA`: Granular Low-Rank Adaptation" (2025). Field names follow PEFT's `GraloraConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `GraLoRA` adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GraloraConfig {
    /// Rank of what the blocks of a row share; a multiple of `gralora_k`.
    pub r: usize,
    /// Rank of a plain low-rank update besides.
    #[serde(default)]
    pub hybrid_r: usize,
    /// Numerator of the scaling `alpha / (r + hybrid_r)`.
    pub alpha: f64,
    /// Blocks in a row and in a column of the weight.
    pub gralora_k: usize,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub dropout: f64,
}

impl GraloraConfig {
    /// Factor on every update.
    pub fn scaling(&self) -> f64 {
        self.alpha / (self.r + self.hybrid_r) as f64
    }
}

impl MethodSpec for GraloraConfig {
    fn kind(&self) -> &'static str {
        "gralora"
    }

    fn summary(&self) -> String {
        format!("gralora r{} k{} {}", self.r, self.gralora_k, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::within("hybrid_r", self.hybrid_r, 0..=1 << 16, "the rank must lie between 0 and 65536")?;
        spec::finite("alpha", self.alpha)?;
        spec::dropout("dropout", self.dropout)?;
        spec::divides("gralora_k", self.gralora_k, self.r, "ranks")?;
        spec::targets(&self.targets, shape, Module::is_linear, "GraLoRA updates linear layers")?;
        self.targets.iter().try_for_each(|module| {
            let (inputs, outputs) = shape.module_dims(module);
            spec::divides("gralora_k", self.gralora_k, inputs, "inputs")?;
            spec::divides("gralora_k", self.gralora_k, outputs, "outputs")
        })
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let (k, r) = (self.gralora_k, self.r);
        let mut slots = Vec::new();
        for module in self.targets.iter() {
            let (inputs, outputs) = shape.module_dims(module);
            let mut push =
                |part: &str, dims: &[usize]| slots.push(Slot::new(Place::Module(module), part, dims));
            push("gralora_a", &[k, inputs / k, r]);
            push("gralora_b", &[k, r, outputs / k]);
            if self.hybrid_r > 0 {
                push("gralora_a_general", &[self.hybrid_r, inputs]);
                push("gralora_b_general", &[outputs, self.hybrid_r]);
            }
        }
        slots
    }
}
