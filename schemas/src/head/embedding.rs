//! One vector per sequence, as sentence encoders give it (Reimers & Gurevych 2019).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Pooling, is_true, yes};

/// Pooling and, usually, scaling to length one. It has no weights of its own.
///
/// Neither PEFT nor `adapters` has such a head; in `sentence-transformers` it is the
/// pair of modules `Pooling` and `Normalize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EmbeddingHead {
    /// Which vector it is.
    pub pooling: Pooling,
    /// Whether its Euclidean length is made one.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub normalize: bool,
}
