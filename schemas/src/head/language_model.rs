//! Tokens from hidden states: masked (Devlin et al. 2019) and causal language models.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HeadError, error::check_layers, error::check_size};
use crate::method::Activation;

/// Linear layers, each with activation and norm, then the product with a table of token embeddings.
///
/// With an invertible adapter in the backbone (Pfeiffer et al. 2020) its inverse
/// stands before the last product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LanguageModelHead {
    /// Rows of the output table.
    pub vocab_size: usize,
    /// Width of the output table, which is that of the word embeddings.
    pub embedding_size: usize,
    /// Number of linear layers, the product with the table included.
    pub layers: usize,
    /// After each layer but the last; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Whether a layer norm follows each activation.
    pub layer_norm: bool,
    /// Whether the last layer has a bias.
    pub bias: bool,
    /// Whether the loss compares each position with the next token.
    pub shift_labels: bool,
}

impl LanguageModelHead {
    /// BERT's own masked language model: one layer with GELU and norm, then the tied table.
    pub const fn masked(vocab_size: usize, hidden_size: usize) -> Self {
        Self {
            vocab_size,
            embedding_size: hidden_size,
            layers: 2,
            activation: Some(Activation::Gelu),
            layer_norm: true,
            bias: true,
            shift_labels: false,
        }
    }

    /// The same with the loss of a causal language model.
    pub const fn causal(vocab_size: usize, hidden_size: usize) -> Self {
        Self { shift_labels: true, ..Self::masked(vocab_size, hidden_size) }
    }

    /// That of decoders: the table alone.
    pub const fn table(vocab_size: usize, hidden_size: usize) -> Self {
        Self {
            layers: 1,
            activation: None,
            layer_norm: false,
            bias: false,
            ..Self::causal(vocab_size, hidden_size)
        }
    }

    /// That behind an encoder and a decoder: the table, in BART with a bias.
    pub const fn seq2seq(vocab_size: usize, hidden_size: usize, bias: bool) -> Self {
        Self { bias, shift_labels: false, ..Self::table(vocab_size, hidden_size) }
    }

    pub(super) fn validate(&self) -> Result<(), HeadError> {
        check_layers(self.layers)?;
        // The bounds of a backbone's own dimensions.
        check_size("vocab_size", self.vocab_size, 1 << 22)?;
        check_size("embedding_size", self.embedding_size, 1 << 16)
    }
}
