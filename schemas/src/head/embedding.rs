//! One vector per sequence, as sentence encoders give it (Reimers & Gurevych 2019).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HeadError, Pooling, error::check_size, is_true, yes};

/// Longest text in tokens that a head may state. No model reads more, and longer is nowhere allocated for.
const MAX_LENGTH: usize = 1 << 24;
/// Longest prompt, in bytes: an instruction is a sentence or two.
const MAX_PROMPT: usize = 4096;

/// Pooling and, usually, scaling to length one. It has no weights of its own.
///
/// Neither PEFT nor `adapters` has such a head; in `sentence-transformers` it is the
/// pair of modules `Pooling` and `Normalize`, and what is done to texts before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EmbeddingHead {
    /// Which vector it is.
    pub pooling: Pooling,
    /// Whether its Euclidean length is made one.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub normalize: bool,
    /// Tokens of a text that are read, at most; as many as the backbone can when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Whether texts are read in lower case, whatever the tokenizer does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lower_case: bool,
    /// What is put in front of every text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

impl EmbeddingHead {
    /// This vector, of length one, of texts as they are.
    pub const fn of(pooling: Pooling) -> Self {
        Self { pooling, normalize: true, max_length: None, lower_case: false, prompt: None }
    }

    /// Refuses a length that no text has, and a prompt that is none.
    pub(super) fn validate(&self) -> Result<(), HeadError> {
        check_size("prompt", self.prompt.as_ref().map_or(1, String::len), MAX_PROMPT)?;
        check_size("max_length", self.max_length.unwrap_or(1), MAX_LENGTH)
    }

    /// A text as the backbone reads it: `Lowercase` of `tokenizers`, character by character, and the prompt in front.
    pub fn read(&self, text: &str) -> String {
        let prompt = self.prompt.as_deref().unwrap_or_default();
        if self.lower_case {
            return prompt.chars().chain(text.chars()).flat_map(char::to_lowercase).collect();
        }
        [prompt, text].concat()
    }

    /// Whether texts are read as they are, but for their length.
    pub const fn reads_as_is(&self) -> bool {
        !self.lower_case && self.prompt.is_none()
    }

    /// What it gives, for people.
    pub fn summary(&self) -> String {
        let pooling = match self.pooling {
            Pooling::First => "the first token",
            Pooling::Pooler => "the pooler",
            Pooling::Last | Pooling::LastCounted => "the last token",
            Pooling::LastPosition => "the last position",
            Pooling::EndOfText => "the end of the text",
            Pooling::Mean => "the mean of the tokens",
            Pooling::Max => "the greatest of the tokens",
            Pooling::MeanSqrtLen => "the sum of the tokens by the root of their number",
            Pooling::WeightedMean => "the mean of the tokens, weighted with their positions",
            Pooling::FirstAndMean => "the first token and the mean of the others",
            Pooling::LayerMean => "the mean of the layers",
        };
        let length = if self.normalize { ", of length one" } else { "" };
        let texts = [
            self.max_length.map(|length| format!("; of {length} tokens at most")),
            self.lower_case.then(|| "; in lower case".to_owned()),
            self.prompt.as_ref().map(|prompt| format!("; behind {prompt:?}")),
        ];
        [pooling, length].concat() + &texts.into_iter().flatten().collect::<String>()
    }
}
