//! Any number of labels for an example. Loss: binary cross-entropy of every label.

use candle_core::Tensor;

use super::{
    Expected, LabelShare, Predicted, Reading, TaskError, binary_cross_entropy, expected::scores_of,
    softmax::sigmoid,
};
use crate::{
    backbones::Mode,
    data::{Answer, Example, TaskKind},
    heads::Prediction,
    metrics::{Counts, LabelCounts, Metric, Scores},
};

pub(super) const METRICS: [Metric; 3] = [Metric::MicroF1, Metric::MacroF1, Metric::Accuracy];

/// The labels of every row.
#[derive(Debug)]
pub(super) struct LabelSets {
    labels: Vec<String>,
    /// Whether each label is right; `None` where nobody says.
    truth: Vec<Option<Vec<bool>>>,
}

impl LabelSets {
    /// `ids` are the numbers of the labels of each example.
    pub(super) fn new(labels: Vec<String>, examples: &[Example], ids: &[Vec<u32>]) -> Self {
        let truth = |(example, ids): (&Example, &Vec<u32>)| {
            let is_told = matches!(example.answer, Answer::Labels(_));
            is_told.then(|| (0..labels.len() as u32).map(|label| ids.contains(&label)).collect())
        };
        let truth = examples.iter().zip(ids).map(truth).collect();
        Self { labels, truth }
    }
}

impl Expected for LabelSets {
    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        let logits = scores_of(prediction, TaskKind::MultiLabel)?;
        let truth = rows.iter().filter_map(|&row| self.truth[row].as_ref()).flatten();
        let targets: Vec<f32> = truth.map(|&is_right| f32::from(u8::from(is_right))).collect();
        let targets = Tensor::from_vec(targets, logits.dims2()?, logits.device())?;
        Ok(binary_cross_entropy(logits, &targets.to_dtype(logits.dtype())?)?)
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let logits = scores_of(prediction, TaskKind::MultiLabel)?.to_vec2::<f32>()?;
        let reading = |(&row, logits): (&usize, Vec<f32>)| {
            let mut loss = 0.0;
            for (&score, &is_right) in logits.iter().zip(self.truth[row].iter().flatten()) {
                let z = f64::from(score);
                loss += z.max(0.0) - if is_right { z } else { 0.0 } + (-z.abs()).exp().ln_1p();
            }
            let share = |(label, score): (&String, &f32)| LabelShare {
                label: label.clone(),
                probability: sigmoid(*score),
            };
            let labels = self.labels.iter().zip(&logits).filter(|(_, score)| **score > 0.0);
            Reading {
                predicted: Predicted::Labels {
                    labels: labels.map(|(label, _)| label.clone()).collect(),
                    probabilities: self.labels.iter().zip(&logits).map(share).collect(),
                    logits,
                },
                loss,
                weight: self.truth[row].as_ref().map_or(0.0, |labels| labels.len() as f64),
            }
        };
        Ok(rows.iter().zip(logits).map(reading).collect())
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        let mut counts = vec![Counts::default(); self.labels.len()];
        let (mut examples, mut right) = (0, 0);
        for (truth, answer) in self.truth.iter().zip(answers) {
            let (Some(truth), Predicted::Labels { logits, .. }) = (truth, answer) else { continue };
            let guess = logits.iter().map(|score| *score > 0.0);
            examples += 1;
            right += u64::from(truth.iter().copied().eq(guess.clone()));
            for (counts, (&truth, guess)) in counts.iter_mut().zip(truth.iter().zip(guess)) {
                counts.support += u64::from(truth);
                counts.guessed += u64::from(guess);
                counts.right += u64::from(truth && guess);
            }
        }
        let micro = counts.iter().copied().fold(Counts::default(), Counts::plus).f1();
        let macro_f1 = counts.iter().map(Counts::f1).sum::<f64>() / counts.len().max(1) as f64;
        let labels = self.labels.iter().zip(counts);
        Scores {
            examples,
            values: vec![
                (Metric::MicroF1, micro),
                (Metric::MacroF1, macro_f1),
                (Metric::Accuracy, right as f64 / examples.max(1) as f64),
            ],
            labels: labels.map(|(label, counts)| LabelCounts { label: label.clone(), counts }).collect(),
            confusion: None,
        }
    }
}
