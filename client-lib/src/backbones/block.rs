//! One transformer block: attention and feed-forward network, each with residual and norm.

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{LinearSite, SubLayer},
    method::Activation,
};

use super::{Context, Hooks, KeysValues, weights::Weights};
use crate::{
    architectures::TransformerConfig,
    ops::{Attention, FrozenLinear, KeyMask, Norm, activate},
};

/// A block with its norms after the residual (post-norm).
#[derive(Debug)]
pub(super) struct Block {
    index: usize,
    linears: [FrozenLinear; 6],
    attention: Attention,
    activation: Activation,
    attention_norm: Norm,
    ffn_norm: Norm,
}

impl Block {
    pub(super) fn load(index: usize, config: &TransformerConfig, weights: &Weights<'_>) -> Result<Self> {
        let linear = |site: LinearSite| {
            let at = format!("layers.{index}.{site}");
            FrozenLinear::new(
                weights.get(&format!("{at}.weight"))?,
                Some(weights.get(&format!("{at}.bias"))?),
            )
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

    /// `x [b, t, h]` to `[b, t, h]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        mask: &KeyMask,
        hooks: &dyn Hooks,
        context: &Context,
    ) -> Result<Tensor> {
        let attended = self.attend(x, mask, hooks, context)?;
        let x =
            hooks.sublayer(self.index, SubLayer::Attention, attended, x, &self.attention_norm, context)?;
        let inner = self.linear(LinearSite::FfnUp, &x, hooks, context)?;
        let inner = activate(&inner, self.activation)?;
        let z = self.linear(LinearSite::FfnDown, &inner, hooks, context)?;
        let x = hooks.sublayer(self.index, SubLayer::Ffn, z, &x, &self.ffn_norm, context)?;
        hooks.block(self.index, x, context)
    }

    fn attend(&self, x: &Tensor, mask: &KeyMask, hooks: &dyn Hooks, context: &Context) -> Result<Tensor> {
        let queries = self.linear(LinearSite::Query, x, hooks, context)?;
        let keys_values = KeysValues {
            keys: self.linear(LinearSite::Key, x, hooks, context)?,
            values: self.linear(LinearSite::Value, x, hooks, context)?,
            mask: mask.clone(),
        };
        let KeysValues { keys, values, mask } = hooks.keys_values(self.index, keys_values, context)?;
        let mixed = self.attention.forward(&queries, &keys, &values, &mask)?;
        self.linear(LinearSite::AttentionOutput, &mixed, hooks, context)
    }

    fn linear(&self, site: LinearSite, x: &Tensor, hooks: &dyn Hooks, context: &Context) -> Result<Tensor> {
        let y = self.linears[site as usize].forward(x)?;
        hooks.linear(self.index, site, x, y, context)
    }
}
