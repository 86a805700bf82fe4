//! What heads give, by the names that the Python libraries give their outputs.

use candle_core::{Result, Tensor};

use super::dependency_parsing::Parse;
use crate::ops::{FrozenLinear, word_losses};

/// The outputs of a head.
#[derive(Debug, Clone)]
pub enum Prediction {
    /// One tensor of scores, shaped as [`Head`](hub_schemas::head::Head) says.
    Scores(Tensor),
    /// Scores `[b, t, 2]` of an answer's first and last token.
    Span(Tensor),
    /// Scores of syntactic heads and relations.
    Parse(Parse),
    /// One vector per sequence, `[b, h]`.
    Embedding(Tensor),
    /// What the scores of a language model's words are made of, in a step of training.
    Words(Words),
}

/// States `[b, t, h]` and the frozen table `[vocabulary, h]` that their scores are products with: a step of training
/// needs the losses alone, and the scores would be its largest tensors.
#[derive(Debug, Clone)]
pub struct Words {
    pub(super) states: Tensor,
    pub(super) table: FrozenLinear,
}

impl Words {
    /// The cross-entropies `[b·t]` against these words, one for each state.
    pub fn losses(&self, words: &[u32]) -> Result<Tensor> {
        word_losses(&self.states.flatten_to(1)?, &self.table, words)
    }

    /// The scores themselves, `[b, t, vocabulary]`.
    pub fn scores(&self) -> Result<Tensor> {
        self.table.forward(&self.states)
    }
}

impl Prediction {
    /// The one tensor that the head gives; `None` where there are several.
    pub fn logits(&self) -> Option<&Tensor> {
        match self {
            Self::Scores(tensor) | Self::Span(tensor) | Self::Embedding(tensor) => Some(tensor),
            Self::Parse(_) | Self::Words(_) => None,
        }
    }

    /// Every output by name: `logits` for what [`logits`](Self::logits) returns, and the
    /// libraries' own names beside it where they have others.
    pub fn named(&self) -> Result<Vec<(&'static str, Tensor)>> {
        let logits = self.logits().map(|tensor| ("logits", tensor.clone()));
        let others = match self {
            Self::Scores(_) => Vec::new(),
            Self::Words(words) => vec![("logits", words.scores()?)],
            Self::Span(tensor) => {
                let end = |index: usize| tensor.narrow(2, index, 1)?.squeeze(2)?.contiguous();
                vec![("start_logits", end(0)?), ("end_logits", end(1)?)]
            }
            Self::Parse(parse) => {
                vec![("arc_preds", parse.arcs.clone()), ("rel_preds", parse.relations.clone())]
            }
            Self::Embedding(tensor) => vec![("sentence_embedding", tensor.clone())],
        };
        Ok(logits.into_iter().chain(others).collect())
    }
}
