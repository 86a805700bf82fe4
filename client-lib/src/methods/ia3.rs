//! (IA)³ (Liu et al. 2022): `y = l ⊙ (W x + b)` at an output, `y = W (l ⊙ x) + b` at an input.
//!
//! Equal to PEFT 0.21 and to `adapters` 1.3.0. In BERT the latter scales what the
//! feed-forward network's first layer gives *before* the activation; the paper
//! scales it behind.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, Module},
    layout::Slot,
    method::Ia3Config,
};

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
    /// Where the scaled parts stand among the outputs, and how many outputs there are.
    parts: Option<(Vec<(usize, usize)>, usize)>,
    on_input: bool,
    gate: Option<Gate>,
}

impl Ia3 {
    pub(super) fn new(
        config: &Ia3Config,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
        mean: GateMean,
    ) -> Result<Self> {
        let mut factors = BTreeMap::new();
        for module in config.outputs.iter().chain(config.inputs.iter()) {
            let at = module.to_string();
            let (_, outputs) = shape.module_dims(module);
            let parts = config.parts(module, shape);
            let here = Factors {
                parts: (!config.fused.is_empty() && parts != [(0, outputs)]).then_some((parts, outputs)),
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
        let gate = here.gate.as_ref().map(|gate| gate.open(at.x, at.context)).transpose()?;
        let factors = match (&here.parts, gate) {
            (Some((parts, outputs)), gate) => {
                let factors = here.side_by_side(gate.as_ref(), (parts, *outputs))?;
                // The library scales what is not adapted too.
                if gate.is_none() { (factors * self.alpha)? } else { factors }
            }
            (None, None) => (&here.values * self.alpha)?,
            (None, Some(gate)) => here.values.broadcast_mul(&gate)?,
        };
        Ok(Some(Update::Scale(factors)))
    }
}

impl Factors {
    /// Each part's factors, times its own gate of `[b, 1, parts]`, at its place among the outputs; ones between
    /// them. `[outputs]`, or `[b, 1, outputs]` with a gate.
    fn side_by_side(
        &self,
        gate: Option<&Tensor>,
        (parts, outputs): (&[(usize, usize)], usize),
    ) -> Result<Tensor> {
        let ones = |width: usize| {
            let dims = gate.map_or(vec![width], |gate| vec![gate.dims()[0], 1, width]);
            Tensor::ones(dims, self.values.dtype(), self.values.device())
        };
        let (mut pieces, mut done, mut taken) = (Vec::new(), 0, 0);
        for (index, &(start, width)) in parts.iter().enumerate() {
            if start > done {
                pieces.push(ones(start - done)?);
            }
            let own = self.values.narrow(0, taken, width)?;
            pieces.push(match gate {
                Some(gate) => own.broadcast_mul(&gate.narrow(D::Minus1, index, 1)?)?,
                None => own,
            });
            (done, taken) = (start + width, taken + width);
        }
        if done < outputs {
            pieces.push(ones(outputs - done)?);
        }
        Tensor::cat(&pieces, D::Minus1)
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
