//! A tag for every word: parts of speech, named entities. Loss: cross-entropy at the first token of each word;
//! its other tokens, special tokens and padding do not count, as if their label were −100.

use candle_core::Tensor;

use super::{
    Expected, LabelShare, Predicted, Reading, TaskError, argmax, cross_entropy, expected::of_rank,
    log_softmax,
};
use crate::{
    backbones::Mode,
    data::{Answer, Example, TaskKind},
    heads::Prediction,
    inputs::Input,
    metrics::{Confusion, Counts, LabelCounts, Metric, Scores, are_entities, entity_counts},
    text::TextEncoder,
};

pub(super) const METRICS: [Metric; 2] = [Metric::Accuracy, Metric::MacroF1];
pub(super) const ENTITY_METRICS: [Metric; 4] =
    [Metric::EntityF1, Metric::EntityPrecision, Metric::EntityRecall, Metric::Accuracy];
/// What a word that the model did not read counts as, among tags of entities.
const OUTSIDE: &str = "O";

/// The words of one row.
#[derive(Debug)]
pub(super) struct Sentence {
    /// The first token of each word; `None` where no token of it was read.
    words: Vec<Option<usize>>,
    /// The number of each word's tag; `None` where nobody says.
    tags: Option<Vec<u32>>,
    /// Tokens in all.
    tokens: usize,
}

impl Sentence {
    /// The tokens of a sentence and where its words begin among them. The words are read as one text, with
    /// spaces between them where the example does not say how it was written: what a tokenizer was trained on.
    pub(super) fn read(
        encoder: &TextEncoder,
        example: &Example,
        ids: &[u32],
    ) -> Result<(Input, Self), TaskError> {
        let (text, words) = example.as_text();
        let placed = encoder.encode_placed(&text)?;
        let words = placed.first_tokens(&words);
        let tags = matches!(example.answer, Answer::Tags(_)).then(|| ids.to_vec());
        let sentence = Self { words, tags, tokens: placed.tokens.len() };
        Ok((Input::Text(placed.tokens), sentence))
    }

    /// The words that were read and whose tag is known: their tokens and tags.
    fn known(&self) -> impl Iterator<Item = (usize, u32)> {
        let tags = self.tags.iter().flatten();
        self.words.iter().zip(tags).filter_map(|(token, tag)| Some(((*token)?, *tag)))
    }
}

/// The tags of every row.
#[derive(Debug)]
pub(super) struct Tags {
    labels: Vec<String>,
    sentences: Vec<Sentence>,
}

impl Tags {
    pub(super) fn new(labels: Vec<String>, sentences: Vec<Sentence>) -> Self {
        Self { labels, sentences }
    }

    /// The scores `[b, t, labels]`, and how many tokens of an adapter stand in front of the input's.
    fn scores_of<'p>(
        &self,
        prediction: &'p Prediction,
        rows: &[usize],
    ) -> Result<(&'p Tensor, usize), TaskError> {
        let logits = of_rank(prediction, 3, TaskKind::Tagging, "a row of scores for each token")?;
        let longest = rows.iter().map(|&row| self.sentences[row].tokens).max().unwrap_or(0);
        Ok((logits, logits.dim(1)?.saturating_sub(longest)))
    }
}

impl Expected for Tags {
    fn losses(&self, rows: &[usize], _: Mode) -> usize {
        rows.iter().map(|&row| self.sentences[row].known().count()).sum()
    }

    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        let (logits, prompt) = self.scores_of(prediction, rows)?;
        let (_, length, labels) = logits.dims3()?;
        let (mut positions, mut tags) = (Vec::new(), Vec::new());
        for (place, &row) in rows.iter().enumerate() {
            for (token, tag) in self.sentences[row].known() {
                positions.push((place * length + prompt + token) as u32);
                tags.push(tag);
            }
        }
        if tags.is_empty() {
            // No word of the batch has a token: nothing to learn, and no division by nothing.
            return Ok((logits.sum_all()? * 0.0)?);
        }
        let device = logits.device();
        let flat = logits.reshape(((), labels))?.index_select(&Tensor::new(positions, device)?, 0)?;
        Ok(cross_entropy(&flat, &Tensor::new(tags, device)?)?)
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let (logits, prompt) = self.scores_of(prediction, rows)?;
        let logits = logits.to_vec3::<f32>()?;
        let reading = |(&row, logits): (&usize, Vec<Vec<f32>>)| {
            let sentence = &self.sentences[row];
            let (mut loss, mut weight) = (0.0, 0.0);
            for (token, tag) in sentence.known() {
                loss -= log_softmax(&logits[prompt + token])[tag as usize];
                weight += 1.0;
            }
            let share = |token: &Option<usize>| {
                let scores = &logits[prompt + (*token)?];
                let best = argmax(scores) as usize;
                let label = self.labels.get(best).map_or_else(|| format!("LABEL_{best}"), Clone::clone);
                Some(LabelShare { label, probability: log_softmax(scores)[best].exp() })
            };
            let tags = sentence.words.iter().map(share).collect();
            Reading { predicted: Predicted::Tags { tags }, loss, weight }
        };
        Ok(rows.iter().zip(logits).map(reading).collect())
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        let mut pairs = Vec::new();
        for (sentence, answer) in self.sentences.iter().zip(answers) {
            let (Some(truth), Predicted::Tags { tags }) = (&sentence.tags, answer) else { continue };
            let name = |tag: &u32| self.labels.get(*tag as usize).cloned().unwrap_or_default();
            let guess = tags.iter().map(|tag| tag.as_ref().map(|tag| tag.label.clone())).collect();
            pairs.push((truth.iter().map(name).collect(), guess));
        }
        scores(&self.labels, &pairs)
    }
}

/// True tags of the words of a sentence, and predicted ones.
type Pair = (Vec<String>, Vec<Option<String>>);

fn scores(labels: &[String], pairs: &[Pair]) -> Scores {
    let id = |label: &String| labels.iter().position(|known| known == label).map(|id| id as u32);
    let (mut confusion, mut unread, mut words) = (Confusion::default(), vec![0_u64; labels.len()], 0_u64);
    for (truth, guess) in pairs.iter().flat_map(|(truth, guess)| truth.iter().zip(guess)) {
        words += 1;
        match (id(truth), guess.as_ref().and_then(id)) {
            (Some(truth), Some(guess)) => confusion.add(truth, guess),
            (Some(truth), None) => unread[truth as usize] += 1,
            (None, _) => {}
        }
    }
    let accuracy = confusion.right() as f64 / words.max(1) as f64;
    let examples = pairs.len() as u64;
    if are_entities(labels) {
        let guesses: Vec<Vec<String>> = pairs
            .iter()
            .map(|(_, guess)| guess.iter().map(|g| g.clone().unwrap_or_else(|| OUTSIDE.to_owned())).collect())
            .collect();
        let sentences = pairs.iter().zip(&guesses);
        let counts = entity_counts(sentences.map(|((truth, _), guess)| (truth.as_slice(), guess.as_slice())));
        let all = counts.values().copied().fold(Counts::default(), Counts::plus);
        return Scores {
            examples,
            values: vec![
                (Metric::EntityF1, all.f1()),
                (Metric::EntityPrecision, all.precision()),
                (Metric::EntityRecall, all.recall()),
                (Metric::Accuracy, accuracy),
            ],
            labels: counts.into_iter().map(|(label, counts)| LabelCounts { label, counts }).collect(),
            confusion: None,
        };
    }
    let mut counts = confusion.per_label(labels.len());
    for (counts, unread) in counts.iter_mut().zip(unread) {
        counts.support += unread;
    }
    let occurring: Vec<f64> =
        counts.iter().filter(|counts| counts.support + counts.guessed > 0).map(Counts::f1).collect();
    let macro_f1 = occurring.iter().sum::<f64>() / occurring.len().max(1) as f64;
    let labels = labels.iter().zip(counts);
    Scores {
        examples,
        values: vec![(Metric::Accuracy, accuracy), (Metric::MacroF1, macro_f1)],
        labels: labels.map(|(label, counts)| LabelCounts { label: label.clone(), counts }).collect(),
        confusion: Some(confusion),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn names(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&label| label.to_owned()).collect()
    }

    #[test]
    fn only_the_first_token_of_a_word_has_a_loss() {
        // Words at the tokens 1 and 3 of five; token 2 belongs to the first word.
        let sentence = Sentence { words: vec![Some(1), Some(3), None], tags: Some(vec![0, 1, 1]), tokens: 5 };
        let tags = Tags::new(names(&["A", "B"]), vec![sentence]);
        let scores = [[9.0_f32, -9.0], [0.0, 0.0], [-9.0, 9.0], [0.0, 2.0], [9.0, -9.0]];
        let device = Device::Cpu;
        let prediction = Prediction::Scores(Tensor::new(&[scores], &device).expect("scores"));
        let expected = f64::midpoint(2.0_f64.ln(), (1.0 + (-2.0_f64).exp()).ln());
        let loss =
            tags.loss(&prediction, &[0], Mode::Eval).expect("a loss").to_scalar::<f32>().expect("a number");
        assert!((f64::from(loss) - expected).abs() < 1e-6);
        let reading = tags.read(&prediction, &[0]).expect("reads").remove(0);
        assert!((reading.loss / reading.weight - expected).abs() < 1e-6);
        // With two tokens of a prompt in front everything is the same.
        let shifted: Vec<f32> = [[5.0, 5.0], [7.0, -7.0]].into_iter().chain(scores).flatten().collect();
        let shifted = Prediction::Scores(Tensor::from_vec(shifted, (1, 7, 2), &device).expect("scores"));
        assert_eq!(tags.read(&shifted, &[0]).expect("reads").remove(0), reading);
        // The word that was not read is wrong.
        let measured = tags.scores(&[reading.predicted]);
        assert_eq!(measured.value(Metric::Accuracy), Some(2.0 / 3.0));
    }

    #[test]
    fn entities_are_scored_where_tags_name_them() {
        let labels = names(&["B-x", "I-x", "O"]);
        let guess = names(&["B-x", "O", "O"]).into_iter().map(Some).collect();
        let measured = scores(&labels, &[(names(&["B-x", "I-x", "O"]), guess)]);
        assert_eq!(measured.value(Metric::EntityF1), Some(0.0));
        assert_eq!(measured.labels[0].counts, Counts { right: 0, guessed: 1, support: 1 });
    }
}
