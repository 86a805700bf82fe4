//! The typed configuration of every prediction head.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::method::Activation;

/// Which vector of a sequence a head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token's last hidden state.
    First,
    /// The backbone's pooler: `tanh(W · first + b)`, frozen.
    Pooler,
    /// The mean over the tokens that are not padding. Neither Python library has this for a classifier.
    Mean,
}

/// A prediction head with its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Head {
    /// One class per sequence.
    Classification(ClassificationHead),
}

/// Linear layers on one vector per sequence, an activation between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassificationHead {
    /// Number of classes.
    pub num_labels: usize,
    /// Number of linear layers: all but the last are `hidden × hidden`.
    pub layers: usize,
    /// Between the layers.
    pub activation: Activation,
    /// What the first layer reads.
    pub pooling: Pooling,
    /// Probability of dropping an input element of each layer in training.
    #[serde(default)]
    pub dropout: f64,
}

/// A head that can't be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HeadError {
    /// Fewer than two classes, or absurdly many.
    #[error("the head has {0} labels; a classifier has 2 to 100000")]
    Labels(usize),
    /// No layer, or absurdly many.
    #[error("the head has {0} layers; a classifier has 1 to 8")]
    Layers(usize),
    /// Outside 0..1.
    #[error("the head's `dropout` is {0}; it must lie in 0 ≤ p < 1")]
    Dropout(f64),
    /// The label names don't match the classes.
    #[error("{names} label names are given for {labels} labels")]
    Names {
        /// How many names.
        names: usize,
        /// How many classes.
        labels: usize,
    },
}

impl Head {
    /// Number of outputs.
    pub const fn num_labels(&self) -> usize {
        match self {
            Self::Classification(head) => head.num_labels,
        }
    }

    /// Refuses a head that can't be; `labels` are the names of its outputs.
    pub fn validate(&self, labels: &[String]) -> Result<(), HeadError> {
        let Self::Classification(head) = self;
        if !(2..=100_000).contains(&head.num_labels) {
            return Err(HeadError::Labels(head.num_labels));
        }
        if !(1..=8).contains(&head.layers) {
            return Err(HeadError::Layers(head.layers));
        }
        if !(0.0..1.0).contains(&head.dropout) {
            return Err(HeadError::Dropout(head.dropout));
        }
        if labels.len() == head.num_labels {
            Ok(())
        } else {
            Err(HeadError::Names { names: labels.len(), labels: head.num_labels })
        }
    }
}

impl ClassificationHead {
    /// The default of `adapters`: two layers with tanh on the first token.
    pub const fn flexible(num_labels: usize) -> Self {
        Self { num_labels, layers: 2, activation: Activation::Tanh, pooling: Pooling::First, dropout: 0.1 }
    }

    /// The one of `transformers`: a single layer on the pooled output.
    pub const fn pooled(num_labels: usize) -> Self {
        Self { num_labels, layers: 1, activation: Activation::Tanh, pooling: Pooling::Pooler, dropout: 0.1 }
    }
}
