//! From token ids, or from what is no text, to the first block's input.

use candle_core::{DType, Result, Tensor};
use hub_formats::architectures::Positions;
use hub_schemas::backbone::{Module, Table};

use super::{Backbone, Batch, Context, Hooks, Linear, hooks::EmbeddingInput, signal::SignalEmbedding};

/// `x` times `scale`, where there is one.
pub(super) fn scaled(x: Tensor, scale: Option<f64>) -> Result<Tensor> {
    match scale {
        Some(scale) => x * scale,
        None => Ok(x),
    }
}

impl Backbone {
    pub(super) fn embed(&self, batch: &Batch, hooks: &dyn Hooks, context: &mut Context) -> Result<Tensor> {
        if let Some(embedding) = &self.signal {
            return self.embed_signal(embedding, batch, hooks, context);
        }
        if batch.signal.is_some() {
            candle_core::bail!("{} backbones read texts and nothing else", self.config.architecture);
        }
        let words = self.lookup_words(Table::EncoderWord, &batch.input_ids, hooks)?;
        // A prompt in front of BART's words is not scaled with them; in front of Gemma's it is.
        let early =
            self.config.embedding_scale.filter(|_| !self.config.architecture.scales_adapted_embeddings());
        let words = scaled(words, early)?;
        let before = words.dim(1)?;
        let words = hooks.words(words, context)?;
        let added = words.dim(1)? - before;
        let (length, longest) = (before + added + self.input_offset(hooks), self.config.longest_input());
        if length > longest {
            candle_core::bail!("the input has {length} tokens; this backbone has {longest} positions");
        }
        context.lengthen(added)?;
        let mut x = words;
        if let Some(table) = &self.position {
            let positions = self.position_ids(batch, added, self.input_offset(hooks))?;
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

    /// The tokens of images or recordings; refuses what only text has a place for.
    fn embed_signal(
        &self,
        embedding: &SignalEmbedding,
        batch: &Batch,
        hooks: &dyn Hooks,
        context: &Context,
    ) -> Result<Tensor> {
        let architecture = self.config.architecture;
        let tokens =
            batch.signal.as_ref().map(|signal| embedding.forward(signal, hooks)).transpose()?.flatten();
        let Some(tokens) = tokens else {
            candle_core::bail!("{architecture} backbones read {} and nothing else", architecture.inputs());
        };
        let none =
            Tensor::zeros((context.batch, 0, self.config.shape.hidden_size), self.dtype, &self.device)?;
        if hooks.words(none, context)?.dim(1)? > 0 || self.input_offset(hooks) > 0 {
            candle_core::bail!("a prompt in front of the words has no place in {architecture} backbones");
        }
        Ok(tokens)
    }

    /// Rows of the table of words, `[b, t, e]`, by the name of a stack where encoder and decoder share it.
    pub(super) fn lookup_words(&self, stack: Table, ids: &Tensor, hooks: &dyn Hooks) -> Result<Tensor> {
        let names: &[Table] =
            if self.config.architecture.shares_words() { &[Table::Word, stack] } else { &[Table::Word] };
        self.lookup_by(names, &self.word, ids, hooks)
    }

    /// Rows of a table, `[b, t, e]`.
    pub(super) fn lookup(
        &self,
        (table, frozen): (Table, &Linear),
        ids: &Tensor,
        hooks: &dyn Hooks,
    ) -> Result<Tensor> {
        self.lookup_by(&[table], frozen, ids, hooks)
    }

    /// Rows of a table with several names, which may be changed by each: the last name with a copy of it counts.
    fn lookup_by(&self, names: &[Table], frozen: &Linear, ids: &Tensor, hooks: &dyn Hooks) -> Result<Tensor> {
        let (b, t) = ids.dims2()?;
        let copy = |table: &Table| hooks.tensor(&Module::Embedding(*table).to_string());
        let copied = names.iter().rev().find_map(copy).map(|weight| frozen.replaced(Some(weight), None));
        let weight = copied.as_ref().unwrap_or(frozen);
        let rows = weight.rows(&ids.flatten_all()?)?;
        let rows = rows.reshape((b, t, self.config.shape.table_width()))?;
        let change = |rows, &table: &Table| hooks.embedding(&EmbeddingInput { table, ids, weight }, rows);
        names.iter().try_fold(rows, change)
    }

    /// `[1, tokens]` positions from `offset` on, behind rows of the table that no position has.
    pub(super) fn counted_positions(&self, offset: usize, tokens: usize) -> Result<Tensor> {
        let unused = match self.config.positions {
            Positions::LearnedBehind(rows) => rows,
            _ => 0,
        };
        let first = (unused + offset) as u32;
        Tensor::arange(first, first + tokens as u32, &self.device)?.unsqueeze(0)
    }

    /// Position of every token, u32 `[b, t]`, or `[1, t]` where it is the same in every row,
    /// with `added` learned tokens in front.
    /// All positions are `offset` further on.
    fn position_ids(&self, batch: &Batch, added: usize, offset: usize) -> Result<Tensor> {
        let (b, t) = batch.input_ids.dims2()?;
        let Positions::LearnedFromPadding(padding) = self.config.positions else {
            return self.counted_positions(offset, t + added);
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
    pub(super) fn lengthen(&mut self, added: usize) -> Result<()> {
        if added > 0 {
            let ones = self.attention_mask.narrow(1, 0, 1)?.ones_like()?;
            let ones = ones.repeat((1, added))?;
            self.attention_mask = Tensor::cat(&[&ones, &self.attention_mask], 1)?;
            self.prompt_tokens += added;
        }
        Ok(())
    }
}

/// `ids` with `added` zeros in front of every row.
fn pad_front(ids: &Tensor, added: usize) -> Result<Tensor> {
    if added == 0 { Ok(ids.clone()) } else { ids.pad_with_zeros(1, added, 0) }
}
