//! What the registry and the client know of a backbone without its weights:
//! its dimensions, the places an adapter can attach to, and what the modules at
//! those places are called in a Hugging Face checkpoint.
//!
//! One file per architecture maps places to names; nothing else in the project
//! knows a module path.

mod bert;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A family of backbones that share one computation and one naming of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// BERT encoders (`model_type: bert`): post-norm, learned positions, exact GELU.
    Bert,
}

/// Not an architecture this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the architecture `{0}` is not supported; this version knows `bert`")]
pub struct UnknownArchitecture(pub String);

/// A linear layer inside a transformer block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinearSite {
    /// Projects the block's input to attention queries.
    Query,
    /// Projects the block's input to attention keys.
    Key,
    /// Projects the block's input to attention values.
    Value,
    /// Projects the concatenated heads back to the hidden size.
    AttentionOutput,
    /// The feed-forward network's first projection.
    FfnUp,
    /// The feed-forward network's last projection.
    FfnDown,
}

impl LinearSite {
    /// Every site, in the order of computation.
    pub const ALL: [Self; 6] =
        [Self::Query, Self::Key, Self::Value, Self::AttentionOutput, Self::FfnUp, Self::FfnDown];

    /// The name used in tensor slots, manifests and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::AttentionOutput => "attention_output",
            Self::FfnUp => "ffn_up",
            Self::FfnDown => "ffn_down",
        }
    }
}

impl std::fmt::Display for LinearSite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not a linear layer of a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a linear layer; these are: query, key, value, attention_output, ffn_up, ffn_down")]
pub struct UnknownSite(pub String);

impl std::str::FromStr for LinearSite {
    type Err = UnknownSite;
    fn from_str(text: &str) -> Result<Self, UnknownSite> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| UnknownSite(text.to_owned()))
    }
}

/// A sub-layer of a transformer block: what a residual connection goes around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubLayer {
    /// Multi-head attention with its output projection.
    Attention,
    /// The feed-forward network.
    Ffn,
}

impl SubLayer {
    /// Both, in the order of computation.
    pub const ALL: [Self; 2] = [Self::Attention, Self::Ffn];

    /// The name used in tensor slots.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Ffn => "ffn",
        }
    }
}

/// The dimensions that decide every tensor shape of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackboneShape {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of transformer blocks.
    pub num_layers: usize,
    /// Attention heads per block.
    pub num_heads: usize,
    /// Inner width of the feed-forward network.
    pub intermediate_size: usize,
    /// Rows of the token embedding table.
    pub vocab_size: usize,
}

/// Dimensions that no real backbone has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A dimension is zero or absurdly large.
    #[error("`{field}` is {value}; it must lie between 1 and {max}")]
    OutOfRange {
        /// Which dimension.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest accepted value.
        max: usize,
    },
    /// The hidden size can't be split evenly over the heads.
    #[error("`hidden_size` {hidden_size} is not a multiple of `num_heads` {num_heads}")]
    Heads {
        /// The hidden size.
        hidden_size: usize,
        /// The number of heads.
        num_heads: usize,
    },
}

impl BackboneShape {
    /// Refuses dimensions that can't be: they come from foreign files and size our allocations.
    pub fn validate(&self) -> Result<(), ShapeError> {
        let limits = [
            ("hidden_size", self.hidden_size, 1 << 16),
            ("num_layers", self.num_layers, 1 << 10),
            ("num_heads", self.num_heads, 1 << 10),
            ("intermediate_size", self.intermediate_size, 1 << 18),
            ("vocab_size", self.vocab_size, 1 << 22),
        ];
        for (field, value, max) in limits {
            if value == 0 || value > max {
                return Err(ShapeError::OutOfRange { field, value, max });
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_heads) {
            return Err(ShapeError::Heads { hidden_size: self.hidden_size, num_heads: self.num_heads });
        }
        Ok(())
    }

    /// `(inputs, outputs)` of the linear layer at `site`.
    pub const fn linear_dims(&self, site: LinearSite) -> (usize, usize) {
        let (h, i) = (self.hidden_size, self.intermediate_size);
        match site {
            LinearSite::Query | LinearSite::Key | LinearSite::Value | LinearSite::AttentionOutput => (h, h),
            LinearSite::FfnUp => (h, i),
            LinearSite::FfnDown => (i, h),
        }
    }
}

impl Architecture {
    /// Every architecture this version knows.
    pub const ALL: [Self; 1] = [Self::Bert];

    /// The `model_type` of a Hugging Face `config.json`.
    pub const fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
        }
    }

    /// The module that holds the backbone inside a model with a head, without a dot.
    pub const fn model_prefix(self) -> &'static str {
        match self {
            Self::Bert => bert::MODEL_PREFIX,
        }
    }

    /// The module path of a linear layer inside the backbone.
    pub fn linear_path(self, layer: usize, site: LinearSite) -> String {
        match self {
            Self::Bert => bert::linear_path(layer, site),
        }
    }

    /// The module after whose output the residual is added and the norm applied.
    pub fn sublayer_path(self, layer: usize, sublayer: SubLayer) -> String {
        match self {
            Self::Bert => bert::sublayer_path(layer, sublayer),
        }
    }

    /// The module path of the classifier that `transformers`' own sequence
    /// classification model puts on the pooled output.
    pub const fn classifier_path(self) -> &'static str {
        match self {
            Self::Bert => bert::CLASSIFIER,
        }
    }

    /// Every other linear module that a pattern such as `dense` could hit by accident.
    pub const fn other_linear_paths(self) -> &'static [&'static str] {
        match self {
            Self::Bert => bert::OTHER_LINEARS,
        }
    }

    /// `transformers` class with a sequence classification head.
    pub const fn classification_class(self) -> &'static str {
        match self {
            Self::Bert => "BertForSequenceClassification",
        }
    }

    /// `adapters` class with flexible heads.
    pub const fn flexible_class(self) -> &'static str {
        match self {
            Self::Bert => "BertAdapterModel",
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.model_type())
    }
}

impl std::str::FromStr for Architecture {
    type Err = UnknownArchitecture;
    fn from_str(text: &str) -> Result<Self, UnknownArchitecture> {
        Self::ALL
            .into_iter()
            .find(|a| a.model_type() == text)
            .ok_or_else(|| UnknownArchitecture(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_dimensions_are_bounded() {
        let shape = BackboneShape {
            hidden_size: 384,
            num_layers: 6,
            num_heads: 12,
            intermediate_size: 1536,
            vocab_size: 30522,
        };
        assert_eq!(shape.validate(), Ok(()));
        assert!(BackboneShape { num_heads: 7, ..shape }.validate().is_err());
        assert!(BackboneShape { num_layers: usize::MAX, ..shape }.validate().is_err());
        assert!(BackboneShape { hidden_size: 0, ..shape }.validate().is_err());
    }
}
