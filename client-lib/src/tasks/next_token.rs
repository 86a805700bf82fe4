//! Every token of an answer from those before it, right or not (teacher forcing, Williams & Zipser 1989). Loss:
//! cross-entropy, the mean over the tokens of all answers in a batch. Prompts and padding have none, as if their
//! label were −100.
//!
//! `causal_lm.rs` and `seq2seq_lm.rs` say what the rows are.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::{
    Encoded, Expected, Predicted, Reading, TaskError, argmax,
    expected::{Altered, of_rank, word_loss},
    log_softmax,
};
use crate::{
    backbones::Mode,
    data::TaskKind,
    heads::Prediction,
    inputs::Input,
    metrics::{Metric, Scores},
};

pub(super) const METRICS: [Metric; 2] = [Metric::Perplexity, Metric::Accuracy];

/// One row: what is read, and what is right behind some of its tokens.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What the backbone reads.
    pub(super) input: Input,
    /// What a decoder behind it reads; empty where there is none.
    pub(super) decoder: Vec<u32>,
    /// The first token that is asked for what comes next: of the decoder's, where there is one.
    pub(super) first: usize,
    /// What comes next behind it and each of those after it.
    pub(super) truth: Vec<u32>,
    /// Whether something that is to be written was too long and cut off.
    pub(super) is_cut: bool,
}

/// The rows of a data set.
#[derive(Debug)]
pub(super) struct Answers {
    kind: TaskKind,
    rows: Vec<Row>,
    examples: u64,
}

impl Answers {
    /// Rows that ask for nothing are left out.
    pub(super) fn encoded(kind: TaskKind, rows: Vec<Row>, examples: usize) -> Result<Encoded, TaskError> {
        let rows: Vec<Row> = rows.into_iter().filter(|row| !row.truth.is_empty()).collect();
        if rows.is_empty() {
            return Err(TaskError::NothingAsked(kind));
        }
        let inputs = rows.iter().map(|row| row.input.clone()).collect();
        Ok(Encoded { inputs, expected: Arc::new(Self { kind, rows, examples: examples as u64 }) })
    }

    /// The scores `[n, vocabulary]` of the tokens that were asked.
    fn scores_of(&self, prediction: &Prediction) -> Result<Tensor, TaskError> {
        Ok(of_rank(prediction, 3, self.kind, "a row of scores for each token of an answer")?.squeeze(0)?)
    }
}

impl Expected for Answers {
    fn altered(&self, rows: &[usize], _: Mode) -> Option<Altered> {
        let of = |&row: &usize| &self.rows[row];
        Some(Altered {
            inputs: rows.iter().map(of).map(|row| row.input.clone()).collect(),
            asked: rows
                .iter()
                .map(of)
                .map(|row| (row.first..row.first + row.truth.len()).collect())
                .collect(),
            decoder: rows.iter().map(of).map(|row| row.decoder.clone()).collect(),
        })
    }

    fn cut_answers(&self) -> usize {
        self.rows.iter().filter(|row| row.is_cut).count()
    }

    fn losses(&self, rows: &[usize], _: Mode) -> usize {
        rows.iter().map(|&row| self.rows[row].truth.len()).sum()
    }

    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        let truth: Vec<u32> = rows.iter().flat_map(|&row| self.rows[row].truth.iter().copied()).collect();
        word_loss(prediction, &truth, || self.scores_of(prediction))
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let scores = self.scores_of(prediction)?.to_dtype(DType::F32)?;
        let mut scores = scores.to_vec2::<f32>()?.into_iter();
        let mut reading = |&row: &usize| {
            let (mut loss, mut right) = (0.0, 0);
            let truth = &self.rows[row].truth;
            for (&token, scores) in truth.iter().zip(scores.by_ref()) {
                loss -= log_softmax(&scores)[token as usize];
                right += u64::from(argmax(&scores) == token);
            }
            let count = truth.len() as u64;
            Reading { predicted: Predicted::Tokens { loss, right, count }, loss, weight: count as f64 }
        };
        Ok(rows.iter().map(&mut reading).collect())
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        Scores { examples: self.examples, ..of_tokens(answers) }
    }
}

/// Perplexity and share of right tokens.
pub(super) fn of_tokens(answers: &[Predicted]) -> Scores {
    let (mut loss, mut right, mut count) = (0.0, 0, 0);
    for answer in answers {
        if let Predicted::Tokens { loss: own, right: hits, count: tokens } = answer {
            (loss, right, count) = (loss + own, right + hits, count + tokens);
        }
    }
    let mean = |sum: f64| sum / (count as f64).max(1.0);
    let values = vec![(Metric::Perplexity, mean(loss).exp()), (Metric::Accuracy, mean(right as f64))];
    Scores { examples: answers.len() as u64, values, ..Scores::default() }
}
