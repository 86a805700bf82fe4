//! Saved adapters as the members of a composition.

use std::{collections::BTreeMap, sync::Arc};

use candle_core::{DType, Tensor};
use hub_formats::checkpoint::{AdapterFolder, FusionFolder, SlotData};
use hub_schemas::{
    backbone::{Architecture, BackboneShape, SubLayer},
    layout::ModelClass,
    manifest::{CompositionRules, GatingMean},
    method::{LoraConfig, Method, Tie, without_words},
};

use super::{ModelError, checks, groups::Brought, imported};
use crate::{
    backbones::{Backbone, tensor},
    composition::{Composition, Fusion, Member, NamedFusion, Quirk, Quirks, Semantics, Stitch},
    heads::LoadedHead,
    methods::{self, Adapter, GateMean},
};

/// The folders as they are read for this backbone.
pub(super) fn on_base(
    backbone: &Backbone,
    named: &[(String, &AdapterFolder)],
) -> Result<Vec<(String, AdapterFolder)>, ModelError> {
    let config = backbone.config();
    let read = |(name, folder): &(String, &AdapterFolder)| {
        Ok((name.clone(), folder.on_base(config.architecture, &config.shape)?))
    };
    named.iter().map(read).collect()
}

/// The backbone with the layers that an adapter was made for, where it names some.
pub(super) fn replicated(
    backbone: Arc<Backbone>,
    named: &[(String, &AdapterFolder)],
) -> Result<Arc<Backbone>, ModelError> {
    match (stack_of(named), named) {
        (None, _) => Ok(backbone),
        (Some(config), [(_, folder)]) => {
            folder.method.validate(&backbone.config().shape)?;
            Ok(Arc::new(backbone.replicated(&config.replicated_layers())?))
        }
        (Some(_), all) => Err(runs_alone(all)),
    }
}

/// The one of them that was made for a stack of its own.
fn stack_of<'a>(named: &[(String, &'a AdapterFolder)]) -> Option<&'a LoraConfig> {
    let mut parts = named.iter().flat_map(|(_, folder)| folder.method.parts());
    parts.find_map(|part| match part {
        Method::Lora(config) if !config.layer_replication.is_empty() => Some(config),
        _ => None,
    })
}

/// One of them gives the backbone other layers.
fn runs_alone(named: &[(String, &AdapterFolder)]) -> ModelError {
    ModelError::Imported {
        folder: named.first().map(|(_, folder)| folder.path.clone()).unwrap_or_default(),
        reason: "an adapter gives the backbone other layers (`layer_replication`), so it runs alone",
    }
}

/// The adapters of several folders, and the heads that they bring, by name.
pub(super) fn load(
    backbone: &Backbone,
    named: &[(String, &AdapterFolder)],
    composition: &Composition,
) -> Result<(Vec<Member>, Brought), ModelError> {
    let shape = backbone.config().shape;
    let mut members = Vec::new();
    let mut heads = BTreeMap::new();
    let mut saved = Vec::new();
    for (salt, (name, folder)) in named.iter().enumerate() {
        if folder.composition().is_some() {
            return Err(ModelError::Nested(folder.path.clone()));
        }
        checks::architecture(backbone, folder)?;
        folder.method.validate(&shape)?;
        checks::modules(backbone, &folder.method)?;
        imported::check(backbone, folder)?;
        checks::copies(composition, name, &folder.method, &shape)?;
        let tensors = on_device(backbone, &imported::slots(backbone, folder, named)?)?;
        let mean = gate_mean(folder);
        let is_kept = folder.semantics().keeps_shared_table;
        let tie = if backbone.ties_embeddings() { Tie::Tied } else { Tie::Apart };
        let left = is_kept.then(|| without_words(&folder.method, tie).unwrap_or(Method::LastLayer));
        let method = left.as_ref().unwrap_or(&folder.method);
        let adapter = methods::build(method, &shape, &tensors, mean, salt as u64)?;
        members.push(Member { name: name.clone(), adapter });
        if let Some(head) = LoadedHead::of_folder(backbone, folder, &tensors)? {
            heads.insert(name.clone(), head);
            saved.push((folder.head_class, tensors));
        }
    }
    let is_one = saved.len() == named.len() && are_of_one_model(backbone, &saved)?;
    let last = named.last().filter(|_| is_one).and_then(|(name, _)| heads.remove(name));
    Ok((members, last.map_or(Brought::Each(heads), |head| Brought::One(Box::new(head)))))
}

/// Whether heads were saved beside several adapters of one model of the base checkpoint's own class: they are the same then.
fn are_of_one_model(
    backbone: &Backbone,
    saved: &[(Option<ModelClass>, BTreeMap<String, Tensor>)],
) -> candle_core::Result<bool> {
    let own =
        backbone.head().and_then(|own| ModelClass::with_head(backbone.config().architecture, &own.head));
    let is_own = |(class, _): &(Option<ModelClass>, _)| own.is_some() && *class == own;
    let Some((_, first)) = saved.first().filter(|_| saved.len() > 1 && saved.iter().all(is_own)) else {
        return Ok(false);
    };
    let of_head = |tensors: &BTreeMap<String, Tensor>| {
        let own = tensors.iter().filter(|(slot, _)| slot.starts_with("head."));
        own.map(|(slot, tensor)| (slot.clone(), tensor.clone())).collect::<Vec<_>>()
    };
    let first = of_head(first);
    for (_, tensors) in &saved[1..] {
        let other = of_head(tensors);
        if other.len() != first.len() {
            return Ok(false);
        }
        for ((slot, tensor), (same, own)) in other.iter().zip(&first) {
            if slot != same || tensor.dims() != own.dims() || !is_equal(tensor, own)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn is_equal(a: &Tensor, b: &Tensor) -> candle_core::Result<bool> {
    let unequal = a.ne(b)?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
    Ok(unequal == 0.0)
}

/// Saved adapters, the lowest first, and a new one on top of them.
pub(super) fn stack(
    backbone: &Backbone,
    below: &[(String, &AdapterFolder)],
    top: Box<dyn Adapter>,
) -> Result<Stitch, ModelError> {
    if below.is_empty() {
        return Ok(Stitch::single(top));
    }
    if stack_of(below).is_some() {
        return Err(runs_alone(below));
    }
    // The new adapter has no name, so that no other has the same.
    let name = String::new();
    let names = below.iter().map(|(name, _)| name).chain([&name]);
    let composition = Composition::Stack(names.cloned().map(Composition::Single).collect());
    let (mut members, _) = load(backbone, below, &composition)?;
    members.push(Member { name, adapter: top });
    Ok(Stitch::compose(&composition, members, Vec::new(), Semantics::Plain)?)
}

/// The fusions of several folders, over what the adapters have at their bottlenecks.
pub(super) fn load_fusions(
    backbone: &Backbone,
    named: &[(String, &AdapterFolder)],
    fusions: &[FusionFolder],
) -> Result<Vec<NamedFusion>, ModelError> {
    let config = backbone.config();
    let places = fused_places(named, &config.shape);
    let load = |folder: &FusionFolder| {
        let tensors = on_device(backbone, &folder.read_slots(&places, &config.shape)?)?;
        let fusion = Fusion::new(&folder.config, &places, &tensors, config.attention_dropout)?;
        Ok(NamedFusion { name: folder.name.clone(), fusion })
    };
    fusions.iter().map(load).collect()
}

/// Tensors of a folder in the backbone's precision; positions are whole numbers.
pub(super) fn on_device(
    backbone: &Backbone,
    slots: &BTreeMap<String, SlotData>,
) -> candle_core::Result<BTreeMap<String, Tensor>> {
    let read = |data| match tensor(data, backbone.device())? {
        positions if positions.dtype() == DType::U32 => Ok(positions),
        values => values.to_dtype(backbone.dtype()),
    };
    slots.iter().map(|(slot, data)| Ok((slot.clone(), read(data)?))).collect()
}

/// What an adapter's gates average over: as its manifest says, else as its library does.
fn gate_mean(folder: &AdapterFolder) -> GateMean {
    match folder.semantics().gating_mean {
        Some(GatingMean::Tokens) => GateMean::Tokens,
        Some(GatingMean::AllPositions) | None => GateMean::AllPositions,
    }
}

/// Adapters of the `adapters` library are composed as it composes them; one that was
/// trained here, or comes from PEFT, makes the plain meaning of the blocks apply.
pub(super) fn semantics(named: &[(String, &AdapterFolder)]) -> Semantics {
    if named.iter().all(|(_, folder)| is_library(folder)) { Semantics::Library } else { Semantics::Plain }
}

/// Whether the arithmetic of `adapters` holds for an adapter.
fn is_library(folder: &AdapterFolder) -> bool {
    folder.semantics().composition == Some(CompositionRules::Adapters)
}

/// What the libraries of the adapters compute otherwise.
pub(super) fn quirks(named: &[(String, &AdapterFolder)], architecture: Architecture) -> Quirks {
    let has_prefix = |folder: &AdapterFolder| {
        is_library(folder) && folder.method.parts().iter().any(|part| matches!(part, Method::Prefix(_)))
    };
    let any = |is: &dyn Fn(&AdapterFolder) -> bool| named.iter().any(|(_, folder)| is(folder));
    let found = [
        (Quirk::FreePrompts, any(&|folder| folder.semantics().prompts_see_padding)),
        (Quirk::DropsSegments, any(&|folder| folder.semantics().drops_segments)),
        (Quirk::MasksPrefixes, any(&|folder| folder.semantics().masks_prefixes)),
        (Quirk::LosesDistances, architecture.has_distances() && any(&has_prefix)),
        (
            Quirk::FoldsRows,
            architecture == Architecture::Vit && any(&is_library) && named.iter().all(|(_, f)| is_library(f)),
        ),
    ];
    found.into_iter().filter(|(_, is_there)| *is_there).map(|(quirk, _)| quirk).collect()
}

/// The sub-layers at which any of the adapters has a bottleneck.
pub(super) fn fused_places(
    named: &[(String, &AdapterFolder)],
    shape: &BackboneShape,
) -> Vec<(usize, SubLayer)> {
    let bottlenecks =
        named.iter().flat_map(|(_, folder)| folder.method.parts()).filter_map(|part| match part {
            Method::Bottleneck(config) => Some(config),
            _ => None,
        });
    // A fusion stands wherever the configuration puts adapters, left-out layers included.
    let placed = |sublayer| bottlenecks.clone().any(|config| config.has(sublayer));
    let of_layer = |layer| shape.sublayers(layer).iter().filter(|&&s| placed(s)).map(move |&s| (layer, s));
    (0..shape.num_layers).flat_map(of_layer).collect()
}
