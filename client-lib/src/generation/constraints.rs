//! What may stand where in an answer, in the order in which `transformers` applies it to scores:
//! repetition penalty, repeated n-grams, least length, forced and suppressed tokens.

use std::collections::BTreeSet;

/// Rules of the tokens of an answer. Tokens beyond the vocabulary are passed over.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraints {
    /// Tokens that end an answer.
    pub ends: BTreeSet<u32>,
    /// What tokens that stand there already are made less likely by; 1 changes nothing.
    pub repetition_penalty: f64,
    /// So many tokens in a row stand there once only; 0 for any number of times.
    pub no_repeat_ngram: usize,
    /// Tokens before the first that may end an answer, those in front of the answer included.
    pub min_length: usize,
    /// Tokens before the first that may end an answer.
    pub min_new_tokens: usize,
    /// The second token of all, where there was one alone.
    pub forced_first: Option<u32>,
    /// What stands where the answer reaches its greatest length: one of these.
    pub forced_last: Vec<u32>,
    /// What stands nowhere.
    pub suppressed: Vec<u32>,
    /// What no answer begins with.
    pub suppressed_first: Vec<u32>,
}

impl Default for Constraints {
    fn default() -> Self {
        Self {
            ends: BTreeSet::new(),
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            min_length: 0,
            min_new_tokens: 0,
            forced_first: None,
            forced_last: Vec::new(),
            suppressed: Vec::new(),
            suppressed_first: Vec::new(),
        }
    }
}

/// How long a text is, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// What stands in front of the answer.
    pub prompt: usize,
    /// Of both together at most.
    pub most: usize,
}

impl Constraints {
    /// Changes the scores of every token of the vocabulary to stand behind `seen`.
    pub fn apply(&self, scores: &mut [f64], seen: &[u32], lengths: Lengths) {
        let length = seen.len();
        penalise(scores, seen, self.repetition_penalty);
        for token in repeating(seen, self.no_repeat_ngram) {
            exclude(scores, token);
        }
        if length < self.min_length || length.saturating_sub(lengths.prompt) < self.min_new_tokens {
            self.ends.iter().for_each(|&token| exclude(scores, token));
        }
        if length == 1
            && let Some(token) = self.forced_first
        {
            force(scores, &[token]);
        }
        if length + 1 == lengths.most && !self.forced_last.is_empty() {
            force(scores, &self.forced_last);
        }
        self.suppressed.iter().for_each(|&token| exclude(scores, token));
        // A forced token stands in front of what begins.
        let is_forced = lengths.prompt == 1 && self.forced_first.is_some();
        if length == lengths.prompt + usize::from(is_forced) {
            self.suppressed_first.iter().for_each(|&token| exclude(scores, token));
        }
    }
}

fn exclude(scores: &mut [f64], token: u32) {
    if let Some(score) = scores.get_mut(token as usize) {
        *score = f64::NEG_INFINITY;
    }
}

/// Leaves these tokens alone, each as good as the others.
fn force(scores: &mut [f64], tokens: &[u32]) {
    scores.fill(f64::NEG_INFINITY);
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = 0.0;
        }
    }
}

/// Divides positive scores of tokens that were seen by `penalty`, and multiplies negative ones
/// (Keskar et al., "CTRL", 2019, section 4.1).
fn penalise(scores: &mut [f64], seen: &[u32], penalty: f64) {
    if (penalty - 1.0).abs() < f64::EPSILON {
        return;
    }
    let tokens: BTreeSet<u32> = seen.iter().copied().collect();
    for token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
        }
    }
}

/// The tokens that would make the last `n` tokens of a text the same as `n` others in it.
fn repeating(seen: &[u32], n: usize) -> impl Iterator<Item = u32> {
    let last = seen.len().checked_sub(n.saturating_sub(1)).filter(|_| n > 0);
    let last = last.map(|start| &seen[start..]);
    let all = seen.windows(n.max(1));
    all.filter(move |ngram| last == Some(&ngram[..n.saturating_sub(1)])).map(move |ngram| ngram[n - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: Lengths = Lengths { prompt: 1, most: 5 };

    /// The tokens that remain, and what they score.
    fn left(constraints: &Constraints, seen: &[u32]) -> Vec<(usize, f64)> {
        let mut scores = vec![-1.0, 2.0, -3.0, 4.0];
        constraints.apply(&mut scores, seen, LENGTHS);
        scores.into_iter().enumerate().filter(|(_, score)| score.is_finite()).collect()
    }

    fn tokens(constraints: &Constraints, seen: &[u32]) -> Vec<usize> {
        left(constraints, seen).into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn what_was_seen_is_less_likely_whatever_its_sign() {
        let constraints = Constraints { repetition_penalty: 2.0, ..Constraints::default() };
        assert_eq!(left(&constraints, &[0, 0, 1]), [(0, -2.0), (1, 1.0), (2, -3.0), (3, 4.0)]);
    }

    #[test]
    fn so_many_tokens_in_a_row_stand_there_once() {
        let of = |no_repeat_ngram| Constraints { no_repeat_ngram, ..Constraints::default() };
        assert_eq!(tokens(&of(2), &[1, 2, 3, 1]), [0, 1, 3], "1 2 is there");
        assert_eq!(tokens(&of(3), &[1, 2, 3, 1]), [0, 1, 2, 3]);
        assert_eq!(tokens(&of(3), &[1, 2, 3, 1, 2]), [0, 1, 2], "1 2 3 is there");
        assert_eq!(tokens(&of(1), &[1, 3]), [0, 2]);
        assert_eq!(tokens(&of(9), &[1, 3]), [0, 1, 2, 3]);
    }

    #[test]
    fn an_answer_has_its_least_length_before_it_ends() {
        let ends = BTreeSet::from([0, 7]);
        let whole = Constraints { ends: ends.clone(), min_length: 3, ..Constraints::default() };
        assert_eq!(tokens(&whole, &[1, 1]), [1, 2, 3]);
        assert_eq!(tokens(&whole, &[1, 1, 1]), [0, 1, 2, 3]);
        let new = Constraints { ends, min_new_tokens: 3, ..Constraints::default() };
        assert_eq!(tokens(&new, &[1, 1, 1]), [1, 2, 3]);
        assert_eq!(tokens(&new, &[1, 1, 1, 1]), [0, 1, 2, 3]);
    }

    #[test]
    fn forced_tokens_stand_at_their_places_alone() {
        let constraints =
            Constraints { forced_first: Some(2), forced_last: vec![0, 1], ..Constraints::default() };
        assert_eq!(left(&constraints, &[1]), [(2, 0.0)]);
        assert_eq!(tokens(&constraints, &[1, 2]), [0, 1, 2, 3]);
        assert_eq!(left(&constraints, &[1, 2, 1, 1]), [(0, 0.0), (1, 0.0)]);
    }

    #[test]
    fn suppressed_tokens_stand_nowhere_or_not_at_the_beginning() {
        let constraints =
            Constraints { suppressed: vec![3, 900], suppressed_first: vec![1], ..Constraints::default() };
        assert_eq!(tokens(&constraints, &[1]), [0, 2]);
        assert_eq!(tokens(&constraints, &[1, 1]), [0, 1, 2]);
        // Behind a forced first token the answer begins one later.
        let forced = Constraints { forced_first: Some(2), ..constraints };
        assert_eq!(tokens(&forced, &[1]), [2]);
        assert_eq!(tokens(&forced, &[1, 2]), [0, 2]);
    }
}
