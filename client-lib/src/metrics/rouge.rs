//! ROUGE of a generated text against a right one (Lin, "ROUGE: A Package for Automatic Evaluation of Summaries",
//! 2004), as `rouge-score` 0.1.2 computes it without stemming: F1 of n-grams, and of the longest common subsequence.
//! Computed by `rougers`.

use std::sync::LazyLock;

use rougers::{RougeScorer, RougeType, Tokenizer};

/// F1 of the words, of the pairs of words, and of the longest common subsequence: each from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rouge {
    /// Of words, each counted as often as it stands in both.
    pub one: f64,
    /// Of pairs of words.
    pub two: f64,
    /// Of the longest common subsequence of words.
    pub longest: f64,
}

/// Three kinds of ROUGE. `None` can't occur: n-grams may have one word or two.
static SCORER: LazyLock<Option<RougeScorer>> = LazyLock::new(|| {
    let kinds = vec![RougeType::N(1), RougeType::N(2), RougeType::L];
    RougeScorer::with_tokenizer(kinds, Tokenizer::new(false)).ok()
});

impl Rouge {
    /// Of one text; 0 where one side has no word.
    pub fn of(written: &str, right: &str) -> Self {
        let Some(scores) = SCORER.as_ref().map(|scorer| scorer.score(right, written)) else {
            return Self::default();
        };
        let f1 = |kind| scores.get(kind).unwrap_or_default().fmeasure;
        Self { one: f1(RougeType::N(1)), two: f1(RougeType::N(2)), longest: f1(RougeType::L) }
    }
}
