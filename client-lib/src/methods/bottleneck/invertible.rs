//! The invertible adapter of a language (Pfeiffer et al., "MAD-X", 2020): an additive
//! coupling (Dinh et al., "NICE", 2015) behind the embeddings.
//!
//! With the channels split in halves, `y₁ = x₁ + F(x₂)`, `y₂ = x₂ + G(y₁)`; backwards
//! `x₂ = y₂ − G(y₁)`, `x₁ = y₁ − F(x₂)`.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{
    backbone::BackboneShape,
    method::{Activation, BottleneckConfig},
};

use super::non_linearity::NonLinearity;
use crate::methods::affine::Affine;

/// Two coupling networks.
#[derive(Debug)]
pub(super) struct Coupling {
    f: Network,
    g: Network,
    halves: (usize, usize),
}

#[derive(Debug)]
struct Network {
    down: Affine,
    up: Affine,
    inner: NonLinearity,
}

impl Network {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.up.linear(&self.inner.forward(&self.down.linear(x)?)?)
    }
}

impl Coupling {
    pub(super) fn new(
        activation: Activation,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let network = |name: &str| -> Result<Network> {
            let at = format!("shared.invertible.{name}");
            let part = |part: &str| Affine::take(tensors, &format!("{at}.{part}"));
            let inner = NonLinearity::take(activation, tensors, &at)?;
            Ok(Network { down: part("down")?, up: part("up")?, inner })
        };
        let halves = BottleneckConfig::halves(shape.table_width());
        Ok(Self { f: network("f")?, g: network("g")?, halves })
    }

    fn split(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let (first, second) = self.halves;
        Ok((x.narrow(D::Minus1, 0, first)?.contiguous()?, x.narrow(D::Minus1, first, second)?.contiguous()?))
    }

    /// `[.., h]` to `[.., h]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (x1, x2) = self.split(x)?;
        let y1 = (x1 + self.f.forward(&x2)?)?;
        let y2 = (x2 + self.g.forward(&y1)?)?;
        Tensor::cat(&[y1, y2], D::Minus1)
    }

    /// The inverse of [`forward`](Self::forward).
    pub(super) fn inverse(&self, y: &Tensor) -> Result<Tensor> {
        let (y1, y2) = self.split(y)?;
        let x2 = (y2 - self.g.forward(&y1)?)?;
        let x1 = (y1 - self.f.forward(&x2)?)?;
        Tensor::cat(&[x1, x2], D::Minus1)
    }
}
