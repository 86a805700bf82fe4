//! A number for an example. Loss: the mean of the squared differences.

use candle_core::Tensor;

use super::{Expected, Predicted, Reading, TaskError, expected::scores_of, mean_squared_error};
use crate::{
    backbones::Mode,
    data::{Answer, Example, TaskKind},
    heads::Prediction,
    metrics::{Metric, Scores, pearson, spearman},
};

pub(super) const METRICS: [Metric; 3] = [Metric::Pearson, Metric::Spearman, Metric::MeanSquaredError];

/// The number of every row.
#[derive(Debug)]
pub(super) struct Numbers(Vec<Option<f64>>);

impl Numbers {
    pub(super) fn new(examples: &[Example]) -> Self {
        Self(examples.iter().map(truth).collect())
    }
}

/// The right number; none where nobody says.
pub(super) fn truth(example: &Example) -> Option<f64> {
    match example.answer {
        Answer::Number(number) => Some(number),
        _ => None,
    }
}

/// The right numbers and the answers to them, where both are known.
pub(super) fn answered(truth: &[Option<f64>], answers: &[Predicted]) -> (Vec<f64>, Vec<f64>) {
    let pair = |(truth, answer): (&Option<f64>, &Predicted)| match (truth, answer) {
        (Some(truth), Predicted::Number { value }) => Some((*truth, f64::from(*value))),
        _ => None,
    };
    truth.iter().zip(answers).filter_map(pair).unzip()
}

impl Expected for Numbers {
    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        let values = scores_of(prediction, TaskKind::Regression)?;
        let truth: Vec<f64> = rows.iter().filter_map(|&row| self.0[row]).collect();
        let truth = Tensor::from_vec(truth, values.dims2()?, values.device())?;
        Ok(mean_squared_error(values, &truth.to_dtype(values.dtype())?)?)
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let values = scores_of(prediction, TaskKind::Regression)?;
        let [_, 1] = values.dims() else {
            let (kind, found) = (TaskKind::Regression, values.dims().to_vec());
            return Err(TaskError::Output { kind, found, expected: "a single number for each example" });
        };
        let reading = |(&row, value): (&usize, f32)| Reading {
            predicted: Predicted::Number { value },
            loss: self.0[row].map_or(0.0, |truth| (f64::from(value) - truth).powi(2)),
            weight: f64::from(u8::from(self.0[row].is_some())),
        };
        Ok(rows.iter().zip(values.flatten_all()?.to_vec1::<f32>()?).map(reading).collect())
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        let (truth, values) = answered(&self.0, answers);
        let squares: f64 = truth.iter().zip(&values).map(|(a, b)| (a - b).powi(2)).sum();
        Scores {
            examples: truth.len() as u64,
            values: vec![
                (Metric::Pearson, pearson(&truth, &values)),
                (Metric::Spearman, spearman(&truth, &values)),
                (Metric::MeanSquaredError, squares / truth.len().max(1) as f64),
            ],
            ..Scores::default()
        }
    }
}
