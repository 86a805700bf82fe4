//! ROUGE of a generated text against a right one (Lin, "ROUGE: A Package for Automatic Evaluation of Summaries",
//! 2004), as `rouge-score` 0.1.2 computes it without stemming: F1 of n-grams, and of the longest common subsequence.

use std::collections::HashMap;

use super::counts::Counts;

/// Lower case; words are runs of ASCII letters and digits.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    lower.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// ROUGE-N: F1 of the n-grams of both, each counted as often as it stands in both. 0 where one side has none.
pub fn rouge_n(prediction: &str, reference: &str, n: usize) -> f64 {
    let (prediction, reference) = (words(prediction), words(reference));
    let mut left: HashMap<&[String], u64> = HashMap::new();
    for gram in reference.windows(n) {
        *left.entry(gram).or_default() += 1;
    }
    let right = prediction.windows(n).filter(|gram| {
        let count = left.get_mut(*gram).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    });
    let right = right.count() as u64;
    let grams = |words: &[String]| (words.len() + 1).saturating_sub(n) as u64;
    Counts { right, guessed: grams(&prediction), support: grams(&reference) }.f1()
}

/// ROUGE-L: F1 of the longest common subsequence of words.
pub fn rouge_l(prediction: &str, reference: &str) -> f64 {
    let (prediction, reference) = (words(prediction), words(reference));
    // lengths[j]: of the words so far and the first j of the reference.
    let mut lengths = vec![0_u64; reference.len() + 1];
    for word in &prediction {
        let mut diagonal = 0;
        for (j, other) in reference.iter().enumerate() {
            let above = lengths[j + 1];
            lengths[j + 1] = if word == other { diagonal + 1 } else { above.max(lengths[j]) };
            diagonal = above;
        }
    }
    let right = lengths.last().copied().unwrap_or_default();
    Counts { right, guessed: prediction.len() as u64, support: reference.len() as u64 }.f1()
}
