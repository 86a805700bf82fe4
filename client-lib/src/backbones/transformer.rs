//! Embeddings, blocks and pooler: the whole backbone.

use candle_core::{DType, Device, Result, Tensor};
use hub_schemas::backbone::{Module, Table};

use super::{
    BaseHead, Context, HeadInputs, Hooks, LibraryPadding, Linear, LinearInput, Mode, Signal,
    block::{Block, Pass},
    hooks::{EmbeddingInput, repeat_rows},
    relative::RelativeTable,
    signal::SignalEmbedding,
    weights::Weights,
};
use crate::{
    architectures::{Positions, Rope, TransformerConfig},
    checkpoint::{BaseFolder, CheckpointError},
    ops::{FrozenLinear, KeyMask, Norm, Rotary, activate},
};

/// Token ids with their masks, padded to one length.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Token ids, u32 `[b, t]`.
    pub input_ids: Tensor,
    /// 1 for tokens and 0 for padding, u32 `[b, t]`.
    pub attention_mask: Tensor,
    /// Segment of each token, u32 `[b, t]`; all zero when absent.
    pub token_type_ids: Option<Tensor>,
    /// What only some heads read.
    pub head_inputs: HeadInputs,
    /// What is read instead of tokens, whose ids are then 0: one for each token that it makes.
    pub signal: Option<Signal>,
}

impl Batch {
    /// Images `[b, c, height, width]`, each of which makes so many tokens.
    pub fn of_images(pixels: Tensor, tokens: usize) -> Result<Self> {
        Self::of_signal((pixels.dim(0)?, tokens), &pixels.device().clone(), Signal::Pixels(pixels))
    }

    /// Spectrograms `[b, mels, frames]`, each of which makes so many tokens.
    pub fn of_recordings(features: Tensor, tokens: usize) -> Result<Self> {
        Self::of_signal((features.dim(0)?, tokens), &features.device().clone(), Signal::Spectrogram(features))
    }

    fn of_signal(shape: (usize, usize), device: &Device, signal: Signal) -> Result<Self> {
        Ok(Self {
            input_ids: Tensor::zeros(shape, DType::U32, device)?,
            attention_mask: Tensor::ones(shape, DType::U32, device)?,
            token_type_ids: None,
            head_inputs: HeadInputs::default(),
            signal: Some(signal),
        })
    }

    /// The same with the task of every row.
    #[must_use]
    pub fn with_tasks(mut self, tasks: Option<Vec<usize>>) -> Self {
        self.head_inputs.tasks = tasks;
        self
    }
}

/// What the blocks give.
#[derive(Debug, Clone)]
pub struct Hidden {
    /// The last hidden state, `[b, t, h]`. With adapters in parallel `b` is a multiple
    /// of the batch's rows; with a prompt `t` is larger than the input's.
    pub state: Tensor,
    /// 1 for tokens and 0 for padding, `[b, t]`.
    pub attention_mask: Tensor,
}

/// A frozen backbone on one device.
#[derive(Debug)]
pub struct Backbone {
    config: TransformerConfig,
    word: Tensor,
    signal: Option<SignalEmbedding>,
    position: Option<Tensor>,
    token_type: Option<Tensor>,
    norm: Option<Norm>,
    projection: Option<Linear>,
    blocks: Vec<Block>,
    final_norm: Option<Norm>,
    pooler: Option<Linear>,
    pooler_norm: Option<Norm>,
    relative: Option<RelativeTable>,
    head: Option<BaseHead>,
    ties_embeddings: bool,
    dtype: DType,
    device: Device,
}

impl Backbone {
    /// Loads the weights in single precision.
    pub fn load(folder: &BaseFolder, device: &Device) -> Result<Self> {
        Self::load_with(folder, DType::F32, device)
    }

    /// Loads the weights in `dtype`; double precision serves to check gradients.
    pub fn load_with(folder: &BaseFolder, dtype: DType, device: &Device) -> Result<Self> {
        let config = folder.config().clone();
        let weights = Weights { folder, dtype, device };
        let blocks = (0..config.shape.num_layers).map(|i| Block::load(i, &config, &weights));
        let pooler = match (weights.optional("pooler.weight")?, weights.optional("pooler.bias")?) {
            (Some(weight), bias) => Some(Linear::frozen(FrozenLinear::new(weight, bias)?)),
            (None, _) => None,
        };
        let norm = |module: Module| {
            let there = config.architecture.has(module);
            there.then(|| weights.norm(&module.to_string(), &config)).transpose()
        };
        let pooler_norm =
            weights.optional("pooler.norm.weight")?.map(|_| weights.norm("pooler.norm", &config));
        let signal = SignalEmbedding::load(&config, &weights)?;
        // Where no tokens are read, the vocabulary is empty.
        let word = match signal {
            Some(_) => Tensor::zeros((0, config.shape.hidden_size), dtype, device)?,
            None => weights.get("embeddings.word")?,
        };
        let projection = Module::EmbeddingProjection.to_string();
        let projection = config.shape.embedding_size.map(|_| weights.linear(&projection, &config, true));
        let head = BaseHead::load(folder, &weights, &word, pooler.is_some())?;
        Ok(Self {
            word,
            signal,
            position: weights.optional("embeddings.position")?,
            token_type: weights.optional("embeddings.token_type")?,
            norm: norm(Module::EmbeddingNorm)?,
            projection: projection.transpose()?,
            blocks: blocks.collect::<Result<_>>()?,
            final_norm: norm(Module::FinalNorm)?,
            head,
            ties_embeddings: folder.ties_embeddings(),
            pooler,
            pooler_norm: pooler_norm.transpose()?,
            relative: RelativeTable::load(&config, &weights)?,
            config,
            dtype,
            device: device.clone(),
        })
    }

    /// Opens `folder` and loads it.
    pub fn open(folder: &std::path::Path, device: &Device) -> std::result::Result<Self, OpenError> {
        Ok(Self::load(&BaseFolder::open(folder)?, device)?)
    }

    /// Dimensions and the rest of the configuration.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// Precision of the weights and of everything computed.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the weights lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The head that the checkpoint brings.
    pub fn head(&self) -> Option<&BaseHead> {
        self.head.as_ref()
    }

    /// The token embedding table, `[vocabulary, h]`.
    pub fn word_embeddings(&self) -> &Tensor {
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
            Some((Module::Embedding(Table::Word), "")) => Some(self.word.clone()),
            Some((Module::Embedding(Table::Position), "")) => self.position.clone(),
            Some((Module::Embedding(Table::TokenType), "")) => self.token_type.clone(),
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
            Some((Module::FinalNorm, part)) => {
                self.final_norm.as_ref().and_then(|norm| norm.tensor(part)).cloned()
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

    /// Runs embeddings and blocks.
    pub fn forward(&self, batch: &Batch, hooks: &dyn Hooks, mode: Mode) -> Result<Hidden> {
        let attention_mask = batch.attention_mask.clone();
        let rows = attention_mask.dim(0)?;
        let mut context =
            Context { trace: hooks.trace().cloned(), ..self.context(attention_mask, rows, mode) };
        let embedded = self.embed(batch, hooks, &mut context)?;
        let before = embedded.dim(1)?;
        let mut x = hooks.embeddings(embedded, &context)?;
        context.lengthen(x.dim(1)? - before)?;
        if let Some(linear) = &self.projection {
            let module = Module::EmbeddingProjection;
            x = hooks.linear(&LinearInput { module, x: &x, linear, context: &context })?;
        }
        let mask = self.key_mask(hooks, &context)?;
        context.library_padding = self.library_padding(&mask);
        let (tokens, offset) = (x.dim(1)?, hooks.position_offset());
        let rotary = self.rotary(tokens, offset);
        let local = self.config.encoder.local.map(|local| {
            let near = self.turning(&local.rope, tokens, offset);
            (local, near, mask.clone().with_reach(Some(local.reach)))
        });
        let window = self.config.decoder.window.as_ref();
        let window = window.map(|window| (window, mask.clone().with_reach(Some(window.tokens - 1))));
        let relative = self.relative.as_ref().map(|table| table.at(tokens, hooks)).transpose()?.flatten();
        let pass = Pass { hooks, context: &context, rotary: rotary.as_ref(), relative: relative.as_ref() };
        for index in self.config.encoder.applied_blocks(self.blocks.len()) {
            let block = &self.blocks[index];
            let rows = x.dim(0)?;
            x = match &local {
                Some((local, near, mask)) if local.holds(index) => {
                    block.forward(&x, &mask.repeat(rows)?, &Pass { rotary: Some(near), ..pass })?
                }
                _ => {
                    let own = window.as_ref().filter(|(window, _)| window.holds(index));
                    let mask = own.map_or(&mask, |(_, own)| own);
                    block.forward(&x, &mask.repeat(rows)?, &pass)?
                }
            };
        }
        if let Some(norm) = &self.final_norm {
            x = norm.with(hooks, &Module::FinalNorm.to_string()).forward(&x)?;
        }
        let attention_mask = repeat_rows(&context.attention_mask, x.dim(0)?)?;
        Ok(Hidden { state: x, attention_mask })
    }

    /// `φ(W · first + b)` of a last hidden state, `[b, h]`; `None` without a pooler.
    ///
    /// Some encoders take the mean over the tokens that are not padding for the first.
    pub fn pool(&self, state: &Tensor, mask: &Tensor, hooks: &dyn Hooks) -> Result<Option<Tensor>> {
        let Some(pooler) = &self.pooler else { return Ok(None) };
        let rows = state.dim(0)?;
        let first = if self.config.encoder.pools_mean {
            mean_of_tokens(state, mask)?.unsqueeze(1)?
        } else {
            state.narrow(1, 0, 1)?.contiguous()?
        };
        let attention_mask = Tensor::ones((rows, 1), DType::U32, state.device())?;
        let pooled = self.behind(Module::Pooler, &first, pooler, &attention_mask, (hooks, Mode::Eval))?;
        let pooled = pooled.squeeze(1)?;
        let pooled = activate(&pooled, self.config.encoder.pooler_activation)?;
        self.pooler_norm.as_ref().map_or_else(|| Ok(pooled.clone()), |norm| norm.forward(&pooled)).map(Some)
    }

    /// A linear layer behind the blocks with what the hooks do there; `x [b, t, in]` to `[b, t, out]`,
    /// `mask` u32 `[b, t]`.
    pub fn behind(
        &self,
        module: Module,
        x: &Tensor,
        linear: &Linear,
        mask: &Tensor,
        (hooks, mode): (&dyn Hooks, Mode),
    ) -> Result<Tensor> {
        let context = self.context(mask.clone(), x.dim(0)?, mode);
        hooks.linear(&LinearInput { module, x, linear, context: &context })
    }

    /// Whether there is a pooler.
    pub fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }

    fn context(&self, attention_mask: Tensor, batch: usize, mode: Mode) -> Context {
        let value = self.config.padding_id as f32;
        let (prefix, padding) = (0.0, 1.0);
        let library_padding = LibraryPadding { value, prefix, padding };
        Context { attention_mask, batch, prompt_tokens: 0, library_padding, mode, trace: None }
    }

    fn embed(&self, batch: &Batch, hooks: &dyn Hooks, context: &mut Context) -> Result<Tensor> {
        if let Some(embedding) = &self.signal {
            return self.embed_signal(embedding, batch, hooks, context);
        }
        if batch.signal.is_some() {
            candle_core::bail!("{} backbones read texts and nothing else", self.config.architecture);
        }
        let words = self.lookup((Table::Word, &self.word), &batch.input_ids, hooks)?;
        let before = words.dim(1)?;
        let words = hooks.words(words, context)?;
        let added = words.dim(1)? - before;
        let (length, longest) = (before + added + hooks.position_offset(), self.config.longest_input());
        if length > longest {
            candle_core::bail!("the input has {length} tokens; this backbone has {longest} positions");
        }
        context.lengthen(added)?;
        let mut x = match self.config.embedding_scale {
            Some(scale) => (words * scale)?,
            None => words,
        };
        if let Some(table) = &self.position {
            let positions = self.position_ids(batch, added, hooks.position_offset())?;
            x = x.broadcast_add(&self.lookup((Table::Position, table), &positions, hooks)?)?;
        }
        let norm = self.norm.as_ref().map(|norm| norm.with(hooks, &Module::EmbeddingNorm.to_string()));
        let Some(table) = &self.token_type else {
            let x = norm.map_or_else(|| Ok(x.clone()), |norm| norm.forward(&x))?;
            return self.without_padding(x, context);
        };
        let types = match &batch.token_type_ids {
            Some(ids) if !hooks.drops_token_types() => pad_front(ids, added)?,
            _ => Tensor::zeros((1, 1), DType::U32, &self.device)?,
        };
        let types = self.lookup((Table::TokenType, table), &types, hooks)?.broadcast_as(x.shape())?;
        let x = match norm {
            Some(norm) => norm.forward_sum(&x, &types)?,
            None => (x + types)?,
        };
        self.without_padding(x, context)
    }

    /// Embeddings with zeros where there is padding, in architectures that have it so.
    fn without_padding(&self, x: Tensor, context: &Context) -> Result<Tensor> {
        if self.config.encoder.disentangled.is_none() {
            return Ok(x);
        }
        x.broadcast_mul(&context.attention_mask.to_dtype(x.dtype())?.unsqueeze(2)?)
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

    /// How `adapters` pads prefixes in this architecture.
    fn library_padding(&self, mask: &KeyMask) -> LibraryPadding {
        let value = self.config.padding_id as f32;
        let architecture = self.config.architecture;
        let (prefix, padding) = match architecture.prompt_score() {
            // Images and recordings come without a mask: padding is attended to as it is.
            _ if architecture.reads_images() || architecture.reads_audio() => (0.0, 0.0),
            // Masked by comparison and not by a sum.
            _ if self.config.encoder.disentangled.is_some() => (0.0, f32::NEG_INFINITY),
            0.0 => (0.0, 1.0),
            score if mask.hides_any() => (score, 0.0),
            _ => (0.0, 0.0),
        };
        LibraryPadding { value, prefix, padding }
    }

    /// The tokens of images or recordings; refuses what only text has a place for.
    fn embed_signal(
        &self,
        embedding: &SignalEmbedding,
        batch: &Batch,
        hooks: &dyn Hooks,
        context: &Context,
    ) -> Result<Tensor> {
        let architecture = self.config.architecture;
        let tokens = batch.signal.as_ref().map(|signal| embedding.forward(signal)).transpose()?.flatten();
        let Some(tokens) = tokens else {
            candle_core::bail!("{architecture} backbones read {} and nothing else", architecture.inputs());
        };
        let none =
            Tensor::zeros((context.batch, 0, self.config.shape.hidden_size), self.dtype, &self.device)?;
        if hooks.words(none, context)?.dim(1)? > 0 || hooks.position_offset() > 0 {
            candle_core::bail!("a prompt in front of the words has no place in {architecture} backbones");
        }
        Ok(tokens)
    }

    /// The angles of `tokens` positions from `offset` on, where queries and keys are turned.
    fn rotary(&self, tokens: usize, offset: usize) -> Option<Rotary> {
        match self.config.positions {
            Positions::Rotary(rope) => Some(self.turning(&rope, tokens, offset)),
            Positions::Learned
            | Positions::LearnedFromPadding(_)
            | Positions::Grid(_)
            | Positions::Frames(_) => None,
        }
    }

    fn turning(&self, rope: &Rope, tokens: usize, offset: usize) -> Rotary {
        let frequencies = rope.frequencies(self.config.shape.head_width());
        Rotary::new(&frequencies, offset..offset + tokens).scaled(rope.attention_factor())
    }

    /// Rows of a table, `[b, t, h]`.
    fn lookup(&self, (table, frozen): (Table, &Tensor), ids: &Tensor, hooks: &dyn Hooks) -> Result<Tensor> {
        let (b, t) = ids.dims2()?;
        let name = Module::Embedding(table).to_string();
        let weight = hooks.tensor(&name).unwrap_or(frozen);
        let rows = weight.index_select(&ids.flatten_all()?, 0)?;
        let rows = rows.reshape((b, t, self.config.shape.table_width()))?;
        hooks.embedding(&EmbeddingInput { table, ids, weight }, rows)
    }

    /// Position of every token, u32 `[b, t]`, or `[1, t]` where it is the same in every row,
    /// with `added` learned tokens in front.
    /// All positions are `offset` further on.
    fn position_ids(&self, batch: &Batch, added: usize, offset: usize) -> Result<Tensor> {
        let (b, t) = batch.input_ids.dims2()?;
        let Positions::LearnedFromPadding(padding) = self.config.positions else {
            let all = Tensor::arange(offset as u32, (offset + t + added) as u32, &self.device)?;
            return all.unsqueeze(0);
        };
        // RoBERTa counts tokens that are not padding, from behind the padding id. Embeddings
        // that come without ids are all counted.
        let ids = batch.input_ids.to_vec2::<u32>()?;
        let positions = ids.into_iter().flat_map(|row| {
            let real = row.into_iter().map(move |id| added > 0 || id != padding);
            let mut next = padding + offset as u32;
            std::iter::repeat_n(true, added)
                .chain(real)
                .map(move |counts| {
                    next += u32::from(counts);
                    if counts { next } else { padding }
                })
                .collect::<Vec<_>>()
        });
        Tensor::from_vec(positions.collect::<Vec<_>>(), (b, t + added), &self.device)
    }
}

impl Context {
    /// After `added` tokens were put in front.
    fn lengthen(&mut self, added: usize) -> Result<()> {
        if added > 0 {
            let ones = self.attention_mask.narrow(1, 0, 1)?.ones_like()?;
            let ones = ones.repeat((1, added))?;
            self.attention_mask = Tensor::cat(&[&ones, &self.attention_mask], 1)?;
            self.prompt_tokens += added;
        }
        Ok(())
    }
}

/// Mean over the positions where the mask is 1 (Reimers & Gurevych 2019).
pub(crate) fn mean_of_tokens(state: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let mask = mask.to_dtype(state.dtype())?.unsqueeze(2)?;
    let sum = state.broadcast_mul(&mask)?.sum(1)?;
    sum.broadcast_div(&mask.sum(1)?.maximum(1e-9)?)
}

/// `ids` with `added` zeros in front of every row.
fn pad_front(ids: &Tensor, added: usize) -> Result<Tensor> {
    if added == 0 { Ok(ids.clone()) } else { ids.pad_with_zeros(1, added, 0) }
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
