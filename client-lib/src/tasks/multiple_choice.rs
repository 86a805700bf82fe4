//! One of several texts that could follow or answer another: each is read with it as a pair. Loss: cross-entropy
//! over the choices.

use std::sync::Arc;

use candle_core::Tensor;

use super::{
    ChoicePrediction, Encoded, Expected, Predicted, Reading, TaskError, argmax,
    expected::{class_loss, scores_of},
    log_softmax,
};
use crate::{
    backbones::Mode,
    data::{Answer, Example, TaskKind},
    heads::Prediction,
    inputs::Input,
    metrics::{Confusion, Metric, Scores},
    text::TextEncoder,
};

pub(super) const METRICS: [Metric; 1] = [Metric::Accuracy];

/// A row for every example, with all of its choices.
pub(super) fn encoded(encoder: &TextEncoder, examples: &[Example]) -> Result<Encoded, TaskError> {
    use rayon::prelude::*;
    let expected = examples.first().map_or(0, |example| example.texts.len());
    let read = |example: &Example| match example.texts.as_slice() {
        [text, choices @ ..] if choices.len() > 1 && choices.len() + 1 == expected => {
            let tokens = choices.iter().map(|choice| encoder.encode_pair(text, choice));
            Ok(Input::Several(tokens.collect::<Result<_, _>>()?))
        }
        texts => Err(TaskError::Choices {
            found: texts.len().saturating_sub(1),
            expected: expected.saturating_sub(1),
        }),
    };
    let inputs = examples.par_iter().map(read).collect::<Result<_, TaskError>>()?;
    let choices = examples.iter().map(|example| example.texts[1..].to_vec()).collect();
    let truth = |example: &Example| match example.answer {
        Answer::Choice(choice) => Some(choice as u32),
        _ => None,
    };
    let truth = examples.iter().map(truth).collect();
    Ok(Encoded { inputs, expected: Arc::new(Choices { choices, truth }) })
}

/// The right choice of every row.
#[derive(Debug)]
struct Choices {
    choices: Vec<Vec<String>>,
    truth: Vec<Option<u32>>,
}

impl Expected for Choices {
    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        class_loss(scores_of(prediction, TaskKind::MultipleChoice)?, &self.truth, rows)
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let logits = scores_of(prediction, TaskKind::MultipleChoice)?.to_vec2::<f32>()?;
        let reading = |(&row, logits): (&usize, Vec<f32>)| {
            let (choice, logs) = (argmax(&logits) as usize, log_softmax(&logits));
            let loss = self.truth[row].map(|truth| -logs[truth as usize]);
            let text = self.choices[row].get(choice).cloned().unwrap_or_default();
            let predicted = ChoicePrediction { choice, text, probability: logs[choice].exp(), logits };
            Reading {
                predicted: Predicted::Choice(predicted),
                loss: loss.unwrap_or(0.0),
                weight: f64::from(u8::from(loss.is_some())),
            }
        };
        Ok(rows.iter().zip(logits).map(reading).collect())
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        let mut confusion = Confusion::default();
        for (truth, answer) in self.truth.iter().zip(answers) {
            if let (Some(truth), Predicted::Choice(answer)) = (truth, answer) {
                confusion.add(*truth, answer.choice as u32);
            }
        }
        let values = vec![(Metric::Accuracy, confusion.accuracy())];
        Scores { examples: confusion.total(), values, ..Scores::default() }
    }
}
