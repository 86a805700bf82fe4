//! Prompt tuning (Lester et al. 2021): learned tokens in the input.
//!
//! `adapters` puts them behind the embedding block, without positions or norm; PEFT
//! among the word embeddings. A head that reads the first position then reads a
//! learned token, as in both libraries.
//!
//! P-tuning (Liu et al. 2021) trains them through a network: `W₃ φ(W₂ φ(W₁ E + b₁) + b₂) + b₃`
//! with φ = ReLU, of an embedding `E [p, h]`, as PEFT's `PromptEncoder` of the kind `MLP`. The
//! network does not look at the input, so that its output is all that needs to be kept.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    layout::Slot,
    method::{Activation, PromptConfig, PromptPlace},
};

use super::{Adapter, affine::Affine, take};
use crate::{backbones::Context, init::Initialiser, ops::activate};

/// The slot of the learned tokens.
const TOKENS: &str = "shared.prompt";

#[derive(Debug)]
pub(super) struct Prompt {
    tokens: Tokens,
    place: PromptPlace,
    drops_token_types: bool,
}

/// Where the learned tokens `[p, h]` come from.
#[derive(Debug)]
enum Tokens {
    Flat(Tensor),
    Network { embedding: Tensor, layers: [Affine; 3] },
}

impl Tokens {
    fn take(config: &PromptConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        if config.encoder_hidden_size.is_none() {
            return Ok(Self::Flat(take(tensors, TOKENS)?.narrow(0, 0, config.prompt_length)?));
        }
        let layer = |name: &str| Affine::take(tensors, &format!("{TOKENS}.{name}"));
        Ok(Self::Network {
            embedding: take(tensors, &format!("{TOKENS}.embedding"))?,
            layers: [layer("first")?, layer("second")?, layer("third")?],
        })
    }

    /// `[p, h]`
    fn get(&self) -> Result<Tensor> {
        match self {
            Self::Flat(tokens) => Ok(tokens.clone()),
            Self::Network { embedding, layers: [first, second, third] } => {
                let x = activate(&first.linear(embedding)?, Activation::Relu)?;
                third.linear(&activate(&second.linear(&x)?, Activation::Relu)?)
            }
        }
    }
}

/// A prompt without the network that made it, and its tokens.
pub(super) fn folded(
    config: &PromptConfig,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<(PromptConfig, BTreeMap<String, Tensor>)> {
    let tokens = Tokens::take(config, tensors)?.get()?.detach();
    let config = PromptConfig { encoder_hidden_size: None, ..config.clone() };
    Ok((config, BTreeMap::from([(TOKENS.to_owned(), tokens)])))
}

impl Prompt {
    pub(super) fn new(config: &PromptConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let tokens = Tokens::take(config, tensors)?;
        Ok(Self { tokens, place: config.place, drops_token_types: config.drops_token_types })
    }

    fn in_front(&self, x: &Tensor) -> Result<Tensor> {
        Tensor::cat(&[&self.rows(x.dim(0)?)?, x], 1)
    }

    fn rows(&self, rows: usize) -> Result<Tensor> {
        let tokens = self.tokens.get()?;
        let (p, h) = tokens.dims2()?;
        tokens.unsqueeze(0)?.broadcast_as((rows, p, h))
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

    fn lengthens_embeddings(&self) -> bool {
        self.place != PromptPlace::Words
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

/// Uniform, as both libraries draw it; PyTorch's defaults for the embedding and linear layers of
/// the network.
pub(super) fn initialiser(config: &PromptConfig, slot: &Slot) -> Initialiser {
    let inner = config.encoder_hidden_size.unwrap_or(1);
    match slot.part.as_str() {
        "prompt" => Initialiser::Uniform { bound: config.init_range },
        "prompt.embedding" => Initialiser::Normal { std: 1.0 },
        "prompt.second.bias" | "prompt.third.bias" => {
            Initialiser::Uniform { bound: 1.0 / (inner as f64).sqrt() }
        }
        "prompt.first.bias" => Initialiser::Constant(0.0),
        _ => Initialiser::KaimingUniform,
    }
}
