//! Which token comes next.

use std::cmp::Ordering;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How a token is chosen from scores. In the order in which `transformers` applies them: temperature, the
/// most probable `top_k`, the smallest set of probability `top_p`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Scores are divided by it; 0 takes the best token.
    pub temperature: f64,
    /// How many of the most probable tokens are drawn from; all of them when absent.
    pub top_k: Option<usize>,
    /// Probability of the set of tokens that are drawn from, 0 to 1.
    pub top_p: f64,
    /// What the draws follow from.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// The draws of one text.
    pub fn generator(&self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed)
    }

    /// The next token from the scores of all.
    pub fn choose(&self, scores: &[f64], generator: &mut ChaCha8Rng) -> u32 {
        if self.temperature <= 0.0 {
            return (0..scores.len()).min_by(by_score(scores)).unwrap_or(0) as u32;
        }
        let drawn = self.drawn(scores);
        let mut rest = generator.random::<f64>();
        let found = drawn.iter().find(|(_, probability)| {
            rest -= probability;
            rest < 0.0
        });
        found.or(drawn.last()).map_or(0, |&(token, _)| token)
    }

    /// The tokens that are drawn from with their probabilities, the most probable first; at a temperature above 0.
    /// Tokens that are as probable as the last of `top_k` are among them.
    pub fn drawn(&self, scores: &[f64]) -> Vec<(u32, f64)> {
        let mut ranked: Vec<usize> = (0..scores.len()).collect();
        ranked.sort_unstable_by(by_score(scores));
        if let Some(&last) = self.top_k.and_then(|most| ranked.get(most.max(1) - 1)) {
            ranked.truncate(ranked.partition_point(|&token| scores[token] >= scores[last]));
        }
        let ranked_scores: Vec<f64> = ranked.iter().map(|&token| scores[token] / self.temperature).collect();
        let probabilities = softmax(&ranked_scores);
        let kept = &probabilities[..smallest_set(&probabilities, self.top_p)];
        let total: f64 = kept.iter().sum();
        ranked.iter().zip(kept).map(|(&token, probability)| (token as u32, probability / total)).collect()
    }
}

/// The best token in front, and the first of equals.
fn by_score(scores: &[f64]) -> impl Fn(&usize, &usize) -> Ordering {
    |&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b))
}

/// `exp z_j / Σ exp z_k`.
fn softmax(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|z| (z - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

/// How many of the most probable tokens, in falling order, are together at least as probable as `p`
/// (Holtzman et al. 2020); one at least.
fn smallest_set(probabilities: &[f64], p: f64) -> usize {
    let mut sum = 0.0;
    let enough = probabilities.iter().position(|probability| {
        sum += probability;
        sum >= p
    });
    enough.map_or(probabilities.len(), |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(sampling: Sampling, scores: &[f64]) -> Vec<u32> {
        let mut generator = sampling.generator();
        (0..400).map(|_| sampling.choose(scores, &mut generator)).collect()
    }

    #[test]
    fn without_temperature_the_first_of_the_best_is_taken() {
        assert_eq!(draws(Sampling::default(), &[1.0, 3.0, 3.0])[0], 1);
    }

    #[test]
    fn draws_follow_the_probabilities_of_what_is_kept() {
        let scores = [2.0, 1.0, 0.0, -5.0];
        let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
        let first = draws(sampling, &scores).iter().filter(|&&token| token == 0).count();
        // e² / (e² + e + 1 + e⁻⁵) = 0.665
        assert!((230..300).contains(&first), "{first}");
        let two = draws(Sampling { top_k: Some(2), ..sampling }, &scores);
        assert!(two.iter().all(|&token| token < 2) && two.contains(&1));
        let nucleus = draws(Sampling { top_p: 0.6, ..sampling }, &scores);
        assert!(nucleus.iter().all(|&token| token == 0));
        assert_eq!(draws(sampling, &scores), draws(sampling, &scores));
    }

    #[test]
    fn the_smallest_set_reaches_its_probability() {
        assert_eq!(smallest_set(&[0.5, 0.3, 0.2], 0.5), 1);
        assert_eq!(smallest_set(&[0.5, 0.3, 0.2], 0.51), 2);
        assert_eq!(smallest_set(&[0.5, 0.3, 0.2], 0.0), 1);
        assert_eq!(smallest_set(&[0.5, 0.3, 0.2], 1.0), 3);
    }
}
