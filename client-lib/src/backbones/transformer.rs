//! Embeddings, blocks and pooler: the whole backbone.

use candle_core::{DType, Device, Result, Tensor};

use super::{BaseHead, Context, HeadInputs, Hooks, Mode, block::Block, weights::Weights};
use crate::{
    architectures::TransformerConfig,
    checkpoint::{BaseFolder, CheckpointError},
    ops::{FrozenLinear, KeyMask, Norm},
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
}

/// A frozen backbone on one device.
#[derive(Debug)]
pub struct Backbone {
    config: TransformerConfig,
    word: Tensor,
    position: Tensor,
    token_type: Tensor,
    norm: Norm,
    blocks: Vec<Block>,
    pooler: Option<FrozenLinear>,
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
            (Some(weight), bias) => Some(FrozenLinear::new(weight, bias)?),
            (None, _) => None,
        };
        let word = weights.get("embeddings.word")?;
        let head = BaseHead::load(folder, &weights, &word, pooler.is_some())?;
        Ok(Self {
            word,
            position: weights.get("embeddings.position")?,
            token_type: weights.get("embeddings.token_type")?,
            norm: weights.norm("embeddings.norm", &config)?,
            blocks: blocks.collect::<Result<_>>()?,
            head,
            ties_embeddings: folder.ties_embeddings(),
            pooler,
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

    /// The last hidden state `[b, t, h]`.
    pub fn forward(&self, batch: &Batch, hooks: &dyn Hooks, mode: Mode) -> Result<Tensor> {
        let context = Context { attention_mask: batch.attention_mask.clone(), mode };
        let mask = KeyMask::new(&batch.attention_mask)?;
        let mut x = hooks.embeddings(self.embed(batch)?, &context)?;
        for block in &self.blocks {
            x = block.forward(&x, &mask, hooks, &context)?;
        }
        Ok(x)
    }

    /// `tanh(W · first + b)` of a last hidden state, `[b, h]`; `None` without a pooler.
    pub fn pool(&self, last_hidden_state: &Tensor) -> Result<Option<Tensor>> {
        let Some(pooler) = &self.pooler else { return Ok(None) };
        let first = last_hidden_state.narrow(1, 0, 1)?.squeeze(1)?;
        pooler.forward(&first)?.tanh().map(Some)
    }

    /// Whether there is a pooler.
    pub fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        let (b, t) = batch.input_ids.dims2()?;
        if t > self.config.max_positions {
            candle_core::bail!(
                "the input has {t} tokens; this backbone has {} positions",
                self.config.max_positions
            );
        }
        let lookup = |table: &Tensor, ids: &Tensor| {
            table.index_select(&ids.flatten_all()?, 0)?.reshape((b, t, self.config.shape.hidden_size))
        };
        let words = lookup(&self.word, &batch.input_ids)?;
        let types = match &batch.token_type_ids {
            Some(ids) => lookup(&self.token_type, ids)?,
            None => {
                self.token_type.narrow(0, 0, 1)?.unsqueeze(0)?.broadcast_as(words.shape())?.contiguous()?
            }
        };
        let positions = self.position.narrow(0, 0, t)?;
        self.norm.forward_sum(&words.broadcast_add(&positions)?, &types)
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
