//! One transformer block: attention and feed-forward network, each with residual and norm; in a decoder
//! behind an encoder, attention to what that gives stands between them.

mod fold;

use candle_core::{D, Result, Tensor};
use hub_formats::architectures::{NormOrder, TransformerConfig};
use hub_schemas::{
    backbone::{LinearSite, Module, SubLayer},
    method::{Activation, HookedNorm, PromptJoin},
};

use self::fold::folded;
use super::{
    AttentionInput, Context, GatedPrompt, Hooks, KeyValueProjection, KeysValues, Linear, LinearInput,
    ProjectionInput, Stand, SubLayerInput,
    cross::Cross,
    distances::ScoreBias,
    hooks::repeat_rows,
    relative::{Attended, Relative, RelativeBlock},
    weights::Weights,
};
use crate::ops::{self, Attention, FeedForward, KeyMask, Norm, Rotary, activate};

/// A block, its norms behind the residual sums or in front of the sub-layers.
#[derive(Debug, Clone)]
pub(super) struct Block {
    index: usize,
    /// The number that it was loaded under, by which the configuration says how far it looks.
    loaded_as: usize,
    /// By site; an architecture has some of them.
    linears: [Option<Linear>; LinearSite::ALL.len()],
    attention: Attention,
    /// Widths of queries and of keys.
    widths: (usize, usize),
    activation: Activation,
    norm_order: NormOrder,
    /// Of the queries and of the keys of every head.
    head_norms: [Option<Norm>; 2],
    /// Whether adapters take the attention's input for its output, and the other way round.
    residual_first: bool,
    relative: Option<RelativeBlock>,
    /// By sub-layer. None in front of a first block that the embeddings' norm serves.
    norms: [Option<Norm>; SubLayer::ALL.len()],
    /// Behind the sub-layers and in front of the residual sums, where there are some.
    output_norms: [Option<Norm>; SubLayer::ALL.len()],
    /// What the sub-layers' outputs are multiplied by (Touvron et al., "Going deeper with image
    /// transformers", 2021), `[h]`.
    scales: [Option<Tensor>; SubLayer::ALL.len()],
}

/// What all blocks of a forward pass share.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) hooks: &'a dyn Hooks,
    pub(super) context: &'a Context,
    /// The angles of the positions, where queries and keys are turned.
    pub(super) rotary: Option<&'a Rotary>,
    /// The relative positions, where they are attended to.
    pub(super) relative: Option<&'a Relative>,
    /// The numbers of distances, where scores get some.
    pub(super) distances: Option<&'a ScoreBias<'a>>,
    /// What an encoder gives, in a decoder behind it.
    pub(super) cross: Option<&'a Cross<'a>>,
    /// The last block.
    pub(super) last: Option<&'a Block>,
}

/// The linear layers of an attention.
struct Sites {
    query: LinearSite,
    key: LinearSite,
    value: LinearSite,
    output: LinearSite,
}

impl Sites {
    const OWN: Self = Self {
        query: LinearSite::Query,
        key: LinearSite::Key,
        value: LinearSite::Value,
        output: LinearSite::AttentionOutput,
    };
    const CROSS: Self = Self {
        query: LinearSite::CrossQuery,
        key: LinearSite::CrossKey,
        value: LinearSite::CrossValue,
        output: LinearSite::CrossOutput,
    };
}

impl Block {
    /// The number of the checkpoint's block that it is.
    pub(super) fn loaded_as(&self) -> usize {
        self.loaded_as
    }

    /// The same block under another number: it stays of the kind that it was.
    pub(super) fn numbered(&self, index: usize) -> Self {
        Self { index, ..self.clone() }
    }

    pub(super) fn load(index: usize, config: &TransformerConfig, weights: &Weights<'_>) -> Result<Self> {
        let mut linears = [const { None }; LinearSite::ALL.len()];
        let has = |module| config.shape.has(config.architecture, module);
        for site in LinearSite::ALL.into_iter().filter(|&site| has(Module::Linear { layer: index, site })) {
            let name = format!("layers.{index}.{site}");
            linears[site as usize] = Some(weights.linear(&name, config, config.has_bias(site))?);
        }
        let norm = |sublayer| weights.norm_of(Module::Norm { layer: index, sublayer }, config);
        let output_norm = |sublayer| weights.norm_of(Module::OutputNorm { layer: index, sublayer }, config);
        let scale =
            |sublayer: SubLayer| weights.optional(&format!("layers.{index}.{}.scale", sublayer.as_str()));
        let shape = &config.shape.in_block(index);
        Ok(Self {
            index,
            loaded_as: index,
            scales: by_sublayer(scale)?,
            linears,
            attention: Attention {
                kv_heads: shape.kv_heads(),
                scale: config.decoder.query_scalar.map(|scalar| 1.0 / scalar.sqrt()),
                soft_cap: config.decoder.attention_soft_cap,
                arithmetic: weights.arithmetic,
                ..Attention::new(shape.num_heads)
            },
            widths: (shape.query_width(), shape.kv_width()),
            activation: config.activation,
            norm_order: config.norm_order,
            residual_first: config.architecture.swaps_attention_residual(),
            relative: RelativeBlock::load(index, config, weights)?,
            norms: by_sublayer(norm)?,
            output_norms: by_sublayer(output_norm)?,
            head_norms: [
                weights.norm_of(Module::QueryNorm { layer: index }, config)?,
                weights.norm_of(Module::KeyNorm { layer: index }, config)?,
            ],
        })
    }

    /// `x [b, t, h]` to `[b, t, h]`, or to several times as many rows.
    pub(super) fn forward(&self, x: &Tensor, mask: &KeyMask, pass: &Pass<'_>) -> Result<Tensor> {
        let read = self.enter(SubLayer::Attention, x, pass)?;
        let attended = self.attend(&read, mask, pass)?;
        let x = self.leave(SubLayer::Attention, attended, [&read, x], pass)?;
        let x = match pass.cross {
            Some(encoder) => {
                let read = self.enter(SubLayer::CrossAttention, &x, pass)?;
                let attended = self.attend_to(encoder, &read, pass)?;
                self.leave(SubLayer::CrossAttention, attended, [&read, &x], pass)?
            }
            None => x,
        };
        let read = self.enter(SubLayer::Ffn, &x, pass)?;
        let z = self.feed_forward(&read, pass)?;
        let x = self.leave(SubLayer::Ffn, z, [&read, &x], pass)?;
        pass.hooks.block(self.index, x, pass.context)
    }

    /// `W_down φ(W_up x)`, or `W_down (φ(W_gate x) ⊙ W_up x)` (Shazeer 2020).
    fn feed_forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        if let Some(whole) = self.unchanged_feed_forward(pass) {
            return whole.forward(x);
        }
        let (gate, up) = self.widened(x, pass)?;
        let activation = self.activation;
        let down = Module::Linear { layer: self.index, site: LinearSite::FfnDown };
        let unchanged = self.at(LinearSite::FfnDown)?.only_frozen().filter(|_| !pass.hooks.changes(down));
        match (unchanged, &gate) {
            (Some(down), None) => ops::activated(down, &up, activation),
            (Some(down), Some(gate)) => ops::gated(down, gate, &up, activation),
            (None, None) => self.linear(LinearSite::FfnDown, &activate(&up, activation)?, pass),
            (None, Some(gate)) => {
                self.linear(LinearSite::FfnDown, &(activate(gate, activation)? * up)?, pass)
            }
        }
    }

    /// The layers of the feed-forward network where nothing changes any of them.
    fn unchanged_feed_forward(&self, pass: &Pass<'_>) -> Option<FeedForward<'_>> {
        let frozen = |site: LinearSite| {
            let module = Module::Linear { layer: self.index, site };
            let layer = self.linears[site as usize].as_ref()?.only_frozen()?;
            (!pass.hooks.changes(module)).then_some(layer)
        };
        let gate = match &self.linears[LinearSite::FfnGate as usize] {
            Some(_) => Some(frozen(LinearSite::FfnGate)?),
            None => None,
        };
        let (up, down) = (frozen(LinearSite::FfnUp)?, frozen(LinearSite::FfnDown)?);
        Some(FeedForward { gate, up, down, activation: self.activation })
    }

    /// `W_gate x`, where there is a gate, and `W_up x`: equally many rows.
    fn widened(&self, x: &Tensor, pass: &Pass<'_>) -> Result<(Option<Tensor>, Tensor)> {
        let has = |site: LinearSite| self.linears[site as usize].is_some();
        if has(LinearSite::FfnGateUp) {
            let both = self.linear(LinearSite::FfnGateUp, x, pass)?;
            let width = both.dim(D::Minus1)? / 2;
            let half = |start| both.narrow(D::Minus1, start, width)?.contiguous();
            return Ok((Some(half(0)?), half(width)?));
        }
        let up = self.linear(LinearSite::FfnUp, x, pass)?;
        if !has(LinearSite::FfnGate) {
            return Ok((None, up));
        }
        let gate = self.linear(LinearSite::FfnGate, x, pass)?;
        let rows = gate.dim(0)?.max(up.dim(0)?);
        Ok((Some(repeat_rows(&gate, rows)?), repeat_rows(&up, rows)?))
    }

    fn attend(&self, x: &Tensor, own_mask: &KeyMask, pass: &Pass<'_>) -> Result<Tensor> {
        let projected = self.project(x, pass)?;
        let folds = pass.hooks.folds_rows();
        let [queries, keys, values] = if folds { folded(projected, x.dim(0)?)? } else { projected };
        // Any of the three may have been forked for adapters in parallel.
        let rows = [&queries, &keys, &values].map(|t| t.dims()[0]).into_iter().max().unwrap_or(0);
        let turn = |x: &Tensor| pass.rotary.map_or_else(|| Ok(x.clone()), |rotary| rotary.forward(x));
        let [queries, keys] = self.normalise_heads([queries, keys], pass.hooks)?;
        let queries = turn(&queries)?;
        let mask = match keys.dim(1)? {
            tokens if tokens == x.dim(1)? => own_mask.repeat(rows)?,
            // Of images nothing is padding.
            more => KeyMask::all_visible(rows, more),
        };
        let keys_values = KeysValues {
            keys: repeat_rows(&turn(&keys)?, rows)?,
            values: repeat_rows(&values, rows)?,
            mask,
            prompts: Vec::new(),
        };
        let at = AttentionInput {
            layer: self.index,
            sublayer: SubLayer::Attention,
            x,
            projection: self.projection()?,
            attention: self.attention,
            library_padding: pass.context.library_padding,
            context: pass.context,
        };
        let own_keys = self.relative.as_ref().map(|_| keys_values.keys.clone());
        let KeysValues { keys, values, mask, prompts } = pass.hooks.keys_values(&at, keys_values)?;
        let rows = keys.dim(0)?;
        let queries = repeat_rows(&queries, rows)?;
        let mixed = if let (Some(relative), Some(own_keys)) = (&self.relative, own_keys) {
            let at = Attended {
                queries: &queries,
                keys: &keys,
                values: &values,
                own_keys: &repeat_rows(&own_keys, rows)?,
                mask: &mask,
                own_mask: &own_mask.repeat(rows)?,
            };
            let project = |site, x: &Tensor, pass: &Pass<'_>| self.linear(site, x, pass);
            relative.forward(self.attention.heads, &at, pass, project)?
        } else {
            let bias = pass.distances.map(|all| all.at(queries.dim(1)?, keys.dim(1)?)).transpose()?.flatten();
            self.attention.forward_with_bias([&queries, &keys, &values], &mask, bias.as_ref())?
        };
        self.join(mixed, &queries, (&prompts, Sites::OWN.output), pass)
    }

    /// Attention of `x [b, t, h]` to what an encoder gives, which no query sees a part of only.
    fn attend_to(&self, encoder: &Cross<'_>, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let queries = self.linear(Sites::CROSS.query, x, pass)?;
        // What adapters do there concerns the encoder's tokens.
        let there = Pass { context: encoder.context, ..*pass };
        let project = || {
            // Adapters in parallel may have repeated the decoder's rows.
            let state = repeat_rows(encoder.state, x.dim(0)?.max(encoder.state.dim(0)?))?;
            let linear = |site| self.linear(site, &state, &there);
            Ok([linear(Sites::CROSS.key)?, linear(Sites::CROSS.value)?])
        };
        let [keys, values] = encoder.projected.keys_values(self.index, queries.dim(0)?, project)?;
        let mask = encoder.mask.repeat(keys.dim(0)?)?;
        let keys_values = KeysValues { keys, values, mask, prompts: Vec::new() };
        let at = AttentionInput {
            layer: self.index,
            sublayer: SubLayer::CrossAttention,
            x,
            projection: KeyValueProjection::Apart {
                key: self.at(Sites::CROSS.key)?,
                value: self.at(Sites::CROSS.value)?,
            },
            attention: self.attention,
            // The mask of the encoder's tokens is extended.
            library_padding: encoder.context.library_padding,
            context: pass.context,
        };
        let KeysValues { keys, values, mask, prompts } = pass.hooks.keys_values(&at, keys_values)?;
        let queries = repeat_rows(&queries, keys.dim(0)?)?;
        let mixed = self.attention.forward(&queries, &keys, &values, &mask)?;
        self.join(mixed, &queries, (&prompts, Sites::CROSS.output), pass)
    }

    /// The attention's output: what the heads give, and what prompts beside them give.
    fn join(
        &self,
        mixed: Tensor,
        queries: &Tensor,
        (prompts, site): (&[GatedPrompt], LinearSite),
        pass: &Pass<'_>,
    ) -> Result<Tensor> {
        let apart = |prompt: &GatedPrompt| {
            let all = KeyMask::all_visible(prompt.keys.dim(0)?, prompt.keys.dim(1)?);
            let apart = self.attention.forward(queries, &prompt.keys, &prompt.values, &all)?;
            apart.broadcast_mul(&prompt.gate)
        };
        // Without a bias the projection of a sum is the sum of the projections: one is enough.
        let projects_once = self.at(site)?.bias().is_none();
        let is_inside =
            |join: PromptJoin| join == PromptJoin::Heads || join == PromptJoin::Projected && projects_once;
        let mut mixed = mixed;
        for prompt in prompts.iter().filter(|prompt| is_inside(prompt.join)) {
            mixed = (mixed + apart(prompt)?)?;
        }
        let mut output = self.linear(site, &mixed, pass)?;
        for prompt in prompts.iter().filter(|prompt| !is_inside(prompt.join)) {
            let apart = apart(prompt)?;
            let apart = match prompt.join {
                PromptJoin::Output => apart,
                _ => self.linear(site, &apart, pass)?,
            };
            output = (output + apart)?;
        }
        Ok(output)
    }

    /// Queries and keys with every head of theirs normalised, where the architecture does that.
    fn normalise_heads(&self, [queries, keys]: [Tensor; 2], hooks: &dyn Hooks) -> Result<[Tensor; 2]> {
        let layer = self.index;
        let each = |x: Tensor, heads: usize, module: Module| {
            let Some(norm) = self.norm_at(module, hooks) else { return Ok(x) };
            let (b, t, width) = x.dims3()?;
            norm.forward(&x.reshape((b, t, heads, width / heads))?)?.reshape((b, t, width))
        };
        let Attention { heads, kv_heads, .. } = self.attention;
        Ok([
            each(queries, heads, Module::QueryNorm { layer })?,
            each(keys, kv_heads, Module::KeyNorm { layer })?,
        ])
    }

    /// Queries, keys and values.
    fn project(&self, x: &Tensor, pass: &Pass<'_>) -> Result<[Tensor; 3]> {
        if self.linears[LinearSite::QueryKeyValue as usize].is_none() {
            let linear = |site| self.linear(site, x, pass);
            let Sites { query, key, value, .. } = Sites::OWN;
            return Ok([linear(query)?, linear(key)?, linear(value)?]);
        }
        let all = self.linear(LinearSite::QueryKeyValue, x, pass)?;
        let (queries, keys) = self.widths;
        let part = |start, len| all.narrow(D::Minus1, start, len)?.contiguous();
        Ok([part(0, queries)?, part(queries, keys)?, part(queries + keys, keys)?])
    }

    fn projection(&self) -> Result<KeyValueProjection<'_>> {
        let (queries, keys) = self.widths;
        Ok(match &self.linears[LinearSite::QueryKeyValue as usize] {
            Some(layer) => KeyValueProjection::Fused { layer, queries, keys },
            None => KeyValueProjection::Apart {
                key: self.at(LinearSite::Key)?,
                value: self.at(LinearSite::Value)?,
            },
        })
    }

    /// The frozen tensor of a module of this block; `part` is `weight` or `bias`.
    pub(super) fn tensor(&self, module: Module, part: &str) -> Result<Option<Tensor>> {
        Ok(match (module, part) {
            (Module::Linear { site, .. }, "weight") => Some(self.at(site)?.weight()?),
            (Module::Linear { site, .. }, "bias") => self.at(site)?.bias().cloned(),
            _ => self.own_norm(module).and_then(|norm| norm.tensor(part)).cloned(),
        })
    }

    fn at(&self, site: LinearSite) -> Result<&Linear> {
        match &self.linears[site as usize] {
            Some(linear) => Ok(linear),
            None => candle_core::bail!("this backbone has no layer `{site}`"),
        }
    }

    const fn norm(&self, sublayer: SubLayer) -> Option<&Norm> {
        self.norms[sublayer as usize].as_ref()
    }

    /// The norm at a module of this block, with the copies that the hooks have for it.
    fn norm_at(&self, module: Module, hooks: &dyn Hooks) -> Option<Norm> {
        self.own_norm(module).map(|own| own.with(hooks, &module.to_string()))
    }

    /// The frozen norm at a module of this block.
    fn own_norm(&self, module: Module) -> Option<&Norm> {
        match module {
            Module::Norm { sublayer, .. } => self.norm(sublayer),
            Module::OutputNorm { sublayer, .. } => self.output_norms[sublayer as usize].as_ref(),
            Module::QueryNorm { .. } => self.head_norms[0].as_ref(),
            Module::KeyNorm { .. } => self.head_norms[1].as_ref(),
            _ => None,
        }
    }

    /// The block's norm of a sub-layer.
    fn norm_with(&self, sublayer: SubLayer, hooks: &dyn Hooks) -> Option<Norm> {
        self.norm_at(Module::Norm { layer: self.index, sublayer }, hooks)
    }

    /// One of the norms that hooked adapters name.
    pub(super) fn norm_of(&self, norm: HookedNorm, hooks: &dyn Hooks) -> Option<Norm> {
        self.norm_at(norm.module(self.index), hooks)
    }

    fn linear(&self, site: LinearSite, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let module = Module::Linear { layer: self.index, site };
        pass.hooks.linear(&LinearInput { module, x, linear: self.at(site)?, context: pass.context })
    }

    /// What a sub-layer reads.
    fn enter(&self, sublayer: SubLayer, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        match self.norm_order {
            NormOrder::Post => Ok(x.clone()),
            NormOrder::Pre => match self.norm_with(sublayer, pass.hooks) {
                Some(norm) => norm.forward(x),
                None => Ok(x.clone()),
            },
        }
    }

    /// What follows a sub-layer's output `z`; it read `input`, around it went `residual`.
    fn leave(
        &self,
        sublayer: SubLayer,
        z: Tensor,
        [input, residual]: [&Tensor; 2],
        pass: &Pass<'_>,
    ) -> Result<Tensor> {
        let (layer, context, last) = (self.index, pass.context, pass.last.unwrap_or(self));
        let at = ProjectionInput { layer, sublayer, carried: residual, input, context, last };
        let z = pass.hooks.projection(&at, z)?;
        let norm = match self.norm_order {
            NormOrder::Post => self.norm_with(sublayer, pass.hooks),
            NormOrder::Pre => None,
        };
        let z = match &self.scales[sublayer as usize] {
            Some(scale) => z.broadcast_mul(scale)?,
            None => z,
        };
        let z = match self.norm_at(Module::OutputNorm { layer: self.index, sublayer }, pass.hooks) {
            Some(norm) => norm.forward(&z)?,
            None => z,
        };
        let residual = repeat_rows(residual, z.dim(0)?)?;
        // Of equal rank in the sum, but not to an adapter.
        let (z, residual) = if self.residual_first && sublayer == SubLayer::Attention {
            (residual, z)
        } else {
            (z, residual)
        };
        let at = SubLayerInput {
            layer: self.index,
            sublayer,
            stand: Stand::Behind,
            residual: &residual,
            norm: norm.as_ref(),
            context: pass.context,
        };
        pass.hooks.sublayer(&at, z)
    }
}

/// Something for every kind of sub-layer, in the order of their numbers.
fn by_sublayer<T>(load: impl Fn(SubLayer) -> Result<Option<T>>) -> Result<[Option<T>; SubLayer::ALL.len()]> {
    let mut all = [const { None }; SubLayer::ALL.len()];
    for sublayer in SubLayer::ALL {
        all[sublayer as usize] = load(sublayer)?;
    }
    Ok(all)
}

impl Norm {
    /// With the copies that the hooks have for the module of this name.
    pub(super) fn with(&self, hooks: &dyn Hooks, name: &str) -> Self {
        self.replaced(hooks.tensor(&format!("{name}.weight")), hooks.tensor(&format!("{name}.bias")))
    }
}
