//! Accuracy and macro-averaged F1, from counts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

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

/// How well one label is recognised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LabelScore {
    /// Examples that have this label.
    pub support: u64,
    /// Share of the predictions of this label that are right.
    pub precision: f64,
    /// Share of the examples with this label that are found.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
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

    /// The scores of labels `0..labels`.
    pub fn per_label(&self, labels: usize) -> Vec<LabelScore> {
        let (mut right, mut support, mut guessed) = (vec![0; labels], vec![0; labels], vec![0; labels]);
        for (&(truth, guess), count) in &self.counts {
            support[truth as usize] += count;
            guessed[guess as usize] += count;
            right[truth as usize] += if truth == guess { *count } else { 0 };
        }
        (0..labels)
            .map(|label| LabelScore {
                support: support[label],
                precision: ratio(right[label], guessed[label]),
                recall: ratio(right[label], support[label]),
                // 2PR / (P + R), by counts
                f1: ratio(2 * right[label], support[label] + guessed[label]),
            })
            .collect()
    }

    /// The mean F1 over the labels that occur, as truth or as guess.
    pub fn macro_f1(&self) -> f64 {
        let occurring: BTreeSet<u32> =
            self.counts.keys().flat_map(|&(truth, guess)| [truth, guess]).collect();
        let scores = self.per_label(occurring.last().map_or(0, |&highest| highest as usize + 1));
        let f1: Vec<f64> = occurring.iter().map(|&label| scores[label as usize].f1).collect();
        if f1.is_empty() { 0.0 } else { f1.iter().sum::<f64>() / f1.len() as f64 }
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
        assert!((scores[0].f1 - 4.0 / 7.0).abs() < 1e-12);
        assert!((scores[1].f1 - 0.5).abs() < 1e-12);
        assert_eq!((scores[2].f1, scores[2].support), (0.0, 1));
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
