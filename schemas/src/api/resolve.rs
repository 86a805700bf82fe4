//! From a bare word to the best adapter for the base model in use.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::AdapterSummary;
use crate::digest::Digest;

/// What to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ResolveQuery {
    /// A task or a name without namespace.
    #[param(max_length = 64, pattern = "^[a-z0-9]([-_]?[a-z0-9])*$")]
    pub word: String,
    /// Weights digest of the base model in use; candidates for other base models are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, pattern = "^sha256:[0-9a-f]{64}$")]
    pub base: Option<Digest>,
}

/// Why a candidate stands where it stands, strongest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// Its name is the word.
    ExactName,
    /// Its task is the word.
    TaskMatch,
    /// Its subtask is the word.
    SubtaskMatch,
    /// It was trained on the base model in use.
    BaseMatch,
    /// It states how well it does.
    Metric {
        /// Which metric.
        name: String,
        /// Its value.
        value: f64,
    },
    /// It was pulled this often.
    Pulls {
        /// How often.
        count: u64,
    },
}

/// An adapter that the word could mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// The adapter.
    pub adapter: AdapterSummary,
    /// Why it stands here.
    pub reasons: Vec<Reason>,
}

/// Candidates, best first; the first is the choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resolution {
    /// At most ten.
    pub candidates: Vec<Candidate>,
    /// Adapters that match the word but belong to another base model.
    pub other_bases: u64,
}
