//! What a run has measured so far: the curves of the report, and what decides the best checkpoint.

use crate::metrics::{Metric, Scores};

/// The validation examples measured after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Steps done before it.
    pub step: u64,
    /// Mean loss.
    pub loss: f32,
    /// How good the answers are.
    pub scores: Scores,
}

impl Evaluation {
    /// What decides: more of it is better. A metric that has no value, such as the correlation of a constant,
    /// is the worst.
    pub fn score(&self, selection: Metric) -> f64 {
        let value = match selection {
            Metric::Loss => Some(f64::from(self.loss)),
            metric => self.scores.value(metric),
        };
        let sign = if selection.is_error() { -1.0 } else { 1.0 };
        value.map(|value| sign * value).filter(|score| !score.is_nan()).unwrap_or(f64::NEG_INFINITY)
    }
}

/// Losses by step, and evaluations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The training loss of step 1, 2, ….
    pub losses: Vec<f32>,
    /// In the order of their steps.
    pub evaluations: Vec<Evaluation>,
    /// Steps before which no checkpoint is kept: it is not yet what was asked for.
    pub kept_from: u64,
}

impl History {
    /// The index of the best evaluation among those that may be kept; the earlier of equals.
    pub fn best(&self, selection: Metric) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (index, evaluation) in self.evaluations.iter().enumerate() {
            let score = evaluation.score(selection);
            if evaluation.step >= self.kept_from && best.is_none_or(|(_, best)| score > best) {
                best = Some((index, score));
            }
        }
        best.map(|(index, _)| index)
    }

    /// Evaluations since the best one.
    pub fn since_best(&self, selection: Metric) -> u64 {
        self.best(selection).map_or(0, |best| (self.evaluations.len() - 1 - best) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(metric: Metric, values: &[f64]) -> History {
        let evaluation = |(step, value): (u64, &f64)| {
            let scores = Scores { values: vec![(metric, *value)], ..Scores::default() };
            Evaluation { step, loss: *value as f32, scores }
        };
        let evaluations = (1..).zip(values).map(evaluation).collect();
        History { losses: vec![], evaluations, kept_from: 0 }
    }

    #[test]
    fn the_earlier_of_equally_good_checkpoints_is_the_best() {
        let history = history(Metric::Accuracy, &[0.3, 0.7, 0.7, 0.6]);
        assert_eq!(history.best(Metric::Accuracy), Some(1));
        assert_eq!(history.since_best(Metric::Accuracy), 2);
        let none_of_them = History { kept_from: 8, ..history };
        assert_eq!(none_of_them.best(Metric::Accuracy), None);
        assert_eq!(History::default().best(Metric::Accuracy), None);
    }

    #[test]
    fn a_correlation_without_a_value_loses_and_less_of_an_error_wins() {
        assert_eq!(history(Metric::Pearson, &[f64::NAN, -0.2, f64::NAN]).best(Metric::Pearson), Some(1));
        let history = history(Metric::MeanSquaredError, &[0.3, 0.1, 0.2]);
        assert_eq!(history.best(Metric::MeanSquaredError), Some(1));
        assert_eq!(history.best(Metric::Loss), Some(1));
    }
}
