//! Linear layers with a non-linearity between them: what most heads consist of.

use candle_core::{DType, Result, Tensor};
use hub_schemas::{backbone::Module, head::LinearStack, method::Activation};

use super::{Features, HeadInput, Tensors, part, site};
use crate::{
    backbones::{Linear, Mode},
    ops::activate,
};

/// Loaded layers: dropout, linear, activation, …, dropout, linear.
#[derive(Debug)]
pub(super) struct LinearLayers {
    activation: Option<Activation>,
    dropout: f64,
    layers: Vec<Linear>,
}

impl LinearLayers {
    pub(super) fn new(stack: &LinearStack, tensors: &Tensors) -> Result<Self> {
        let layer = |i: usize| {
            let has_bias = i + 1 < stack.layers || stack.bias;
            let bias = has_bias.then(|| part(tensors, &format!("{i}.bias"))).transpose()?;
            Linear::of_head(&part(tensors, &format!("{i}.weight"))?, bias.as_ref())
        };
        let layers = (0..stack.layers).map(layer).collect::<Result<_>>()?;
        Ok(Self { activation: stack.activation, dropout: stack.dropout, layers })
    }

    /// The only layer, where there is no other.
    pub(super) fn single(&self) -> Option<&Linear> {
        let [layer] = self.layers.as_slice() else { return None };
        Some(layer)
    }

    /// `x` as the first layer sees it.
    pub(super) fn dropped(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        mode.dropout(x, self.dropout, site(0))
    }

    /// `[…, h]` to `[…, outputs]`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.through(x, mode, |_, layer, x| layer.forward(x))
    }

    /// The same for a classifier, with what the hooks do to the layers of the one that the base model brings. `x` is
    /// `[b, h]` or `[b, t, h]`.
    pub(super) fn classify(&self, x: &Tensor, input: &HeadInput<'_>) -> Result<Tensor> {
        let Features { backbone, hooks, attention_mask, read, .. } = input.features;
        self.through(x, input.mode, |i, layer, x| {
            let module = match (self.layers.len(), i) {
                (1, _) => Module::Classifier,
                (2, 0) => Module::ClassifierDense,
                (2, _) => Module::ClassifierOutput,
                _ => return layer.forward(x),
            };
            if x.rank() == 3 {
                return backbone.behind(module, x, layer, (attention_mask, read), (hooks, input.mode));
            }
            let every = Tensor::ones((x.dim(0)?, 1), DType::U32, x.device())?;
            backbone.behind(module, &x.unsqueeze(1)?, layer, (&every, read), (hooks, input.mode))?.squeeze(1)
        })
    }

    fn through(
        &self,
        x: &Tensor,
        mode: Mode,
        apply: impl Fn(usize, &Linear, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if let (true, Some(activation)) = (i > 0, self.activation) {
                x = activate(&x, activation)?;
            }
            x = apply(i, layer, &mode.dropout(&x, self.dropout, site(i))?)?;
        }
        Ok(x)
    }
}
