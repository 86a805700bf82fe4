//! BEFT: a learned bias is added to the output of linear layers, by default of those that project values.
//!
//! Huang et al., "BEFT: Bias-Efficient Fine-Tuning of Language Models" (2025). Field names follow PEFT's `BeftConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a BEFT adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeftConfig {
    /// The linear layers whose output is shifted.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
}

impl MethodSpec for BeftConfig {
    fn kind(&self) -> &'static str {
        "beft"
    }

    fn summary(&self) -> String {
        format!("beft {}", self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::targets(&self.targets, shape, Module::is_linear, "BEFT shifts the output of linear layers")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module| Slot::new(Place::Module(module), "beft", &[1, shape.module_dims(module).1]);
        self.targets.iter().map(of).collect()
    }
}
