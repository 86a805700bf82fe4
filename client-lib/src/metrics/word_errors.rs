//! Word error rate of transcripts: the fewest words that have to be replaced, left out and added, of all words that
//! are right (Levenshtein 1966). As `jiwer` 4.0 counts it.

use std::{iter::Sum, sync::LazyLock};

use regex::Regex;
use strsim::generic_levenshtein;

/// What Unicode calls punctuation.
static PUNCTUATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{P}").ok());

/// Errors of transcripts, in words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Words to be replaced, left out or added.
    pub errors: usize,
    /// Words that are right.
    pub words: usize,
}

impl WordErrors {
    /// Of one transcript. Words end at a space, and everything counts: case and punctuation too.
    pub fn of(written: &str, right: &str) -> Self {
        let (written, right) = (spaced(written), spaced(right));
        let (written, right) = (words(&written), words(&right));
        Self { errors: generic_levenshtein(&written, &right), words: right.len() }
    }

    /// The same of lower-cased words without punctuation.
    pub fn of_plain(written: &str, right: &str) -> Self {
        Self::of(&plain(written), &plain(right))
    }

    /// Errors for each right word; the number of errors where there is no right word.
    pub fn rate(self) -> f64 {
        self.errors as f64 / self.words.max(1) as f64
    }
}

impl Sum for WordErrors {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self { errors: a.errors + b.errors, words: a.words + b.words })
    }
}

fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    PUNCTUATION.as_ref().map_or_else(|| lower.clone(), |marks| marks.replace_all(&lower, "").into_owned())
}

/// Without white space around it, several characters of which in a row are one space.
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut rest = text.trim();
    while let Some(at) = rest.find(char::is_whitespace) {
        let (word, behind) = rest.split_at(at);
        let next = behind.find(|c: char| !c.is_whitespace()).unwrap_or(behind.len());
        spaced.push_str(word);
        let between = &behind[..next];
        spaced.push_str(if between.chars().nth(1).is_some() { " " } else { between });
        rest = &behind[next..];
    }
    spaced + rest
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').filter(|word| !word.is_empty()).collect()
}
