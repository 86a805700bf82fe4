//! Prompt tuning: learned tokens.
//!
//! Lester et al., "The Power of Scale for Parameter-Efficient Prompt Tuning" (2021).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::BackboneShape,
    layout::{Place, Slot},
};

/// Configuration of a learned prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromptConfig {
    /// Number of learned tokens.
    pub prompt_length: usize,
    /// Where they join the input.
    pub place: PromptPlace,
    /// Fresh tokens are uniform in ± this.
    #[serde(default = "half")]
    pub init_range: f64,
    /// Segments of the input are not looked at, as PEFT does when it extracts features.
    #[serde(default)]
    pub drops_token_types: bool,
}

/// Where learned tokens join the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PromptPlace {
    /// In front of the embedding block's output: no positions, no norm (`adapters`, `prefix`).
    AfterEmbeddings,
    /// Behind the first token of the embedding block's output (`adapters`, `prefix_after_bos`).
    AfterFirstToken,
    /// In front of the word embeddings: they get positions and the norm (PEFT).
    Words,
}

const fn half() -> f64 {
    0.5
}

impl MethodSpec for PromptConfig {
    fn kind(&self) -> &'static str {
        "prompt"
    }

    fn summary(&self) -> String {
        format!("prompt {}", self.prompt_length)
    }

    fn validate(&self, _shape: &BackboneShape) -> Result<(), MethodError> {
        spec::finite("init_range", self.init_range)?;
        spec::within("prompt_length", self.prompt_length, 1..=1 << 16, "it must lie between 1 and 65536")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        vec![Slot::new(Place::Shared, "prompt", &[self.prompt_length, shape.hidden_size])]
    }
}
