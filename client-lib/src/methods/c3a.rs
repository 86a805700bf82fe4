//! C3A (Chen et al. 2024): `y + 1 / in · C x`, `C` made of circulant blocks. Equal to PEFT 0.21.
//!
//! Row `t` of a block with the kernel `w` is `w` turned right by `t`: `C[t, j] = w[(j − t) mod k]`. PEFT multiplies
//! by it with Fourier transformations.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{layout::Slot, method::C3aConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// The kernels `[out / k, in / k, k]` of one layer.
#[derive(Debug)]
pub(super) struct Circulants {
    kernels: Tensor,
    /// u32 `[k · k]`: which element of its kernel stands at each place of a block.
    places: Tensor,
}

pub(super) fn load(
    config: &C3aConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Circulants>> {
    let layers = at_each(config.targets.iter(), |module| {
        let kernels = take(tensors, &format!("{module}.c3a_kernel"))?;
        let size = config.block_size(module);
        let places = Tensor::from_vec(places(size), size * size, kernels.device())?;
        Ok(Circulants { kernels, places })
    })?;
    Ok(Additive { layers, dropout: 0.0, salt })
}

/// For every place of a `k × k` block the element of the kernel that stands there.
fn places(k: usize) -> Vec<u32> {
    (0..k).flat_map(|row| (0..k).map(move |column| ((column + k - row) % k) as u32)).collect()
}

impl Delta for Circulants {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let (rows, columns, k) = self.kernels.dims3()?;
        let blocks = self.kernels.index_select(&self.places, 2)?.reshape((rows, columns, k, k))?;
        let weight = blocks.transpose(1, 2)?.contiguous()?.reshape((rows * k, columns * k))?;
        linear(x, &(weight / (columns * k) as f64)?, None)
    }
}

/// Xavier-uniform (Glorot & Bengio 2010), by PEFT's default: a fresh adapter changes the backbone a little.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    let [rows, columns, size] = slot.shape[..] else { return Initialiser::Constant(0.0) };
    Initialiser::Uniform { bound: (6.0 / ((rows + columns) * size) as f64).sqrt() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_row_of_a_block_is_the_one_above_turned_right() {
        assert_eq!(super::places(3), [0, 1, 2, 2, 0, 1, 1, 2, 0]);
    }
}
