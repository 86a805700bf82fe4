//! A class for every token: part of speech, named entities.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LinearStack;
use crate::method::Activation;

/// Linear layers on every token's last hidden state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaggingHead {
    /// Number of classes.
    pub num_labels: usize,
    /// Number of linear layers: all but the last are `hidden × hidden`.
    pub layers: usize,
    /// Between the layers; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Probability of dropping an input element of each layer in training.
    #[serde(default)]
    pub dropout: f64,
    /// It reads every token as the layer and the norm of the pooler give it, as classes of ModernBERT do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind_pooler: bool,
}

impl TaggingHead {
    /// The default of both libraries: a single layer.
    pub const fn single(num_labels: usize) -> Self {
        Self { num_labels, layers: 1, activation: Some(Activation::Tanh), dropout: 0.1, behind_pooler: false }
    }

    /// Its linear layers.
    pub const fn stack(&self) -> LinearStack {
        LinearStack {
            width: None,
            layers: self.layers,
            activation: self.activation,
            outputs: self.num_labels,
            bias: true,
            dropout: self.dropout,
        }
    }
}
