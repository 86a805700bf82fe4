//! `RandLoRA`: an update of full rank, a learned combination of random matrices that all layers share.
//!
//! Albert et al., "`RandLoRA`: Full-Rank Parameter-Efficient Fine-Tuning of Large Models" (2025). Field names follow
//! PEFT's `RandLoraConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `RandLoRA` adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RandLoraConfig {
    /// Rank of each random matrix.
    pub r: usize,
    /// Numerator of the scaling `randlora_alpha / r`.
    pub randlora_alpha: f64,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub dropout: f64,
}

/// What a layer, or the widest one, needs of the random matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomBases {
    /// The smaller of inputs and outputs.
    pub narrow: usize,
    /// The larger of them.
    pub wide: usize,
    /// How many matrices of rank `r` the narrow side takes.
    pub count: usize,
}

impl RandLoraConfig {
    /// What a layer with these inputs and outputs needs.
    pub fn bases(&self, (inputs, outputs): (usize, usize)) -> RandomBases {
        let narrow = inputs.min(outputs);
        RandomBases { narrow, wide: inputs.max(outputs), count: narrow.div_ceil(self.r.max(1)) }
    }

    /// What is enough for every layer.
    fn shared(&self, shape: &BackboneShape) -> RandomBases {
        let dims = self.targets.iter().map(|module| shape.module_dims(module));
        self.bases(dims.fold((0, 0), |(a, b), (inputs, outputs)| (a.max(inputs), b.max(outputs))))
    }
}

impl MethodSpec for RandLoraConfig {
    fn kind(&self) -> &'static str {
        "randlora"
    }

    fn summary(&self) -> String {
        format!("randlora r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::finite("randlora_alpha", self.randlora_alpha)?;
        spec::dropout("dropout", self.dropout)?;
        spec::targets(&self.targets, shape, Module::is_linear, "RandLoRA updates linear layers")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let shared = self.shared(shape);
        let mut slots = vec![
            Slot::new(Place::Shared, "randlora_a", &[self.r, 1, shared.narrow]).frozen(),
            Slot::new(Place::Shared, "randlora_b", &[shared.wide, shared.count, self.r]).frozen(),
        ];
        for module in self.targets.iter() {
            let RandomBases { narrow, count, .. } = self.bases(shape.module_dims(module));
            slots.push(Slot::new(Place::Module(module), "randlora_lambda", &[self.r, count]));
            slots.push(Slot::new(Place::Module(module), "randlora_gamma", &[count, narrow]));
        }
        slots
    }
}
