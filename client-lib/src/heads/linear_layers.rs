//! Linear layers with a non-linearity between them: what most heads consist of.

use candle_core::{Result, Tensor};
use hub_schemas::{head::LinearStack, method::Activation};

use super::{Tensors, part, site};
use crate::{
    backbones::{Linear, Mode},
    ops::{activate, linear},
};

/// Loaded layers: dropout, linear, activation, …, dropout, linear.
#[derive(Debug)]
pub(super) struct LinearLayers {
    activation: Option<Activation>,
    dropout: f64,
    layers: Vec<(Tensor, Option<Tensor>)>,
}

impl LinearLayers {
    pub(super) fn new(stack: &LinearStack, tensors: &Tensors) -> Result<Self> {
        let layer = |i: usize| {
            let has_bias = i + 1 < stack.layers || stack.bias;
            let bias = has_bias.then(|| part(tensors, &format!("{i}.bias"))).transpose()?;
            Ok((part(tensors, &format!("{i}.weight"))?, bias))
        };
        let layers = (0..stack.layers).map(layer).collect::<Result<_>>()?;
        Ok(Self { activation: stack.activation, dropout: stack.dropout, layers })
    }

    /// The only layer, where there is no other.
    pub(super) fn single(&self) -> Result<Option<Linear>> {
        let [(weight, bias)] = self.layers.as_slice() else { return Ok(None) };
        Linear::of_head(weight, bias.as_ref()).map(Some)
    }

    /// `x` as the first layer sees it.
    pub(super) fn dropped(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        mode.dropout(x, self.dropout, site(0))
    }

    /// `[…, h]` to `[…, outputs]`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, (weight, bias)) in self.layers.iter().enumerate() {
            if let (true, Some(activation)) = (i > 0, self.activation) {
                x = activate(&x, activation)?;
            }
            x = linear(&mode.dropout(&x, self.dropout, site(i))?, weight, bias.as_ref())?;
        }
        Ok(x)
    }
}
