//! What turns hidden states into predictions.
//!
//! | head | reads | gives |
//! |---|---|---|
//! | classification, multi-label classification, regression | one vector per sequence | `[b, labels]` |
//! | multiple choice | one vector per choice | `[b, choices]` |
//! | tagging | every token | `[b, t, labels]` |
//! | question answering | every token | `[b, t, 2]` |
//! | dependency parsing | every word | `[b, t, t + 1]` and `[b, t, t + 1, labels]` |
//! | masked and causal language model | every token | `[b, t, vocabulary]` |
//! | embedding | one vector per sequence | `[b, h]` |

mod classification;
mod dependency_parsing;
mod embedding;
mod language_model;
mod linear_layers;
mod loaded;
mod multiple_choice;
mod pooling;
mod prediction;
mod question_answering;
mod tagging;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{head::Head, layout::Slot};

use crate::{
    backbones::{Backbone, Batch, Hooks, Linear, Mode},
    init::Initialiser,
    ops::Arithmetic,
};

pub use classification::Classification;
pub use dependency_parsing::{DependencyParsing, Parse};
pub use embedding::Embedding;
pub use language_model::LanguageModel;
pub use loaded::{HeadLoadError, LoadedHead, tied_table, trained_slots};
pub use multiple_choice::MultipleChoice;
pub(crate) use pooling::pool;
pub use prediction::{Prediction, Words};
pub use question_answering::QuestionAnswering;
pub use tagging::Tagging;

/// Tensors by slot.
pub type Tensors = BTreeMap<String, Tensor>;

/// What the blocks have made of a batch, and what stands behind them.
#[derive(Clone, Copy)]
pub struct Features<'a> {
    /// The frozen backbone: its pooler and its constants.
    pub backbone: &'a Backbone,
    /// The adapters: the pooler can be one of their modules.
    pub hooks: &'a dyn Hooks,
    /// The last hidden state, `[b, t, h]`.
    pub state: &'a Tensor,
    /// The weighted sum of what all layers give, `[b, t, h]`, where the backbone's checkpoint has it.
    pub layer_sum: Option<&'a Tensor>,
    /// 1 for tokens and 0 for padding, `[b, t]`.
    pub attention_mask: &'a Tensor,
    /// How many rows the backbone has read: adapters in parallel make several times as many.
    pub read: usize,
    /// What the backbone has read, of an encoder where there are two, u32 `[b, s]`: as many rows as the state has, or
    /// as its whole repetitions have. None where heads read no ids.
    pub ids: Option<&'a Tensor>,
}

/// What a head computes from.
#[derive(Clone, Copy)]
pub struct HeadInput<'a> {
    /// What it reads.
    pub features: Features<'a>,
    /// What the backbone read.
    pub batch: &'a Batch,
    /// Whether dropout is on.
    pub mode: Mode,
    /// The inverse of an invertible adapter (Pfeiffer et al. 2020), `[b, t, e]` to the same:
    /// language models apply it before their output table. `&Ok` where there is none.
    pub invert: &'a dyn Fn(Tensor) -> Result<Tensor>,
}

/// A loaded head.
#[derive(Debug)]
pub enum PredictionHead {
    /// Classes, sets of classes or numbers for a whole sequence.
    Classification(Classification),
    /// A class for every token.
    Tagging(Tagging),
    /// One of several continuations.
    MultipleChoice(MultipleChoice),
    /// Where an answer stands.
    QuestionAnswering(QuestionAnswering),
    /// Syntactic heads and relations.
    DependencyParsing(DependencyParsing),
    /// Tokens from hidden states.
    LanguageModel(LanguageModel),
    /// A vector per sequence.
    Embedding(Embedding),
}

impl PredictionHead {
    /// Builds a head on tensors by slot. An error names the slot that is missing.
    /// `tied` is the word embedding where that is a language model's table.
    pub fn build(head: &Head, tensors: &Tensors, tied: Option<&Linear>) -> Result<Self> {
        Ok(match head {
            Head::Classification(config)
            | Head::MultiLabelClassification(config)
            | Head::Regression(config) => Self::Classification(Classification::new(config, tensors)?),
            Head::Tagging(config) => Self::Tagging(Tagging::new(config, tensors)?),
            Head::MultipleChoice(config) => Self::MultipleChoice(MultipleChoice::new(config, tensors)?),
            Head::QuestionAnswering(config) => {
                Self::QuestionAnswering(QuestionAnswering::new(config, tensors)?)
            }
            Head::DependencyParsing(config) => {
                Self::DependencyParsing(DependencyParsing::new(config, tensors)?)
            }
            Head::MaskedLm(config) | Head::CausalLm(config) | Head::Seq2SeqLm(config) => {
                Self::LanguageModel(LanguageModel::new(config, tensors, tied)?)
            }
            Head::Embedding(config) => Self::Embedding(Embedding::new(config)),
        })
    }

    /// The same with the products of a language model's frozen table in `arithmetic`.
    pub(crate) fn computing_in(self, arithmetic: Arithmetic) -> Result<Self> {
        match self {
            Self::LanguageModel(head) => head.computing_in(arithmetic).map(Self::LanguageModel),
            other => Ok(other),
        }
    }

    /// Predictions from the last hidden state.
    pub fn forward(&self, input: &HeadInput<'_>) -> Result<Prediction> {
        Ok(match self {
            Self::Classification(head) => Prediction::Scores(head.forward(input)?),
            Self::Tagging(head) => Prediction::Scores(head.forward(input)?),
            Self::MultipleChoice(head) => Prediction::Scores(head.forward(input)?),
            Self::QuestionAnswering(head) => Prediction::Span(head.forward(input)?),
            Self::DependencyParsing(head) => Prediction::Parse(head.forward(input)?),
            Self::LanguageModel(head) => head.forward(input)?,
            Self::Embedding(head) => Prediction::Embedding(head.forward(input)?),
        })
    }

    /// What a head on whole sequences reads, `[b, h]`: constant in training when nothing below
    /// it is trained. `None` for every other head.
    pub fn pool(&self, features: &Features<'_>) -> Result<Option<Tensor>> {
        match self {
            Self::Classification(head) => head.pool(features).map(Some),
            _ => Ok(None),
        }
    }

    /// Scores from what [`pool`](Self::pool) returned; `None` where it returns `None`.
    pub fn scores(&self, pooled: &Tensor, mode: Mode) -> Result<Option<Tensor>> {
        match self {
            Self::Classification(head) => head.scores(pooled, mode).map(Some),
            _ => Ok(None),
        }
    }
}

/// How a fresh tensor of a head is drawn: as BERT's own, N(0, 0.02²), zero biases and unit
/// norms; the biaffine tables start at zero as in `adapters`.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "the name of a slot, not of a file")]
pub fn initialiser(slot: &Slot) -> Initialiser {
    let name = slot.name.as_str();
    if name.ends_with(".norm.weight") {
        Initialiser::Constant(1.0)
    } else if name.ends_with(".bias") || name == "head.arcs.weight" || name == "head.relations.weight" {
        Initialiser::Constant(0.0)
    } else {
        Initialiser::Normal { std: 0.02 }
    }
}

/// The tensor of the slot `head.<name>`.
fn part(tensors: &Tensors, name: &str) -> Result<Tensor> {
    match tensors.get(&format!("head.{name}")) {
        Some(tensor) => Ok(tensor.clone()),
        None => candle_core::bail!("the head has no tensor for `head.{name}`"),
    }
}

/// The states `[b, t, h]` that a head on tokens reads.
fn token_states(input: &HeadInput<'_>, behind_pooler: bool) -> Result<Tensor> {
    let Features { backbone, hooks, attention_mask, state, read, .. } = input.features;
    if !behind_pooler {
        return Ok(state.clone());
    }
    match backbone.through_pooler(state, (attention_mask, read), (hooks, input.mode))? {
        Some(states) => Ok(states),
        None => candle_core::bail!(
            "the head reads what the pooler's layer makes of every token; the base model's checkpoint has no pooler"
        ),
    }
}

/// Names the place of a dropout in a head, apart from every place in an adapter.
const fn site(index: usize) -> u64 {
    (1 << 63) | index as u64
}
