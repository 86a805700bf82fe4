//! The linear layers and sub-layers of a transformer block.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// The projection beside the first whose activation gates it (Shazeer 2020), where there is one.
    FfnGate,
    /// Queries, keys and values side by side, in backbones that keep them in one matrix.
    QueryKeyValue,
    /// The gate and the feed-forward network's first projection side by side.
    FfnGateUp,
    /// Projects a decoder block's input to queries of what the encoder gives.
    CrossQuery,
    /// Projects what the encoder gives to the keys of a decoder block.
    CrossKey,
    /// Projects what the encoder gives to the values of a decoder block.
    CrossValue,
    /// Projects the heads of the attention to the encoder back to the hidden size.
    CrossOutput,
}

impl LinearSite {
    /// Every site. No architecture has all of them.
    pub const ALL: [Self; 13] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::AttentionOutput,
        Self::FfnUp,
        Self::FfnDown,
        Self::FfnGate,
        Self::QueryKeyValue,
        Self::FfnGateUp,
        Self::CrossQuery,
        Self::CrossKey,
        Self::CrossValue,
        Self::CrossOutput,
    ];
    /// What a fused projection holds, in the order in which it holds it.
    pub const FUSED: [Self; 3] = [Self::Query, Self::Key, Self::Value];

    /// Whether it belongs to the attention to what an encoder gives.
    pub const fn is_cross(self) -> bool {
        matches!(self, Self::CrossQuery | Self::CrossKey | Self::CrossValue | Self::CrossOutput)
    }

    /// Its counterpart in the attention to what an encoder gives; `None` outside of attention.
    pub const fn cross(self) -> Option<Self> {
        match self {
            Self::Query => Some(Self::CrossQuery),
            Self::Key => Some(Self::CrossKey),
            Self::Value => Some(Self::CrossValue),
            Self::AttentionOutput => Some(Self::CrossOutput),
            _ => None,
        }
    }

    /// The name used in tensor slots, manifests and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::AttentionOutput => "attention_output",
            Self::FfnUp => "ffn_up",
            Self::FfnDown => "ffn_down",
            Self::FfnGate => "ffn_gate",
            Self::QueryKeyValue => "query_key_value",
            Self::FfnGateUp => "ffn_gate_up",
            Self::CrossQuery => "cross_query",
            Self::CrossKey => "cross_key",
            Self::CrossValue => "cross_value",
            Self::CrossOutput => "cross_output",
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
#[error(
    "`{0}` is not a linear layer; these are: query, key, value, attention_output, ffn_up, ffn_down, ffn_gate, query_key_value, ffn_gate_up, cross_query, cross_key, cross_value, cross_output"
)]
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
    /// Multi-head attention of a decoder's block to what an encoder gives, with its output projection.
    CrossAttention,
}

impl SubLayer {
    /// All, in the order of computation; only a decoder behind an encoder has all of them.
    pub const ALL: [Self; 3] = [Self::Attention, Self::CrossAttention, Self::Ffn];
    /// Those of every block, in the order of computation.
    pub const USUAL: [Self; 2] = [Self::Attention, Self::Ffn];

    /// The name used in tensor slots.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Ffn => "ffn",
            Self::CrossAttention => "cross_attention",
        }
    }
}
