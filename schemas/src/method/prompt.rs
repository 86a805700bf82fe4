//! Prompt tuning: learned tokens.
//!
//! Lester et al., "The Power of Scale for Parameter-Efficient Prompt Tuning" (2021). Through a
//! network while they are trained: Liu et al., "GPT Understands, Too" (P-tuning, 2021).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{Architecture, BackboneShape},
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
    /// How many prompts the file holds of which the first is read: PEFT makes another for a decoder behind an
    /// encoder, and does not use it (`num_transformer_submodules`).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stored: usize,
    /// Inner width of the network that makes the tokens while they are trained (PEFT's
    /// `encoder_hidden_size`); a saved prompt has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_hidden_size: Option<usize>,
}

impl PromptConfig {
    /// Learned tokens with the defaults of the libraries.
    pub const fn new(prompt_length: usize, place: PromptPlace) -> Self {
        Self {
            prompt_length,
            place,
            init_range: 0.5,
            drops_token_types: false,
            stored: 1,
            encoder_hidden_size: None,
        }
    }
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

impl PromptPlace {
    /// Where the library that has prompts for a model puts them: PEFT among the words, where `adapters` has none.
    /// Pictures and recordings have no words.
    pub const fn of_library(architecture: Architecture) -> Self {
        let has_words = !architecture.reads_images() && !architecture.reads_audio();
        if has_words && !architecture.has_library_prompts() { Self::Words } else { Self::AfterEmbeddings }
    }
}

const fn half() -> f64 {
    0.5
}

const fn one() -> usize {
    1
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_one(value: &usize) -> bool {
    *value == 1
}

impl MethodSpec for PromptConfig {
    fn kind(&self) -> &'static str {
        "prompt"
    }

    fn summary(&self) -> String {
        let through = self.encoder_hidden_size.map(|width| format!(" through {width}"));
        format!("prompt {}{}", self.prompt_length, through.unwrap_or_default())
    }

    fn validate(&self, _shape: &BackboneShape) -> Result<(), MethodError> {
        spec::finite("init_range", self.init_range)?;
        spec::within("stored", self.stored, 1..=2, "a file holds one or two prompts")?;
        if let Some(width) = self.encoder_hidden_size {
            let expected = "it must lie between 1 and 65536";
            spec::within("encoder_hidden_size", width, 1..=1 << 16, expected)?;
        }
        spec::within("prompt_length", self.prompt_length, 1..=1 << 16, "it must lie between 1 and 65536")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let (p, h) = (self.prompt_length * self.stored, shape.table_width());
        let slot = |part: &str, dims: &[usize]| Slot::new(Place::Shared, part, dims);
        let Some(inner) = self.encoder_hidden_size else { return vec![slot("prompt", &[p, h])] };
        vec![
            slot("prompt.embedding", &[p, h]),
            slot("prompt.first.weight", &[inner, h]),
            slot("prompt.first.bias", &[inner]),
            slot("prompt.second.weight", &[inner, inner]),
            slot("prompt.second.bias", &[inner]),
            slot("prompt.third.weight", &[h, inner]),
            slot("prompt.third.bias", &[h]),
        ]
    }
}
