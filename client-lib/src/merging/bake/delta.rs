//! What is added to a weight.

use std::collections::BTreeMap;

use hub_schemas::backbone::Module;

use crate::merging::{Factors, LoraLayers, Matrix, MergeError};

/// An update of one weight `[out, in]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// The sum of low-rank updates: one LoRA, or several at once.
    LowRank(Vec<Factors>),
    /// Any update, such as that of a method that forms its own.
    Dense(Matrix),
}

/// Updates by the canonical name of the weight, such as `layers.3.query.weight` or `embeddings.word`.
pub type Deltas = BTreeMap<String, Delta>;

impl Delta {
    /// The update as a matrix. Refuses factors of different shapes, and none at all.
    pub fn matrix(&self) -> Result<Matrix, MergeError> {
        match self {
            Self::Dense(matrix) => Ok(matrix.clone()),
            Self::LowRank(parts) => {
                let (first, rest) = parts.split_first().ok_or(MergeError::Empty)?;
                rest.iter().try_fold(first.delta()?, |sum, part| sum.plus(&part.delta()?, 1.0))
            }
        }
    }

    /// The updates of several LoRAs, added. Refuses names that are no module.
    pub fn of_loras(loras: impl IntoIterator<Item = LoraLayers>) -> Result<Deltas, MergeError> {
        let mut parts: BTreeMap<String, Vec<Factors>> = BTreeMap::new();
        for (name, factors) in loras.into_iter().flatten() {
            let module: Module = name.parse().map_err(|_| MergeError::NoModule(name))?;
            let (weight, factors) = match module {
                // A table is looked up by row: its weight is the transpose of what the factors update.
                Module::Embedding(_) => (module.to_string(), factors.transposed()),
                _ => (format!("{module}.weight"), factors),
            };
            parts.entry(weight).or_default().push(factors);
        }
        Ok(parts.into_iter().map(|(name, parts)| (name, Self::LowRank(parts))).collect())
    }
}
