//! Between an adapter's folder and the factors that merging computes with.

use std::{collections::BTreeMap, path::Path};

use hub_formats::checkpoint::SlotData;
use hub_schemas::{
    backbone::{BackboneShape, Module},
    method::{LoraConfig, LoraPattern, Method},
};

use super::{Factors, LoraLayers, Matrix, MergeError, numbers::to_doubles};

/// A LoRA ready to be written: its configuration and its tensors by slot.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraTensors {
    /// Rank, scaling and modules.
    pub config: LoraConfig,
    /// `<module>.lora_a` and `.lora_b`, in F32.
    pub slots: BTreeMap<String, SlotData>,
}

/// The factors of a LoRA by module, from its tensors by slot; each module has its own
/// rank and scaling. Slots that are not LoRA's, such as a head's, are left alone.
/// `folder` is for the error.
///
/// For an embedding table `[rows, width]` the factors are those of its transpose:
/// `A [r, rows]`, `B [width, r]`.
///
/// Refuses other methods, LoRAs that are more than a sum on a weight (`DoRA`, gates, a
/// bias on `B`), factors without their counterpart, and numbers that are not finite.
pub fn lora_layers(
    method: &Method,
    slots: &BTreeMap<String, SlotData>,
    folder: &Path,
) -> Result<LoraLayers, MergeError> {
    let config = plain_lora(method).map_err(|reason| MergeError::Method {
        folder: folder.to_owned(),
        method: method.summary(),
        reason,
    })?;
    let mut layers = LoraLayers::new();
    for module in config.targets.iter() {
        let (a, b) = (format!("{module}.lora_a"), format!("{module}.lora_b"));
        let tensor = |name: &str| {
            let missing = || MergeError::Missing { index: 1, name: name.to_owned() };
            matrix(slots.get(name).ok_or_else(missing)?, name)
        };
        let factors = Factors::new(tensor(&a)?, tensor(&b)?, config.scaling(module))?;
        layers.insert(module.to_string(), factors);
    }
    Ok(layers)
}

/// The configuration of a LoRA that is `s · B A` on each weight and nothing else; else why it is not.
fn plain_lora(method: &Method) -> Result<&LoraConfig, &'static str> {
    let config = match method {
        Method::Lora(config) => config,
        Method::Union(union) if union.parts.iter().any(|part| matches!(part, Method::Lora(_))) => {
            return Err("besides the LoRA it brings other changes, which would be lost");
        }
        _ => return Err("only a LoRA is a sum on a weight"),
    };
    if config.dora.is_some() {
        return Err("DoRA scales the rows of the updated weight, so its update is no sum of low rank");
    }
    if config.use_gating {
        return Err("its gate depends on the input, so its update is no sum on a weight");
    }
    if config.lora_bias {
        return Err("its `B` has a bias, which is no sum on a weight");
    }
    // Whatever else a LoRA can be told one day: an option that is not its default is not ignored.
    let understood = LoraConfig {
        lora_dropout: config.lora_dropout,
        use_rslora: config.use_rslora,
        patterns: config.patterns.clone(),
        init: config.init,
        // How a file has them; the factors are the same.
        as_stored: config.as_stored.clone(),
        ..LoraConfig::on(config.r, config.lora_alpha, config.targets.clone())
    };
    if *config == understood {
        Ok(config)
    } else {
        Err("it has an option that changes more than a sum on a weight")
    }
}

fn matrix(tensor: &SlotData, name: &str) -> Result<Matrix, MergeError> {
    match tensor.shape.as_slice() {
        &[rows, cols] => Matrix::new(rows, cols, to_doubles(tensor, name)?),
        other => {
            Err(MergeError::Shape { what: format!("`{name}`"), expected: vec![0, 0], found: other.to_vec() })
        }
    }
}

/// Factors as a LoRA that can be written, rounded to F32. Modules whose rank or scaling
/// is not the most frequent one become patterns.
///
/// Refuses modules that the backbone does not have or that a LoRA can't update, and
/// factors of another shape.
pub fn lora_tensors(layers: &LoraLayers, shape: &BackboneShape) -> Result<LoraTensors, MergeError> {
    let mut by_module: BTreeMap<Module, Factors> = BTreeMap::new();
    for (name, factors) in layers {
        let module = module(name, shape)?;
        let (inputs, outputs) = shape.module_dims(module);
        fits(factors, [outputs, inputs], name)?;
        // PEFT wants a positive alpha.
        let signed = factors.scaling() <= 0.0;
        let factors = if signed { factors.clone().with_unit_scaling() } else { factors.clone() };
        by_module.insert(module, factors);
    }
    let (rank, scaling) = most_frequent(by_module.values()).ok_or(MergeError::NoLayer)?;
    let alpha = |rank: usize, scaling: f64| scaling * rank as f64;
    let mut slots = BTreeMap::new();
    let mut patterns = Vec::new();
    for (module, factors) in &by_module {
        let (r, s) = (factors.rank(), factors.scaling());
        if r != rank || !same(s, scaling) {
            patterns.push(LoraPattern { module: *module, r, lora_alpha: alpha(r, s) });
        }
        let (a, b) = (format!("{module}.lora_a"), format!("{module}.lora_b"));
        slots.insert(a.clone(), single(factors.a(), &a)?);
        slots.insert(b.clone(), single(factors.b(), &b)?);
    }
    let targets = by_module.keys().copied().collect();
    let config = LoraConfig { patterns, ..LoraConfig::on(rank, alpha(rank, scaling), targets) };
    Ok(LoraTensors { config, slots })
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs()
}

/// The rank and scaling that most have; of equally frequent ones the first.
fn most_frequent<'a>(all: impl Iterator<Item = &'a Factors>) -> Option<(usize, f64)> {
    let mut counts: Vec<((usize, f64), usize)> = Vec::new();
    for factors in all {
        let (rank, scaling) = (factors.rank(), factors.scaling());
        match counts.iter_mut().find(|((r, s), _)| *r == rank && same(*s, scaling)) {
            Some((_, count)) => *count += 1,
            None => counts.push(((rank, scaling), 1)),
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(pair, _)| pair)
}

/// The module of this name, which the backbone must have and a LoRA must be able to update.
fn module(name: &str, shape: &BackboneShape) -> Result<Module, MergeError> {
    let can_be = |module: &Module| {
        module.is_linear_or_table() && module.layer().is_none_or(|layer| layer < shape.num_layers)
    };
    name.parse().ok().filter(can_be).ok_or_else(|| MergeError::NoModule(name.to_owned()))
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
        let what = format!("`{name}` in single precision");
        return Err(MergeError::NotFinite { what, index, value: matrix.data()[index] });
    }
    Ok(SlotData::from_f32(matrix.shape(), &values))
}
