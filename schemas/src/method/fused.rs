//! The parts of a matrix that projects queries, keys and values side by side, each of which
//! `adapters` adapts on its own (`LoRAMergedLinear`).

use super::MethodError;
use crate::backbone::{BackboneShape, LinearSite, Module};

/// Where the parts that are adapted stand among a module's outputs: how far in each begins, and how many
/// outputs it has. One part that is everything where nothing is fused.
pub fn parts(fused: &[LinearSite], module: Module, shape: &BackboneShape) -> Vec<(usize, usize)> {
    let (_, outputs) = shape.module_dims(module);
    if fused.is_empty() || !matches!(module, Module::Linear { site: LinearSite::QueryKeyValue, .. }) {
        return vec![(0, outputs)];
    }
    let mut start = 0;
    let mut parts = Vec::new();
    for site in LinearSite::FUSED {
        let (_, outputs) = shape.linear_dims(site);
        if fused.contains(&site) {
            parts.push((start, outputs));
        }
        start += outputs;
    }
    parts
}

/// Refuses what is no part of a fused projection.
pub(super) fn validate(fused: &[LinearSite]) -> Result<(), MethodError> {
    match fused.iter().find(|site| !LinearSite::FUSED.contains(site)) {
        None => Ok(()),
        Some(site) => Err(MethodError::Field {
            field: "fused",
            found: site.to_string(),
            expected: "query, key and value may be adapted on their own".to_owned(),
        }),
    }
}
