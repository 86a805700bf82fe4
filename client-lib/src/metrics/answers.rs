//! Exact match and F1 of answers, as the official script of SQuAD computes them (Rajpurkar et al. 2016).

use std::collections::HashMap;

/// Lower case, without punctuation (of ASCII) and the articles `a`, `an` and `the`, one space between words.
pub fn normalised(text: &str) -> String {
    let lower: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    // The script replaces articles at word boundaries, where a word is letters, digits and `_`.
    let mut kept = String::with_capacity(lower.len());
    let mut rest = lower.as_str();
    while !rest.is_empty() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        kept.push_str(if ["a", "an", "the"].contains(&word) { " " } else { word });
        let next = behind.find(is_word).unwrap_or(behind.len());
        kept.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// 1 where the prediction is one of the right answers, normalised, else 0. No right answer means that the
/// empty one is right.
pub fn exact_match(prediction: &str, answers: &[&str]) -> f64 {
    let prediction = normalised(prediction);
    best(answers, |answer| f64::from(u8::from(normalised(answer) == prediction)))
}

/// The best F1 of the prediction's words against those of a right answer.
pub fn answer_f1(prediction: &str, answers: &[&str]) -> f64 {
    let prediction = normalised(prediction);
    best(answers, |answer| words_f1(&prediction, &normalised(answer)))
}

fn best(answers: &[&str], score: impl Fn(&str) -> f64) -> f64 {
    if answers.is_empty() {
        score("")
    } else {
        answers.iter().map(|answer| score(answer)).fold(0.0, f64::max)
    }
}

/// `2PR / (P + R)` over words with their number; where one side has none, whether both have none.
fn words_f1(prediction: &str, answer: &str) -> f64 {
    let (prediction, answer): (Vec<&str>, Vec<&str>) = (
        prediction.split(' ').filter(|w| !w.is_empty()).collect(),
        answer.split(' ').filter(|w| !w.is_empty()).collect(),
    );
    if prediction.is_empty() || answer.is_empty() {
        return f64::from(u8::from(prediction == answer));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &answer {
        *left.entry(word).or_default() += 1;
    }
    let common = prediction.iter().filter(|word| {
        let count = left.get_mut(**word).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    });
    let common = common.count() as f64;
    2.0 * common / (prediction.len() + answer.len()) as f64
}
