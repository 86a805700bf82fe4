//! A trainable weight with its bias.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::take;
use crate::ops::{linear, trainable_norm};

/// ε of an adapter's own norms: PyTorch's default.
const INNER_EPS: f64 = 1e-5;

/// A weight and a bias.
#[derive(Debug)]
pub(super) struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    pub(super) fn take(tensors: &BTreeMap<String, Tensor>, at: &str) -> Result<Self> {
        Ok(Self {
            weight: take(tensors, &format!("{at}.weight"))?,
            bias: take(tensors, &format!("{at}.bias"))?,
        })
    }

    /// As a linear layer: `x [.., in]` to `[.., out]`.
    pub(super) fn linear(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, Some(&self.bias))
    }

    /// Outputs `start .. start + len` of [`linear`](Self::linear) alone.
    pub(super) fn outputs(&self, x: &Tensor, start: usize, len: usize) -> Result<Tensor> {
        linear(x, &self.weight.narrow(0, start, len)?, Some(&self.bias.narrow(0, start, len)?))
    }

    /// As a layer norm over the last dimension.
    pub(super) fn norm(&self, x: &Tensor) -> Result<Tensor> {
        trainable_norm(x, &self.weight, &self.bias, INNER_EPS)
    }
}
