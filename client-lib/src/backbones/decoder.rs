//! The decoder behind an encoder: its embeddings, its blocks, its norm (Vaswani et al. 2017).

use candle_core::{Device, Result, Tensor};
use hub_formats::architectures::TransformerConfig;
use hub_schemas::backbone::{Module, Table};

use super::{
    Backbone, Batch, Context, Hidden, Hooks, Linear, Mode,
    batch::{mask_of, padded},
    block::Pass,
    cross::Cross,
    distances::Distances,
    embedding::scaled,
    hooks::repeat_rows,
    transformer::Encoded,
    weights::Weights,
};
use crate::ops::{KeyMask, Norm};

/// What a decoder behind an encoder reads: the answer so far.
#[derive(Debug, Clone)]
pub struct DecoderInputs {
    /// Token ids, u32 `[b, t]`.
    pub input_ids: Tensor,
    /// 1 for tokens and 0 for padding, u32 `[b, t]`.
    pub attention_mask: Tensor,
}

impl DecoderInputs {
    /// Every position a token.
    pub fn unpadded(input_ids: Tensor) -> Result<Self> {
        Ok(Self { attention_mask: input_ids.ones_like()?, input_ids })
    }

    /// Rows of any lengths, padded at their ends to the longest; no token attends to what is behind it.
    pub fn padded(rows: &[Vec<u32>], device: &Device) -> Result<Self> {
        let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        Ok(Self { input_ids: padded(&rows, 0, device)?, attention_mask: mask_of(&lengths, device)? })
    }

    /// `ids [b, t]` one token further back, behind `start`: what a decoder reads to write `ids`.
    pub fn shifted(ids: &Tensor, start: u32) -> Result<Self> {
        let (rows, tokens) = ids.dims2()?;
        let start = Tensor::full(start, (rows, 1), ids.device())?;
        Self::unpadded(Tensor::cat(&[&start, &ids.narrow(1, 0, tokens.saturating_sub(1))?], 1)?)
    }

    /// `ids [b, t]` one token further back, behind the last one of each row that is no padding (mBART).
    pub fn turned(ids: &Tensor, padding: u32) -> Result<Self> {
        let (rows, tokens) = ids.dims2()?;
        let all = ids.to_vec2::<u32>()?;
        let counted = |row: &Vec<u32>| row.iter().filter(|&&id| id != padding).count();
        let last = |row: &Vec<u32>| row.get(counted(row).saturating_sub(1)).copied().unwrap_or(padding);
        let first: Vec<u32> = all.iter().map(last).collect();
        let first = Tensor::from_vec(first, (rows, 1), ids.device())?;
        Self::unpadded(Tensor::cat(&[&first, &ids.narrow(1, 0, tokens.saturating_sub(1))?], 1)?)
    }

    /// The rows that `order` names, u32 `[b]`.
    pub fn select(&self, order: &Tensor) -> Result<Self> {
        Ok(Self {
            input_ids: self.input_ids.index_select(order, 0)?,
            attention_mask: self.attention_mask.index_select(order, 0)?,
        })
    }
}

/// What a decoder has beside its blocks; the table of words is the encoder's.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    position: Option<Linear>,
    norm: Option<Norm>,
    distances: Option<Distances>,
    final_norm: Option<Norm>,
}

impl Decoder {
    /// `None` for a single stack of blocks.
    pub(super) fn load(config: &TransformerConfig, weights: &Weights<'_>) -> Result<Option<Self>> {
        if config.shape.decoder_layers.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            position: weights.table(&Module::Embedding(Table::DecoderPosition).to_string())?,
            norm: weights.norm_of(Module::DecoderEmbeddingNorm, config)?,
            distances: Distances::load(config, weights, ("decoder.distances", false))?,
            final_norm: weights.norm_of(Module::DecoderFinalNorm, config)?,
        }))
    }

    /// The frozen tensor of a module outside of the blocks.
    pub(super) fn tensor(&self, module: Module, part: &str) -> Result<Option<Tensor>> {
        let norm = match module {
            Module::Embedding(Table::DecoderPosition) => {
                return self.position.as_ref().map(Linear::weight).transpose();
            }
            Module::DecoderEmbeddingNorm => self.norm.as_ref(),
            Module::DecoderFinalNorm => self.final_norm.as_ref(),
            _ => None,
        };
        Ok(norm.and_then(|norm| norm.tensor(part)).cloned())
    }
}

impl Backbone {
    /// What the decoder reads of a batch; where that is stated nowhere, what the library's class of
    /// the checkpoint gives it.
    pub(super) fn decoder_inputs(&self, batch: &Batch) -> Result<DecoderInputs> {
        if let Some(inputs) = &batch.decoder {
            return Ok(inputs.clone());
        }
        let seq2seq = &self.config.seq2seq;
        if seq2seq.reads_input && seq2seq.turns_input {
            return DecoderInputs::turned(&batch.input_ids, self.config.padding_id);
        }
        match seq2seq.start_token.filter(|_| seq2seq.reads_input) {
            Some(start) => DecoderInputs::shifted(&batch.input_ids, start),
            None => candle_core::bail!(
                "{} backbones read two inputs; `decoder_input_ids` is missing",
                self.config.architecture
            ),
        }
    }

    /// Runs the decoder of an encoder-decoder behind what its encoder gave, of as many rows or of one for
    /// several answers.
    pub fn decode(
        &self,
        inputs: &DecoderInputs,
        encoded: &Encoded,
        hooks: &dyn Hooks,
        mode: Mode,
    ) -> Result<Hidden> {
        match &self.decoder {
            Some(decoder) => self.run_decoder(decoder, inputs, encoded, (hooks, mode)),
            None => candle_core::bail!("{} backbones have no decoder", self.config.architecture),
        }
    }

    pub(super) fn run_decoder(
        &self,
        decoder: &Decoder,
        inputs: &DecoderInputs,
        encoded: &Encoded,
        (hooks, mode): (&dyn Hooks, Mode),
    ) -> Result<Hidden> {
        let batch = inputs.input_ids.dim(0)?;
        if !batch.is_multiple_of(encoded.context.batch) {
            candle_core::bail!(
                "a decoder reads {batch} rows behind an encoder that read {}",
                encoded.context.batch
            );
        }
        let offset = hooks.position_offset();
        let mut x = self.embed_decoder(decoder, inputs, hooks, offset)?;
        let mut context: Context = Context {
            trace: hooks.trace().cloned(),
            is_unmasked: encoded.context.is_unmasked,
            encoder_mask: hooks.ends_with_encoder().then(|| encoded.context.attention_mask.clone()),
            ..self.context(inputs.attention_mask.clone(), batch, mode)
        };
        let mask = KeyMask::new(&context.attention_mask)?.with_causality(true);
        context.library_padding = self.library_padding_of_decoder(&mask, inputs.input_ids.dim(1)?);
        // Adapters in parallel have repeated the encoder's rows.
        x = repeat_rows(&x, encoded.state.dim(0)?.max(batch))?;
        let distances =
            decoder.distances.as_ref().map(|distances| distances.behind(offset, hooks.loses_distances()));
        let cross = Cross::new(&encoded.state, &encoded.context, &encoded.projected)?;
        let pass = Pass {
            hooks,
            context: &context,
            rotary: None,
            relative: None,
            distances: distances.as_ref(),
            cross: Some(&cross),
            last: self.blocks.last(),
        };
        for block in &self.blocks[self.config.shape.encoder_layers()..] {
            x = block.forward(&x, &mask.repeat(x.dim(0)?)?, &pass)?;
        }
        if let Some(norm) = &decoder.final_norm {
            x = norm.with(hooks, &Module::DecoderFinalNorm.to_string()).forward(&x)?;
        }
        let attention_mask = repeat_rows(&context.attention_mask, x.dim(0)?)?;
        Ok(Hidden { state: x, attention_mask, encoder_state: Some(encoded.state.clone()), layer_sum: None })
    }

    /// `[b, t, h]`
    fn embed_decoder(
        &self,
        decoder: &Decoder,
        inputs: &DecoderInputs,
        hooks: &dyn Hooks,
        offset: usize,
    ) -> Result<Tensor> {
        let (_, tokens) = inputs.input_ids.dims2()?;
        let (length, longest) = (tokens + offset, self.config.longest_input());
        if length > longest {
            candle_core::bail!(
                "the decoder's input has {length} tokens; this backbone has {longest} positions"
            );
        }
        let words = self.lookup_words(Table::DecoderWord, &inputs.input_ids, hooks)?;
        let mut x = scaled(words, self.config.embedding_scale)?;
        if let Some(table) = &decoder.position {
            let positions = self.counted_positions(offset, tokens)?;
            x = x.broadcast_add(&self.lookup((Table::DecoderPosition, table), &positions, hooks)?)?;
        }
        match &decoder.norm {
            Some(norm) => norm.with(hooks, &Module::DecoderEmbeddingNorm.to_string()).forward(&x),
            None => Ok(x),
        }
    }
}
