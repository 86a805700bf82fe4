//! One transformer block: attention and feed-forward network, each with residual and norm.

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{LinearSite, Module, SubLayer},
    method::Activation,
};

use super::{
    AttentionInput, Context, Hooks, KeysValues, Linear, LinearInput, SubLayerInput, hooks::repeat_rows,
    weights::Weights,
};
use crate::{
    architectures::TransformerConfig,
    ops::{Attention, FrozenLinear, KeyMask, Norm, activate},
};

/// A block with its norms after the residual (post-norm).
#[derive(Debug)]
pub(super) struct Block {
    index: usize,
    linears: [Linear; 6],
    attention: Attention,
    activation: Activation,
    attention_norm: Norm,
    ffn_norm: Norm,
}

impl Block {
    pub(super) fn load(index: usize, config: &TransformerConfig, weights: &Weights<'_>) -> Result<Self> {
        let linear = |site: LinearSite| {
            let at = format!("layers.{index}.{site}");
            let bias = Some(weights.get(&format!("{at}.bias"))?);
            FrozenLinear::new(weights.get(&format!("{at}.weight"))?, bias).map(Linear::frozen)
        };
        let norm =
            |sublayer: SubLayer| weights.norm(&format!("layers.{index}.{}.norm", sublayer.as_str()), config);
        let [q, k, v, o, up, down] = LinearSite::ALL;
        Ok(Self {
            index,
            linears: [linear(q)?, linear(k)?, linear(v)?, linear(o)?, linear(up)?, linear(down)?],
            attention: Attention { heads: config.shape.num_heads },
            activation: config.activation,
            attention_norm: norm(SubLayer::Attention)?,
            ffn_norm: norm(SubLayer::Ffn)?,
        })
    }

    /// `x [b, t, h]` to `[b, t, h]`, or to several times as many rows.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        mask: &KeyMask,
        hooks: &dyn Hooks,
        context: &Context,
    ) -> Result<Tensor> {
        let attended = self.attend(x, mask, hooks, context)?;
        let x = self.sublayer(SubLayer::Attention, attended, x, hooks, context)?;
        let inner = self.linear(LinearSite::FfnUp, &x, hooks, context)?;
        let inner = activate(&inner, self.activation)?;
        let z = self.linear(LinearSite::FfnDown, &inner, hooks, context)?;
        let x = self.sublayer(SubLayer::Ffn, z, &x, hooks, context)?;
        hooks.block(self.index, x, context)
    }

    fn attend(&self, x: &Tensor, mask: &KeyMask, hooks: &dyn Hooks, context: &Context) -> Result<Tensor> {
        let queries = self.linear(LinearSite::Query, x, hooks, context)?;
        let keys = self.linear(LinearSite::Key, x, hooks, context)?;
        let values = self.linear(LinearSite::Value, x, hooks, context)?;
        // Any of the three may have been forked for adapters in parallel.
        let rows = [&queries, &keys, &values].map(|t| t.dims()[0]).into_iter().max().unwrap_or(0);
        let keys_values = KeysValues {
            keys: repeat_rows(&keys, rows)?,
            values: repeat_rows(&values, rows)?,
            mask: mask.repeat(rows)?,
            prompts: Vec::new(),
        };
        let at = AttentionInput {
            layer: self.index,
            x,
            key: self.at(LinearSite::Key),
            value: self.at(LinearSite::Value),
            attention: self.attention,
            context,
        };
        let KeysValues { keys, values, mask, prompts } = hooks.keys_values(&at, keys_values)?;
        let queries = repeat_rows(&queries, keys.dim(0)?)?;
        let mut mixed = self.attention.forward(&queries, &keys, &values, &mask)?;
        for prompt in prompts {
            let all = KeyMask::all_visible(prompt.keys.dim(0)?, prompt.keys.dim(1)?);
            let apart = self.attention.forward(&queries, &prompt.keys, &prompt.values, &all)?;
            mixed = (mixed + apart.broadcast_mul(&prompt.gate)?)?;
        }
        self.linear(LinearSite::AttentionOutput, &mixed, hooks, context)
    }

    /// The frozen tensor of a module of this block; `part` is `weight` or `bias`.
    pub(super) fn tensor(&self, module: Module, part: &str) -> Option<&Tensor> {
        match (module, part) {
            (Module::Linear { site, .. }, "weight") => Some(self.at(site).weight()),
            (Module::Linear { site, .. }, "bias") => self.at(site).bias(),
            (Module::Norm { sublayer: SubLayer::Attention, .. }, part) => self.attention_norm.tensor(part),
            (Module::Norm { sublayer: SubLayer::Ffn, .. }, part) => self.ffn_norm.tensor(part),
            _ => None,
        }
    }

    fn at(&self, site: LinearSite) -> &Linear {
        &self.linears[site as usize]
    }

    fn linear(&self, site: LinearSite, x: &Tensor, hooks: &dyn Hooks, context: &Context) -> Result<Tensor> {
        let module = Module::Linear { layer: self.index, site };
        hooks.linear(&LinearInput { module, x, linear: self.at(site), context })
    }

    fn sublayer(
        &self,
        sublayer: SubLayer,
        z: Tensor,
        residual: &Tensor,
        hooks: &dyn Hooks,
        context: &Context,
    ) -> Result<Tensor> {
        let frozen = match sublayer {
            SubLayer::Attention => &self.attention_norm,
            SubLayer::Ffn => &self.ffn_norm,
        };
        let module = Module::Norm { layer: self.index, sublayer };
        let norm = &frozen.with(hooks, &module.to_string());
        let residual = &repeat_rows(residual, z.dim(0)?)?;
        hooks.sublayer(&SubLayerInput { layer: self.index, sublayer, residual, norm, context }, z)
    }
}

impl Norm {
    /// With the copies that the hooks have for the module of this name.
    pub(super) fn with(&self, hooks: &dyn Hooks, name: &str) -> Self {
        self.replaced(hooks.tensor(&format!("{name}.weight")), hooks.tensor(&format!("{name}.bias")))
    }
}
