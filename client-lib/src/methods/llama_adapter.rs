//! LLaMA-Adapter (Zhang et al. 2023): every query of the topmost layers attends to learned
//! tokens by a softmax of their own, `γ(g) · softmax(q K_Pᵀ / √d) V_P`.
//!
//! `K_P` and `V_P` are the frozen projections of the tokens: no norm and no position. The
//! gate starts at zero, so that a fresh adapter changes nothing; in the first step only
//! the gate has a gradient. With one gate per layer equal to PEFT 0.21, with gates per
//! head and tanh to the paper.
//!
//! With images (section 3.4) the prompts of a row are `P + W f + b`, `f` being what another backbone saw of its image.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::BackboneShape,
    layout::Slot,
    method::{LlamaAdapterConfig, PromptGate},
};

use super::{Adapter, take};
use crate::{
    backbones::{AttentionInput, GatedPrompt, repeat_rows},
    init::Initialiser,
    ops::linear,
};

/// Tokens and gates of the topmost layers.
#[derive(Debug)]
pub(super) struct LlamaAdapter {
    config: LlamaAdapterConfig,
    layers: BTreeMap<usize, Layer>,
    /// `[h, f]` and `[h]`, where images are seen.
    image: Option<(Tensor, Tensor)>,
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
        let image = config.image.as_ref().map(|_| {
            Ok::<_, candle_core::Error>((
                take(tensors, "shared.image.weight")?,
                take(tensors, "shared.image.bias")?,
            ))
        });
        let image = image.transpose()?;
        Ok(Self { config: config.clone(), layers, image, head_width: shape.head_width() })
    }

    /// The prompts of every row, `[rows, p, h]`, or `[1, p, h]` where no image is seen.
    fn prompts(&self, prompt: &Tensor, rows: usize, seen: Option<&Tensor>) -> Result<Tensor> {
        let prompt = prompt.unsqueeze(0)?;
        let Some((weight, bias)) = &self.image else { return Ok(prompt) };
        let Some(seen) = seen else {
            candle_core::bail!("the adapter reads images with its texts, and there is none")
        };
        let seen = linear(&repeat_rows(seen, rows)?.to_dtype(weight.dtype())?, weight, Some(bias))?;
        prompt.broadcast_add(&seen.unsqueeze(1)?)
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
        let prompts = self.prompts(&layer.prompt, rows, at.context.image.as_ref())?;
        let (keys, values) = at.projection.forward(&prompts)?;
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
        // What is seen begins about as large as a prompt.
        "image.weight" => Initialiser::Normal { std: 1.0 / (slot.shape[1].max(1) as f64).sqrt() },
        _ => Initialiser::Constant(0.0),
    }
}
