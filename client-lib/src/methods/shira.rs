//! `SHiRA` (Bhardwaj et al. 2024): `y + S x`, `S` zero but for some elements. Equal to PEFT 0.21.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};
use hub_schemas::{backbone::BackboneShape, layout::Slot, method::ShiraConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{
    backbones::LinearInput,
    init::{Initialiser, draw_places},
    ops::linear,
};

/// The elements of one layer's update.
#[derive(Debug)]
pub(super) struct Sparse {
    /// `[n]`
    values: Tensor,
    /// u32 `[n]`: where they stand, counted row by row.
    places: Tensor,
    /// Outputs and inputs.
    dims: (usize, usize),
}

pub(super) fn load(
    config: &ShiraConfig,
    shape: &BackboneShape,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Sparse>> {
    let layers = at_each(config.targets.iter(), |module| {
        let slot = format!("{module}.shira_indices");
        let (inputs, outputs) = shape.module_dims(module);
        let indices = take(tensors, &slot)?.to_vec2::<u32>()?;
        let [rows, columns] = indices.as_slice() else { candle_core::bail!("`{slot}` has no two rows") };
        let place = |(&row, &column): (&u32, &u32)| {
            let (row, column) = (row as usize, column as usize);
            if row < outputs && column < inputs {
                return Ok((row * inputs + column) as u32);
            }
            candle_core::bail!("`{slot}` names the element {row}, {column} of a weight [{outputs}, {inputs}]")
        };
        let places = rows.iter().zip(columns).map(place).collect::<Result<Vec<_>>>()?;
        let values = take(tensors, &format!("{module}.shira_weight"))?;
        Ok(Sparse { places: Tensor::new(places, values.device())?, values, dims: (outputs, inputs) })
    })?;
    Ok(Additive { layers, dropout: 0.0, salt })
}

impl Delta for Sparse {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let zeros = Tensor::zeros(self.dims.0 * self.dims.1, x.dtype(), x.device())?;
        linear(x, &zeros.index_add(&self.places, &self.values, 0)?.reshape(self.dims)?, None)
    }
}

/// Fresh places, different ones, row by row: u32 `[2, n]`, of a weight `[out, in]`.
pub(super) fn places(
    slot: &Slot,
    (outputs, inputs): (usize, usize),
    seed: u64,
    device: &Device,
) -> Result<Tensor> {
    let count = slot.shape.last().copied().unwrap_or_default();
    let places = draw_places(slot, seed, count, outputs * inputs);
    let rows = places.iter().map(|place| (place / inputs) as u32);
    let all: Vec<u32> = rows.chain(places.iter().map(|place| (place % inputs) as u32)).collect();
    Tensor::from_vec(all, (2, count), device)
}

/// The elements start at zero: a fresh adapter changes nothing. Where they stand depends on the layer.
pub(super) fn initialiser() -> Initialiser {
    Initialiser::Constant(0.0)
}
