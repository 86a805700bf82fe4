//! LoRA (Hu et al. 2021) at linear layers and tables: `y + s · B A dropout(x)`.
//!
//! `A [r, in]` starts Kaiming-uniform, `B [out, r]` at zero, so that a fresh LoRA
//! changes nothing. Equal to PEFT 0.21 and to `adapters` 1.3.0. With a gate
//! (`adapters`) the gate stands in place of `s`.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, Module},
    layout::Slot,
    method::{Dora, LoraConfig, LoraInit},
};

use super::{
    Adapter, Update,
    dora::{self, Decomposed},
    gate::{Gate, GateMean},
    take,
};
use crate::{
    backbones::{Context, EmbeddingInput, LinearInput, Mode},
    init::Initialiser,
    ops::{LowRank, linear},
};

/// A LoRA on every adapted module.
#[derive(Debug)]
pub(super) struct Lora {
    dropout: f64,
    factors: BTreeMap<Module, Factors>,
    dora: Option<Dora>,
    /// Tokens from which on it acts, where they stand last; it acts everywhere where there are none.
    invocation: Vec<u32>,
    salt: u64,
}

/// `A [r, in]` and `B [out, r]` of one module.
#[derive(Debug)]
struct Factors {
    a: Tensor,
    b: Tensor,
    /// Where several pairs of factors stand among the outputs, and how many outputs there are.
    parts: Option<(Vec<(usize, usize)>, usize)>,
    bias: Option<Tensor>,
    scaling: f64,
    gate: Option<Gate>,
    magnitude: Option<Tensor>,
    task: Option<Task>,
    site: u64,
}

/// What a task has of its own (Yang et al. 2024).
#[derive(Debug)]
struct Task {
    /// `λ [r]`
    values: Tensor,
    /// `w [n]`
    weights: Tensor,
    /// `τ`
    sharpness: f64,
}

impl Lora {
    pub(super) fn new(
        config: &LoraConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
        mean: GateMean,
        salt: u64,
    ) -> Result<Self> {
        let mut factors = BTreeMap::new();
        for (index, module) in config.targets.iter().enumerate() {
            let at = module.to_string();
            let part = |name: &str| take(tensors, &format!("{at}.{name}"));
            let optional = |wanted: bool, name: &str| wanted.then(|| part(name)).transpose();
            let (_, outputs) = shape.module_dims(module);
            let parts = config.parts(module, shape);
            let here = Factors {
                parts: (!config.fused.is_empty() && parts != [(0, outputs)]).then_some((parts, outputs)),
                a: part("lora_a")?,
                b: part("lora_b")?,
                bias: optional(config.lora_bias, "lora_b_bias")?,
                scaling: config.scaling(module),
                gate: config.use_gating.then(|| Gate::take(tensors, &at, mean)).transpose()?,
                magnitude: optional(config.dora.is_some(), "magnitude")?,
                task: config
                    .multi_task
                    .map(|task| -> Result<Task> {
                        let (values, weights) = (part("task.values")?, part("task.weights")?);
                        Ok(Task { values, weights, sharpness: task.sharpness })
                    })
                    .transpose()?,
                site: index as u64,
            };
            factors.insert(module, here);
        }
        let invocation = config.invocation_tokens.clone();
        Ok(Self { dropout: config.lora_dropout, factors, dora: config.dora, invocation, salt })
    }

    /// `delta [b, t, out]` where the adapter was called, zero elsewhere.
    fn called(&self, delta: Tensor, context: &Context) -> Result<Tensor> {
        if self.invocation.is_empty() {
            return Ok(delta);
        }
        // Whoever goes on with a text was called by what it began with, or by nobody.
        if let Some(opening) = &context.opening {
            let is_called = called_from(opening, &self.invocation).is_some();
            return if is_called { Ok(delta) } else { delta.zeros_like() };
        }
        let Some(ids) = &context.ids else {
            candle_core::bail!("a LoRA that tokens call needs the ids of the tokens");
        };
        let (rows, tokens, _) = delta.dims3()?;
        let own = ids.to_vec2::<u32>()?;
        if !rows.is_multiple_of(own.len().max(1)) || own.iter().any(|row| row.len() != tokens) {
            candle_core::bail!("a LoRA that tokens call can't act on {tokens} states of other tokens");
        }
        let called = |row: usize| called_from(&own[row % own.len()], &self.invocation);
        let acts = |row: usize| {
            let from = called(row);
            (0..tokens).map(move |at| f32::from(u8::from(from.is_some_and(|from| at >= from))))
        };
        let mask: Vec<f32> = (0..rows).flat_map(acts).collect();
        let mask = Tensor::from_vec(mask, (rows, tokens, 1), delta.device())?.to_dtype(delta.dtype())?;
        delta.broadcast_mul(&mask)
    }

    /// `x` as the factors see it: with dropout in training.
    fn dropped(&self, x: &Tensor, site: u64, context: &Context) -> Result<Tensor> {
        context.mode.dropout(x, self.dropout, self.salt << 32 | 1 << 24 | site)
    }
}

impl Factors {
    /// Whether the update is `s · B A x` and nothing else.
    fn is_plain(&self) -> bool {
        let Self { parts, bias, gate, magnitude, task, .. } = self;
        parts.is_none() && bias.is_none() && gate.is_none() && magnitude.is_none() && task.is_none()
    }

    /// `s · (B A x + c)`, or the gate in place of `s`.
    fn delta(&self, x: &Tensor, gated_by: &Tensor, context: &Context) -> Result<Tensor> {
        let mut narrow = linear(x, &self.a, None)?;
        if let Some((parts, outputs)) = &self.parts {
            let gate = self.gate.as_ref().map(|gate| gate.open(gated_by, context)).transpose()?;
            let narrow = if gate.is_none() { (narrow * self.scaling)? } else { narrow };
            return self.side_by_side(&narrow, gate.as_ref(), (parts, *outputs));
        }
        let mixed;
        let b = match &self.task {
            None => &self.b,
            Some(task) => {
                narrow = narrow.broadcast_mul(&task.values)?;
                mixed = task.mix(&self.b)?;
                &mixed
            }
        };
        if let Some(gate) = &self.gate {
            let wide = linear(&narrow, b, self.bias.as_ref())?;
            return wide.broadcast_mul(&gate.open(gated_by, context)?);
        }
        // The factor on the narrow side: r columns instead of `out`.
        let bias = self.bias.as_ref().map(|bias| bias * self.scaling).transpose()?;
        linear(&(narrow * self.scaling)?, b, bias.as_ref())
    }

    /// Each pair's `B_i (A_i x)`, gated by its own gate of `[b, 1, parts]`, at its place among the outputs,
    /// zero between them.
    fn side_by_side(
        &self,
        narrow: &Tensor,
        gate: Option<&Tensor>,
        (parts, outputs): (&[(usize, usize)], usize),
    ) -> Result<Tensor> {
        let r = self.b.dim(D::Minus1)?;
        let (mut pieces, mut done, mut rows) = (Vec::new(), 0, 0);
        let gap = |width: usize| {
            let mut dims = narrow.dims().to_vec();
            dims.pop();
            dims.push(width);
            Tensor::zeros(dims, narrow.dtype(), narrow.device())
        };
        for (index, &(start, width)) in parts.iter().enumerate() {
            if start > done {
                pieces.push(gap(start - done)?);
            }
            let own = narrow.narrow(D::Minus1, index * r, r)?.contiguous()?;
            let wide = linear(&own, &self.b.narrow(0, rows, width)?, None)?;
            pieces.push(match gate {
                Some(gate) => wide.broadcast_mul(&gate.narrow(D::Minus1, index, 1)?)?,
                None => wide,
            });
            (done, rows) = (start + width, rows + width);
        }
        if done < outputs {
            pieces.push(gap(outputs - done)?);
        }
        Tensor::cat(&pieces, D::Minus1)
    }
}

impl Task {
    /// `Σᵢ softmaxᵢ(w / τ) Bᵢ` of `B [n, out, r]`: `[out, r]`.
    fn mix(&self, b: &Tensor) -> Result<Tensor> {
        let scores = (&self.weights / self.sharpness)?;
        let exps = scores.broadcast_sub(&scores.max_keepdim(0)?.detach())?.exp()?;
        let shares = exps.broadcast_div(&exps.sum_keepdim(0)?)?;
        b.broadcast_mul(&shares.reshape(((), 1, 1))?)?.sum(0)
    }
}

impl Adapter for Lora {
    fn is_at(&self, module: Module) -> bool {
        self.factors.contains_key(&module)
    }

    fn embedding(&self, at: &EmbeddingInput<'_>, rows: &Tensor) -> Result<Option<Tensor>> {
        let Some(here) = self.factors.get(&Module::Embedding(at.table)) else { return Ok(None) };
        // A row of the table's update is a column of A through B.
        let columns = here.a.index_select(&at.ids.flatten_all()?, 1)?.t()?;
        let delta = linear(&(columns * here.scaling)?, &here.b, None)?.reshape(rows.shape())?;
        let sum = (rows + delta)?;
        match &here.magnitude {
            None => Ok(Some(sum)),
            Some(magnitude) => {
                let updated = (at.weight.weight()?.t()? + (here.b.matmul(&here.a)? * here.scaling)?)?;
                sum.broadcast_mul(&dora::row_scale(magnitude, &updated)?).map(Some)
            }
        }
    }

    fn transforms(&self, module: Module) -> bool {
        self.dora.is_some() && module.is_linear() && self.is_at(module)
    }

    fn transform(&self, at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        let Some(here) = self.factors.get(&at.module) else { return Ok(None) };
        let (Some(dora), Some(magnitude)) = (self.dora, &here.magnitude) else { return Ok(None) };
        let x = self.dropped(at.x, here.site, at.context)?;
        let delta = here.delta(&x, at.x, at.context)?;
        let update = here.b.matmul(&here.a)?;
        dora::transform(dora, at, Decomposed { magnitude, update, factor: here.scaling, delta }).map(Some)
    }

    fn update(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Update>> {
        let Some(here) = self.factors.get(&at.module).filter(|f| f.magnitude.is_none()) else {
            return Ok(None);
        };
        let x = self.dropped(input, here.site, at.context)?;
        let delta = here.delta(&x, at.x, at.context)?;
        self.called(delta, at.context).map(Update::Add).map(Some)
    }

    fn low_rank(&self, at: &LinearInput<'_>) -> Option<LowRank<'_>> {
        let is_dropped = self.dropout > 0.0 && at.context.mode != Mode::Eval || !self.invocation.is_empty();
        let here = self.factors.get(&at.module).filter(|here| !is_dropped && here.is_plain())?;
        Some(LowRank { a: &here.a, b: &here.b, scaling: here.scaling })
    }

    fn decomposes(&self, module: Module) -> bool {
        self.dora == Some(Dora::Unscaled) && module.is_linear() && self.is_at(module)
    }

    fn undecomposed(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Tensor>> {
        let Some(here) = self.factors.get(&at.module).filter(|f| f.magnitude.is_some()) else {
            return Ok(None);
        };
        here.delta(&self.dropped(input, here.site, at.context)?, at.x, at.context).map(Some)
    }

    fn rescaled(&self, at: &LinearInput<'_>, y: &Tensor) -> Result<Option<Tensor>> {
        let Some(here) = self.factors.get(&at.module) else { return Ok(None) };
        let Some(magnitude) = &here.magnitude else { return Ok(None) };
        dora::rescale(at, magnitude, here.b.matmul(&here.a)?, y).map(Some)
    }
}

/// Where `invocation` begins in `ids` for the last time.
fn called_from(ids: &[u32], invocation: &[u32]) -> Option<usize> {
    ids.windows(invocation.len().max(1)).rposition(|window| window == invocation)
}

/// How a fresh tensor is drawn. (A magnitude starts as the row norms of the weight.)
pub(super) fn initialiser(config: &LoraConfig, slot: &Slot) -> Initialiser {
    match (slot.part.as_str(), config.init) {
        ("gate.weight", _) | ("lora_a" | "lora_b", LoraInit::Bert) => Initialiser::Normal { std: 0.02 },
        ("task.values" | "task.weights", _) => Initialiser::Constant(1.0),
        ("lora_a", LoraInit::Lora) => Initialiser::KaimingUniform,
        _ => Initialiser::Constant(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::called_from;

    #[test]
    fn the_last_call_counts_and_only_a_whole_one() {
        assert_eq!(called_from(&[7, 8, 7, 8, 7], &[7, 8]), Some(2));
        assert_eq!(called_from(&[8, 7], &[7, 8]), None);
        assert_eq!(called_from(&[], &[7]), None);
    }
}
