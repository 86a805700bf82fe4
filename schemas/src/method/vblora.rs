//! VB-LoRA: the factors of every layer's update are put together from vectors that all layers share.
//!
//! Li et al., "VB-LoRA: Extreme Parameter Efficient Fine-Tuning with Vector Banks" (2024). Field names follow PEFT's
//! `VBLoRAConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a VB-LoRA adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VbLoraConfig {
    /// Rank of every update.
    pub r: usize,
    /// Vectors in the bank.
    pub num_vectors: usize,
    /// Their length; it divides the inputs and the outputs of a layer.
    pub vector_length: usize,
    /// How many vectors are mixed where one stands.
    pub topk: usize,
    /// The file has only the chosen vectors and their shares, so that it can't be trained any further.
    #[serde(default)]
    pub only_topk: bool,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub dropout: f64,
}

impl MethodSpec for VbLoraConfig {
    fn kind(&self) -> &'static str {
        "vblora"
    }

    fn summary(&self) -> String {
        format!("vblora r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::dropout("dropout", self.dropout)?;
        spec::within("num_vectors", self.num_vectors, 1..=1 << 24, "between 1 and 16777216 vectors")?;
        spec::within("topk", self.topk, 1..=self.num_vectors, "no more than there are in the bank")?;
        spec::targets(&self.targets, shape, Module::is_linear, "VB-LoRA updates linear layers")?;
        self.targets.iter().try_for_each(|module| {
            let (inputs, outputs) = shape.module_dims(module);
            spec::divides("vector_length", self.vector_length, inputs, "inputs")?;
            spec::divides("vector_length", self.vector_length, outputs, "outputs")
        })
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let mut slots =
            vec![Slot::new(Place::Shared, "vblora_bank", &[self.num_vectors, self.vector_length])];
        for module in self.targets.iter() {
            let (inputs, outputs) = shape.module_dims(module);
            let factors = [
                ("vblora_logits_a", [self.r, inputs / self.vector_length]),
                ("vblora_logits_b", [outputs / self.vector_length, self.r]),
            ];
            for (part, [rows, columns]) in factors {
                let slot =
                    |part: &str, width| Slot::new(Place::Module(module), part, &[rows, columns, width]);
                if self.only_topk {
                    slots.push(slot(&format!("{part}_topk_indices"), self.topk).of_positions());
                    slots.push(slot(&format!("{part}_topk_weights"), self.topk - 1));
                } else {
                    slots.push(slot(part, self.num_vectors));
                }
            }
        }
        slots
    }
}
