//! Sequential bottleneck adapters (Houlsby et al. 2019, Pfeiffer et al. 2021) at a
//! sub-layer's output, before residual and norm.
//!
//! With sub-layer output `z`, residual `res` and the block's norm `LN`:
//!
//! 1. input `u` and inner residual `r`: `u = z`, `r = z`; with `original_ln_before`,
//!    `u = LN(z + res)` and, for `post_add`, `r = z + res`; with
//!    `residual_before_ln = false`, `r = u`.
//! 2. `e = s · (W_up φ(W_down t + b_down) + b_up)`, where `t = u`, or `LN_before(u)`;
//!    a gate multiplies `e` by the mean over positions of `σ(W_g u + b_g)`.
//! 3. `e + r`, with `LN_after` behind the sum (`adapter_residual_before_ln`) or in front of it.
//! 4. once per place: `LN(e + res)` with `original_ln_after`, else `e`.
//!
//! Equal to `adapters` 1.1.1; its norms inside an adapter have ε = 1e-5.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, SubLayer},
    method::{BottleneckConfig, InitScheme, InnerResidual},
};

use super::{Adapter, SubLayerInput, take};
use crate::{
    backbones::Mode,
    init::Initialiser,
    ops::{DropoutKey, activate, dropout, linear, trainable_norm},
};

/// ε of the adapter's own norms: PyTorch's default.
const INNER_EPS: f64 = 1e-5;

/// A bottleneck adapter on every adapted sub-layer.
#[derive(Debug)]
pub(super) struct Bottleneck {
    config: BottleneckConfig,
    places: BTreeMap<(usize, SubLayer), Place>,
    salt: u64,
}

/// The tensors at one sub-layer.
#[derive(Debug)]
struct Place {
    down: Affine,
    up: Affine,
    gate: Option<Affine>,
    norm_before: Option<Affine>,
    norm_after: Option<Affine>,
}

#[derive(Debug)]
struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn take(tensors: &BTreeMap<String, Tensor>, at: &str) -> Result<Self> {
        Ok(Self {
            weight: take(tensors, &format!("{at}.weight"))?,
            bias: take(tensors, &format!("{at}.bias"))?,
        })
    }

    fn linear(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, Some(&self.bias))
    }

    fn norm(&self, x: &Tensor) -> Result<Tensor> {
        trainable_norm(x, &self.weight, &self.bias, INNER_EPS)
    }
}

impl Bottleneck {
    pub(super) fn new(
        config: &BottleneckConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
        salt: u64,
    ) -> Result<Self> {
        let mut places = BTreeMap::new();
        for layer in 0..shape.num_layers {
            for sublayer in SubLayer::ALL.into_iter().filter(|&s| config.is_at(layer, s)) {
                let at = format!("layers.{layer}.{}", sublayer.as_str());
                let part = |name: &str| Affine::take(tensors, &format!("{at}.{name}"));
                let optional = |wanted: bool, name: &str| wanted.then(|| part(name)).transpose();
                let place = Place {
                    down: part("down")?,
                    up: part("up")?,
                    gate: optional(config.use_gating, "gate")?,
                    norm_before: optional(config.ln_before, "norm_before")?,
                    norm_after: optional(config.ln_after, "norm_after")?,
                };
                places.insert((layer, sublayer), place);
            }
        }
        Ok(Self { config: config.clone(), places, salt })
    }

    /// Step 1: the adapter's input `u` and inner residual `r`.
    fn input(&self, at: &SubLayerInput<'_>, z: &Tensor) -> Result<(Tensor, Tensor)> {
        let config = &self.config;
        let u = if config.original_ln_before { at.norm.forward_sum(z, at.residual)? } else { z.clone() };
        let r = match config.residual_before_ln {
            InnerResidual::AdapterInput => u.clone(),
            InnerResidual::PostAdd if config.original_ln_before => (z + at.residual)?,
            InnerResidual::PostAdd | InnerResidual::SubLayerOutput => z.clone(),
        };
        Ok((u, r))
    }

    /// Step 2: `e`, without any residual.
    fn transform(&self, place: &Place, at: &SubLayerInput<'_>, u: &Tensor) -> Result<Tensor> {
        let t = match &place.norm_before {
            Some(norm) => norm.norm(u)?,
            None => u.clone(),
        };
        let inner = activate(&place.down.linear(&t)?, self.config.non_linearity)?;
        let mut e = place.up.linear(&inner)?;
        if (self.config.scaling - 1.0).abs() > 0.0 {
            e = (e * self.config.scaling)?;
        }
        if let Mode::Train { seed, step } = at.context.mode {
            let site = self.salt << 32 | (at.layer as u64) << 8 | at.sublayer as u64;
            e = dropout(&e, self.config.dropout, DropoutKey { seed, step, site })?;
        }
        match &place.gate {
            // The library averages over every position, padding included.
            Some(gate) => {
                let scores = gate.linear(u)?;
                let open = ((scores * 0.5)?.tanh()? * 0.5)? + 0.5;
                e.broadcast_mul(&open?.mean_keepdim(D::Minus2)?)
            }
            None => Ok(e),
        }
    }
}

impl Adapter for Bottleneck {
    fn is_at(&self, layer: usize, sublayer: SubLayer) -> bool {
        self.places.contains_key(&(layer, sublayer))
    }

    fn inner(&self, at: &SubLayerInput<'_>, z: &Tensor) -> Result<Tensor> {
        let Some(place) = self.places.get(&(at.layer, at.sublayer)) else { return Ok(z.clone()) };
        let (u, r) = self.input(at, z)?;
        let e = self.transform(place, at, &u)?;
        match &place.norm_after {
            None => e + r,
            Some(norm) if self.config.adapter_residual_before_ln => norm.norm(&(e + r)?),
            Some(norm) => norm.norm(&e)? + r,
        }
    }

    fn finish(&self, at: &SubLayerInput<'_>, inner: &Tensor) -> Result<Tensor> {
        if self.config.original_ln_after {
            at.norm.forward_sum(inner, at.residual)
        } else {
            Ok(inner.clone())
        }
    }
}

/// How a fresh tensor is drawn, by the last parts of its slot's name.
pub(super) fn initialiser(config: &BottleneckConfig, slot: &str) -> Initialiser {
    let is = |ending: &str| slot.ends_with(ending);
    if is(".norm_before.weight") || is(".norm_after.weight") {
        return Initialiser::Constant(1.0);
    }
    if is(".bias") {
        return Initialiser::Constant(0.0);
    }
    match config.init_weights {
        InitScheme::Bert => Initialiser::Normal { std: 0.02 },
        InitScheme::Houlsby => Initialiser::TruncatedNormal { std: 0.01 },
        InitScheme::MamAdapter if is(".down.weight") => Initialiser::KaimingUniform,
        InitScheme::MamAdapter if is(".gate.weight") => Initialiser::Normal { std: 0.02 },
        InitScheme::MamAdapter => Initialiser::Constant(0.0),
    }
}
