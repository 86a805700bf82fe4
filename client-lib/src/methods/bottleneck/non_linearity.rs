//! What stands between a down- and an up-projection: a function, or one whose slope is learned.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::method::Activation;

use crate::{
    methods::take,
    ops::{activate, prelu},
};

/// Element by element.
#[derive(Debug)]
pub(super) enum NonLinearity {
    Fixed(Activation),
    /// `max(x, 0) + w min(x, 0)` (He et al., "Delving Deep into Rectifiers", 2015), with its `w [1]`.
    Learned(Tensor),
}

impl NonLinearity {
    /// The one in `at`, which holds the weight if there is one.
    pub(super) fn take(activation: Activation, tensors: &BTreeMap<String, Tensor>, at: &str) -> Result<Self> {
        match activation {
            Activation::Prelu => take(tensors, &format!("{at}.activation.weight")).map(Self::Learned),
            fixed => Ok(Self::Fixed(fixed)),
        }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Fixed(activation) => activate(x, *activation),
            Self::Learned(weight) => prelu(x, weight),
        }
    }
}
