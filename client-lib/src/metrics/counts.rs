//! Precision, recall and F1 of one label, from counts.

use serde::{Deserialize, Serialize};

/// How often one label, or one type of entity, was right, predicted and true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How often the prediction of it was right.
    pub right: u64,
    /// How often it was predicted.
    pub guessed: u64,
    /// How often it was true.
    pub support: u64,
}

/// `part / whole`; 0 where there is nothing.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Counts {
    /// Share of the predictions that are right.
    pub fn precision(&self) -> f64 {
        ratio(self.right, self.guessed)
    }

    /// Share of the true ones that are found.
    pub fn recall(&self) -> f64 {
        ratio(self.right, self.support)
    }

    /// Harmonic mean of both: `2PR / (P + R)`, by counts.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.right, self.support + self.guessed)
    }

    /// The counts of both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            guessed: self.guessed + other.guessed,
            support: self.support + other.support,
        }
    }
}
