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
}

impl History {
    /// The index of the best evaluation; the earlier of equals.
    pub fn best(&self, selection: Selection) -> Option<usize> {
        let scores: Vec<f64> = self.evaluations.iter().map(|e| e.score(selection)).collect();
        let mut best = None;
        for (index, score) in scores.iter().enumerate() {
            if best.is_none_or(|best: usize| *score > scores[best]) {
                best = Some(index);
            }
        }
        best
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
        let history = History { losses: vec![], evaluations: [3, 7, 7, 6].map(evaluation).to_vec() };
        assert_eq!(history.best(Selection::Accuracy), Some(1));
        assert_eq!(history.since_best(Selection::Accuracy), 2);
        assert_eq!(History::default().best(Selection::Accuracy), None);
    }
}
