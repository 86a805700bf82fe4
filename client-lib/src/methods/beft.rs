//! BEFT (Huang et al. 2025): `y + b`. Equal to PEFT 0.21.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::method::BeftConfig;

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser};

/// `b [1, out]` of one layer.
#[derive(Debug)]
pub(super) struct Bias(Tensor);

pub(super) fn load(config: &BeftConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Additive<Bias>> {
    let layers = at_each(config.targets.iter(), |module| take(tensors, &format!("{module}.beft")).map(Bias))?;
    Ok(Additive { layers, dropout: 0.0, salt: 0 })
}

impl Delta for Bias {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let out = self.0.dim(1)?;
        self.0.reshape((1, 1, out))?.broadcast_as((b, t, out))?.contiguous()
    }
}

/// The bias starts at zero.
pub(super) fn initialiser() -> Initialiser {
    Initialiser::Constant(0.0)
}
