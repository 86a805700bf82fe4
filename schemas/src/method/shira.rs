//! `SHiRA`: some elements of a weight are learned, the others stay.
//!
//! Bhardwaj et al., "Sparse High Rank Adapters" (2024). Field names follow PEFT's `ShiraConfig`. The file says which
//! elements they are, so the generator that chose them is not needed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `SHiRA` adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShiraConfig {
    /// As many elements are learned as a `LoRA` of this rank has: `r (in + out)`.
    pub r: usize,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
}

impl MethodSpec for ShiraConfig {
    fn kind(&self) -> &'static str {
        "shira"
    }

    fn summary(&self) -> String {
        format!("shira r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::targets(&self.targets, shape, Module::is_linear, "SHiRA updates linear layers")?;
        self.targets.iter().try_for_each(|module| {
            let (inputs, outputs) = shape.module_dims(module);
            let most = inputs * outputs / (inputs + outputs);
            spec::within("r", self.r, 1..=most, &format!("`{module}` has no more elements than {most} ranks"))
        })
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let (inputs, outputs) = shape.module_dims(module);
            let count = self.r * (inputs + outputs);
            let place = Place::Module(module);
            [
                Slot::new(place, "shira_weight", &[count]),
                Slot::new(place, "shira_indices", &[2, count]).of_positions(),
            ]
        };
        self.targets.iter().flat_map(of).collect()
    }
}
