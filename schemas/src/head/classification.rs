//! Classes, sets of classes or numbers for a whole sequence.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LinearStack, Pooling, is_true, yes};
use crate::method::Activation;

/// Linear layers on one vector per sequence, an activation between them.
///
/// Classification, multi-label classification and regression compute the same; they
/// differ in the loss and in what the outputs mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassificationHead {
    /// Number of classes.
    pub num_labels: usize,
    /// Number of linear layers: all but the last are `hidden × hidden`.
    pub layers: usize,
    /// Outputs of all layers but the last, where that is not the hidden size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Between the layers; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// What the first layer reads.
    pub pooling: Pooling,
    /// Probability of dropping an input element of each layer in training.
    #[serde(default)]
    pub dropout: f64,
    /// Whether the last layer has a bias.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub bias: bool,
}

impl ClassificationHead {
    /// The default of `adapters`: two layers with tanh on the first token.
    pub const fn flexible(num_labels: usize) -> Self {
        Self {
            num_labels,
            layers: 2,
            width: None,
            activation: Some(Activation::Tanh),
            pooling: Pooling::First,
            dropout: 0.1,
            bias: true,
        }
    }

    /// That of `transformers` on a backbone with a pooler: a single layer on the pooled output.
    pub const fn pooled(num_labels: usize) -> Self {
        Self { layers: 1, pooling: Pooling::Pooler, ..Self::flexible(num_labels) }
    }

    /// That of `transformers` on a decoder: a single layer without bias on the last token.
    pub const fn last(num_labels: usize) -> Self {
        Self { layers: 1, pooling: Pooling::Last, dropout: 0.0, bias: false, ..Self::flexible(num_labels) }
    }

    /// That of `transformers` on ViT: a single layer on the first token.
    pub const fn first(num_labels: usize) -> Self {
        Self { layers: 1, dropout: 0.0, ..Self::flexible(num_labels) }
    }

    /// That of `transformers` on DINOv2: a single layer on the first token beside the mean of the patches.
    pub const fn first_and_mean(num_labels: usize) -> Self {
        Self { pooling: Pooling::FirstAndMean, ..Self::first(num_labels) }
    }

    /// That of `transformers` on Whisper's encoder: two layers with nothing between them, the first of them
    /// `width` wide, on the mean of all positions.
    pub const fn projected(num_labels: usize, width: Option<usize>) -> Self {
        Self { width, activation: None, pooling: Pooling::Mean, dropout: 0.0, ..Self::flexible(num_labels) }
    }

    /// Its linear layers.
    pub const fn stack(&self) -> LinearStack {
        LinearStack {
            layers: self.layers,
            width: self.width,
            activation: self.activation,
            outputs: self.num_labels,
            bias: self.bias,
            dropout: self.dropout,
        }
    }
}
