//! Syntactic heads and relations (Glavaš & Vulić 2021, after Dozat & Manning 2017).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Two biaffine products of the words with the words and the root: one for arcs, one for relations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DependencyParsingHead {
    /// Number of relations.
    pub num_labels: usize,
    /// Probability of dropping an element of the last hidden state in training.
    #[serde(default)]
    pub dropout: f64,
}

impl DependencyParsingHead {
    /// The default of `adapters`, whose dropout is that of the model.
    pub const fn biaffine(num_labels: usize) -> Self {
        Self { num_labels, dropout: 0.1 }
    }
}
