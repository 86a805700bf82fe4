//! `GLoRA` (Chavan et al. 2023): `y = (W + W ⊙ A + B) x + b + b ⊙ D + E + W C`; a layer without a bias keeps to the
//! first term. Equal to PEFT 0.21.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{backbone::Module, layout::Slot, method::GloraConfig};

use super::{
    on_linears::{Transform, Transforming, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// What scales and shifts one layer.
#[derive(Debug)]
pub(super) struct Support {
    /// Broadcast to `[out, in]`.
    weight_scale: Path,
    /// Broadcast to `[out, in]`.
    weight_shift: Path,
    /// `[in, 1]`
    input: Path,
    /// Broadcast to `[out]`.
    bias_scale: Path,
    /// Broadcast to `[out]`.
    bias_shift: Path,
}

#[derive(Debug)]
enum Path {
    Whole(Tensor),
    Product(Tensor, Tensor),
}

impl Path {
    fn take(tensors: &BTreeMap<String, Tensor>, module: Module, part: &str) -> Result<Self> {
        let slot = |name: &str| format!("{module}.{part}.{name}");
        let whole = ["x", "zeros"].into_iter().find_map(|name| tensors.get(&slot(name)));
        match whole {
            Some(whole) => Ok(Self::Whole(whole.clone())),
            None => Ok(Self::Product(take(tensors, &slot("xd"))?, take(tensors, &slot("xu"))?)),
        }
    }

    fn value(&self) -> Result<Tensor> {
        match self {
            Self::Whole(whole) => Ok(whole.clone()),
            Self::Product(down, up) => down.matmul(up),
        }
    }
}

pub(super) fn load(
    config: &GloraConfig,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Transforming<Support>> {
    let layers = at_each(config.targets.iter(), |module| {
        let path = |part: &str| Path::take(tensors, module, part);
        Ok(Support {
            weight_scale: path("glora_a")?,
            weight_shift: path("glora_b")?,
            input: path("glora_c")?,
            bias_scale: path("glora_d")?,
            bias_shift: path("glora_e")?,
        })
    })?;
    Ok(Transforming(layers))
}

impl Transform for Support {
    fn transform(&self, at: &LinearInput<'_>) -> Result<Tensor> {
        let weight = at.linear.weight()?;
        let scaled = (&weight + weight.broadcast_mul(&self.weight_scale.value()?)?)?;
        let y = linear(at.x, &scaled.broadcast_add(&self.weight_shift.value()?)?, None)?;
        let Some(bias) = at.linear.bias() else { return Ok(y) };
        let shift = weight.matmul(&self.input.value()?)?.squeeze(1)?;
        let own = (bias + bias.broadcast_mul(&self.bias_scale.value()?)?)?;
        y.broadcast_add(&(own.broadcast_add(&self.bias_shift.value()?)? + shift)?)
    }
}

/// All but one factor of the products starts at zero: a fresh adapter changes nothing.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    if slot.part.rsplit('.').next() == Some("xu") {
        return Initialiser::KaimingUniform;
    }
    Initialiser::Constant(0.0)
}
