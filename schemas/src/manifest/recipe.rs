//! How an adapter was trained and how well it does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::digest::Digest;

/// Everything needed to train the adapter again and get the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrainingRecipe {
    /// Program that trained it.
    pub tool: String,
    /// Version of that program.
    pub tool_version: String,
    /// Seed of initial weights, data order and dropout; below 2^53.
    pub seed: u64,
    /// What it was trained on.
    pub data: Vec<DataSource>,
    /// Learning rate, batch size, epochs and the rest, by name.
    pub hyper_parameters: BTreeMap<String, Value>,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A data file, or a part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DataSource {
    /// File name or data set name.
    pub name: String,
    /// `train`, `validation` or `test`.
    pub split: String,
    /// Number of examples.
    pub rows: u64,
    /// Digest of the file.
    pub digest: Digest,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Metric {
    /// `accuracy`, `macro_f1`, …
    pub name: String,
    /// Its value; accuracies and F1 are fractions of one.
    pub value: f64,
    /// Data it was measured on.
    pub dataset: String,
    /// `validation` or `test`.
    pub split: String,
    /// Digest of that data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<Digest>,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
