//! `MiSS`: one small matrix is added to every shard of a weight's columns.
//!
//! Kang & Yin, "Balancing `LoRA` Performance and Efficiency with Simple Shard Sharing" (2024), which calls the form
//! that depends on the weight Bat. Field names follow PEFT's `MissConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `MiSS` adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MissConfig {
    /// Width of a shard.
    pub r: usize,
    /// What is added to a shard.
    pub form: MissForm,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub dropout: f64,
}

/// What is added to the shards of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissForm {
    /// The same matrix to every shard.
    Shared,
    /// The same, with so many rows that are repeated.
    Mini(usize),
    /// To a block of `r × r` its product with a matrix of its rows', and that matrix.
    Bat,
}

impl MissConfig {
    /// Shape of the matrix at a layer of so many outputs.
    fn dims(&self, outputs: usize) -> Vec<usize> {
        match self.form {
            MissForm::Shared => vec![self.r, outputs],
            MissForm::Mini(rows) => vec![self.r, rows],
            MissForm::Bat => vec![outputs / self.r, self.r, self.r],
        }
    }
}

impl MethodSpec for MissConfig {
    fn kind(&self) -> &'static str {
        "miss"
    }

    fn summary(&self) -> String {
        format!("miss r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::dropout("dropout", self.dropout)?;
        spec::targets(&self.targets, shape, Module::is_linear, "MiSS updates linear layers")?;
        self.targets.iter().try_for_each(|module| {
            let (inputs, outputs) = shape.module_dims(module);
            match self.form {
                MissForm::Shared => Ok(()),
                MissForm::Mini(rows) => spec::divides("form", rows, outputs, "outputs"),
                MissForm::Bat => {
                    spec::divides("r", self.r, inputs, "inputs")?;
                    spec::divides("r", self.r, outputs, "outputs")
                }
            }?;
            spec::within("r", self.r, 1..=inputs, "a shard is no wider than a layer's input")
        })
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of =
            |module| Slot::new(Place::Module(module), "miss_block", &self.dims(shape.module_dims(module).1));
        self.targets.iter().map(of).collect()
    }
}
