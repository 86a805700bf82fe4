//! What an adapter was made of, where it was not trained but computed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::digest::Digest;

/// How an adapter was computed from others: enough to compute it again and get the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Origin {
    /// What was done: `merge` of adapters, `extract` from a fine-tuned backbone.
    pub how: String,
    /// Program that did it.
    pub tool: String,
    /// Version of that program.
    pub tool_version: String,
    /// Rule, density, rank and the rest, by name.
    #[serde(default)]
    pub options: BTreeMap<String, Value>,
    /// What went in, in order.
    pub sources: Vec<OriginSource>,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Something an adapter was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OriginSource {
    /// What it is called, such as `ada/sentiment@1.2.0`.
    pub name: String,
    /// Digest of its manifest; of its weights where it has none, or where it is a backbone.
    pub digest: Digest,
    /// Its weight in the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Origin {
    /// In a few words: `merge by ties of ada/a@1.0.0 (0.7), ada/b@1.0.0 (0.3)`.
    pub fn summary(&self) -> String {
        let rule = self.options.get("rule").and_then(Value::as_str);
        let rule = rule.map(|rule| format!(" by {rule}")).unwrap_or_default();
        let source = |source: &OriginSource| match source.weight {
            Some(weight) => format!("{} ({weight})", source.name),
            None => source.name.clone(),
        };
        let sources: Vec<String> = self.sources.iter().map(source).collect();
        format!("{}{rule} of {}", self.how, sources.join(", "))
    }
}
