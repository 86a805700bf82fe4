//! `GLoRA`: weight and bias of a linear layer are scaled and shifted, each by a matrix, a vector or a number.
//!
//! Chavan et al., "One-for-All: Generalized `LoRA` for Parameter-Efficient Fine-tuning" (2023):
//! `W' = W + W ⊙ A + B`, `b' = b + b ⊙ D + E + W C`. Field names follow PEFT's `GloraConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `GLoRA` adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GloraConfig {
    /// Rank of what is a product.
    pub r: usize,
    /// What `A` and `B` are.
    pub config_a_b: GloraPath,
    /// What `C` is; it is no number.
    pub config_c: GloraPath,
    /// What `D` and `E` are; they are no products.
    pub config_d_e: GloraPath,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Those of them that have no bias, and so no `C`, `D` and `E`.
    #[serde(default, skip_serializing_if = "Targets::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub without_bias: Targets,
}

/// What scales or shifts a weight or a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GloraPath {
    /// A product of rank `r`.
    Lora,
    /// A vector.
    Vector,
    /// A number.
    Constant,
    /// Zeros, which PEFT keeps in its file.
    None,
}

impl GloraPath {
    /// The name in PEFT's configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lora => "lora",
            Self::Vector => "vector",
            Self::Constant => "constant",
            Self::None => "none",
        }
    }

    /// Its tensors for a matrix `[rows, columns]`, or a vector of `rows`.
    fn slots(
        self,
        module: Module,
        part: &str,
        (rows, columns): (usize, Option<usize>),
        r: usize,
    ) -> Vec<Slot> {
        let slot =
            |name: &str, dims: &[usize]| Slot::new(Place::Module(module), &format!("{part}.{name}"), dims);
        match (self, columns) {
            (Self::Lora, _) => vec![slot("xd", &[rows, r]), slot("xu", &[r, columns.unwrap_or(1)])],
            (Self::Vector, Some(_)) => vec![slot("x", &[rows, 1])],
            (Self::Vector, None) => vec![slot("x", &[rows])],
            (Self::Constant, _) => vec![slot("x", &[1])],
            (Self::None, Some(columns)) => vec![slot("zeros", &[rows, columns]).frozen()],
            (Self::None, None) => vec![slot("zeros", &[rows]).frozen()],
        }
    }
}

impl MethodSpec for GloraConfig {
    fn kind(&self) -> &'static str {
        "glora"
    }

    fn summary(&self) -> String {
        format!("glora r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        let wrong = |field, path: GloraPath, expected: &str| {
            let (found, expected) = (path.as_str().to_owned(), expected.to_owned());
            Err(MethodError::Field { field, found, expected })
        };
        if self.config_c == GloraPath::Constant {
            return wrong("config_c", self.config_c, "it is `lora`, `vector` or `none`");
        }
        if self.config_d_e == GloraPath::Lora {
            return wrong("config_d_e", self.config_d_e, "it is `vector`, `constant` or `none`");
        }
        spec::targets(&self.targets, shape, Module::is_linear, "GLoRA updates linear layers")?;
        spec::among_targets("without_bias", self.without_bias.iter(), &self.targets)
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let (inputs, outputs) = shape.module_dims(module);
            let has_bias = !self.without_bias.contains(module);
            let only = |path| if has_bias { path } else { GloraPath::None };
            [
                (self.config_a_b, "glora_a", (outputs, Some(inputs))),
                (self.config_a_b, "glora_b", (outputs, Some(inputs))),
                (only(self.config_c), "glora_c", (inputs, Some(1))),
                (only(self.config_d_e), "glora_d", (outputs, None)),
                (only(self.config_d_e), "glora_e", (outputs, None)),
            ]
            .into_iter()
            .flat_map(move |(path, part, dims)| path.slots(module, part, dims, self.r))
        };
        self.targets.iter().flat_map(of).collect()
    }
}
