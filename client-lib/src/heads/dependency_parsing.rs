//! Syntactic heads and relations of words by two biaffine products (Glavaš & Vulić 2021,
//! after Dozat & Manning 2017).
//!
//! A word is the mean of its tokens; the first token stands for the root. With a one
//! appended to the dependents (and to the heads, for relations):
//!
//! `arc[i, j] = [w_i; 1]ᵀ A h_j`, `relation[i, j, r] = [w_i; 1]ᵀ R_r [h_j; 1]`.
//!
//! Loss: the cross-entropy of the arcs plus that of the relations at the true heads.

use std::ops::Range;

use candle_core::{D, Result, Tensor};
use hub_schemas::head::DependencyParsingHead;

use super::{HeadInput, Tensors, part, site};

/// A loaded parsing head.
#[derive(Debug)]
pub struct DependencyParsing {
    /// `[h + 1, h]`
    arcs: Tensor,
    /// `[labels, h + 1, h + 1]`
    relations: Tensor,
    dropout: f64,
}

/// Scores of every word against the root and every word.
#[derive(Debug, Clone)]
pub struct Parse {
    /// `[b, t, t + 1]`: dependent, head; the root is head 0.
    pub arcs: Tensor,
    /// `[b, t, t + 1, labels]`.
    pub relations: Tensor,
}

impl DependencyParsing {
    pub(super) fn new(config: &DependencyParsingHead, tensors: &Tensors) -> Result<Self> {
        Ok(Self {
            arcs: part(tensors, "arcs.weight")?.squeeze(0)?,
            relations: part(tensors, "relations.weight")?,
            dropout: config.dropout,
        })
    }

    /// Needs the batch's words. There are as many rows of words as tokens, or as words where tokens are
    /// shared; what is beyond a sequence's last word is scored as a zero vector.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Parse> {
        let Some(words) = &input.batch.head_inputs.words else {
            candle_core::bail!("the head parses words, but the batch does not say which tokens they have")
        };
        let state = input.mode.dropout(input.features.state, self.dropout, site(0))?;
        let (b, tokens, h) = state.dims3()?;
        let t = words.iter().map(Vec::len).max().unwrap_or(0).max(tokens);
        let averages = word_averages(words, t, tokens)?;
        let averages = averages.to_device(state.device())?.to_dtype(state.dtype())?;
        let words = averages.matmul(&state)?;
        let heads = Tensor::cat(&[&state.narrow(1, 0, 1)?, &words], 1)?;
        let dependents = with_one(&words)?.reshape((b * t, h + 1))?;
        let arcs = dependents.matmul(&self.arcs)?.reshape((b, t, h))?;
        let arcs = arcs.matmul(&heads.transpose(1, 2)?.contiguous()?)?;
        // All relations in one product: [b t, h + 1] · [h + 1, labels (h + 1)].
        let labels = self.relations.dim(0)?;
        let table = self.relations.transpose(0, 1)?.contiguous()?.reshape((h + 1, labels * (h + 1)))?;
        let relations = dependents.matmul(&table)?.reshape((b, t * labels, h + 1))?;
        let relations = relations.matmul(&with_one(&heads)?.transpose(1, 2)?.contiguous()?)?;
        let relations = relations.reshape((b, t, labels, t + 1))?.transpose(2, 3)?.contiguous()?;
        Ok(Parse { arcs, relations })
    }
}

fn with_one(x: &Tensor) -> Result<Tensor> {
    let (b, n, _) = x.dims3()?;
    Tensor::cat(&[x, &Tensor::ones((b, n, 1), x.dtype(), x.device())?], D::Minus1)
}

/// The matrix `[b, rows, t]` that averages tokens to words, of which no sentence has more than `rows`.
fn word_averages(words: &[Vec<Range<usize>>], rows: usize, tokens: usize) -> Result<Tensor> {
    let mut weights = vec![0f64; words.len() * rows * tokens];
    for (row, words) in words.iter().enumerate() {
        for (word, range) in words.iter().enumerate() {
            let Range { start, end } = *range;
            if start >= end || end > tokens {
                candle_core::bail!(
                    "a word reaches from token {start} to {end}; words have tokens, and here are {tokens}"
                )
            }
            let at = (row * rows + word) * tokens;
            weights[at + start..at + end].fill(1.0 / (end - start) as f64);
        }
    }
    Tensor::from_vec(weights, (words.len(), rows, tokens), &candle_core::Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_mean_of_its_tokens() {
        let found = word_averages(&[vec![1..2, 2..4]], 4, 4).expect("averages");
        let found: Vec<Vec<f64>> = found.squeeze(0).and_then(|rows| rows.to_vec2()).expect("numbers");
        assert_eq!(found[0], [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(found[1], [0.0, 0.0, 0.5, 0.5]);
        assert_eq!(found[2..], [[0.0; 4]; 2]);
    }

    #[test]
    fn words_without_tokens_and_words_outside_are_refused() {
        for word in [2..2, 1..5] {
            assert!(word_averages(&[vec![word.clone()]], 4, 4).is_err(), "{word:?}");
        }
    }
}
