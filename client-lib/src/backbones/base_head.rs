//! The head that a fine-tuned checkpoint brings.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_formats::checkpoint::{BaseFolder, base_head};
use hub_schemas::head::{Head, Pooling};

use super::weights::Weights;

/// The head of the `transformers` class that a checkpoint was saved from.
#[derive(Debug, Clone)]
pub struct BaseHead {
    /// What it computes.
    pub head: Head,
    /// Its tensors by slot, frozen, without a table that is tied to the word embedding.
    pub tensors: BTreeMap<String, Tensor>,
    /// Names of its outputs.
    pub labels: Vec<String>,
}

impl BaseHead {
    /// Loads the head of `folder`; `None` where it has none that this version knows whole.
    pub(super) fn load(folder: &BaseFolder, weights: &Weights<'_>, has_pooler: bool) -> Result<Option<Self>> {
        let Some(found) = base_head(folder) else { return Ok(None) };
        if found.head.pooling() == Some(Pooling::Pooler) && !has_pooler {
            return Ok(None);
        }
        let mut tensors = BTreeMap::new();
        for (slot, name) in found.names {
            if let Some(tensor) = weights.extra(&name)? {
                tensors.insert(slot, tensor);
            }
        }
        Ok(Some(Self { head: found.head, tensors, labels: found.labels }))
    }
}
