//! (IA)³ (Liu et al. 2022): `y = l ⊙ (W x + b)` at an output, `y = W (l ⊙ x) + b` at an input.
//!
//! Equal to PEFT 0.21 and to `adapters` 1.3.0. In BERT the latter scales what the
//! feed-forward network's first layer gives *before* the activation; the paper
//! scales it behind.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{backbone::Module, layout::Slot, method::Ia3Config};

use super::{
    Adapter, Update,
    gate::{Gate, GateMean},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser};

/// Learned factors at every adapted linear layer.
#[derive(Debug)]
pub(super) struct Ia3 {
    factors: BTreeMap<Module, Factors>,
    alpha: f64,
}

#[derive(Debug)]
struct Factors {
    values: Tensor,
    on_input: bool,
    gate: Option<Gate>,
}

impl Ia3 {
    pub(super) fn new(
        config: &Ia3Config,
        tensors: &BTreeMap<String, Tensor>,
        mean: GateMean,
    ) -> Result<Self> {
        let mut factors = BTreeMap::new();
        for module in config.outputs.iter().chain(config.inputs.iter()) {
            let at = module.to_string();
            let here = Factors {
                values: take(tensors, &format!("{at}.ia3"))?,
                on_input: config.inputs.contains(module),
                gate: config.use_gating.then(|| Gate::take(tensors, &at, mean)).transpose()?,
            };
            factors.insert(module, here);
        }
        Ok(Self { factors, alpha: config.alpha })
    }
}

impl Adapter for Ia3 {
    fn is_at(&self, module: Module) -> bool {
        self.factors.contains_key(&module)
    }

    fn transforms(&self, module: Module) -> bool {
        self.factors.get(&module).is_some_and(|here| here.on_input)
    }

    fn transform(&self, at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        match self.factors.get(&at.module) {
            Some(here) if here.on_input => at.linear.forward(&at.x.broadcast_mul(&here.values)?).map(Some),
            _ => Ok(None),
        }
    }

    fn update(&self, at: &LinearInput<'_>, _input: &Tensor) -> Result<Option<Update>> {
        let Some(here) = self.factors.get(&at.module).filter(|f| !f.on_input) else { return Ok(None) };
        let factors = match &here.gate {
            None => (&here.values * self.alpha)?,
            Some(gate) => here.values.broadcast_mul(&gate.open(at.x, at.context)?)?,
        };
        Ok(Some(Update::Scale(factors)))
    }
}

/// Factors start at one: a fresh (IA)³ changes nothing.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "ia3" => Initialiser::Constant(1.0),
        "gate.weight" => Initialiser::Normal { std: 0.02 },
        _ => Initialiser::Constant(0.0),
    }
}
