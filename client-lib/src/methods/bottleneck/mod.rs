//! Bottleneck adapters (Houlsby et al. 2019, Pfeiffer et al. 2021, He et al. 2022) at
//! a sub-layer's output, before residual and norm.
//!
//! With sub-layer output `z`, residual `res` and the block's norm `LN`:
//!
//! 1. input `u` and inner residual `r`: `u = z`, `r = z`; with `original_ln_before`,
//!    `u = LN(z + res)` and, for `post_add`, `r = z + res`; with
//!    `residual_before_ln = false`, `r = u`. A parallel adapter has `u = res`, no `r`.
//! 2. `e = s · (W_up φ(W_down t + b_down) + b_up)`, where `t = u`, or `LN_before(u)`;
//!    a gate multiplies `e` by the mean over positions of `σ(W_g u + b_g)`.
//! 3. `e + r`, with `LN_after` behind the sum (`adapter_residual_before_ln`) or in front of it.
//! 4. once per place: `LN(e + res)` with `original_ln_after`, else `e`; a parallel
//!    adapter adds `z` first.
//!
//! One that hangs on the sub-layer's last projection leaves step 4 to the block, and has for `res` and `LN` what
//! [`Hooked`](hub_schemas::method::Hooked) says.
//!
//! Equal to `adapters` 1.3.0; norms inside an adapter have ε = 1e-5.

mod initial;
mod invertible;
mod non_linearity;
mod place;
mod projection;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, SubLayer},
    method::BottleneckConfig,
};

pub(super) use initial::initialiser;

use super::{Adapter, SubLayerAdapter, gate::GateMean};
use crate::backbones::Context;
use invertible::Coupling;
use place::Place;

/// A bottleneck adapter on every adapted sub-layer.
#[derive(Debug)]
pub(super) struct Bottleneck {
    places: BTreeMap<(usize, SubLayer), Place>,
    coupling: Option<Coupling>,
}

impl Bottleneck {
    pub(super) fn new(
        config: &BottleneckConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
        mean: GateMean,
        salt: u64,
    ) -> Result<Self> {
        let mut places = BTreeMap::new();
        for (layer, sublayer) in config.places(shape) {
            let site = salt << 32 | (layer as u64) << 8 | sublayer as u64;
            let place = Place::new(config, (layer, sublayer), tensors, mean, site)?;
            places.insert((layer, sublayer), place);
        }
        let coupling =
            config.invertible.map(|_| Coupling::new(config.non_linearity, shape, tensors)).transpose()?;
        Ok(Self { places, coupling })
    }
}

impl Adapter for Bottleneck {
    fn embeddings(&self, x: &Tensor, _context: &Context) -> Result<Option<Tensor>> {
        self.coupling.as_ref().map(|coupling| coupling.forward(x)).transpose()
    }

    fn invert(&self, x: &Tensor) -> Result<Option<Tensor>> {
        self.coupling.as_ref().map(|coupling| coupling.inverse(x)).transpose()
    }

    fn sublayer(&self, layer: usize, sublayer: SubLayer) -> Option<&dyn SubLayerAdapter> {
        self.places.get(&(layer, sublayer)).map(|place| place as &dyn SubLayerAdapter)
    }
}
