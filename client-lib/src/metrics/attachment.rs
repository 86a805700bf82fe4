//! How well trees are found: the attachment scores of the CoNLL 2018 shared task (Zeman et al. 2018), for words that
//! are given.
//!
//! A word counts for UAS with the right head, and for LAS with the right relation to it too, of which only what
//! stands in front of a colon is compared. Punctuation counts.

use super::counts::ratio;

/// A word's place in a tree: the number of its head, 0 for the root, and the relation to it.
pub type Attached<'t> = (usize, &'t str);

/// How many words have the right head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attachment {
    words: u64,
    heads: u64,
    relations: u64,
}

impl Attachment {
    /// Counts the words of a sentence; `None` for a word that was not read, which is wrong.
    pub fn add<'t>(
        &mut self,
        truth: impl IntoIterator<Item = Attached<'t>>,
        guess: impl IntoIterator<Item = Option<Attached<'t>>>,
    ) {
        let mut guess = guess.into_iter();
        for (head, relation) in truth {
            self.words += 1;
            let found = guess.next().flatten().filter(|(guess, _)| *guess == head);
            self.heads += u64::from(found.is_some());
            let is_right = found.is_some_and(|(_, guess)| universal(guess) == universal(relation));
            self.relations += u64::from(is_right);
        }
    }

    /// Share of the words with the right head.
    pub fn uas(&self) -> f64 {
        ratio(self.heads, self.words)
    }

    /// Share of the words with the right head and the right relation.
    pub fn las(&self) -> f64 {
        ratio(self.relations, self.words)
    }
}

/// A relation without what belongs to one language.
fn universal(relation: &str) -> &str {
    relation.split(':').next().unwrap_or_default()
}
