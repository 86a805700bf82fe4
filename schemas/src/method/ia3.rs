//! (IA)³: learned factors, one per channel.
//!
//! Liu et al., "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than
//! In-Context Learning" (2022). At an output `y = l ⊙ (W x + b)`, at an input
//! `y = W (l ⊙ x) + b`. Field names follow PEFT's `IA3Config`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, fused, spec};
use crate::{
    backbone::{BackboneShape, LinearSite, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of an (IA)³ adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Ia3Config {
    /// The linear layers whose output is scaled.
    #[schema(value_type = Vec<String>)]
    pub outputs: Targets,
    /// The linear layers whose input is scaled: PEFT's `feedforward_modules`.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub inputs: Targets,
    /// A learned gate per example scales the factors too (`adapters` only).
    #[serde(default)]
    pub use_gating: bool,
    /// A fixed factor on the learned ones: `alpha` of `adapters`.
    #[serde(default = "one")]
    pub alpha: f64,
    /// Which of queries, keys and values are scaled where one matrix projects all three (`adapters`);
    /// nothing for all outputs of the matrix (PEFT).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fused: Vec<LinearSite>,
}

impl Ia3Config {
    /// The outputs of a module that are scaled: how far in each part begins, and how many outputs it has.
    pub fn parts(&self, module: Module, shape: &BackboneShape) -> Vec<(usize, usize)> {
        fused::parts(&self.fused, module, shape)
    }
}

const fn one() -> f64 {
    1.0
}

impl MethodSpec for Ia3Config {
    fn kind(&self) -> &'static str {
        "ia3"
    }

    fn summary(&self) -> String {
        let kinds: Vec<String> =
            [&self.outputs, &self.inputs].into_iter().map(Targets::kinds).filter(|k| !k.is_empty()).collect();
        format!("ia3 {}", kinds.join(","))
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::finite("alpha", self.alpha)?;
        fused::validate(&self.fused)?;
        let all: Targets = self.outputs.iter().chain(self.inputs.iter()).collect();
        spec::targets(&all, shape, Module::is_linear, "(IA)³ scales linear layers")?;
        match self.inputs.iter().find(|&module| self.outputs.contains(module)) {
            Some(module) => Err(MethodError::Module {
                field: "inputs",
                module,
                expected: "a module's input or its output is scaled, not both",
            }),
            None => Ok(()),
        }
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let all: Targets = self.outputs.iter().chain(self.inputs.iter()).collect();
        let mut slots = Vec::new();
        for module in all.iter() {
            let (inputs, _) = shape.module_dims(module);
            let parts = self.parts(module, shape);
            let scaled = parts.iter().map(|(_, outputs)| outputs).sum();
            let width = if self.inputs.contains(module) { inputs } else { scaled };
            slots.push(Slot::new(Place::Module(module), "ia3", &[width]));
            if self.use_gating {
                slots.push(Slot::new(Place::Module(module), "gate.weight", &[parts.len(), inputs]));
                slots.push(Slot::new(Place::Module(module), "gate.bias", &[parts.len()]));
            }
        }
        slots
    }
}
