//! DEFT: a weight loses what it has along some directions, and gets something learned in its place.
//!
//! "DEFT: Decompositional Efficient Fine-Tuning for Text-to-Image Models" (2025): `W' = (I − P) W + Q R`. Field names
//! follow PEFT's `DeftConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a DEFT adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeftConfig {
    /// How many directions; in a layer with fewer outputs as many as it has.
    pub r: usize,
    /// How directions become a projection.
    pub decomposition: DeftDecomposition,
    /// Numerator of a scaling `alpha / r` of what is put in; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Nothing is put in place of what is lost (`PaRa`).
    #[serde(default)]
    pub para: bool,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub dropout: f64,
}

/// How directions `P [out, r]` become a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeftDecomposition {
    /// `P relu(P)ᵀ`
    Relu,
    /// `Q Qᵀ`, `Q` from the decomposition `P = Q R`.
    Qr,
}

impl DeftConfig {
    /// Directions in a layer of so many outputs, and the factor on what is put in.
    pub fn rank_and_scaling(&self, outputs: usize) -> (usize, f64) {
        let r = self.r.min(outputs);
        // PEFT takes an alpha of zero for none.
        (r, self.alpha.filter(|alpha| *alpha != 0.0).map_or(1.0, |alpha| alpha / r as f64))
    }
}

impl MethodSpec for DeftConfig {
    fn kind(&self) -> &'static str {
        "deft"
    }

    fn summary(&self) -> String {
        format!("deft r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::finite("alpha", self.alpha.unwrap_or(1.0))?;
        spec::dropout("dropout", self.dropout)?;
        spec::targets(&self.targets, shape, Module::is_linear, "DEFT updates linear layers")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let mut slots = Vec::new();
        for module in self.targets.iter() {
            let (inputs, outputs) = shape.module_dims(module);
            let (r, _) = self.rank_and_scaling(outputs);
            slots.push(Slot::new(Place::Module(module), "deft_p", &[outputs, r]));
            if !self.para {
                slots.push(Slot::new(Place::Module(module), "deft_r", &[r, inputs]));
            }
        }
        slots
    }
}
