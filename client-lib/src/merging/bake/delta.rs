//! What is added to a weight.

use std::collections::BTreeMap;

use crate::merging::{Factors, LoraLayers, Matrix, MergeError};

/// An update of one weight `[out, in]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// The sum of low-rank updates: one LoRA, or several at once.
    LowRank(Vec<Factors>),
    /// Any update, such as that of a method that forms its own.
    Dense(Matrix),
}

/// Updates by the canonical name of the weight, such as `layers.3.query.weight`.
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

    /// The updates of several LoRAs, added.
    pub fn of_loras(loras: impl IntoIterator<Item = LoraLayers>) -> Deltas {
        let mut parts: BTreeMap<String, Vec<Factors>> = BTreeMap::new();
        for (layer, factors) in loras.into_iter().flatten() {
            parts.entry(format!("{layer}.weight")).or_default().push(factors);
        }
        parts.into_iter().map(|(name, parts)| (name, Self::LowRank(parts))).collect()
    }
}
