//! `AdaLoRA` (Zhang et al. 2023): `y + alpha / r · B diag(e) A x`.
//!
//! Equal to PEFT 0.21, which divides by the rank before pruning plus 1e-5.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};
use hub_schemas::{
    layout::Slot,
    method::{AdaLoraConfig, PrunedRank},
};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// `A [r, in]`, `e [r, 1]`, `B [out, r]`.
#[derive(Debug)]
pub(super) struct Triplet {
    a: Tensor,
    b: Tensor,
    e: Tensor,
    scaling: f64,
}

pub(super) fn load(
    config: &AdaLoraConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Triplet>> {
    // A layer that kept no singular value adds nothing.
    let kept = config.targets.iter().filter(|&module| config.rank(module) > 0);
    let layers = at_each(kept, |module| {
        let part = |name: &str| take(tensors, &format!("{module}.{name}"));
        Ok(Triplet { a: part("ada_a")?, b: part("ada_b")?, e: part("ada_e")?, scaling: config.scaling() })
    })?;
    Ok(Additive { layers, dropout: config.lora_dropout, salt })
}

impl Delta for Triplet {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let narrow = linear(x, &self.a.broadcast_mul(&self.e)?, None)?;
        linear(&(narrow * self.scaling)?, &self.b, None)
    }
}

/// An adapter without the singular values that are zero, and what is left of its tensors. The
/// scaling stays: it divides by the rank before pruning.
pub(super) fn pruned(
    config: &AdaLoraConfig,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<(AdaLoraConfig, BTreeMap<String, Tensor>)> {
    let (mut own, mut pruned) = (BTreeMap::new(), Vec::new());
    for module in config.targets.iter() {
        let part = |name: &str| take(tensors, &format!("{module}.{name}"));
        let (a, b, e) = (part("ada_a")?, part("ada_b")?, part("ada_e")?);
        let values = e.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let kept: Vec<u32> = (0..).zip(&values).filter(|(_, e)| **e != 0.0).map(|(i, _)| i).collect();
        let r = kept.len();
        if r < config.init_r {
            pruned.push(PrunedRank { module, r });
        }
        let rows = |tensor: &Tensor, dim: usize| -> Result<Tensor> {
            if r == 0 {
                let mut dims = tensor.dims().to_vec();
                dims[dim] = 0;
                return Tensor::zeros(dims, tensor.dtype(), tensor.device());
            }
            tensor.index_select(&Tensor::new(kept.as_slice(), tensor.device())?, dim)
        };
        own.insert(format!("{module}.ada_a"), rows(&a, 0)?);
        own.insert(format!("{module}.ada_b"), rows(&b, 1)?);
        own.insert(format!("{module}.ada_e"), rows(&e, 0)?);
    }
    Ok((AdaLoraConfig { pruned, ..config.clone() }, own))
}

/// Singular values start at zero: a fresh adapter changes nothing.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "ada_e" => Initialiser::Constant(0.0),
        _ => Initialiser::Normal { std: 0.02 },
    }
}
