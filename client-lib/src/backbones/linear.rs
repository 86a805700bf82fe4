//! A linear layer of the backbone: frozen, or a trained copy of it.

use candle_core::{Result, Tensor};

use crate::ops::{self, FrozenLinear};

/// A linear layer whose weight or bias may be replaced by trained copies.
#[derive(Debug, Clone)]
pub struct Linear {
    frozen: FrozenLinear,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
}

impl Linear {
    pub(super) fn frozen(frozen: FrozenLinear) -> Self {
        Self { frozen, weight: None, bias: None }
    }

    /// The same with the copies that are given.
    #[must_use]
    pub fn replaced(&self, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Self {
        Self { frozen: self.frozen.clone(), weight: weight.cloned(), bias: bias.cloned() }
    }

    /// The weight, `[out, in]`; restored where it is quantised.
    pub fn weight(&self) -> Result<Tensor> {
        self.weight.as_ref().map_or_else(|| self.frozen.weight(), |weight| Ok(weight.clone()))
    }

    /// Number of outputs.
    pub fn outputs(&self) -> Result<usize> {
        Ok(self.frozen.dims()?.0)
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref().or(self.frozen.bias())
    }

    /// `W x`, without the bias.
    pub fn forward_without_bias(&self, x: &Tensor) -> Result<Tensor> {
        match &self.weight {
            None => self.frozen.without_bias().forward(x),
            Some(weight) => ops::linear(x, weight, None),
        }
    }

    /// `x [.., in]` to `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match (&self.weight, &self.bias) {
            (None, None) => self.frozen.forward(x),
            (None, Some(bias)) => self.frozen.without_bias().forward(x)?.broadcast_add(bias),
            (Some(weight), _) => ops::linear(x, weight, self.bias()),
        }
    }
}
