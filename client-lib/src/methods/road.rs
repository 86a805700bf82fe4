//! `RoAd` (Liao & Monz 2024): `y = R (W x + b)`, where `R` rotates and scales pairs of outputs. Equal to PEFT 0.21.
//!
//! The outputs `(u, v)` of a pair become `(c u − s v, c' v + s' u)` with `c = α cos θ`, `s = α sin θ`. A pair stands
//! half a group apart.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    layout::Slot,
    method::{RoadConfig, RoadVariant},
};

use super::{
    on_linears::{Transform, Transforming, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser};

/// Angles and scales of one layer.
#[derive(Debug)]
pub(super) struct Rotations {
    theta: Tensor,
    alpha: Tensor,
    variant: RoadVariant,
    group_size: usize,
}

pub(super) fn load(
    config: &RoadConfig,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Transforming<Rotations>> {
    let layers = at_each(config.targets.iter(), |module| {
        Ok(Rotations {
            theta: take(tensors, &format!("{module}.road_theta"))?,
            alpha: take(tensors, &format!("{module}.road_alpha"))?,
            variant: config.variant,
            group_size: config.group_size,
        })
    })?;
    Ok(Transforming(layers))
}

impl Rotations {
    /// The factors of the outputs themselves and of their partners, `[groups, 2, group / 2]` each.
    fn factors(&self) -> Result<(Tensor, Tensor)> {
        let half = self.group_size / 2;
        let dims = match self.variant {
            RoadVariant::One => ((), 1, 1, half),
            RoadVariant::Two => ((), 1, 2, half),
            RoadVariant::Four => ((), 2, 2, half),
        };
        let (theta, alpha) = (self.theta.reshape(dims)?, self.alpha.reshape(dims)?);
        let (own, partner) = ((&alpha * theta.cos()?)?, (&alpha * theta.sin()?)?);
        // Of two sets the first is for the outputs themselves.
        let last = own.dim(1)? - 1;
        Ok((own.narrow(1, 0, 1)?.squeeze(1)?, partner.narrow(1, last, 1)?.squeeze(1)?))
    }
}

impl Transform for Rotations {
    fn transform(&self, at: &LinearInput<'_>) -> Result<Tensor> {
        let y = at.linear.forward(at.x)?;
        let half = self.group_size / 2;
        let (own, partner) = self.factors()?;
        let pairs = y.contiguous()?.reshape(((), own.dim(0)?, 2, half))?;
        let (first, second) = (pairs.narrow(2, 0, 1)?, pairs.narrow(2, 1, 1)?);
        let turned = Tensor::cat(&[&second.neg()?, &first], 2)?;
        let sum = (pairs.broadcast_mul(&own)? + turned.broadcast_mul(&partner)?)?;
        sum.reshape(y.shape())
    }
}

/// No rotation, no scaling.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    Initialiser::Constant(if slot.part == "road_alpha" { 1.0 } else { 0.0 })
}
