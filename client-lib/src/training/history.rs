//! What a run has measured so far: the curves of the report, and what decides the best checkpoint.

use super::{metrics::Confusion, options::Selection};

/// The validation examples measured after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Steps done before it.
    pub step: u64,
    /// Mean cross-entropy.
    pub loss: f32,
    /// What was taken for what.
    pub confusion: Confusion,
}

impl Evaluation {
    /// The score that decides.
    pub fn score(&self, selection: Selection) -> f64 {
        match selection {
            Selection::Accuracy => self.confusion.accuracy(),
            Selection::MacroF1 => self.confusion.macro_f1(),
        }
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
    pub fn best(&self, selection: Selection) -> Option<usize> {
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
    pub fn since_best(&self, selection: Selection) -> u64 {
        self.best(selection).map_or(0, |best| (self.evaluations.len() - 1 - best) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_of_equally_good_checkpoints_is_the_best() {
        let evaluation = |right: u64| {
            let mut confusion = Confusion::default();
            (0..10).for_each(|i| confusion.add(0, u32::from(i >= right)));
            Evaluation { step: right, loss: 0.0, confusion }
        };
        let evaluations = [3, 7, 7, 6].map(evaluation).to_vec();
        let history = History { losses: vec![], evaluations, kept_from: 0 };
        assert_eq!(history.best(Selection::Accuracy), Some(1));
        assert_eq!(history.since_best(Selection::Accuracy), 2);
        let none_of_them = History { kept_from: 8, ..history };
        assert_eq!(none_of_them.best(Selection::Accuracy), None);
        assert_eq!(History::default().best(Selection::Accuracy), None);
    }
}
