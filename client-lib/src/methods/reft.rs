//! ReFT (Wu et al. 2024): low-rank interventions after a block, at its first and last
//! positions that are not padding.
//!
//! `Φ(h) = h + Rᵀ (f(W h + b) − R h)` with `R [r, h]`; DiReFT has no `− R h`. Where the
//! ends overlap, the intervention at the end wins. Equal to `adapters` 1.3.0, which finds the ends of
//! a decoder's input in the mask of the encoder's; its LoReFT stores `R` as a parametrisation, here it is the matrix itself.

use std::{cmp::Ordering, collections::BTreeMap};

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::BackboneShape,
    layout::Slot,
    method::{Activation, MethodSpec as _, ReftConfig},
};

use super::{Adapter, affine::Affine, take};
use crate::{
    backbones::{Context, Mode, repeat_rows},
    init::Initialiser,
    ops::{activate, linear},
};

/// The interventions of every adapted layer.
#[derive(Debug)]
pub(super) struct Reft {
    config: ReftConfig,
    layers: BTreeMap<usize, Vec<Unit>>,
    /// Whether some layers are an encoder's, or the only stack's.
    is_in_encoder: bool,
    salt: u64,
}

#[derive(Debug)]
struct Unit {
    source: Affine,
    projection: Tensor,
    subtract: bool,
    activation: Option<Activation>,
}

impl Unit {
    fn forward(&self, h: &Tensor) -> Result<Tensor> {
        let mut source = self.source.linear(h)?;
        if let Some(activation) = self.activation {
            source = activate(&source, activation)?;
        }
        if self.subtract {
            source = (source - linear(h, &self.projection, None)?)?;
        }
        h + linear(&source, &self.projection.t()?.contiguous()?, None)?
    }
}

/// Whether a trained DiReFT is saved as the NoReFT that computes the same. `adapters` does not write
/// whether `R h` is subtracted, and subtracts it in every file that it reads.
pub(super) fn folds(config: &ReftConfig) -> bool {
    !config.subtract_projection && !config.orthogonality && config.non_linearity.is_none()
}

/// The tensors of the NoReFT: `Rᵀ (W h + b) = Rᵀ ((W + R) h + b − R h)`.
pub(super) fn folded(
    config: &ReftConfig,
    shape: &BackboneShape,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<BTreeMap<String, Tensor>> {
    let fold = |slot: Slot| {
        let tensor = take(tensors, &slot.name)?;
        let tensor = match slot.name.strip_suffix("source.weight") {
            Some(unit) => (tensor + take(tensors, &format!("{unit}projection"))?)?,
            None => tensor,
        };
        Ok((slot.name, tensor))
    };
    config.slots(shape).into_iter().map(fold).collect()
}

impl Reft {
    pub(super) fn new(
        config: &ReftConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
        salt: u64,
    ) -> Result<Self> {
        let unit = |layer: usize, unit: usize| {
            let at = format!("layers.{layer}.block.unit{unit}");
            Ok(Unit {
                source: Affine::take(tensors, &format!("{at}.source"))?,
                projection: take(tensors, &format!("{at}.projection"))?,
                subtract: config.subtract_projection,
                activation: config.non_linearity,
            })
        };
        let mut layers = BTreeMap::new();
        for layer in (0..shape.num_layers).filter(|&layer| config.is_at(layer)) {
            let units = (0..config.units()).map(|u| unit(layer, u)).collect::<Result<Vec<_>>>()?;
            layers.insert(layer, units);
        }
        let is_in_encoder = layers.keys().any(|&layer| layer < shape.encoder_layers());
        Ok(Self { config: config.clone(), layers, is_in_encoder, salt })
    }

    /// The changed state of every position, with dropout in training.
    fn changed(&self, unit: &Unit, x: &Tensor, site: u64, mode: Mode) -> Result<Tensor> {
        let changed = unit.forward(x)?;
        mode.dropout(&changed, self.config.dropout, self.salt << 32 | 3 << 24 | site)
    }
}

impl Adapter for Reft {
    fn block(&self, layer: usize, x: &Tensor, context: &Context) -> Result<Option<Tensor>> {
        let Some(units) = self.layers.get(&layer) else { return Ok(None) };
        let (rows, positions, h) = x.dims3()?;
        // Without a mask the library counts the states of the first layer that is changed.
        let counts_encoder = !context.is_unmasked || self.is_in_encoder;
        let encoder_mask = context.encoder_mask.as_ref().filter(|_| counts_encoder);
        let mask = encoder_mask.unwrap_or(&context.attention_mask);
        // At either end there are no more positions than the mask has.
        let most = mask.dim(1)?;
        let [prefix, suffix] =
            [self.config.prefix_positions, self.config.suffix_positions].map(|ends| ends.min(most));
        let mask = resized(&repeat_rows(mask, rows)?, positions)?;
        let ends = Ends::new(&mask, prefix, suffix)?;
        let mut state = x.clone();
        for (index, chosen) in [ends.first, ends.last].into_iter().enumerate() {
            let Some(unit) = units.get(index).or(units.first()) else { continue };
            if !chosen.contains(&1) {
                continue;
            }
            let changed = self.changed(unit, x, (2 * layer + index) as u64, context.mode)?;
            let chosen = Tensor::from_vec(chosen, (rows, positions, 1), x.device())?;
            state = chosen.broadcast_as((rows, positions, h))?.where_cond(&changed, &state)?;
        }
        Ok(Some(state))
    }
}

/// A mask `[b, s]` for `positions` positions: cut, or filled with padding.
fn resized(mask: &Tensor, positions: usize) -> Result<Tensor> {
    let (rows, own) = mask.dims2()?;
    match own.cmp(&positions) {
        Ordering::Less => {
            let padding = Tensor::zeros((rows, positions - own), mask.dtype(), mask.device())?;
            Tensor::cat(&[mask, &padding], 1)
        }
        Ordering::Equal => Ok(mask.clone()),
        Ordering::Greater => mask.narrow(1, 0, positions)?.contiguous(),
    }
}

/// Which positions are changed: 1 where they are, row-major `[b, t]`.
struct Ends {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Ends {
    fn new(mask: &Tensor, prefix: usize, suffix: usize) -> Result<Self> {
        let rows = mask.to_dtype(candle_core::DType::U32)?.to_vec2::<u32>()?;
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for row in rows {
            let start = row.iter().position(|&m| m != 0).unwrap_or(0);
            let end = start + row.iter().filter(|&&m| m != 0).count();
            let within = |from: usize, to: usize| {
                (0..row.len()).map(move |i| u8::from((from..to).contains(&i))).collect::<Vec<_>>()
            };
            first.extend(within(start, start + prefix));
            last.extend(within(end.saturating_sub(suffix), end));
        }
        Ok(Self { first, last })
    }
}

/// The library draws both as PyTorch draws linear layers, and an orthonormal `R` uniformly
/// among all of them.
pub(super) fn initialiser(config: &ReftConfig, slot: &Slot) -> Initialiser {
    match slot.part.rsplit('.').next() {
        Some("projection") if config.orthogonality => Initialiser::Orthonormal,
        Some("bias") => Initialiser::Constant(0.0),
        _ => Initialiser::KaimingUniform,
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use hub_schemas::layout::method_slots;

    use super::*;

    #[test]
    fn a_direft_computes_the_same_as_the_noreft_that_it_is_saved_as() -> Result<()> {
        let shape = BackboneShape { hidden_size: 6, num_layers: 1, ..BackboneShape::EMPTY };
        let direft = ReftConfig { orthogonality: false, subtract_projection: false, ..ReftConfig::loreft(2) };
        let noreft = ReftConfig { subtract_projection: true, ..direft.clone() };
        let draw = |slot: Slot| Ok((slot.name, Tensor::randn(0f64, 1.0, slot.shape, &Device::Cpu)?));
        let slots = method_slots(&hub_schemas::method::Method::Reft(direft.clone()), &shape);
        let tensors: BTreeMap<String, Tensor> = slots.into_iter().map(draw).collect::<Result<_>>()?;
        let as_noreft = folded(&direft, &shape, &tensors)?;
        let x = Tensor::randn(0f64, 1.0, (2, 3, 6), &Device::Cpu)?.to_dtype(DType::F64)?;
        let through = |config: &ReftConfig, tensors: &BTreeMap<String, Tensor>| {
            Reft::new(config, &shape, tensors, 0)?.layers[&0][0].forward(&x)
        };
        let difference = (through(&direft, &tensors)? - through(&noreft, &as_noreft)?)?.abs()?;
        assert!(difference.max_all()?.to_scalar::<f64>()? < 1e-12);
        Ok(())
    }
}
