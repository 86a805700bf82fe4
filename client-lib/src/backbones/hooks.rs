//! The places where an adapter can change what a backbone computes.
//!
//! | hook | sees | returns |
//! |---|---|---|
//! | `tensor` | the name of a backbone tensor | a trained copy of it |
//! | `embedding` | token ids and the rows of a table | the rows |
//! | `words` | the word embeddings | the same, perhaps longer |
//! | `embeddings` | the normalised embeddings | the first block's input |
//! | `linear` | a linear layer and its input | its output |
//! | `keys_values` | attention keys, values and mask | the same, perhaps longer |
//! | `projection` | the output of a sub-layer's last projection | what replaces it |
//! | `sublayer` | a sub-layer's output, the residual and the norm | the normalised sum |
//! | `block` | a block's output | the next block's input |
//!
//! Every method has the default "no adapter". A hook may return more rows than it
//! was given: whole repetitions of the batch, one for each of several adapters that
//! run in parallel. The backbone repeats whatever else is in flight.

use std::sync::Arc;

use candle_core::{D, Result, Tensor};
use hub_schemas::{
    backbone::{Module, SubLayer, Table},
    method::{HookedNorm, PromptJoin},
};

use super::{LibraryPadding, Linear, Trace, block::Block};
use crate::ops::{self, Attention, DropoutKey, KeyMask, Norm, dropout};

/// Whether dropout is on, and which masks it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Eval,
    /// Dropout masks are a pure function of `seed`, `step` and the place.
    Train {
        /// The run.
        seed: u64,
        /// The optimiser step.
        step: u64,
    },
}

impl Mode {
    /// `x` with dropout in training, unchanged otherwise. `site` names the place in the model.
    pub(crate) fn dropout(self, x: &Tensor, p: f64, site: u64) -> Result<Tensor> {
        match self {
            Self::Eval => Ok(x.clone()),
            Self::Train { seed, step } => dropout(x, p, DropoutKey { seed, step, site }),
        }
    }
}

/// What every hook knows about the forward pass it is in.
#[derive(Debug, Clone)]
pub struct Context {
    /// `[b, t]`, 1 for tokens and 0 for padding; `t` counts the tokens of a prompt
    /// once they were put in.
    pub attention_mask: Tensor,
    /// Whether nobody said what of the backbone's input is padding.
    pub is_unmasked: bool,
    /// Number of rows before anything was repeated.
    pub batch: usize,
    /// Tokens that a prompt has put in so far.
    pub prompt_tokens: usize,
    /// How one library pads prefixes.
    pub library_padding: LibraryPadding,
    /// Whether this is training.
    pub mode: Mode,
    /// Where choices are noted, when somebody asked.
    pub trace: Option<Trace>,
    /// What another backbone saw of each row's image, `[b, f]`.
    pub image: Option<Tensor>,
    /// Ids of the tokens of the blocks' input, u32 `[b, t]`, where it is made of tokens.
    pub ids: Option<Tensor>,
    /// The mask `[b, s]` of what the encoder read, in a decoder whose input ends where that does.
    pub encoder_mask: Option<Tensor>,
    /// What the text began with, where the blocks read what comes behind it.
    pub opening: Option<Arc<[u32]>>,
}

/// A lookup in an embedding table.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingInput<'a> {
    /// Which one.
    pub table: Table,
    /// The rows asked for, u32 `[b, t]`.
    pub ids: &'a Tensor,
    /// The table itself, its weight `[rows, h]`.
    pub weight: &'a Linear,
}

/// Where in the forward pass a linear layer stands.
#[derive(Debug, Clone, Copy)]
pub struct LinearInput<'a> {
    /// Which one.
    pub module: Module,
    /// Its input, `[b, t, in]`.
    pub x: &'a Tensor,
    /// The layer itself.
    pub linear: &'a Linear,
    /// The forward pass.
    pub context: &'a Context,
}

/// Where in the forward pass an attention stands.
#[derive(Debug, Clone, Copy)]
pub struct AttentionInput<'a> {
    /// Index of the block.
    pub layer: usize,
    /// Whether it is to the block's own tokens or to what an encoder gives.
    pub sublayer: SubLayer,
    /// What queries were projected from, `[b, t, h]`; keys and values too where it is to own tokens.
    pub x: &'a Tensor,
    /// What projects keys and values.
    pub projection: KeyValueProjection<'a>,
    /// How many heads.
    pub attention: Attention,
    /// How one library pads prefixes here.
    pub library_padding: LibraryPadding,
    /// The forward pass.
    pub context: &'a Context,
}

/// The frozen layers that project keys and values.
#[derive(Debug, Clone, Copy)]
pub enum KeyValueProjection<'a> {
    /// One each.
    Apart {
        /// The layer that projects keys.
        key: &'a Linear,
        /// The layer that projects values.
        value: &'a Linear,
    },
    /// One for queries, keys and values, side by side.
    Fused {
        /// The layer.
        layer: &'a Linear,
        /// Width of the queries.
        queries: usize,
        /// Width of the keys, and of the values.
        keys: usize,
    },
}

impl KeyValueProjection<'_> {
    /// Keys and values `[.., g·d]` of `x [.., h]`, without positions.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Apart { key, value } => Ok((key.forward(x)?, value.forward(x)?)),
            Self::Fused { layer, queries, keys } => {
                let all = layer.forward(x)?;
                let part = |start| all.narrow(D::Minus1, start, *keys)?.contiguous();
                Ok((part(*queries)?, part(queries + keys)?))
            }
        }
    }
}

/// Attention keys and values `[b, s, h]` with the mask over the `s` keys.
#[derive(Debug, Clone)]
pub struct KeysValues {
    /// Keys.
    pub keys: Tensor,
    /// Values.
    pub values: Tensor,
    /// Which keys are visible.
    pub mask: KeyMask,
    /// Prompts that every query attends to by a softmax of their own.
    pub prompts: Vec<GatedPrompt>,
}

/// Keys and values that are attended to apart from the others (Zhang et al. 2023).
#[derive(Debug, Clone)]
pub struct GatedPrompt {
    /// `[b, p, h]`
    pub keys: Tensor,
    /// `[b, p, h]`
    pub values: Tensor,
    /// Factor on what they contribute: `[1]`, or `[h]` with one value repeated over each head.
    pub gate: Tensor,
    /// Where it is added.
    pub join: PromptJoin,
}

/// What adapters do at each hook point.
pub trait Hooks {
    /// A trained copy of the backbone tensor with this canonical name.
    fn tensor(&self, _name: &str) -> Option<&Tensor> {
        None
    }

    /// Whether blocks with other keys than the first one's go without the numbers of distances.
    fn loses_distances(&self) -> bool {
        false
    }

    /// Whether an attention takes the rows of adapters in parallel that begin at its keys and values for more keys.
    fn folds_rows(&self) -> bool {
        false
    }

    /// At a lookup; `rows [b, t, h]` is what it gives.
    fn embedding(&self, _at: &EmbeddingInput<'_>, rows: Tensor) -> Result<Tensor> {
        Ok(rows)
    }

    /// At the word embeddings `[b, t, h]`, before positions and norm: may put tokens in front.
    fn words(&self, words: Tensor, _context: &Context) -> Result<Tensor> {
        Ok(words)
    }

    /// After the embedding block; `x [b, t, h]`: may put tokens in.
    fn embeddings(&self, x: Tensor, _context: &Context) -> Result<Tensor> {
        Ok(x)
    }

    /// How many queries at the start see every key, of so many learned tokens in front.
    fn free_queries(&self, _prompt_tokens: usize) -> usize {
        0
    }

    /// Whether the input's segments are left out.
    fn drops_token_types(&self) -> bool {
        false
    }

    /// How far the positions of the input are shifted by what stands in front of it.
    fn position_offset(&self) -> usize {
        0
    }

    /// Whether a decoder's input ends where the encoder's does, as `adapters` finds it.
    fn ends_with_encoder(&self) -> bool {
        false
    }

    /// Whether [`linear`](Self::linear) may give anything but the layer's own output. Where it does not, the layer's
    /// input need not be there by itself.
    fn changes(&self, _module: Module) -> bool {
        true
    }

    /// At a linear layer.
    fn linear(&self, at: &LinearInput<'_>) -> Result<Tensor> {
        at.linear.forward(at.x)
    }

    /// At the attention's keys and values, after their projections.
    fn keys_values(&self, _at: &AttentionInput<'_>, keys_values: KeysValues) -> Result<KeysValues> {
        Ok(keys_values)
    }

    /// At the output `z [b, t, h]` of a sub-layer's last projection, before the block scales or normalises it.
    fn projection(&self, _at: &ProjectionInput<'_>, z: Tensor) -> Result<Tensor> {
        Ok(z)
    }

    /// At a sub-layer's output `z [b, t, h]`, before residual and norm: returns what
    /// replaces `norm(z + residual)`.
    fn sublayer(&self, at: &SubLayerInput<'_>, z: Tensor) -> Result<Tensor> {
        at.join(&z)
    }

    /// What a text began with, where what comes behind it is read.
    fn opening(&self) -> Option<Arc<[u32]>> {
        None
    }

    /// Where choices are noted, when somebody asked.
    fn trace(&self) -> Option<&Trace> {
        None
    }

    /// After a block; `x [b, t, h]`.
    fn block(&self, _layer: usize, x: Tensor, _context: &Context) -> Result<Tensor> {
        Ok(x)
    }
}

/// Where the output of a sub-layer's last projection stands and what there is besides.
#[derive(Clone, Copy)]
pub struct ProjectionInput<'a> {
    /// Index of the block.
    pub layer: usize,
    /// Which sub-layer.
    pub sublayer: SubLayer,
    /// What the residual connection carries, `[b, t, h]`.
    pub carried: &'a Tensor,
    /// What the sub-layer read, `[b, t, h]`.
    pub input: &'a Tensor,
    /// The forward pass.
    pub context: &'a Context,
    /// The last block.
    pub(super) last: &'a Block,
}

impl ProjectionInput<'_> {
    /// A norm of the last block, with the copies that `hooks` have for it.
    pub fn norm(&self, norm: HookedNorm, hooks: &dyn Hooks) -> Option<Norm> {
        self.last.norm_of(norm, hooks)
    }
}

/// Where an adapter at a sub-layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Behind the sub-layer: it gives the sum with the residual, through the norm behind it.
    Behind,
    /// On the sub-layer's last projection: the block does all that comes behind it.
    OnProjection,
}

/// Where a sub-layer's output stands and what there is besides.
#[derive(Debug, Clone, Copy)]
pub struct SubLayerInput<'a> {
    /// Index of the block.
    pub layer: usize,
    /// Which sub-layer.
    pub sublayer: SubLayer,
    /// Where in it.
    pub stand: Stand,
    /// What the residual connection carries, `[b, t, h]`.
    pub residual: &'a Tensor,
    /// The block's own norm behind the residual sum; none where norms stand in front of
    /// the sub-layers.
    pub norm: Option<&'a Norm>,
    /// The forward pass.
    pub context: &'a Context,
}

impl SubLayerInput<'_> {
    /// `norm(z + residual)`, or the sum alone.
    pub fn join(&self, z: &Tensor) -> Result<Tensor> {
        match self.norm {
            Some(norm) => norm.forward_sum(z, self.residual),
            None => ops::sum(z, self.residual),
        }
    }

    /// What goes on from `z`: behind a sub-layer the sum, on a projection `z` itself.
    pub fn finish(&self, z: &Tensor) -> Result<Tensor> {
        match self.stand {
            Stand::Behind => self.join(z),
            Stand::OnProjection => Ok(z.clone()),
        }
    }
}

/// The plain backbone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn changes(&self, _module: Module) -> bool {
        false
    }
}

/// `x` with its rows repeated until there are `rows` of them.
pub(crate) fn repeat_rows(x: &Tensor, rows: usize) -> Result<Tensor> {
    let own = x.dim(0)?;
    if own == rows {
        return Ok(x.clone());
    }
    if own == 0 || !rows.is_multiple_of(own) {
        candle_core::bail!("{own} rows can't be repeated to {rows}");
    }
    Tensor::cat(&vec![x; rows / own], 0)
}
