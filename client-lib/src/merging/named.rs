//! The weighted sum of whole adapters of any method, tensor by tensor.
//!
//! `Φ = Σ wᵢ Φᵢ` over every tensor, for adapters of one configuration: `adapters`'
//! `average_adapter` with the strategy `linear`, which it has for every method, and
//! PEFT's `add_weighted_adapter` for (IA)³, where `Φ` are the scaling vectors.

use std::collections::BTreeMap;

use hub_formats::checkpoint::SlotData;
use hub_schemas::layout::Dtype;

use super::{MergeError, numbers, sum::weighted_sum, weights::checked_weights};

/// `Σ wᵢ Φᵢ` of adapters that have the same tensors, `(tensors by name, weight)`
/// each; with `normalise` the weights are scaled to a sum of one first. Computed in
/// double precision; the result has the adapters' element type, or F32 where theirs
/// differ.
///
/// Refuses adapters that lack a tensor another has, shapes that differ, weights that
/// are not finite, and results that are not.
pub fn average_tensors(
    adapters: &[(&BTreeMap<String, SlotData>, f64)],
    normalise: Normalise,
) -> Result<BTreeMap<String, SlotData>, MergeError> {
    let weights: Vec<f64> = adapters.iter().map(|(_, weight)| *weight).collect();
    let weights = checked_weights(&weights, normalise == Normalise::ToOne)?;
    let mut averaged = BTreeMap::new();
    for name in adapters.iter().flat_map(|(tensors, _)| tensors.keys()) {
        if !averaged.contains_key(name) {
            averaged.insert(name.clone(), average_one(name, adapters, &weights)?);
        }
    }
    Ok(averaged)
}

/// What happens to the weights of an average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalise {
    /// They are scaled to a sum of one.
    ToOne,
    /// They stay as they are.
    Not,
}

fn average_one(
    name: &str,
    adapters: &[(&BTreeMap<String, SlotData>, f64)],
    weights: &[f64],
) -> Result<SlotData, MergeError> {
    let mut tensors = Vec::with_capacity(adapters.len());
    let mut result: Option<(&[usize], Dtype)> = None;
    for (index, (adapter, _)) in adapters.iter().enumerate() {
        let missing = || MergeError::Missing { index: index + 1, name: name.to_owned() };
        let tensor = adapter.get(name).ok_or_else(missing)?;
        let (shape, dtype) = result.unwrap_or((&tensor.shape, tensor.dtype));
        if tensor.shape != shape {
            let what = format!("`{name}` of adapter {}", index + 1);
            return Err(MergeError::Shape { what, expected: shape.to_vec(), found: tensor.shape.clone() });
        }
        result = Some((shape, if dtype == tensor.dtype { dtype } else { Dtype::F32 }));
        tensors.push(numbers::to_doubles(tensor, name)?);
    }
    let (shape, dtype) = result.ok_or(MergeError::Empty)?;
    let sum = weighted_sum(&tensors, weights);
    if let Some(index) = sum.iter().position(|v| !v.is_finite()) {
        return Err(MergeError::NotFinite { what: format!("`{name}`"), index, value: sum[index] });
    }
    numbers::from_doubles(shape.to_vec(), &sum, dtype, name)
}
