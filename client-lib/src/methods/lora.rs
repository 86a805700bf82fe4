//! LoRA (Hu et al. 2021) at linear layers: `y + s · B A dropout(x)`.
//!
//! `A [r, in]` starts Kaiming-uniform, `B [out, r]` at zero, so that a fresh LoRA
//! changes nothing. Equal to PEFT 0.21 and, for `s = α / r`, to `adapters`.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, LinearSite},
    method::LoraConfig,
};

use super::{Adapter, take};
use crate::{
    backbones::{Context, Mode},
    init::Initialiser,
    ops::{DropoutKey, dropout, linear},
};

/// A LoRA on every adapted linear layer.
#[derive(Debug)]
pub(super) struct Lora {
    scaling: f64,
    dropout: f64,
    factors: BTreeMap<(usize, LinearSite), Factors>,
    salt: u64,
}

/// `A [r, in]` and `B [out, r]` of one linear layer.
#[derive(Debug)]
struct Factors {
    a: Tensor,
    b: Tensor,
}

impl Lora {
    pub(super) fn new(
        config: &LoraConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
        salt: u64,
    ) -> Result<Self> {
        let mut factors = BTreeMap::new();
        for layer in 0..shape.num_layers {
            for site in LinearSite::ALL.into_iter().filter(|&s| config.is_at(layer, s)) {
                let part = |name: &str| take(tensors, &format!("layers.{layer}.{site}.{name}"));
                factors.insert((layer, site), Factors { a: part("lora_a")?, b: part("lora_b")? });
            }
        }
        Ok(Self { scaling: config.scaling(), dropout: config.lora_dropout, factors, salt })
    }
}

impl Adapter for Lora {
    fn linear_delta(
        &self,
        layer: usize,
        site: LinearSite,
        x: &Tensor,
        context: &Context,
    ) -> Result<Option<Tensor>> {
        let Some(Factors { a, b }) = self.factors.get(&(layer, site)) else { return Ok(None) };
        let x = match context.mode {
            Mode::Eval => x.clone(),
            Mode::Train { seed, step } => {
                let site = self.salt << 32 | 1 << 24 | (layer as u64) << 8 | site as u64;
                dropout(x, self.dropout, DropoutKey { seed, step, site })?
            }
        };
        // The factor on the narrow side: r columns instead of `out`.
        let narrow = (linear(&x, a, None)? * self.scaling)?;
        linear(&narrow, b, None).map(Some)
    }
}

/// How a fresh factor is drawn.
pub(super) fn initialiser(slot: &str) -> Initialiser {
    if slot.ends_with(".lora_a") { Initialiser::KaimingUniform } else { Initialiser::Constant(0.0) }
}
