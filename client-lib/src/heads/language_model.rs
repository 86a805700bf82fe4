//! Tokens from hidden states: linear layers with activation and norm, then the product
//! with a table of token embeddings (Devlin et al. 2019, section 3.1).
//!
//! Loss: cross-entropy over the masked tokens, or against the next token. T5 multiplies the hidden states
//! with `h^(−1/2)` where the table is the word embedding.

use candle_core::{DType, Result, Tensor};
use hub_formats::architectures::TransformerConfig;
use hub_schemas::{
    backbone::{Architecture, Module},
    head::LanguageModelHead,
    layout::DECODER,
    method::Activation,
};

use super::{Features, HeadInput, Prediction, Tensors, Words, part};
use crate::{
    backbones::{Linear, Mode},
    ops::{Arithmetic, FrozenLinear, activate, linear, select_rows, trainable_norm},
};

/// A loaded language modelling head.
#[derive(Debug)]
pub struct LanguageModel {
    layers: Vec<Layer>,
    activation: Option<Activation>,
    decoder: Decoder,
    bias: Option<Tensor>,
}

#[derive(Debug)]
struct Layer {
    linear: Linear,
    norm: Option<(Tensor, Tensor)>,
}

/// The table `[vocabulary, e]`: usually tied to the frozen word embedding.
#[derive(Debug)]
enum Decoder {
    /// With the head's bias as the layer's, so that a trained copy takes its place where the copy's rows are.
    Frozen(Linear),
    Trained(Tensor),
}

impl LanguageModel {
    /// `tied` is the word embedding where that is the table; one among `tensors` that says the same goes before it.
    pub(super) fn new(config: &LanguageModelHead, tensors: &Tensors, tied: Option<&Linear>) -> Result<Self> {
        let layer = |i: usize| {
            // ModernBERT has these biases where its configuration says so.
            let optional = |name: &str| tensors.get(&format!("head.{i}.{name}"));
            let norm = || {
                let weight = part(tensors, &format!("{i}.norm.weight"))?;
                let bias =
                    optional("norm.bias").map_or_else(|| weight.zeros_like(), |bias| Ok(bias.clone()))?;
                Ok::<_, candle_core::Error>((weight, bias))
            };
            let norm = config.layer_norm.then(norm);
            Ok(Layer {
                linear: Linear::of_head(&part(tensors, &format!("{i}.weight"))?, optional("bias"))?,
                norm: norm.transpose()?,
            })
        };
        let bias = config.bias.then(|| part(tensors, "decoder.bias")).transpose()?;
        let frozen = |table: Linear| Decoder::Frozen(table.replaced(None, bias.as_ref()));
        let decoder = match (tensors.get(DECODER), tied) {
            (Some(table), _) if table.is_variable() => Decoder::Trained(table.clone()),
            (Some(table), None) => frozen(Linear::of_head(table, None)?),
            (Some(table), Some(_)) => frozen(Linear::of_head(table, None)?.into_word_table()),
            (None, Some(words)) => frozen(words.clone().into_word_table()),
            (None, None) => candle_core::bail!("the head has no tensor for `{DECODER}`"),
        };
        Ok(Self {
            layers: (0..config.layers.saturating_sub(1)).map(layer).collect::<Result<_>>()?,
            activation: config.activation,
            decoder,
            bias,
        })
    }

    /// The same with the product with its table in `arithmetic`: for most tokens the largest of all.
    pub(super) fn computing_in(self, arithmetic: Arithmetic) -> Result<Self> {
        let decoder = match self.decoder {
            Decoder::Frozen(table) => Decoder::Frozen(table.computing_in(arithmetic)?),
            trained @ Decoder::Trained(_) => trained,
        };
        Ok(Self { decoder, ..self })
    }

    /// Scores `[b, t, vocabulary]`, bounded where the backbone's are. The inverse of an invertible adapter stands before the table.
    /// In a step of training they are left to whoever needs the losses, where nothing else stands behind the products.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Prediction> {
        let Features { backbone, hooks, attention_mask, read, .. } = input.features;
        let eps = norm_eps(backbone.config());
        let chosen = input.batch.head_inputs.positions.as_ref();
        let (mut x, mask) = match chosen {
            Some(positions) => at_positions(input, positions)?,
            None => (input.features.state.clone(), attention_mask.clone()),
        };
        let attention_mask = &mask;
        // ModernBERT's classes have one layer for this and for what others have a pooler for.
        let transform = match backbone.config().architecture {
            Architecture::ModernBert => Module::Pooler,
            _ => Module::LmTransform,
        };
        for layer in &self.layers {
            x = backbone.behind(transform, &x, &layer.linear, (attention_mask, read), (hooks, input.mode))?;
            if let Some(activation) = self.activation {
                x = activate(&x, activation)?;
            }
            if let Some((weight, bias)) = &layer.norm {
                let own = |part: &str| hooks.tensor(&format!("{}.{part}", Module::LmNorm));
                x = trainable_norm(&x, own("weight").unwrap_or(weight), own("bias").unwrap_or(bias), eps)?;
            }
        }
        if let Some(scale) = input.features.backbone.config().seq2seq.output_scale {
            x = (x * scale)?;
        }
        x = (input.invert)(x)?;
        if let Some(table) = self.alone(input) {
            return Ok(Prediction::Words(Words { states: x, table }));
        }
        let scores = match &self.decoder {
            Decoder::Frozen(table) => {
                backbone.behind(Module::Output, &x, table, (attention_mask, read), (hooks, input.mode))?
            }
            Decoder::Trained(table) => linear(&x, table, self.bias.as_ref())?,
        };
        let scores = match input.features.backbone.config().decoder.logit_soft_cap {
            Some(cap) => ((scores / cap)?.tanh()? * cap)?,
            None => scores,
        };
        Ok(Prediction::Scores(scores))
    }

    /// The table, where scores are products with it and nothing more, and only their losses are asked for.
    fn alone(&self, input: &HeadInput<'_>) -> Option<FrozenLinear> {
        let Features { backbone, hooks, state, .. } = input.features;
        let Decoder::Frozen(table) = &self.decoder else { return None };
        let is_alone = input.mode != Mode::Eval
            && state.device().is_cpu()
            && self.bias.is_none()
            && backbone.config().decoder.logit_soft_cap.is_none()
            && !hooks.changes(Module::Output);
        table.only_frozen().filter(|_| is_alone).cloned()
    }
}

/// The ε of a head's norms: `layer_norm_eps` of the configuration. Where that is called otherwise, only heads of `adapters`
/// have norms, which then take 10⁻¹².
fn norm_eps(config: &TransformerConfig) -> f64 {
    use Architecture::{Albert, Bert, DebertaV2, Electra, ModernBert, Roberta, XlmRoberta};
    match config.architecture {
        Albert | Bert | DebertaV2 | Electra | ModernBert | Roberta | XlmRoberta => config.norm_eps,
        _ => 1e-12,
    }
}

/// The states `[1, n, h]` of some tokens of the input, and a mask `[1, n]` that hides none. Tokens of an adapter
/// stand in front of the input's. Behind an encoder the tokens are the decoder's.
fn at_positions(input: &HeadInput<'_>, positions: &Tensor) -> Result<(Tensor, Tensor)> {
    let state = input.features.state;
    let read = input.batch.decoder.as_ref().map_or(&input.batch.input_ids, |decoder| &decoder.input_ids);
    let (length, (_, all, width)) = (read.dim(1)?, state.dims3()?);
    let own = if all > length { state.narrow(1, all - length, length)? } else { state.clone() };
    let chosen = select_rows(&own.contiguous()?.reshape(((), width))?, positions)?.unsqueeze(0)?;
    let mask = Tensor::ones((1, positions.dim(0)?), input.features.attention_mask.dtype(), state.device())?;
    Ok((chosen, mask))
}

/// Whether a saved output table is the word embedding that it claims to be tied to, up
/// to half-precision rounding.
///
/// `adapters` writes the table into the embedding when it loads such a head: with
/// another table the whole backbone would compute something else.
pub(super) fn is_tied(saved: &Tensor, words: &Linear) -> Result<bool> {
    let (rows, columns) = saved.dims2()?;
    if (rows, columns) != words.dims()? {
        return Ok(false);
    }
    // Looked up, and so not kept.
    let words = &words.rows(&Tensor::arange(0, rows as u32, saved.device())?)?;
    let number = |t: Tensor| t.to_dtype(DType::F64)?.to_scalar::<f64>();
    let largest = number(words.abs()?.flatten_all()?.max(0)?)?;
    let difference = number((saved - words)?.abs()?.flatten_all()?.max(0)?)?;
    Ok(difference <= largest / 128.0)
}
