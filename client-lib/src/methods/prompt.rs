//! Prompt tuning (Lester et al. 2021): learned tokens in the input.
//!
//! `adapters` puts them behind the embedding block, without positions or norm; PEFT
//! among the word embeddings. A head that reads the first position then reads a
//! learned token, as in both libraries.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::method::{PromptConfig, PromptPlace};

use super::{Adapter, take};
use crate::{backbones::Context, init::Initialiser};

/// The learned tokens, `[p, h]`.
#[derive(Debug)]
pub(super) struct Prompt {
    tokens: Tensor,
    place: PromptPlace,
    drops_token_types: bool,
}

impl Prompt {
    pub(super) fn new(config: &PromptConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let tokens = take(tensors, "shared.prompt")?;
        Ok(Self { tokens, place: config.place, drops_token_types: config.drops_token_types })
    }

    fn in_front(&self, x: &Tensor) -> Result<Tensor> {
        Tensor::cat(&[&self.rows(x.dim(0)?)?, x], 1)
    }

    fn rows(&self, rows: usize) -> Result<Tensor> {
        let (p, h) = self.tokens.dims2()?;
        self.tokens.unsqueeze(0)?.broadcast_as((rows, p, h))
    }
}

impl Adapter for Prompt {
    fn drops_token_types(&self) -> bool {
        self.drops_token_types
    }

    fn words(&self, words: &Tensor) -> Result<Option<Tensor>> {
        match self.place {
            PromptPlace::Words => self.in_front(words).map(Some),
            _ => Ok(None),
        }
    }

    fn embeddings(&self, x: &Tensor, _context: &Context) -> Result<Option<Tensor>> {
        match self.place {
            PromptPlace::Words => Ok(None),
            PromptPlace::AfterEmbeddings => self.in_front(x).map(Some),
            PromptPlace::AfterFirstToken => {
                let (b, t, _) = x.dims3()?;
                let (first, rest) = (x.narrow(1, 0, 1)?, x.narrow(1, 1, t - 1)?);
                Tensor::cat(&[&first, &self.rows(b)?, &rest], 1).map(Some)
            }
        }
    }
}

/// Uniform, as both libraries draw it.
pub(super) fn initialiser(config: &PromptConfig) -> Initialiser {
    Initialiser::Uniform { bound: config.init_range }
}
