//! What every task says about a data set: losses, answers and scores of its rows.

use std::fmt;

use candle_core::{Device, Tensor};

use super::{Predicted, TaskError, cross_entropy};
use crate::{
    backbones::{Batch, DecoderInputs, Mode},
    data::TaskKind,
    heads::Prediction,
    inputs::{Input, InputEncoder},
    metrics::Scores,
    ops::cross_entropy_rows,
};

/// What the model says of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Its answer.
    pub predicted: Predicted,
    /// The loss, summed over everything in the row that has one, in double precision; 0 where nobody says
    /// what is right.
    pub loss: f64,
    /// How much that is: the mean loss of a data set is the sum of losses over the sum of weights.
    pub weight: f64,
}

/// Rows as a step reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct Altered {
    /// What the model reads.
    pub inputs: Vec<Input>,
    /// The tokens that the head is asked about, of each row: of the decoder's, where there is one.
    pub asked: Vec<Vec<usize>>,
    /// What a decoder behind an encoder reads, of each row; nothing where there is none.
    pub decoder: Vec<Vec<u32>>,
}

impl Altered {
    /// The rows as a batch, with the positions of what is asked.
    pub fn batch(&self, encoder: &InputEncoder, device: &Device) -> Result<Batch, TaskError> {
        let mut batch = encoder.batch(&self.inputs.iter().collect::<Vec<_>>(), device)?;
        if self.decoder.iter().any(|row| !row.is_empty()) {
            batch.decoder = Some(DecoderInputs::padded(&self.decoder, device)?);
        }
        let read = batch.decoder.as_ref().map_or(&batch.input_ids, |decoder| &decoder.input_ids);
        let length = read.dim(1)?;
        let position = |(row, tokens): (usize, &Vec<usize>)| {
            tokens.iter().map(|token| (row * length + token) as u32).collect::<Vec<_>>()
        };
        let positions: Vec<u32> = self.asked.iter().enumerate().flat_map(position).collect();
        let count = positions.len();
        batch.head_inputs.positions = Some(Tensor::from_vec(positions, count, device)?);
        Ok(batch)
    }
}

/// What the rows of a data set should be answered with. `rows` number them as a batch holds them, and
/// `prediction` is what the head gives for that batch.
pub trait Expected: fmt::Debug + Send + Sync {
    /// How rows are read where that changes from step to step, or where the head is asked about some of their
    /// tokens only; `None` where they are read as they are.
    fn altered(&self, _rows: &[usize], _mode: Mode) -> Option<Altered> {
        None
    }

    /// How many answers that are to be written were too long and cut off, where inputs don't tell.
    fn cut_answers(&self) -> usize {
        0
    }

    /// How many losses the mean of a batch is taken over.
    fn losses(&self, rows: &[usize], _mode: Mode) -> usize {
        rows.len()
    }

    /// The mean loss of a batch, a scalar with a gradient.
    fn loss(&self, prediction: &Prediction, rows: &[usize], mode: Mode) -> Result<Tensor, TaskError>;

    /// What the model says of every row of a batch, in order, without dropout.
    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError>;

    /// The answers to all examples, from the answers of all rows.
    fn answers(&self, rows: Vec<Predicted>) -> Vec<Predicted> {
        rows
    }

    /// How good the answers to all examples are.
    fn scores(&self, answers: &[Predicted]) -> Scores;
}

/// The scores `[b, labels]` of a head on whole sequences.
pub(super) fn scores_of(prediction: &Prediction, kind: TaskKind) -> Result<&Tensor, TaskError> {
    of_rank(prediction, 2, kind, "a row of scores for each example")
}

/// The one tensor of a head, with so many dimensions.
pub(super) fn of_rank<'p>(
    prediction: &'p Prediction,
    rank: usize,
    kind: TaskKind,
    expected: &'static str,
) -> Result<&'p Tensor, TaskError> {
    let logits = prediction.logits();
    let found = logits.map(|logits| logits.dims().to_vec()).unwrap_or_default();
    logits.filter(|logits| logits.rank() == rank).ok_or(TaskError::Output { kind, found, expected })
}

/// The mean cross-entropy of words against those that are right, `scores` being `[n, vocabulary]` where they were made.
pub(super) fn word_loss(
    prediction: &Prediction,
    truth: &[u32],
    scores: impl FnOnce() -> Result<Tensor, TaskError>,
) -> Result<Tensor, TaskError> {
    let losses = match prediction {
        Prediction::Words(words) => words.losses(truth)?,
        _ => cross_entropy_rows(&scores()?, truth)?,
    };
    Ok(losses.mean_all()?)
}

/// Cross-entropy of scores `[n, c]` against the class of every row.
pub(super) fn class_loss(
    logits: &Tensor,
    truth: &[Option<u32>],
    rows: &[usize],
) -> Result<Tensor, TaskError> {
    let classes: Vec<u32> = rows.iter().filter_map(|&row| truth[row]).collect();
    Ok(cross_entropy(logits, &Tensor::new(classes, logits.device())?)?)
}
