//! Where in a text the answer to a question stands (Rajpurkar et al. 2016).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LinearStack;
use crate::method::Activation;

/// Linear layers that give every token two scores: to be the answer's first, and its last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuestionAnsweringHead {
    /// Number of linear layers: all but the last are `hidden × hidden`.
    pub layers: usize,
    /// Between the layers; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Probability of dropping an input element of each layer in training.
    #[serde(default)]
    pub dropout: f64,
    /// Its input is multiplied with what T5 multiplies the states with before its words, where these are tied, as
    /// `adapters` 1.3.0 does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled_as_words: bool,
    /// It reads every token as the layer and the norm of the pooler give it, as classes of ModernBERT do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind_pooler: bool,
}

impl QuestionAnsweringHead {
    /// The default of both libraries: a single layer.
    pub const fn single() -> Self {
        Self {
            layers: 1,
            activation: Some(Activation::Tanh),
            dropout: 0.1,
            scaled_as_words: false,
            behind_pooler: false,
        }
    }

    /// Its linear layers.
    pub const fn stack(&self) -> LinearStack {
        LinearStack {
            width: None,
            layers: self.layers,
            activation: self.activation,
            outputs: 2,
            bias: true,
            dropout: self.dropout,
        }
    }
}
