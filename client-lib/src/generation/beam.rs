//! Beam search: several texts are continued side by side, the most probable ones (Lowerre 1976; for
//! neural models Sutskever et al. 2014, with the length normalisation of Wu et al. 2016).
//!
//! As `transformers` 4.57.6 searches. With `V` tokens, `B` beams and `E` tokens that end a text, the best
//! `max(2, 1 + E) · B` of the `B · V` continuations are looked at, so that `B` remain to go on with. Those
//! among the best `B` that end are finished, with the score `log p / length^penalty`, of which the best `B`
//! are kept. Pure: what it knows of a model are scores.

use std::{cmp::Ordering, collections::BTreeSet};

use super::Lengths;

/// The score of what is not there.
const NONE: f64 = -1e9;

/// How beams are searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeamOptions {
    /// Texts side by side; 1 for no search.
    pub beams: usize,
    /// The exponent of a text's length, by which the logarithm of its probability is divided: positive ones
    /// favour long texts.
    pub length_penalty: f64,
    /// When the search ends.
    pub early_stopping: EarlyStopping,
}

impl Default for BeamOptions {
    fn default() -> Self {
        Self { beams: 1, length_penalty: 1.0, early_stopping: EarlyStopping::Unlikely }
    }
}

/// When a search ends before every text has reached its greatest length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyStopping {
    /// As soon as there are as many finished texts as beams: `true`.
    Full,
    /// When the best beam, ending now, would be worse than the worst finished text: `false`.
    Unlikely,
    /// When no text of any length could be better: `never`.
    Never,
}

/// A text with its score.
#[derive(Debug, Clone, PartialEq)]
struct Beam {
    tokens: Vec<u32>,
    score: f64,
}

/// A beam's continuation.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    beam: usize,
    token: u32,
    score: f64,
    is_over: bool,
}

/// A search under way.
#[derive(Debug)]
pub(super) struct BeamSearch<'a> {
    options: BeamOptions,
    ends: &'a BTreeSet<u32>,
    lengths: Lengths,
    running: Vec<Beam>,
    /// Falling.
    finished: Vec<Beam>,
    /// Whether a running text may yet become better than the finished ones.
    may_improve: bool,
}

impl<'a> BeamSearch<'a> {
    /// Behind `prompt`, which is the only beam at first.
    pub(super) fn new(options: BeamOptions, ends: &'a BTreeSet<u32>, prompt: &[u32], most: usize) -> Self {
        let running = vec![Beam { tokens: prompt.to_vec(), score: 0.0 }];
        let lengths = Lengths { prompt: prompt.len(), most };
        Self { options, ends, lengths, running, finished: Vec::new(), may_improve: true }
    }

    /// What the beams hold, the prompt included, all equally long.
    pub(super) fn beams(&self) -> impl Iterator<Item = &[u32]> {
        self.running.iter().map(|beam| beam.tokens.as_slice())
    }

    /// Goes on by one token. `scores` holds for every beam the logarithms of the probabilities of what may
    /// follow. Gives the beam that each of the next ones continues; `None` at the end.
    pub(super) fn advance(&mut self, scores: &[Vec<f64>]) -> Option<Vec<u32>> {
        let candidates = self.candidates(scores);
        self.finish(&candidates);
        let mut order: Vec<&Candidate> = candidates.iter().collect();
        order.sort_by_key(|candidate| candidate.is_over);
        order.truncate(self.options.beams);
        self.running = order.iter().map(|candidate| self.continued(candidate)).collect();
        self.may_improve = self.may_improve && self.improves();
        let is_full = self.is_full() && self.options.early_stopping == EarlyStopping::Full;
        if !self.may_improve || is_full || candidates.iter().all(|candidate| candidate.is_over) {
            return None;
        }
        Some(order.iter().map(|candidate| candidate.beam as u32).collect())
    }

    /// The best finished text without the prompt; the best of the running ones where none is finished.
    pub(super) fn best(self) -> Vec<u32> {
        let prompt = self.lengths.prompt;
        let best = self.finished.into_iter().chain(self.running).next();
        best.map_or_else(Vec::new, |mut beam| beam.tokens.split_off(prompt))
    }

    /// The best continuations, falling; of equal ones the first.
    fn candidates(&self, scores: &[Vec<f64>]) -> Vec<Candidate> {
        let length = self.running.first().map_or(0, |beam| beam.tokens.len());
        let kept = (1 + self.ends.len()).max(2) * self.options.beams;
        let is_last = length + 1 >= self.lengths.most;
        let all = self.running.iter().zip(scores).enumerate();
        let mut all: Vec<Candidate> = all
            .flat_map(|(beam, (running, scores))| {
                scores.iter().enumerate().map(move |(token, score)| Candidate {
                    beam,
                    token: token as u32,
                    score: running.score + score,
                    is_over: is_last || self.ends.contains(&(token as u32)),
                })
            })
            .collect();
        if all.len() > kept {
            all.select_nth_unstable_by(kept, better);
            all.truncate(kept);
        }
        all.sort_unstable_by(better);
        all
    }

    /// Keeps the best of the finished texts and of those that end now.
    fn finish(&mut self, candidates: &[Candidate]) {
        if !self.may_improve || self.is_full() && self.options.early_stopping == EarlyStopping::Full {
            return;
        }
        for candidate in candidates.iter().take(self.options.beams).filter(|candidate| candidate.is_over) {
            let mut beam = self.continued(candidate);
            beam.score = self.normalised(beam.score, beam.tokens.len());
            if beam.score > NONE {
                self.finished.push(beam);
            }
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(self.options.beams);
    }

    /// Whether the best beam may yet become better than the worst finished text.
    fn improves(&self) -> bool {
        let (Some(best), Some(worst)) = (self.running.first(), self.finished.last()) else { return true };
        let longest =
            self.options.early_stopping == EarlyStopping::Never && self.options.length_penalty > 0.0;
        let length = if longest { self.lengths.most } else { best.tokens.len() };
        !self.is_full() || self.normalised(best.score, length) > worst.score
    }

    fn is_full(&self) -> bool {
        self.finished.len() == self.options.beams
    }

    /// `score / length^penalty` of a text of `length` tokens with the prompt, which does not count.
    fn normalised(&self, score: f64, length: usize) -> f64 {
        let own = length.saturating_sub(self.lengths.prompt);
        score / (own as f64).powf(self.options.length_penalty)
    }

    fn continued(&self, candidate: &Candidate) -> Beam {
        let mut tokens = self.running[candidate.beam].tokens.clone();
        tokens.push(candidate.token);
        Beam { tokens, score: candidate.score }
    }
}

fn better(a: &Candidate, b: &Candidate) -> Ordering {
    b.score.total_cmp(&a.score).then(a.beam.cmp(&b.beam)).then(a.token.cmp(&b.token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a model whose next token depends on the last one only: `table[last]` are probabilities.
    fn search(options: BeamOptions, table: &[[f64; 3]], most: usize) -> Vec<u32> {
        let ends = BTreeSet::from([2]);
        let mut search = BeamSearch::new(options, &ends, &[0], most);
        loop {
            let of = |beam: &[u32]| table[*beam.last().expect("a token") as usize].map(f64::ln).to_vec();
            let scores: Vec<Vec<f64>> = search.beams().map(of).collect();
            if search.advance(&scores).is_none() {
                return search.best();
            }
        }
    }

    /// The best first token, 0, leads to worse texts than the second best.
    const TRAP: [[f64; 3]; 2] = [[0.5, 0.4, 0.1], [0.05, 0.05, 0.9]];

    #[test]
    fn two_beams_find_what_one_passes_by() {
        let beams = |beams| BeamOptions { beams, ..BeamOptions::default() };
        assert_eq!(search(beams(2), &TRAP, 4), [1, 2]);
    }

    #[test]
    fn a_length_penalty_favours_longer_texts() {
        let of = |length_penalty| BeamOptions { beams: 2, length_penalty, ..BeamOptions::default() };
        let table = [[0.49, 0.02, 0.49], [0.0, 0.0, 1.0]];
        assert_eq!(search(of(-1.0), &table, 4), [2]);
        let never = BeamOptions { early_stopping: EarlyStopping::Never, ..of(3.0) };
        assert_eq!(search(never, &table, 4), [0, 0, 0], "as long as may be");
    }

    #[test]
    fn a_full_search_ends_at_once() {
        let options = BeamOptions { beams: 2, early_stopping: EarlyStopping::Full, ..BeamOptions::default() };
        let ends = BTreeSet::from([2]);
        let mut search = BeamSearch::new(options, &ends, &[0], 9);
        let scores = |end: f64| vec![(1.0 - end).ln(), f64::NEG_INFINITY, end.ln()];
        assert_eq!(search.advance(&[scores(0.4)]), Some(vec![0, 0]), "one text is finished");
        assert_eq!(search.advance(&[scores(0.4), scores(0.4)]), None);
        assert_eq!(search.best(), [0, 2], "0.24 in two tokens is better than 0.4 in one");
    }
}
