//! `HiRA`: the update is the weight itself, element by element times a low-rank matrix.
//!
//! Huang et al., "`HiRA`: Parameter-Efficient Hadamard High-Rank Adaptation for Large Language Models" (2025). Field
//! names follow PEFT's `HiraConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, RankPattern, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `HiRA` adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HiraConfig {
    /// Rank of the factor.
    pub r: usize,
    /// The linear layers and tables that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub dropout: f64,
    /// Modules with a rank of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<RankPattern>,
}

impl HiraConfig {
    /// Rank at `module`.
    pub fn rank(&self, module: Module) -> usize {
        RankPattern::rank(&self.patterns, module, self.r)
    }
}

impl MethodSpec for HiraConfig {
    fn kind(&self) -> &'static str {
        "hira"
    }

    fn summary(&self) -> String {
        format!("hira r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::dropout("dropout", self.dropout)?;
        spec::targets(
            &self.targets,
            shape,
            Module::is_linear_or_table,
            "HiRA updates linear layers and tables",
        )?;
        spec::rank_patterns(&self.patterns, &self.targets)
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let ((inputs, outputs), r) = (shape.module_dims(module), self.rank(module));
            [("hira_a", [r, inputs]), ("hira_b", [outputs, r])]
                .map(|(part, dims)| Slot::new(Place::Module(module), part, &dims))
        };
        self.targets.iter().flat_map(of).collect()
    }
}
