//! The backbone that an adapter belongs to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    backbone::{Architecture, BackboneShape},
    digest::Digest,
};

/// The backbone that an adapter was trained on, and only fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BaseModel {
    /// Its usual name, such as `sentence-transformers/all-MiniLM-L6-v2`.
    pub id: String,
    /// Revision at that name's home, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Which computation it is.
    pub architecture: Architecture,
    /// Its dimensions.
    #[serde(flatten)]
    pub shape: BackboneShape,
    /// Digest of its weights, independent of file container and key prefixes
    /// (`hub_formats::checkpoint::base` computes it).
    pub weights_digest: Digest,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
