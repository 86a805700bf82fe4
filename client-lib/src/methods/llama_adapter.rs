//! LLaMA-Adapter (Zhang et al. 2023): every query of the topmost layers attends to learned
//! tokens by a softmax of their own, `γ(g) · softmax(q K_Pᵀ / √d) V_P`.
//!
//! `K_P` and `V_P` are the frozen projections of the tokens: no norm and no position. The
//! gate starts at zero, so that a fresh adapter changes nothing; in the first step only
//! the gate has a gradient. With one gate per layer equal to PEFT 0.21, with gates per
//! head and tanh to the paper.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::BackboneShape,
    layout::Slot,
    method::{LlamaAdapterConfig, PromptGate},
};

use super::{Adapter, take};
use crate::{
    backbones::{AttentionInput, GatedPrompt},
    init::Initialiser,
};

/// Tokens and gates of the topmost layers.
#[derive(Debug)]
pub(super) struct LlamaAdapter {
    config: LlamaAdapterConfig,
    layers: BTreeMap<usize, Layer>,
    head_width: usize,
}

#[derive(Debug)]
struct Layer {
    /// `[p, h]`
    prompt: Tensor,
    /// `[1]` or `[heads]`
    gate: Tensor,
}

impl LlamaAdapter {
    pub(super) fn new(
        config: &LlamaAdapterConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let layer = |layer: usize| {
            let at = |part: &str| format!("layers.{layer}.self_attention.{part}");
            let prompt = take(tensors, &at("adaption_prompt"))?;
            Ok((layer, Layer { prompt, gate: take(tensors, &at("adaption_gate"))? }))
        };
        let layers = config.layers(shape).map(layer).collect::<Result<_>>()?;
        Ok(Self { config: config.clone(), layers, head_width: shape.head_width() })
    }

    /// `γ(g)`, `[1]` or one value for each of the heads' components.
    fn gate(&self, gate: &Tensor) -> Result<Tensor> {
        match self.config.gate {
            PromptGate::Scalar => Ok(gate.clone()),
            PromptGate::HeadTanh => {
                let heads = gate.dim(0)?;
                let wide = gate.tanh()?.unsqueeze(1)?.broadcast_as((heads, self.head_width))?;
                wide.contiguous()?.flatten_all()
            }
        }
    }
}

impl Adapter for LlamaAdapter {
    fn is_at_attention(&self, layer: usize) -> bool {
        self.layers.contains_key(&layer)
    }

    fn gated_prompt(&self, at: &AttentionInput<'_>) -> Result<Option<GatedPrompt>> {
        let Some(layer) = self.layers.get(&at.layer) else { return Ok(None) };
        let rows = at.x.dim(0)?;
        let (keys, values) = at.projection.forward(&layer.prompt.unsqueeze(0)?)?;
        let repeat = |x: Tensor| {
            let (_, p, width) = x.dims3()?;
            x.broadcast_as((rows, p, width))?.contiguous()
        };
        Ok(Some(GatedPrompt {
            keys: repeat(keys)?,
            values: repeat(values)?,
            gate: self.gate(&layer.gate)?,
            join: self.config.join,
        }))
    }
}

/// Tokens from N(0, 1), as PEFT and the authors draw them; gates at zero.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "adaption_prompt" => Initialiser::Normal { std: 1.0 },
        _ => Initialiser::Constant(0.0),
    }
}
