//! Syntactic heads and relations of words by two biaffine products (Glavaš & Vulić 2021,
//! after Dozat & Manning 2017).
//!
//! A word is the mean of its tokens; the first token stands for the root. With a one
//! appended to the dependents (and to the heads, for relations):
//!
//! `arc[i, j] = [w_i; 1]ᵀ A h_j`, `relation[i, j, r] = [w_i; 1]ᵀ R_r [h_j; 1]`.
//!
//! Loss: the cross-entropy of the arcs plus that of the relations at the true heads.

use candle_core::{D, Result, Tensor};
use hub_schemas::{backbone::Architecture, head::DependencyParsingHead};

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

    /// Needs the batch's `word_starts`. There are as many rows of words as tokens; what is
    /// beyond a sequence's last word is scored as a zero vector.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Parse> {
        let Some(starts) = &input.batch.head_inputs.word_starts else {
            candle_core::bail!("the head parses words, but the batch has no `word_starts`")
        };
        let state = input.mode.dropout(input.features.state, self.dropout, site(0))?;
        let (b, t, h) = state.dims3()?;
        let averages = word_averages(starts, t, padding(input.features.backbone.config().architecture))?;
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

/// What `adapters` takes for padding in `word_starts`: the padding token's id.
const fn padding(architecture: Architecture) -> u32 {
    match architecture {
        Architecture::Roberta | Architecture::XlmRoberta => 1,
        _ => 0,
    }
}

fn with_one(x: &Tensor) -> Result<Tensor> {
    let (b, n, _) = x.dims3()?;
    Tensor::cat(&[x, &Tensor::ones((b, n, 1), x.dtype(), x.device())?], D::Minus1)
}

/// The matrix `[b, t, t]` that averages tokens to words. Word `j` reaches from start `j`
/// to start `j + 1`, so that the last start only ends the last word.
fn word_averages(starts: &Tensor, tokens: usize, padding: u32) -> Result<Tensor> {
    let rows = starts.to_vec2::<u32>()?;
    let mut weights = vec![0f64; rows.len() * tokens * tokens];
    for (row, starts) in rows.iter().enumerate() {
        let starts: Vec<usize> = starts.iter().filter(|&&s| s != padding).map(|&s| s as usize).collect();
        for (word, pair) in starts.windows(2).enumerate() {
            let (start, end) = (pair[0], pair[1]);
            if end == 0 {
                break;
            }
            if start >= end || end > tokens {
                candle_core::bail!(
                    "`word_starts` has {start} before {end}; starts increase up to {tokens}, the number of tokens"
                )
            }
            let at = (row * tokens + word) * tokens;
            weights[at + start..at + end].fill(1.0 / (end - start) as f64);
        }
    }
    Tensor::from_vec(weights, (rows.len(), tokens, tokens), &candle_core::Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn averages(starts: &[u32], tokens: usize) -> Result<Vec<Vec<f64>>> {
        let starts = Tensor::new(starts, &candle_core::Device::Cpu)?.unsqueeze(0)?;
        word_averages(&starts, tokens, 0)?.squeeze(0)?.to_vec2()
    }

    #[test]
    fn a_word_is_the_mean_of_its_tokens_and_the_last_start_is_an_end() {
        let found = averages(&[1, 2, 4, 0, 0], 4).expect("averages");
        assert_eq!(found[0], [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(found[1], [0.0, 0.0, 0.5, 0.5]);
        assert_eq!(found[2..], [[0.0; 4]; 2]);
    }

    #[test]
    fn starts_that_do_not_increase_or_lie_outside_are_refused() {
        let message = |starts: &[u32]| {
            let error = averages(starts, 4).expect_err("refused").to_string();
            error.lines().next().unwrap_or_default().to_owned()
        };
        let decreasing = "`word_starts` has 3 before 2; starts increase up to 4, the number of tokens";
        assert_eq!(message(&[1, 3, 2]), decreasing);
        let outside = "`word_starts` has 1 before 5; starts increase up to 4, the number of tokens";
        assert_eq!(message(&[1, 5]), outside);
    }
}
