//! One label for an example. Loss: cross-entropy.

use candle_core::Tensor;

use super::{
    Expected, LabelPrediction, Predicted, Reading, TaskError, argmax,
    expected::{class_loss, scores_of},
    log_softmax,
};
use crate::{
    backbones::Mode,
    data::TaskKind,
    heads::Prediction,
    metrics::{Confusion, LabelCounts, Metric, Scores},
};

pub(super) const METRICS: [Metric; 3] = [Metric::Accuracy, Metric::MacroF1, Metric::Mcc];

/// The label of every row.
#[derive(Debug)]
pub(super) struct Classes {
    labels: Vec<String>,
    truth: Vec<Option<u32>>,
}

impl Classes {
    pub(super) fn new(labels: Vec<String>, truth: Vec<Option<u32>>) -> Self {
        Self { labels, truth }
    }
}

impl Expected for Classes {
    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        class_loss(scores_of(prediction, TaskKind::Classification)?, &self.truth, rows)
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let logits = scores_of(prediction, TaskKind::Classification)?.to_vec2::<f32>()?;
        let reading = |(&row, logits): (&usize, Vec<f32>)| {
            let (best, logs) = (argmax(&logits) as usize, log_softmax(&logits));
            let loss = self.truth[row].map(|truth| -logs[truth as usize]);
            let label = self.labels.get(best).map_or_else(|| format!("LABEL_{best}"), Clone::clone);
            let predicted = LabelPrediction { label, probability: logs[best].exp(), logits };
            Reading {
                predicted: Predicted::Label(predicted),
                loss: loss.unwrap_or(0.0),
                weight: f64::from(u8::from(loss.is_some())),
            }
        };
        Ok(rows.iter().zip(logits).map(reading).collect())
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        let mut confusion = Confusion::default();
        for (truth, answer) in self.truth.iter().zip(answers) {
            if let (Some(truth), Predicted::Label(label)) = (truth, answer) {
                confusion.add(*truth, argmax(&label.logits));
            }
        }
        of_confusion(&self.labels, confusion)
    }
}

/// What a confusion says.
fn of_confusion(labels: &[String], confusion: Confusion) -> Scores {
    let counts = confusion.per_label(labels.len());
    let labels = labels.iter().zip(counts);
    Scores {
        examples: confusion.total(),
        values: vec![
            (Metric::Accuracy, confusion.accuracy()),
            (Metric::MacroF1, confusion.macro_f1()),
            (Metric::Mcc, confusion.mcc()),
        ],
        labels: labels.map(|(label, counts)| LabelCounts { label: label.clone(), counts }).collect(),
        confusion: Some(confusion),
    }
}
