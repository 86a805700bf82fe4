//! Which of several continuations of a text is the right one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LinearStack, Pooling};
use crate::method::Activation;

/// Linear layers that give every choice one score, each choice being a sequence of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MultipleChoiceHead {
    /// Number of choices per example.
    pub num_choices: usize,
    /// Number of linear layers: all but the last are `hidden × hidden`.
    pub layers: usize,
    /// Between the layers; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// What the first layer reads.
    pub pooling: Pooling,
    /// Probability of dropping an input element of each layer in training.
    #[serde(default)]
    pub dropout: f64,
}

impl MultipleChoiceHead {
    /// The default of `adapters`: two layers with tanh on the first token.
    pub const fn flexible(num_choices: usize) -> Self {
        Self {
            num_choices,
            layers: 2,
            activation: Some(Activation::Tanh),
            pooling: Pooling::First,
            dropout: 0.1,
        }
    }

    /// That of `transformers`: a single layer on the pooled output.
    pub const fn pooled(num_choices: usize) -> Self {
        Self { layers: 1, pooling: Pooling::Pooler, ..Self::flexible(num_choices) }
    }

    /// Its linear layers.
    pub const fn stack(&self) -> LinearStack {
        LinearStack {
            width: None,
            layers: self.layers,
            activation: self.activation,
            outputs: 1,
            bias: true,
            dropout: self.dropout,
        }
    }
}
