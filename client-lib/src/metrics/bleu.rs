//! BLEU of generated texts (Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002),
//! as sacreBLEU 2.5 computes it by default (Post, "A Call for Clarity in Reporting BLEU Scores", 2018): over the
//! whole corpus, tokens as mteval-v13a cuts them, exponential smoothing, from 0 to 100.

use std::{collections::HashMap, sync::LazyLock};

use regex::Regex;

/// Longest n-grams that are counted.
const ORDER: usize = 4;

/// How mteval-v13a cuts texts into tokens: pattern and replacement, one after the other. `None` can't occur; a test
/// reads them all.
static CUTS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let cuts = [
        // Marks stand alone.
        (r"([{-~\[-` -&(-+:-@/])", " $1 "),
        // A full stop or comma too, unless a digit is in front of it or behind it.
        (r"([^0-9])([.,])", "$1 $2 "),
        (r"([.,])([^0-9])", " $1 $2"),
        // So does a dash behind a digit.
        (r"([0-9])(-)", "$1 $2 "),
    ];
    cuts.into_iter().filter_map(|(pattern, by)| Some((Regex::new(pattern).ok()?, by))).collect()
});

fn tokens(text: &str) -> Vec<String> {
    let mut text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, letter) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(entity, letter);
    }
    text = format!(" {text} ");
    for (pattern, by) in CUTS.iter() {
        text = pattern.replace_all(&text, *by).into_owned();
    }
    text.split_whitespace().map(str::to_owned).collect()
}

/// `100 · min(1, exp(1 − r/c)) · exp(mean_n log p_n)` of texts with one right text each: `c` and `r` are the tokens
/// of all predictions and of all references, `p_n` the share of the predictions' n-grams that stand in their own
/// reference, each counted at most as often as there. Where none of the n-grams of a length does, `p_n` is
/// `1 / (2^k · total_n)`, `k` counting such lengths. 0 where not one token is right.
pub fn bleu(predictions: &[&str], references: &[&str]) -> f64 {
    let (mut right, mut total) = ([0_u64; ORDER], [0_u64; ORDER]);
    let (mut written, mut wanted) = (0_usize, 0_usize);
    for (prediction, reference) in predictions.iter().zip(references) {
        let (prediction, reference) = (tokens(prediction), tokens(reference));
        written += prediction.len();
        wanted += reference.len();
        for n in 1..=ORDER {
            let mut left: HashMap<&[String], u64> = HashMap::new();
            for gram in reference.windows(n) {
                *left.entry(gram).or_default() += 1;
            }
            for gram in prediction.windows(n) {
                total[n - 1] += 1;
                if let Some(count) = left.get_mut(gram).filter(|count| **count > 0) {
                    *count -= 1;
                    right[n - 1] += 1;
                }
            }
        }
    }
    // Without a single n-gram of some length the logarithm of nothing makes the mean vanish.
    if right.iter().all(|&right| right == 0) || total.contains(&0) {
        return 0.0;
    }
    let mut smoothing = 1.0;
    let mut logs = 0.0;
    for (&right, &total) in right.iter().zip(&total) {
        let share = if right == 0 {
            smoothing *= 2.0;
            1.0 / (smoothing * total as f64)
        } else {
            right as f64 / total as f64
        };
        logs += share.ln() / ORDER as f64;
    }
    let brevity = if written < wanted { (1.0 - wanted as f64 / written as f64).exp() } else { 1.0 };
    100.0 * brevity * logs.exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_one() {
        assert_eq!(CUTS.len(), 4);
        assert_eq!(
            tokens("U.S. 1,000-3 \"yes\" &amp; no."),
            ["U", ".", "S", ".", "1,000", "-", "3", "\"", "yes", "\"", "&", "no", "."]
        );
    }
}
