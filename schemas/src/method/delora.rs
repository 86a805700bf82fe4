//! `DeLoRA`: a low-rank update of bounded norm: angles and strength are learned apart.
//!
//! Bini et al., "`DeLoRA`: Decoupled Low-rank Adaptation" (2025). Field names follow PEFT's `DeloraConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, RankPattern, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `DeLoRA` adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeloraConfig {
    /// Rank of the update.
    pub r: usize,
    /// What the bound of the update's norm starts as.
    pub delora_lambda: f64,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub dropout: f64,
    /// Layers with a rank of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<RankPattern>,
}

impl DeloraConfig {
    /// Rank at `module`.
    pub fn rank(&self, module: Module) -> usize {
        RankPattern::rank(&self.patterns, module, self.r)
    }
}

impl MethodSpec for DeloraConfig {
    fn kind(&self) -> &'static str {
        "delora"
    }

    fn summary(&self) -> String {
        format!("delora r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::finite("delora_lambda", self.delora_lambda)?;
        spec::dropout("dropout", self.dropout)?;
        spec::targets(&self.targets, shape, Module::is_linear, "DeLoRA updates linear layers")?;
        spec::rank_patterns(&self.patterns, &self.targets)
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let ((inputs, outputs), r) = (shape.module_dims(module), self.rank(module));
            let slot = |part: &str, dims: &[usize]| Slot::new(Place::Module(module), part, dims);
            [
                slot("delora_a", &[r, inputs]),
                slot("delora_b", &[outputs, r]),
                slot("delora_lambda", &[1]),
                slot("delora_w_norm", &[inputs]).frozen(),
            ]
        };
        self.targets.iter().flat_map(of).collect()
    }
}
