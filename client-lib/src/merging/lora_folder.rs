//! Between an adapter's folder and the factors that merging computes with.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use hub_schemas::{
    backbone::{BackboneShape, LinearSite},
    method::{LoraConfig, Method},
};

use super::{Factors, LoraLayers, Matrix, MergeError, numbers::to_doubles};
use crate::checkpoint::SlotData;

/// A LoRA ready to be written: its configuration and its tensors by slot.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraTensors {
    /// Rank, scaling and layers.
    pub config: LoraConfig,
    /// `layers.<n>.<site>.lora_a` and `.lora_b`, in F32.
    pub slots: BTreeMap<String, SlotData>,
}

/// The factors of a LoRA, from its tensors by slot. Slots that are not LoRA's, such
/// as a head's, are left alone. `folder` is for the error.
///
/// Refuses other methods, factors without their counterpart, and numbers that are not finite.
pub fn lora_layers(
    method: &Method,
    slots: &BTreeMap<String, SlotData>,
    folder: &Path,
) -> Result<LoraLayers, MergeError> {
    let Method::Lora(config) = method else {
        return Err(MergeError::Method {
            folder: folder.to_owned(),
            method: method.kind().to_owned(),
            reason: "only a LoRA is a sum on a weight",
        });
    };
    let mut layers = LoraLayers::new();
    for (slot, a) in slots {
        let Some(layer) = slot.strip_suffix(".lora_a") else { continue };
        let name = format!("{layer}.lora_b");
        let b = slots.get(&name).ok_or_else(|| MergeError::Missing { index: 1, name: name.clone() })?;
        layers.insert(layer.to_owned(), Factors::new(matrix(a, slot)?, matrix(b, &name)?, config.scaling())?);
    }
    Ok(layers)
}

fn matrix(tensor: &SlotData, name: &str) -> Result<Matrix, MergeError> {
    match tensor.shape.as_slice() {
        &[rows, cols] => Matrix::new(rows, cols, to_doubles(tensor, name)?),
        other => {
            Err(MergeError::Shape { what: format!("`{name}`"), expected: vec![0, 0], found: other.to_vec() })
        }
    }
}

/// Factors as a LoRA that can be written, rounded to F32.
///
/// A configuration has one rank, one scaling, and every combination of its sites and
/// layers: smaller ranks and combinations without an update are filled up with zeros,
/// and where scalings differ `B` takes them. With a scaling of one `α` is the rank.
pub fn lora_tensors(layers: &LoraLayers, shape: &BackboneShape) -> Result<LoraTensors, MergeError> {
    let rank = layers.values().map(Factors::rank).max().ok_or(MergeError::NoLayer)?;
    let places = layers.keys().map(|name| place(name, shape)).collect::<Result<Vec<_>, _>>()?;
    let numbers: BTreeSet<usize> = places.iter().map(|(layer, _)| *layer).collect();
    let targets: BTreeSet<LinearSite> = places.iter().map(|(_, site)| *site).collect();
    let scaling = one_scaling(layers);
    let mut slots = BTreeMap::new();
    for &layer in &numbers {
        for &site in &targets {
            let name = format!("layers.{layer}.{site}");
            let (inputs, outputs) = shape.linear_dims(site);
            let factors = match layers.get(&name) {
                None => Factors::zeros(outputs, inputs, rank),
                Some(factors) if scaling.is_some() => factors.clone().padded(rank),
                Some(factors) => factors.clone().with_unit_scaling().padded(rank),
            };
            fits(&factors, [outputs, inputs], &name)?;
            slots.insert(format!("{name}.lora_a"), single(factors.a(), &name)?);
            slots.insert(format!("{name}.lora_b"), single(factors.b(), &name)?);
        }
    }
    let every = numbers.len() == shape.num_layers;
    let config = LoraConfig {
        targets: targets.into_iter().collect(),
        layers: (!every).then(|| numbers.into_iter().collect()),
        ..LoraConfig::query_value(rank, scaling.unwrap_or(1.0) * rank as f64)
    };
    Ok(LoraTensors { config, slots })
}

/// The scaling that every layer has.
fn one_scaling(layers: &LoraLayers) -> Option<f64> {
    let mut scalings = layers.values().map(Factors::scaling);
    let first = scalings.next()?;
    scalings.all(|s| (s - first).abs() <= 1e-12 * first.abs()).then_some(first)
}

/// `layers.3.query` is layer 3 and the queries.
fn place(name: &str, shape: &BackboneShape) -> Result<(usize, LinearSite), MergeError> {
    let parsed =
        name.strip_prefix("layers.").and_then(|rest| rest.split_once('.')).and_then(|(layer, site)| {
            let layer = layer.parse().ok().filter(|layer| *layer < shape.num_layers)?;
            Some((layer, site.parse().ok()?))
        });
    parsed.ok_or_else(|| MergeError::Missing { index: 1, name: name.to_owned() })
}

fn fits(factors: &Factors, expected: [usize; 2], name: &str) -> Result<(), MergeError> {
    let found = factors.weight_shape();
    if found == expected {
        return Ok(());
    }
    let what = format!("the update of `{name}`");
    Err(MergeError::Shape { what, expected: expected.to_vec(), found: found.to_vec() })
}

/// In single precision. A number that is too large for it is refused.
fn single(matrix: &Matrix, name: &str) -> Result<SlotData, MergeError> {
    let values: Vec<f32> = matrix.data().iter().map(|v| *v as f32).collect();
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        let what = format!("the update of `{name}` in single precision");
        return Err(MergeError::NotFinite { what, index, value: matrix.data()[index] });
    }
    Ok(SlotData::from_f32(matrix.shape(), &values))
}
