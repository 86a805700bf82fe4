//! A LoRA out of a fine-tuned backbone.
//!
//! For every linear layer the update `ΔW = W - W₀` is decomposed and its best
//! approximation of rank `r` kept ([`Svd`]). How good that is can be read from the
//! singular values: the retained energy is `Σ_{i≤r} σᵢ² / Σ σᵢ²`, and
//! `‖ΔW - B A‖² / ‖ΔW‖²` is one minus it.
//!
//! A LoRA updates linear weights only. What fine-tuning changed elsewhere (biases,
//! norms, embeddings) is reported, and kept as full tensors when asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use hub_formats::{
    architectures::BackboneTensor,
    checkpoint::{BaseFolder, SlotData, base_head},
};
use hub_schemas::{
    backbone::{Module, Targets},
    head::Head,
};
use rayon::prelude::*;
use safetensors::{SafeTensorError, tensor::TensorView};

use super::{Factors, LoraLayers, Matrix, MergeError, Svd, numbers::to_doubles};
use crate::files::{Access, write_atomic};

/// What to extract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractOptions {
    /// The rank of every layer's update.
    pub rank: usize,
    /// The linear layers, the pooler among them where it is wanted; [`linear_layers`] for every one.
    pub targets: Targets,
    /// Keep tensors that a LoRA can't express, with the values of the fine-tuned backbone.
    pub keep_others: bool,
}

/// How much of one layer's update was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerReport {
    /// The layer, such as `layers.3.query`.
    pub layer: String,
    /// The rank that was kept.
    pub rank: usize,
    /// The singular values of `ΔW`, largest first, all of them.
    pub singular_values: Vec<f64>,
}

/// A tensor that fine-tuning changed and a LoRA can't express.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherDifference {
    /// Its canonical name, such as `layers.3.ffn.norm.weight`.
    pub name: String,
    /// Its name in checkpoints, such as `encoder.layer.3.output.LayerNorm.weight`.
    pub checkpoint_name: String,
    /// The largest magnitude of a difference.
    pub largest: f64,
    /// The Frobenius norm of the difference.
    pub norm: f64,
    /// The fine-tuned tensor, where it was to be kept.
    pub tensor: Option<SlotData>,
}

/// The prediction head of a fine-tuned checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtractedHead {
    /// What it computes.
    pub head: Head,
    /// Names of its outputs.
    pub labels: Vec<String>,
    /// Its tensors by slot.
    pub slots: BTreeMap<String, SlotData>,
}

/// The head that `tuned` brings; `None` where it brings none that is known whole, or one
/// whose table is the word embedding.
pub fn extract_head(tuned: &BaseFolder) -> Result<Option<ExtractedHead>, MergeError> {
    let Some(found) = base_head(tuned).filter(|found| !found.is_tied) else { return Ok(None) };
    let mut slots = BTreeMap::new();
    for (slot, name) in found.names {
        let missing = || MergeError::NoTensor { folder: tuned.path().to_owned(), tensor: name.clone() };
        let (file, info) = tuned.extra_tensor(&name).ok_or_else(missing)?;
        slots.insert(slot, tuned.files()[file].read(info)?);
    }
    Ok(Some(ExtractedHead { head: found.head, labels: found.labels, slots }))
}

/// What came out of a fine-tuned backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct Extraction {
    /// The LoRA, with a scaling of one. A layer that did not change has zeros.
    pub layers: LoraLayers,
    /// One report per layer, in the order of the layers' names.
    pub reports: Vec<LayerReport>,
    /// What a LoRA can't express, in the order of computation.
    pub others: Vec<OtherDifference>,
    /// Tensors that only the fine-tuned checkpoint has, such as a classifier, by their names in the file.
    pub only_in_tuned: Vec<String>,
}

impl Extraction {
    /// Writes the tensors that were kept besides the LoRA into a safetensors file, by
    /// their names in checkpoints.
    pub fn write_others(&self, path: &Path) -> Result<(), MergeError> {
        let writing = |source| MergeError::Io { action: "write", path: path.to_owned(), source };
        let kept = self.others.iter().filter_map(|other| Some((other, other.tensor.as_ref()?)));
        let views = kept.map(|(other, tensor)| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            Ok((other.checkpoint_name.as_str(), view?))
        });
        let serialised = views.collect::<Result<Vec<_>, SafeTensorError>>().and_then(|views| {
            // PyTorch's readers refuse a file without this line.
            safetensors::serialize(views, Some([("format".to_owned(), "pt".to_owned())].into()))
        });
        let bytes = serialised.map_err(|e| writing(io::Error::other(e)))?;
        write_atomic(path, &bytes, Access::Everyone).map_err(writing)
    }
}

impl LayerReport {
    /// `‖ΔW‖`, the Frobenius norm.
    pub fn norm(&self) -> f64 {
        self.energy_of(self.singular_values.len()).sqrt()
    }

    /// The retained share of `‖ΔW‖²`, 0 to 1; all of it where nothing changed.
    pub fn retained(&self) -> f64 {
        self.retained_at(self.rank)
    }

    /// The share of `‖ΔW‖²` that this rank would retain.
    pub fn retained_at(&self, rank: usize) -> f64 {
        let all = self.energy_of(self.singular_values.len());
        if all > 0.0 { self.energy_of(rank) / all } else { 1.0 }
    }

    /// The smallest rank that retains `share` of `‖ΔW‖²`.
    pub fn rank_for(&self, share: f64) -> usize {
        let last = self.singular_values.len();
        (0..last).find(|rank| self.retained_at(*rank) >= share).unwrap_or(last)
    }

    fn energy_of(&self, rank: usize) -> f64 {
        self.singular_values.iter().take(rank).fold(0.0, |sum, s| sum + s * s)
    }
}

/// The best LoRA of this rank of one linear layer, from `W₀` and `W`, both `[out, in]`.
///
/// Refuses shapes that differ, elements that are not finite, and a rank that is zero
/// or larger than `min(out, in)`.
pub fn extract_layer(
    layer: &str,
    base: &Matrix,
    tuned: &Matrix,
    rank: usize,
) -> Result<(Factors, LayerReport), MergeError> {
    let max = base.rows().min(base.cols());
    if !(1..=max).contains(&rank) {
        return Err(MergeError::Rank { rank, max });
    }
    let update = tuned.clone().plus(base, -1.0)?;
    update.check_finite(&format!("the update of `{layer}`"))?;
    let svd = Svd::of(&update)?;
    let singular_values = svd.singular_values().to_vec();
    Ok((svd.truncated(rank), LayerReport { layer: layer.to_owned(), rank, singular_values }))
}

/// The best LoRA of a rank that turns `base` into `tuned`.
///
/// Refuses backbones of different dimensions, a rank that a layer does not have, and
/// weights that are not finite.
pub fn extract(
    base: &BaseFolder,
    tuned: &BaseFolder,
    options: &ExtractOptions,
) -> Result<Extraction, MergeError> {
    same_dimensions(base, tuned)?;
    let tensors = base.config().tensors();
    let selected: BTreeSet<String> = options.targets.iter().map(weight).collect();
    if let Some(module) = options.targets.iter().find(|m| !m.is_linear() || !has(base, tuned, &weight(*m))) {
        return Err(MergeError::NoModule(module.to_string()));
    }
    let (linears, others): (Vec<_>, Vec<_>) = tensors.iter().partition(|t| selected.contains(&t.canonical));
    if linears.is_empty() {
        return Err(MergeError::NoLayer);
    }
    let both = |name: &str| Ok::<_, MergeError>((read(base, name)?, read(tuned, name)?));
    let extracted = linears.par_iter().map(|tensor| {
        let name = &tensor.canonical;
        let layer = name.strip_suffix(".weight").unwrap_or(name);
        let &[outputs, inputs] = tensor.shape.as_slice() else { return Err(MergeError::NoLayer) };
        let (from, to) = both(name)?;
        let matrix = |tensor: &SlotData| Matrix::new(outputs, inputs, to_doubles(tensor, name)?);
        extract_layer(layer, &matrix(&from)?, &matrix(&to)?, options.rank)
    });
    let extracted = extracted.collect::<Result<Vec<_>, MergeError>>()?;
    let mut different = Vec::new();
    for tensor in others {
        // A pooler may be missing on either side.
        if !has(base, tuned, &tensor.canonical) {
            continue;
        }
        let (from, to) = both(&tensor.canonical)?;
        different.extend(difference(tensor, &from, to, options.keep_others)?);
    }
    let layers = extracted.iter().map(|(factors, report)| (report.layer.clone(), factors.clone())).collect();
    let mut reports: Vec<LayerReport> = extracted.into_iter().map(|(_, report)| report).collect();
    reports.sort_by(|a, b| a.layer.cmp(&b.layer));
    Ok(Extraction { layers, reports, others: different, only_in_tuned: only_in_tuned(base, tuned) })
}

/// Every linear layer that both backbones have; the pooler where neither lacks it.
pub fn linear_layers(base: &BaseFolder, tuned: &BaseFolder) -> Targets {
    let all = Module::all(&base.config().shape).into_iter();
    all.filter(|module| module.is_linear() && has(base, tuned, &weight(*module))).collect()
}

fn weight(module: Module) -> String {
    format!("{module}.weight")
}

fn has(base: &BaseFolder, tuned: &BaseFolder, canonical: &str) -> bool {
    base.tensor(canonical).is_some() && tuned.tensor(canonical).is_some()
}

fn same_dimensions(base: &BaseFolder, tuned: &BaseFolder) -> Result<(), MergeError> {
    let differ = |reason: String| {
        Err(MergeError::NotTunedFrom { base: base.path().to_owned(), tuned: tuned.path().to_owned(), reason })
    };
    let (ours, theirs) = (base.config().tensors(), tuned.config().tensors());
    if base.config().architecture != tuned.config().architecture {
        let architectures = (base.config().architecture, tuned.config().architecture);
        return differ(format!("one is a {}, the other a {}", architectures.0, architectures.1));
    }
    if let Some((a, b)) = ours.iter().zip(&theirs).find(|(a, b)| a.shape != b.shape) {
        return differ(format!("`{}` is {:?} here and {:?} there", a.canonical, a.shape, b.shape));
    }
    if ours.len() != theirs.len() {
        return differ(format!("one has {} tensors, the other {}", ours.len(), theirs.len()));
    }
    Ok(())
}

fn read(folder: &BaseFolder, canonical: &str) -> Result<SlotData, MergeError> {
    let missing = || MergeError::NoTensor { folder: folder.path().to_owned(), tensor: canonical.to_owned() };
    let (file, info) = folder.tensor(canonical).ok_or_else(missing)?;
    Ok(folder.files()[file].read(info)?)
}

/// What differs between two tensors, if anything does.
fn difference(
    tensor: &BackboneTensor,
    from: &SlotData,
    to: SlotData,
    keep: bool,
) -> Result<Option<OtherDifference>, MergeError> {
    if *from == to {
        return Ok(None);
    }
    let name = &tensor.canonical;
    let (old, new) = (to_doubles(from, name)?, to_doubles(&to, name)?);
    let differences = new.iter().zip(&old).map(|(new, old)| new - old);
    let largest = differences.clone().fold(0.0_f64, |largest, d| largest.max(d.abs()));
    let norm = differences.fold(0.0, |sum, d| sum + d * d).sqrt();
    // The same numbers in another type are no difference. What is no number has no norm of zero and shows.
    if norm == 0.0 {
        return Ok(None);
    }
    let checkpoint_name = tensor.names.first().unwrap_or(name).clone();
    let tensor = keep.then_some(to);
    Ok(Some(OtherDifference { name: name.clone(), checkpoint_name, largest, norm, tensor }))
}

/// Names in the fine-tuned files that belong to no tensor of the backbone.
fn only_in_tuned(base: &BaseFolder, tuned: &BaseFolder) -> Vec<String> {
    let backbone: BTreeSet<String> = (tuned.config().tensors().into_iter())
        .flat_map(|tensor| tensor.names)
        .map(|name| format!("{}{name}", tuned.prefix()))
        .collect();
    let names = tuned.files().iter().flat_map(|file| file.header.tensors.keys());
    names.filter(|name| !backbone.contains(*name) && base.extra_tensor(name).is_none()).cloned().collect()
}
