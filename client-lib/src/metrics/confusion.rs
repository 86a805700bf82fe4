//! Accuracy, macro-averaged F1 and Matthews' correlation, from counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::{Counts, ratio};

/// How often each label was taken for each other one.
///
/// Sparse: with a hundred thousand labels nearly every pair never happens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u32, u64)>", into = "Vec<(u32, u32, u64)>")]
pub struct Confusion {
    counts: BTreeMap<(u32, u32), u64>,
}

impl From<Vec<(u32, u32, u64)>> for Confusion {
    fn from(cells: Vec<(u32, u32, u64)>) -> Self {
        Self { counts: cells.into_iter().map(|(truth, guess, count)| ((truth, guess), count)).collect() }
    }
}

impl From<Confusion> for Vec<(u32, u32, u64)> {
    fn from(confusion: Confusion) -> Self {
        confusion.counts.into_iter().map(|((truth, guess), count)| (truth, guess, count)).collect()
    }
}

impl Confusion {
    /// Counts one prediction.
    pub fn add(&mut self, truth: u32, guess: u32) {
        *self.counts.entry((truth, guess)).or_insert(0) += 1;
    }

    /// How often `truth` was taken for `guess`.
    pub fn count(&self, truth: u32, guess: u32) -> u64 {
        self.counts.get(&(truth, guess)).copied().unwrap_or(0)
    }

    /// Number of predictions.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Number of right ones.
    pub fn right(&self) -> u64 {
        self.counts.iter().filter(|((truth, guess), _)| truth == guess).map(|(_, count)| count).sum()
    }

    /// Share of right predictions.
    pub fn accuracy(&self) -> f64 {
        ratio(self.right(), self.total())
    }

    /// The most frequent mistakes, as truth, guess and count.
    pub fn mistakes(&self) -> Vec<(u32, u32, u64)> {
        let mut mistakes: Vec<_> = (self.counts.iter())
            .filter(|((truth, guess), _)| truth != guess)
            .map(|(&(truth, guess), &count)| (truth, guess, count))
            .collect();
        mistakes.sort_by_key(|&(truth, guess, count)| (std::cmp::Reverse(count), truth, guess));
        mistakes
    }

    /// The counts of labels `0..labels`.
    pub fn per_label(&self, labels: usize) -> Vec<Counts> {
        let mut counts = vec![Counts::default(); labels];
        for (&(truth, guess), count) in &self.counts {
            counts[truth as usize].support += count;
            counts[guess as usize].guessed += count;
            counts[truth as usize].right += if truth == guess { *count } else { 0 };
        }
        counts
    }

    /// One more than the highest label that occurs.
    fn width(&self) -> usize {
        self.counts.keys().map(|&(truth, guess)| truth.max(guess) as usize + 1).max().unwrap_or(0)
    }

    /// The mean F1 over the labels that occur, as truth or as guess.
    pub fn macro_f1(&self) -> f64 {
        let scores = self.per_label(self.width());
        let occurring = scores.iter().filter(|counts| counts.support + counts.guessed > 0);
        let f1: Vec<f64> = occurring.map(Counts::f1).collect();
        if f1.is_empty() { 0.0 } else { f1.iter().sum::<f64>() / f1.len() as f64 }
    }

    /// Matthews' correlation coefficient for any number of labels (Gorodkin 2004): with `n` predictions,
    /// `c` right ones, `t_k` true and `p_k` predicted ones of label `k`,
    /// `(c n − Σ t_k p_k) / √((n² − Σ p_k²)(n² − Σ t_k²))`; 0 where one of the factors is 0.
    pub fn mcc(&self) -> f64 {
        let counts = self.per_label(self.width());
        let sum = |f: &dyn Fn(&Counts) -> f64| counts.iter().map(f).sum::<f64>();
        let (n, c) = (self.total() as f64, self.right() as f64);
        let both = sum(&|k| k.support as f64 * k.guessed as f64);
        let guessed = n * n - sum(&|k| (k.guessed as f64).powi(2));
        let truth = n * n - sum(&|k| (k.support as f64).powi(2));
        let product = guessed * truth;
        if product == 0.0 { 0.0 } else { (c * n - both) / product.sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_and_macro_f1_follow_their_definitions() {
        let mut confusion = Confusion::default();
        for (truth, guess) in [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (2, 0)] {
            confusion.add(truth, guess);
        }
        let scores = confusion.per_label(3);
        assert!((confusion.accuracy() - 0.5).abs() < 1e-12);
        assert!((scores[0].f1() - 4.0 / 7.0).abs() < 1e-12);
        assert!((scores[1].f1() - 0.5).abs() < 1e-12);
        assert_eq!((scores[2].f1(), scores[2].support), (0.0, 1));
        assert!((confusion.macro_f1() - (4.0 / 7.0 + 0.5) / 3.0).abs() < 1e-12);
        assert_eq!(confusion.mistakes(), [(0, 1, 1), (1, 0, 1), (2, 0, 1)]);
    }

    #[test]
    fn labels_that_never_occur_do_not_count() {
        let mut confusion = Confusion::default();
        confusion.add(0, 0);
        confusion.add(4, 4);
        assert!((confusion.macro_f1() - 1.0).abs() < 1e-12);
        assert!(Confusion::default().macro_f1().abs() < 1e-12);
    }
}
