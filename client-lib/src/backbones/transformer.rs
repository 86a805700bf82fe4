//! Embeddings and blocks: the whole backbone.

use std::path::PathBuf;

use candle_core::{DType, Device, Result, Tensor};
use hub_formats::{
    architectures::{Positions, Rope, TransformerConfig, View},
    checkpoint::{BaseFolder, CheckpointError},
};
use hub_schemas::backbone::{Module, Table};

use super::{
    BaseHead, Batch, Compute, Context, Hooks, LibraryPadding, Linear, LinearInput, Mode,
    block::{Block, Pass},
    convolution::Convolution,
    cross::Projected,
    decoder::Decoder,
    distances::Distances,
    embedding::scaled,
    hooks::repeat_rows,
    layer_sum::{self, LayerSum},
    pieces::Between,
    relative::RelativeTable,
    signal::SignalEmbedding,
    weights::Weights,
};
use crate::ops::{Arithmetic, KeyMask, Norm, Rotary};

/// What the blocks give.
#[derive(Debug, Clone)]
pub struct Hidden {
    /// The last hidden state, `[b, t, h]`. With adapters in parallel `b` is a multiple
    /// of the batch's rows; with a prompt `t` is larger than the input's.
    pub state: Tensor,
    /// 1 for tokens and 0 for padding, `[b, t]`.
    pub attention_mask: Tensor,
    /// The encoder's last hidden state, `[b, s, h]`, where `state` is a decoder's behind it.
    pub encoder_state: Option<Tensor>,
    /// The weighted sum of what all layers give, `[b, t, h]`, where a classifier reads it.
    pub layer_sum: Option<Tensor>,
}

/// What the blocks of an encoder, or of the only stack, give, and what they ran with.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// `[b, t, h]`
    pub state: Tensor,
    /// The weighted sum of what all layers give, where a classifier reads it.
    layer_sum: Option<Tensor>,
    pub(super) context: Context,
    pub(super) projected: Projected,
}

/// A frozen backbone on one device; with a decoder behind an encoder, the fields without `decoder` are the
/// encoder's, and the blocks are those of both.
#[derive(Debug, Clone)]
pub struct Backbone {
    /// The folder, or the file, that it was loaded from.
    path: PathBuf,
    pub(super) config: TransformerConfig,
    pub(super) word: Linear,
    pub(super) signal: Option<SignalEmbedding>,
    pub(super) position: Option<Linear>,
    pub(super) token_type: Option<Linear>,
    pub(super) norm: Option<Norm>,
    pub(super) projection: Option<Linear>,
    pub(super) blocks: Vec<Block>,
    /// Beside the first block.
    convolution: Option<Convolution>,
    pub(super) distances: Option<Distances>,
    pub(super) final_norm: Option<Norm>,
    pub(super) decoder: Option<Decoder>,
    pub(super) pooler: Option<Linear>,
    pub(super) pooler_norm: Option<Norm>,
    pub(super) relative: Option<RelativeTable>,
    /// How much each layer counts where they are summed, `[layers + 1]`.
    layer_weights: Option<Tensor>,
    pub(super) head: Option<BaseHead>,
    pub(super) ties_embeddings: bool,
    pub(super) dtype: DType,
    pub(super) arithmetic: Arithmetic,
    pub(super) device: Device,
}

impl Backbone {
    /// Loads the weights in single precision.
    pub fn load(folder: &BaseFolder, device: &Device) -> Result<Self> {
        Self::load_with(folder, DType::F32, device)
    }

    /// Loads the weights in `dtype`; double precision serves to check gradients.
    pub fn load_with(folder: &BaseFolder, dtype: DType, device: &Device) -> Result<Self> {
        Self::read(&Weights::new(folder, dtype, Arithmetic::Exact, device))
    }

    /// Loads the weights in single precision onto a device, for products in its arithmetic.
    pub fn load_for(folder: &BaseFolder, compute: &Compute) -> Result<Self> {
        let Compute { device, arithmetic } = compute;
        Self::read(&Weights::new(folder, DType::F32, *arithmetic, device))
    }

    fn read(weights: &Weights<'_>) -> Result<Self> {
        let Weights { folder, dtype, arithmetic, device, .. } = *weights;
        let config = folder.config().clone();
        let blocks = (0..config.shape.num_layers).map(|i| Block::load(i, &config, weights));
        let pooler = match (weights.optional("pooler.weight")?, weights.optional("pooler.bias")?) {
            (Some(weight), bias) => Some(weights.frozen(weight, bias)?),
            (None, _) => None,
        };
        let pooler_norm =
            weights.optional("pooler.norm.weight")?.map(|_| weights.norm("pooler.norm", &config));
        let signal = SignalEmbedding::load(&config, weights)?;
        let word = match (config.shape.vocab_size, weights.table("embeddings.word")?) {
            // Where no tokens are read, the vocabulary is empty.
            (0, _) => weights.frozen(Tensor::zeros((0, config.shape.hidden_size), dtype, device)?, None)?,
            (_, Some(word)) => word,
            (_, None) => candle_core::bail!("the backbone has no word embedding"),
        };
        let projection = Module::EmbeddingProjection.to_string();
        let projection = config.shape.embedding_size.map(|_| weights.linear(&projection, &config, true));
        let head = BaseHead::load(folder, weights, pooler.is_some())?;
        Ok(Self {
            path: folder.path().to_owned(),
            word,
            signal,
            position: weights.table("embeddings.position")?,
            token_type: weights.table("embeddings.token_type")?,
            norm: weights.norm_of(Module::EmbeddingNorm, &config)?,
            projection: projection.transpose()?,
            blocks: blocks.collect::<Result<_>>()?,
            convolution: Convolution::load(&config, weights)?,
            distances: Distances::load(&config, weights, ("distances", true))?,
            final_norm: weights.norm_of(Module::FinalNorm, &config)?,
            decoder: Decoder::load(&config, weights)?,
            head,
            ties_embeddings: folder.ties_embeddings(),
            pooler,
            pooler_norm: pooler_norm.transpose()?,
            relative: RelativeTable::load(&config, weights)?,
            layer_weights: layer_sum::load(&config, weights)?,
            config,
            dtype,
            arithmetic,
            device: device.clone(),
        })
    }

    /// Opens `folder` and loads it.
    pub fn open(folder: &std::path::Path, device: &Device) -> std::result::Result<Self, OpenError> {
        Ok(Self::load(&BaseFolder::open(folder)?, device)?)
    }

    /// The checkpoint that it was loaded from, opened again.
    pub fn checkpoint(&self) -> std::result::Result<BaseFolder, CheckpointError> {
        BaseFolder::open_as(&self.path, View::with_decoder(self.config.shape.decoder_layers))
    }

    /// Dimensions and the rest of the configuration.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// Precision of the weights and of everything computed.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// What products with frozen weights are computed in.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Where the weights lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The head that the checkpoint brings.
    pub fn head(&self) -> Option<&BaseHead> {
        self.head.as_ref()
    }

    /// The token embedding table, its weight `[vocabulary, h]`.
    pub fn word_embeddings(&self) -> &Linear {
        &self.word
    }

    /// Whether a language model's output table is the word embedding.
    pub fn ties_embeddings(&self) -> bool {
        self.ties_embeddings
    }

    /// A copy of the frozen tensor with this canonical name.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        let whole = name.parse::<Module>().ok().map(|module| (module, ""));
        let part = || {
            let (module, part) = name.rsplit_once('.')?;
            Some((module.parse::<Module>().ok()?, part))
        };
        let found = match whole.or_else(part) {
            Some((Module::Embedding(Table::Word | Table::EncoderWord | Table::DecoderWord), "")) => {
                Some(self.word.weight()?)
            }
            Some((Module::Embedding(Table::Position), "")) => {
                self.position.as_ref().map(Linear::weight).transpose()?
            }
            Some((Module::Embedding(Table::TokenType), "")) => {
                self.token_type.as_ref().map(Linear::weight).transpose()?
            }
            Some((Module::EmbeddingNorm, part)) => {
                self.norm.as_ref().and_then(|norm| norm.tensor(part)).cloned()
            }
            Some((Module::RelativeNorm, part)) => {
                self.relative.as_ref().and_then(|relative| relative.norm()?.tensor(part)).cloned()
            }
            Some((Module::EmbeddingProjection, "weight")) => {
                self.projection.as_ref().map(Linear::weight).transpose()?
            }
            Some((Module::EmbeddingProjection, "bias")) => {
                self.projection.as_ref().and_then(Linear::bias).cloned()
            }
            Some((module, "bias")) if module.is_convolution() => {
                self.signal.as_ref().and_then(|signal| signal.bias(module)).cloned()
            }
            Some((Module::FinalNorm, part)) => {
                self.final_norm.as_ref().and_then(|norm| norm.tensor(part)).cloned()
            }
            Some((module, part)) if module.is_of_decoder() && module.layer().is_none() => {
                match &self.decoder {
                    Some(decoder) => decoder.tensor(module, part)?,
                    None => None,
                }
            }
            Some((Module::Pooler, "weight")) => self.pooler.as_ref().map(Linear::weight).transpose()?,
            Some((Module::Pooler, "bias")) => self.pooler.as_ref().and_then(Linear::bias).cloned(),
            Some((module, part)) => match module.layer().and_then(|layer| self.blocks.get(layer)) {
                Some(block) => block.tensor(module, part)?,
                None => None,
            },
            None => None,
        };
        found.map(|tensor| tensor.copy()).transpose()
    }

    /// Runs embeddings and blocks; a decoder behind the encoder too.
    pub fn forward(&self, batch: &Batch, hooks: &dyn Hooks, mode: Mode) -> Result<Hidden> {
        let encoded = self.encode(batch, hooks, mode)?;
        if let Some(decoder) = &self.decoder {
            return self.run_decoder(decoder, &self.decoder_inputs(batch)?, &encoded, (hooks, mode));
        }
        self.hidden(batch, encoded)
    }

    /// What is behind the blocks where no decoder is.
    pub(super) fn hidden(&self, batch: &Batch, encoded: Encoded) -> Result<Hidden> {
        if batch.decoder.is_some() {
            candle_core::bail!("{} backbones without a decoder read one input", self.config.architecture);
        }
        let Encoded { state, context, layer_sum, .. } = encoded;
        let attention_mask = repeat_rows(&context.attention_mask, state.dim(0)?)?;
        Ok(Hidden { state, attention_mask, encoder_state: None, layer_sum })
    }

    /// Runs embeddings and blocks in front of a decoder, or all there are.
    pub fn encode(&self, batch: &Batch, hooks: &dyn Hooks, mode: Mode) -> Result<Encoded> {
        let between = Between::whole(LayerSum::new(self.layer_weights.as_ref()));
        Ok(self.encode_between(batch, (hooks, mode), between)?.0)
    }

    /// The same, and what was kept between the blocks.
    pub(super) fn encode_between(
        &self,
        batch: &Batch,
        (hooks, mode): (&dyn Hooks, Mode),
        mut between: Between<'_>,
    ) -> Result<(Encoded, Option<Vec<Tensor>>)> {
        let blocks = self.applied_blocks();
        let (mut x, context) = self.run_blocks(batch, (hooks, mode), &blocks, &mut between)?;
        let Between { mut sum, cuts, inside } = between;
        drop(inside);
        if let Some(norm) = &self.final_norm {
            x = norm.with(hooks, &Module::FinalNorm.to_string()).forward(&x)?;
        }
        if self.config.architecture.adapts_embeddings_late() {
            let tokens = x.dim(1)?;
            x = hooks.embeddings(x, &context)?;
            if x.dim(1)? > tokens {
                candle_core::bail!("a prompt has no place in {} backbones", self.config.architecture);
            }
        }
        sum.add(&x)?;
        let layer_sum = sum.finish();
        Ok((Encoded { state: x, layer_sum, context, projected: Projected::default() }, cuts))
    }

    /// What the first `blocks` give, `[b, t, h]`, without dropout: what [`Batch::passed`] goes on from.
    pub fn pass(&self, batch: &Batch, hooks: &dyn Hooks, blocks: usize) -> Result<Tensor> {
        let all = self.applied_blocks();
        let Some(first) = all.get(..blocks) else {
            candle_core::bail!("{blocks} blocks can't be passed; there are {}", all.len());
        };
        let mut between = Between::whole(LayerSum::new(None));
        Ok(self.run_blocks(batch, (hooks, Mode::Eval), first, &mut between)?.0)
    }

    /// Blocks in the order in which they run; one that layers share stands there for each of them.
    pub(crate) fn applied_blocks(&self) -> Vec<usize> {
        self.config.encoder.applied_blocks(self.config.shape.encoder_layers())
    }

    /// The first block's input, and what the forward pass knows from there on.
    fn enter(&self, batch: &Batch, hooks: &dyn Hooks, context: &mut Context) -> Result<Tensor> {
        let embedded = self.embed(batch, hooks, context)?;
        let before = embedded.dim(1)?;
        let is_late = self.config.architecture.adapts_embeddings_late();
        let x = if is_late { embedded } else { hooks.embeddings(embedded, context)? };
        context.lengthen(x.dim(1)? - before)?;
        let late =
            self.config.embedding_scale.filter(|_| self.config.architecture.scales_adapted_embeddings());
        let x = scaled(x, late)?;
        match &self.projection {
            Some(linear) => {
                hooks.linear(&LinearInput { module: Module::EmbeddingProjection, x: &x, linear, context })
            }
            None => Ok(x),
        }
    }

    /// Runs embeddings and these blocks, without those that were passed.
    pub(super) fn run_blocks(
        &self,
        batch: &Batch,
        (hooks, mode): (&dyn Hooks, Mode),
        blocks: &[usize],
        between: &mut Between<'_>,
    ) -> Result<(Tensor, Context)> {
        let attention_mask = batch.attention_mask.clone();
        let rows = attention_mask.dim(0)?;
        let (trace, image) = (hooks.trace().cloned(), batch.image.clone());
        let ids = batch.signal.is_none().then(|| batch.input_ids.clone());
        let opening = hooks.opening();
        let is_unmasked = batch.is_unmasked;
        let context = self.context(attention_mask, rows, mode);
        let mut context = Context { is_unmasked, trace, image, ids, opening, ..context };
        let (mut x, passed) = match &batch.passed {
            Some(passed) => {
                // What stands in front of the first block may have put tokens in.
                context.lengthen(passed.state.dim(1)?.saturating_sub(batch.attention_mask.dim(1)?))?;
                (passed.state.clone(), passed.blocks)
            }
            None => (self.enter(batch, hooks, &mut context)?, 0),
        };
        let mask = self.key_mask(hooks, &context)?;
        let (tokens, offset) = (x.dim(1)?, self.input_offset(hooks));
        context.library_padding = if self.config.is_causal {
            self.library_padding_of_decoder(&mask, tokens)
        } else {
            self.library_padding(&mask)
        };
        let rotary = self.rotary(tokens, offset);
        let local = self.config.encoder.local.map(|local| {
            let near = self.turning(&local.rope, tokens, offset);
            (local, near, mask.clone().with_reach(Some(local.reach)))
        });
        let window = self.config.decoder.window.as_ref();
        let window = window.map(|window| (window, mask.clone().with_reach(Some(window.tokens - 1))));
        let relative = self.relative.as_ref().map(|table| table.at(tokens, hooks)).transpose()?.flatten();
        let distances = self.distances.as_ref();
        let distances = distances.map(|distances| distances.behind(offset, hooks.loses_distances()));
        let pass = Pass {
            hooks,
            context: &context,
            rotary: rotary.as_ref(),
            relative: relative.as_ref(),
            distances: distances.as_ref(),
            cross: None,
            last: self.blocks.last(),
        };
        for &index in blocks.iter().skip(passed) {
            let block = &self.blocks[index];
            let rows = x.dim(0)?;
            between.sum.add(&x)?;
            let given = match &local {
                Some((local, near, mask)) if local.holds(block.loaded_as()) => {
                    block.forward(&x, &mask.repeat(rows)?, &Pass { rotary: Some(near), ..pass })?
                }
                _ => {
                    let own = window.as_ref().filter(|(window, _)| window.holds(block.loaded_as()));
                    let mask = own.map_or(&mask, |(_, own)| own);
                    block.forward(&x, &mask.repeat(rows)?, &pass)?
                }
            };
            let given = match self.convolution.as_ref().filter(|_| index == 0) {
                Some(convolution) => convolution.forward(&x, &given, &context.attention_mask)?,
                None => given,
            };
            x = between.cut(given)?;
        }
        Ok((x, context))
    }

    /// A linear layer behind the blocks with what the hooks do there; `x [b, t, in]` to `[b, t, out]`,
    /// `mask` u32 `[b, t]`. `read` is how many rows the backbone has read: of several times as many adapters in parallel have
    /// made.
    pub fn behind(
        &self,
        module: Module,
        x: &Tensor,
        linear: &Linear,
        (mask, read): (&Tensor, usize),
        (hooks, mode): (&dyn Hooks, Mode),
    ) -> Result<Tensor> {
        let context = self.context(mask.clone(), read, mode);
        hooks.linear(&LinearInput { module, x, linear, context: &context })
    }

    /// Whether a classifier reads a weighted sum of what all layers give.
    pub fn weighs_layers(&self) -> bool {
        self.layer_weights.is_some()
    }

    /// How far the input's positions are shifted: in front of a decoder, what shifts them is the decoder's.
    pub(super) fn input_offset(&self, hooks: &dyn Hooks) -> usize {
        if self.decoder.is_some() { 0 } else { hooks.position_offset() }
    }

    pub(super) fn context(&self, attention_mask: Tensor, batch: usize, mode: Mode) -> Context {
        let value = self.config.padding_id as f32;
        let (prefix, padding) = (0.0, 1.0);
        let library_padding = LibraryPadding { value, prefix, padding, from_first: false };
        Context {
            attention_mask,
            is_unmasked: false,
            batch,
            prompt_tokens: 0,
            library_padding,
            mode,
            trace: None,
            image: None,
            ids: None,
            encoder_mask: None,
            opening: None,
        }
    }

    /// Which keys each query sees.
    fn key_mask(&self, hooks: &dyn Hooks, context: &Context) -> Result<KeyMask> {
        let architecture = self.config.architecture;
        let mask = KeyMask::new(&context.attention_mask)?.with_causality(self.config.is_causal);
        match hooks.free_queries(context.prompt_tokens) {
            free if free > 0 && architecture.frees_prompts() => {
                Ok(mask.with_free_queries(free).with_score_in_front(free, architecture.prompt_score()))
            }
            _ => Ok(mask),
        }
    }

    /// The angles of `tokens` positions from `offset` on, where queries and keys are turned.
    fn rotary(&self, tokens: usize, offset: usize) -> Option<Rotary> {
        match self.config.positions {
            Positions::Rotary(rope) => Some(self.turning(&rope, tokens, offset)),
            Positions::Learned
            | Positions::LearnedFromPadding(_)
            | Positions::LearnedBehind(_)
            | Positions::Distances(_)
            | Positions::Grid(_)
            | Positions::Frames(_) => None,
        }
    }

    fn turning(&self, rope: &Rope, tokens: usize, offset: usize) -> Rotary {
        let frequencies = rope.frequencies(self.config.shape.head_width(), offset + tokens);
        Rotary::new(&frequencies, offset..offset + tokens).scaled(rope.attention_factor())
    }
}

/// Why a backbone can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tensors can't be used.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
