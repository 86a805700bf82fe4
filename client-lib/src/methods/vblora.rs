//! VB-LoRA (Li et al. 2024): `y + B A dropout(x)`, both factors put together from vectors of a bank that all layers
//! share: where one stands, `Σₖ softmax(z)ₖ vₖ` over the `topk` largest logits `z`. Equal to PEFT 0.21.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{layout::Slot, method::VbLoraConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// The factors of one layer.
#[derive(Debug)]
pub(super) struct Factors {
    a: Mixtures,
    b: Mixtures,
    /// `[vectors, length]`
    bank: Tensor,
}

/// Which vectors are mixed where, and how: for `A [r, in / length]` places, for `B [out / length, r]`.
#[derive(Debug)]
enum Mixtures {
    /// Logits `[.., .., vectors]` and how many of them count.
    Logits(Tensor, usize),
    /// u32 indices `[.., .., k]` and their shares, but for the last one, which is what is left.
    Chosen(Tensor, Tensor),
}

impl Mixtures {
    fn take(config: &VbLoraConfig, tensors: &BTreeMap<String, Tensor>, slot: &str) -> Result<Self> {
        if !config.only_topk {
            return Ok(Self::Logits(take(tensors, slot)?, config.topk));
        }
        let indices = take(tensors, &format!("{slot}_topk_indices"))?;
        let largest = indices.flatten_all()?.max(0)?.to_scalar::<u32>()?;
        if largest as usize >= config.num_vectors {
            candle_core::bail!("`{slot}` names vector {largest} of {}", config.num_vectors);
        }
        Ok(Self::Chosen(indices, take(tensors, &format!("{slot}_topk_weights"))?))
    }

    /// The mixed vectors, `[.., .., length]`.
    fn mixed(&self, bank: &Tensor) -> Result<Tensor> {
        let (indices, shares) = match self {
            Self::Logits(logits, k) => {
                let order = logits.detach().contiguous()?.arg_sort_last_dim(false)?;
                let indices = order.narrow(D::Minus1, 0, *k)?.contiguous()?;
                let chosen = logits.gather(&indices, D::Minus1)?;
                let exps = chosen.broadcast_sub(&chosen.max_keepdim(D::Minus1)?.detach())?.exp()?;
                (indices, exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)?)
            }
            Self::Chosen(indices, shares) => {
                let (rows, columns, first) = shares.dims3()?;
                let one = Tensor::ones((rows, columns, 1), shares.dtype(), indices.device())?;
                if first == 0 {
                    (indices.clone(), one)
                } else {
                    let left = (one - shares.sum_keepdim(D::Minus1)?)?;
                    (indices.clone(), Tensor::cat(&[shares, &left], D::Minus1)?)
                }
            }
        };
        let (rows, columns, k) = indices.dims3()?;
        let vectors = bank.index_select(&indices.flatten_all()?, 0)?.reshape((rows, columns, k, ()))?;
        vectors.broadcast_mul(&shares.unsqueeze(3)?)?.sum(2)
    }
}

pub(super) fn load(
    config: &VbLoraConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Factors>> {
    let bank = take(tensors, "shared.vblora_bank")?;
    let layers = at_each(config.targets.iter(), |module| {
        let mixtures =
            |part: &str| Mixtures::take(config, tensors, &format!("{module}.vblora_logits_{part}"));
        Ok(Factors { a: mixtures("a")?, b: mixtures("b")?, bank: bank.clone() })
    })?;
    Ok(Additive { layers, dropout: config.dropout, salt })
}

impl Delta for Factors {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        // [r, in / length, length] side by side, [out / length, r, length] one below the other.
        let a = self.a.mixed(&self.bank)?.flatten_from(1)?;
        let b = self.b.mixed(&self.bank)?.transpose(1, 2)?.contiguous()?.flatten(0, 1)?;
        linear(&linear(x, &a, None)?, &b, None)
    }
}

/// As PEFT: logits N(0, 0.1²), vectors uniform in ±0.02. A fresh adapter changes the backbone a little.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "vblora_bank" => Initialiser::Uniform { bound: 0.02 },
        _ => Initialiser::Normal { std: 0.1 },
    }
}
