//! HRA: the input of a linear layer goes through a chain of reflections.
//!
//! Yuan et al., "Bridging The Gap between Low-rank and Orthogonal Adaptation via Householder Reflection Adaptation"
//! (2024). Field names follow PEFT's `HRAConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of an HRA adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HraConfig {
    /// How many reflections.
    pub r: usize,
    /// Their directions are made orthonormal first.
    #[serde(default)]
    pub gram_schmidt: bool,
    /// The linear layers whose input is reflected.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
}

impl MethodSpec for HraConfig {
    fn kind(&self) -> &'static str {
        "hra"
    }

    fn summary(&self) -> String {
        format!("hra r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::targets(&self.targets, shape, Module::is_linear, "HRA reflects the input of linear layers")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module| Slot::new(Place::Module(module), "hra_u", &[shape.module_dims(module).0, self.r]);
        self.targets.iter().map(of).collect()
    }
}
