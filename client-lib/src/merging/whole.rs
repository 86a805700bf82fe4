//! Whole adapters as they lie in folders: method, head, and what their gates mean.

use std::collections::BTreeMap;

use hub_formats::checkpoint::{AdapterFolder, SlotData};
use hub_schemas::{
    backbone::BackboneShape, head::Head, layout::method_slots, manifest::Semantics, method::Method,
};

use super::{
    LoraLayers, MergeError, MergeKind, MergeOptions, Normalise, average_tensors, lora_layers, lora_tensors,
    merge_lora_adapters,
};

/// What the slots of every head begin with.
const HEAD: &str = "head.";

/// An adapter that goes into a merge.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its folder.
    pub folder: &'a AdapterFolder,
    /// Its weight in the sum.
    pub weight: f64,
}

/// Which head the merged adapter gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeadRule {
    /// The only one there is, or the weighted mean of equal kinds with equal labels.
    #[default]
    Auto,
    /// None.
    Drop,
    /// That of one member, counted from one.
    Of(usize),
}

/// One adapter of several.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedAdapter {
    /// The method.
    pub method: Method,
    /// Every tensor by slot, the head's among them.
    pub slots: BTreeMap<String, SlotData>,
    /// The head.
    pub head: Option<Head>,
    /// Names of the head's outputs.
    pub labels: Vec<String>,
    /// What the members' weights mean, where implementations differ.
    pub semantics: Semantics,
    /// How many heads went into this one.
    pub heads: usize,
}

/// Merges adapters of one backbone of this shape.
///
/// LoRAs that are a sum on each weight are merged by any rule. Of every other method, and
/// of LoRAs that are more than that, `average` (and `linear`, which is the same for them)
/// makes the weighted sum tensor by tensor, as `adapters`' `average_adapter` does; they
/// must have one configuration. A head is never merged by the rule: see [`HeadRule`].
///
/// Refuses what the rule can't merge, and members that differ where they must not.
pub fn merge_adapters(
    kind: MergeKind,
    members: &[Member<'_>],
    head: HeadRule,
    options: &MergeOptions,
    shape: &BackboneShape,
) -> Result<MergedAdapter, MergeError> {
    options.check(kind)?;
    let Some((first, rest)) = members.split_first() else { return Err(MergeError::Empty) };
    let slots =
        members.iter().map(|m| Ok(m.folder.read_slots(shape)?)).collect::<Result<Vec<_>, MergeError>>()?;
    let parts: Vec<Part> = slots.into_iter().map(Part::new).collect();
    let as_loras = members.iter().zip(&parts).map(|(member, part)| {
        let layers = lora_layers(&member.folder.method, &part.method, &member.folder.path)?;
        Ok((layers, member.weight))
    });
    let as_loras: Result<Vec<(LoraLayers, f64)>, MergeError> = as_loras.collect();
    let tensorwise = matches!(kind, MergeKind::Average | MergeKind::Linear);
    let (method, mut slots) = match as_loras {
        Ok(loras) => {
            let borrowed: Vec<(&LoraLayers, f64)> = loras.iter().map(|(layers, w)| (layers, *w)).collect();
            let written = lora_tensors(&merge_lora_adapters(kind, &borrowed, options)?, shape)?;
            (Method::Lora(written.config), written.slots)
        }
        // One that brings something else in a union would lose it; `average` keeps it.
        Err(MergeError::Method { .. }) if tensorwise && !(kind == MergeKind::Linear && has_lora(first)) => {
            if let Some(index) = rest.iter().position(|m| !m.folder.computes_like(first.folder)) {
                return Err(MergeError::Methods {
                    index: index + 2,
                    expected: first.folder.method.summary(),
                    found: rest[index].folder.method.summary(),
                });
            }
            (first.folder.method.clone(), tensor_by_tensor(members, &parts, options, shape)?)
        }
        Err(error) => return Err(error),
    };
    let chosen = choose_head(members, &parts, head)?;
    let heads = chosen.len();
    let mut merged = MergedAdapter {
        method,
        slots: BTreeMap::new(),
        head: None,
        labels: Vec::new(),
        semantics: semantics(members)?,
        heads,
    };
    if let Some((member, _, _)) = chosen.first() {
        merged.head.clone_from(&member.head);
        merged.labels.clone_from(&member.labels);
        let heads: Vec<_> = chosen.iter().map(|(_, tensors, weight)| (*tensors, *weight)).collect();
        slots.extend(average_tensors(&heads, Normalise::ToOne)?);
    }
    Ok(MergedAdapter { slots, ..merged })
}

/// The tensors of one adapter.
struct Part {
    method: BTreeMap<String, SlotData>,
    head: BTreeMap<String, SlotData>,
}

impl Part {
    fn new(slots: BTreeMap<String, SlotData>) -> Self {
        let (head, method) = slots.into_iter().partition(|(name, _)| name.starts_with(HEAD));
        Self { method, head }
    }
}

fn has_lora(member: &Member<'_>) -> bool {
    member.folder.method.parts().iter().any(|part| matches!(part, Method::Lora(_)))
}

fn tensor_by_tensor(
    members: &[Member<'_>],
    parts: &[Part],
    options: &MergeOptions,
    shape: &BackboneShape,
) -> Result<BTreeMap<String, SlotData>, MergeError> {
    let method = &members[0].folder.method;
    if method.parts().iter().any(|part| matches!(part, Method::Reft(config) if config.orthogonality)) {
        return Err(MergeError::Method {
            folder: members[0].folder.path.clone(),
            method: method.summary(),
            reason: "the mean of orthogonal projections is not orthogonal",
        });
    }
    let tensors: Vec<_> = parts.iter().zip(members).map(|(part, m)| (&part.method, m.weight)).collect();
    let normalise = if options.normalise { Normalise::ToOne } else { Normalise::Not };
    let mut merged = average_tensors(&tensors, normalise)?;
    // What is drawn once and shared is no sum.
    for slot in method_slots(method, shape).into_iter().filter(|slot| !slot.trainable) {
        let Some(kept) = parts[0].method.get(&slot.name) else { continue };
        if let Some(index) = parts.iter().position(|part| part.method.get(&slot.name) != Some(kept)) {
            return Err(MergeError::Frozen { index: index + 1, name: slot.name });
        }
        merged.insert(slot.name, kept.clone());
    }
    Ok(merged)
}

/// A member whose head is one of those that become one, with the head's tensors and weight.
type WeightedHead<'a> = (&'a AdapterFolder, &'a BTreeMap<String, SlotData>, f64);

/// The members whose heads become one.
fn choose_head<'a>(
    members: &[Member<'a>],
    parts: &'a [Part],
    rule: HeadRule,
) -> Result<Vec<WeightedHead<'a>>, MergeError> {
    let with_head = members.iter().zip(parts).filter(|(member, _)| member.folder.head.is_some());
    let mut heads: Vec<_> = with_head.map(|(m, part)| (m.folder, &part.head, m.weight)).collect();
    match rule {
        HeadRule::Drop => heads.clear(),
        HeadRule::Of(number) => {
            let member = number.checked_sub(1).and_then(|index| members.get(index).zip(parts.get(index)));
            let member = member.filter(|(member, _)| member.folder.head.is_some());
            let (member, part) = member.ok_or(MergeError::NoHead { number, of: members.len() })?;
            heads = vec![(member.folder, &part.head, 1.0)];
        }
        HeadRule::Auto => {
            let Some(((first, _, _), rest)) = heads.split_first() else { return Ok(heads) };
            if let Some((other, _, _)) =
                rest.iter().find(|(other, _, _)| other.head != first.head || other.labels != first.labels)
            {
                let described = |folder: &AdapterFolder| {
                    let kind = folder.head.as_ref().map_or("none", Head::kind);
                    format!("{kind} ({})", folder.labels.join(", "))
                };
                return Err(MergeError::Heads { first: described(first), other: described(other) });
            }
            match heads.as_mut_slice() {
                [(_, _, weight)] => *weight = 1.0,
                all => {
                    let weights: Vec<f64> = all.iter().map(|(_, _, weight)| *weight).collect();
                    // Subtracting one head from another is no head of either task.
                    if weights.iter().any(|weight| *weight < 0.0) || weights.iter().sum::<f64>() <= 0.0 {
                        return Err(MergeError::HeadWeights(weights));
                    }
                }
            }
        }
    }
    Ok(heads)
}

/// What the weights mean must be one thing. Only the arithmetic of compositions may differ:
/// then it is that of the blocks' definitions.
fn semantics(members: &[Member<'_>]) -> Result<Semantics, MergeError> {
    let mut all = members.iter().map(|member| member.folder.semantics());
    let mut common = all.next().unwrap_or_default();
    for (index, other) in all.enumerate() {
        if other.composition != common.composition {
            common.composition = None;
        }
        if other != (Semantics { composition: other.composition, ..common.clone() }) {
            return Err(MergeError::Semantics { index: index + 2 });
        }
    }
    Ok(common)
}
