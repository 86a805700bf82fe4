//! The typed configuration of every adapter method.
//!
//! Field names and defaults are those of the Python libraries whose files we
//! read and write: `adapters` for bottlenecks, PEFT for LoRA.

mod activation;
mod bottleneck;
mod lora;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use activation::{Activation, UnknownActivation};
pub use bottleneck::{BottleneckConfig, BottleneckError, InitScheme, InnerResidual};
pub use lora::{LoraConfig, LoraError};

use crate::backbone::BackboneShape;

/// An adapter method with its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Method {
    /// Bottleneck layers after sub-layers (Houlsby et al. 2019, Pfeiffer et al. 2021).
    Bottleneck(BottleneckConfig),
    /// Low-rank updates of linear layers (Hu et al. 2021).
    Lora(LoraConfig),
    /// No adapter: only the prediction head is trained, on the frozen backbone.
    LastLayer,
}

/// A configuration that no file or model can have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// In a bottleneck's configuration.
    #[error(transparent)]
    Bottleneck(#[from] BottleneckError),
    /// In a LoRA's configuration.
    #[error(transparent)]
    Lora(#[from] LoraError),
}

impl Method {
    /// The kind of method, as search filters and listings name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Bottleneck(_) => "bottleneck",
            Self::Lora(_) => "lora",
            Self::LastLayer => "last-layer",
        }
    }

    /// Every value that [`kind`](Self::kind) can have.
    pub const KINDS: [&'static str; 3] = ["bottleneck", "lora", "last-layer"];

    /// The method and the numbers that set its size, for people: `lora r8 query,value`.
    pub fn summary(&self) -> String {
        match self {
            Self::Bottleneck(config) => config.summary(),
            Self::Lora(config) => config.summary(),
            Self::LastLayer => "last layer".to_owned(),
        }
    }

    /// Refuses a configuration that does not fit the backbone or itself.
    pub fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        match self {
            Self::Bottleneck(config) => Ok(config.validate(shape)?),
            Self::Lora(config) => Ok(config.validate(shape)?),
            Self::LastLayer => Ok(()),
        }
    }
}
