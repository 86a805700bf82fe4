//! OFT (Qiu et al. 2023): `y = W (x R) + b`, `R` block-diagonal. Equal to PEFT 0.21.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};
use hub_schemas::{backbone::BackboneShape, method::OftConfig};

use super::{
    super::{
        on_linears::{Transform, Transforming, at_each},
        take,
    },
    blocks::{cayley, cayley_series, rotate},
};
use crate::{backbones::LinearInput, init::Initialiser};

/// The upper triangles `[n, k (k − 1) / 2]` of one layer's skew-symmetric blocks.
#[derive(Debug)]
pub(in crate::methods) struct Rotation {
    triangles: Tensor,
    /// u32 `[k · k]`: where an element of a block stands among zero, the triangle and its negative.
    places: Tensor,
    size: usize,
    neumann_terms: Option<usize>,
    eps: Option<f64>,
}

pub(in crate::methods) fn load(
    config: &OftConfig,
    shape: &BackboneShape,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Transforming<Rotation>> {
    let rotations = at_each(config.targets.iter(), |module| {
        let triangles = take(tensors, &format!("{module}.oft_r"))?;
        let size = config.block_size(shape.module_dims(module).0);
        Ok(Rotation {
            places: Tensor::from_vec(places(size), size * size, triangles.device())?,
            triangles,
            size,
            neumann_terms: config.neumann_terms,
            eps: config.eps,
        })
    });
    rotations.map(Transforming)
}

/// For every element of a `k × k` block its index in `[0, triangle, −triangle]`.
fn places(k: usize) -> Vec<u32> {
    let elements = k * (k - 1) / 2;
    // The triangle's rows one after another.
    let above = |row: usize, column: usize| row * (2 * k - row - 1) / 2 + column - row - 1;
    let place = |index: usize| match (index / k, index % k) {
        (row, column) if row < column => 1 + above(row, column),
        (row, column) if row > column => 1 + elements + above(column, row),
        _ => 0,
    };
    (0..k * k).map(|index| place(index) as u32).collect()
}

impl Rotation {
    /// `Q [n, k, k]`, no longer than constrained OFT allows.
    fn skew(&self) -> Result<Tensor> {
        let mut triangles = self.triangles.clone();
        let blocks = triangles.dim(0)?;
        if let Some(eps) = self.eps {
            // Both triangles count in the norm.
            let norm = (triangles.sqr()?.sum_keepdim(1)? * 2.0)?.sqrt()?.detach();
            let limit = eps / (blocks as f64).sqrt();
            let factor = (norm.recip()? * limit)?.minimum(&norm.ones_like()?)?;
            // Nothing to shorten where the norm is zero.
            let factor = norm.gt(0.0)?.where_cond(&factor, &norm.ones_like()?)?;
            triangles = triangles.broadcast_mul(&factor)?;
        }
        let zero = Tensor::zeros((blocks, 1), triangles.dtype(), triangles.device())?;
        let all = Tensor::cat(&[&zero, &triangles, &triangles.neg()?], 1)?;
        all.index_select(&self.places, 1)?.reshape((blocks, self.size, self.size))
    }

    /// `R [n, k, k]`
    fn blocks(&self) -> Result<Tensor> {
        let skew = self.skew()?;
        match self.neumann_terms {
            Some(terms) => cayley_series(&skew, terms),
            None => cayley(&skew),
        }
    }
}

impl Transform for Rotation {
    fn transform(&self, at: &LinearInput<'_>) -> Result<Tensor> {
        debug_assert_eq!(self.places.dtype(), DType::U32);
        at.linear.forward(&rotate(at.x, &self.blocks()?)?)
    }
}

/// `Q` starts at zero: no rotation.
pub(in crate::methods) fn initialiser() -> Initialiser {
    Initialiser::Constant(0.0)
}
