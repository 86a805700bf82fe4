//! One LoRA of several: layer by layer, and whole adapters.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{
    Factors, MergeError, MergeKind, MergeOptions, averaged, cat, decomposed, factorwise,
    weights::checked_weights,
};

/// A LoRA's factors by module, such as `layers.3.query`; those of an embedding table are its transpose's.
pub type LoraLayers = BTreeMap<String, Factors>;

/// Merges the LoRAs of one linear layer: `(factors, weight)` each, all for a weight
/// of one shape. Weights may be negative.
///
/// Refuses an empty list, weights that are not finite, shapes or ranks that the rule
/// can't merge, and options that it does not know.
pub fn merge_lora(
    kind: MergeKind,
    parts: &[(&Factors, f64)],
    options: &MergeOptions,
) -> Result<Factors, MergeError> {
    options.check(kind)?;
    let weights = checked_weights(&weights_of(parts), options.normalise)?;
    let parts: Vec<_> = parts.iter().zip(weights).map(|((factors, _), weight)| (*factors, weight)).collect();
    merge_layer(kind, &parts, options, "")
}

/// Merges whole adapters: `(layers, weight)` each. As in PEFT, the result updates
/// every layer that one of them updates, and an adapter has no say where it has no
/// update. The averages of `adapters` want the same layers everywhere.
///
/// Every layer of the result has the rank that the rule gives it there.
pub fn merge_lora_adapters(
    kind: MergeKind,
    adapters: &[(&LoraLayers, f64)],
    options: &MergeOptions,
) -> Result<LoraLayers, MergeError> {
    options.check(kind)?;
    let weights: Vec<f64> = adapters.iter().map(|(_, weight)| *weight).collect();
    let weights = checked_weights(&weights, options.normalise)?;
    let names: BTreeSet<&String> = adapters.iter().flat_map(|(layers, _)| layers.keys()).collect();
    if kind.is_average() {
        same_layers(adapters, &names)?;
    }
    // The largest rank of the adapters, not of those that happen to be at a layer.
    let largest = adapters.iter().flat_map(|(layers, _)| layers.values()).map(Factors::rank).max();
    let options = MergeOptions { rank: options.rank.or(largest), ..options.clone() };
    let merged = names.par_iter().map(|name| {
        let at_layer = adapters.iter().zip(&weights);
        let parts: Vec<(&Factors, f64)> =
            at_layer.filter_map(|((layers, _), weight)| Some((layers.get(*name)?, *weight))).collect();
        Ok(((*name).clone(), merge_layer(kind, &parts, &options, name)?))
    });
    merged.collect()
}

fn merge_layer(
    kind: MergeKind,
    parts: &[(&Factors, f64)],
    options: &MergeOptions,
    place: &str,
) -> Result<Factors, MergeError> {
    same_shape(parts, place)?;
    match kind {
        MergeKind::Cat => cat::side_by_side(parts),
        _ if kind.is_average() => averaged::merged(kind, parts, options),
        _ if kind.takes_rank() => decomposed::merged(kind, parts, options, place),
        _ => factorwise::merged(kind, parts, options, place),
    }
}

fn weights_of(parts: &[(&Factors, f64)]) -> Vec<f64> {
    parts.iter().map(|(_, weight)| *weight).collect()
}

fn same_shape(parts: &[(&Factors, f64)], place: &str) -> Result<(), MergeError> {
    let Some((first, rest)) = parts.split_first() else { return Err(MergeError::Empty) };
    let expected = first.0.weight_shape();
    match rest.iter().position(|(factors, _)| factors.weight_shape() != expected) {
        None => Ok(()),
        Some(index) => Err(MergeError::Shape {
            what: format!("the weight that adapter {} updates{}", index + 2, at(place)),
            expected: expected.to_vec(),
            found: rest[index].0.weight_shape().to_vec(),
        }),
    }
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" at `{place}`") }
}

fn same_layers(adapters: &[(&LoraLayers, f64)], names: &BTreeSet<&String>) -> Result<(), MergeError> {
    for (index, (layers, _)) in adapters.iter().enumerate() {
        if let Some(name) = names.iter().find(|name| !layers.contains_key(**name)) {
            return Err(MergeError::Missing { index: index + 1, name: (*name).clone() });
        }
    }
    Ok(())
}
