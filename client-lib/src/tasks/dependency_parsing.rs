//! A head for every word, and its relation to it. Loss: as `adapters` computes it, the cross-entropy of the arcs plus
//! that of the relations at the true heads, each a mean over words (Glavaš & Vulić 2021).
//!
//! Behind root and words stand as many heads that are none, scored 0, as a row has other tokens: the library's softmax
//! and its choice of heads have them too. There padding adds more of them, and words whose head has the number of the
//! padding token have no loss; here neither is so, and a loss does not depend on its batch.

use std::{collections::BTreeMap, ops::Range};

use candle_core::{D, DType, Tensor};

use super::{
    ArcPrediction, Expected, Predicted, Reading, TaskError, cross_entropy, log_softmax, tree::best_tree,
};
use crate::{
    backbones::Mode,
    data::{Answer, Example, TaskKind},
    heads::{Parse, Prediction},
    inputs::Input,
    metrics::{Attachment, Counts, LabelCounts, Metric, Scores},
    text::TextEncoder,
};

pub(super) const METRICS: [Metric; 2] = [Metric::Las, Metric::Uas];
/// What takes a head out of a softmax.
const NEVER: f32 = -1e30;

/// The words of one row.
#[derive(Debug)]
pub(super) struct Sentence {
    /// The place of each word among those that were read.
    places: Vec<Option<usize>>,
    /// The number of each word's head and the name of its relation; `None` where nobody says.
    truth: Option<Vec<(usize, String)>>,
    /// How many rows the head gives for it: one for every token, or for every word that was read where these are more.
    rows: usize,
}

/// What is right of a word that was read, by places among the words that were read; its head's counts from 1, 0
/// being the root.
#[derive(Debug, Clone, Copy)]
struct Known {
    word: usize,
    head: usize,
    /// `None` for a relation that the head does not have.
    relation: Option<u32>,
}

impl Sentence {
    /// The tokens of a sentence, with those of each word.
    pub(super) fn read(encoder: &TextEncoder, example: &Example) -> Result<(Input, Self), TaskError> {
        let (text, words) = example.as_text();
        let placed = encoder.encode_placed(&text)?;
        let ranges = placed.tokens_of(&words);
        let mut count = 0;
        let mut place = |range: &Option<Range<usize>>| {
            range.as_ref().map(|_| {
                count += 1;
                count - 1
            })
        };
        let places = ranges.iter().map(&mut place).collect();
        let truth = match &example.answer {
            Answer::Tree { heads, relations } => {
                Some(heads.iter().copied().zip(relations.iter().cloned()).collect())
            }
            _ => None,
        };
        let sentence = Self { places, truth, rows: placed.tokens.len().max(count) };
        let words = ranges.into_iter().flatten().collect();
        Ok((Input::Sentence { tokens: placed.tokens, words }, sentence))
    }

    /// The words that were read and whose head was read too.
    fn known(&self, labels: &[String]) -> Vec<Known> {
        let place = |head: usize| match head.checked_sub(1) {
            None => Some(0),
            Some(word) => self.places.get(word).copied().flatten().map(|place| place + 1),
        };
        let known = |(word, (head, relation)): (&Option<usize>, &(usize, String))| {
            let relation = labels.iter().position(|label| label == relation).map(|id| id as u32);
            Some(Known { word: (*word)?, head: place(*head)?, relation })
        };
        self.places.iter().zip(self.truth.iter().flatten()).filter_map(known).collect()
    }

    /// The numbers of the words that were read.
    fn numbers(&self) -> Vec<usize> {
        (1..).zip(&self.places).filter(|(_, place)| place.is_some()).map(|(number, _)| number).collect()
    }
}

/// The trees of every row.
#[derive(Debug)]
pub(super) struct Trees {
    labels: Vec<String>,
    sentences: Vec<Sentence>,
    /// What is right of the words of each.
    known: Vec<Vec<Known>>,
}

impl Trees {
    pub(super) fn new(labels: Vec<String>, sentences: Vec<Sentence>) -> Self {
        let known = sentences.iter().map(|sentence| sentence.known(&labels)).collect();
        Self { labels, sentences, known }
    }

    /// 0 for the heads of a row and [`NEVER`] for those of padding.
    fn mask(&self, row: usize, heads: usize) -> impl Iterator<Item = f32> {
        let own = self.sentences[row].rows + 1;
        (0..heads).map(move |head| if head < own { 0.0 } else { NEVER })
    }

    /// The best tree of a row with its probabilities, from scores `[t, t + 1]` of arcs. `relations` gives the scores
    /// of all relations of a word to a head.
    fn tree(
        &self,
        row: usize,
        arcs: &[Vec<f32>],
        relations: impl Fn(&[(usize, usize)]) -> candle_core::Result<Vec<Vec<f32>>>,
    ) -> candle_core::Result<Vec<Option<ArcPrediction>>> {
        let sentence = &self.sentences[row];
        let numbers = sentence.numbers();
        let heads = numbers.len() + 1;
        let wide = |scores: &Vec<f32>| scores.iter().take(heads).map(|&s| f64::from(s)).collect::<Vec<_>>();
        let scores: Vec<Vec<f64>> = arcs.iter().take(numbers.len()).map(wide).collect();
        let chosen: Vec<(usize, usize)> = best_tree(&scores).into_iter().enumerate().collect();
        let mut found = Vec::new();
        for (&(word, head), scores) in chosen.iter().zip(relations(&chosen)?) {
            let arc = log_softmax(&arcs[word][..=sentence.rows])[head];
            let logs = log_softmax(&scores);
            let best = super::argmax(&scores) as usize;
            found.push(ArcPrediction {
                head: head.checked_sub(1).map_or(0, |place| numbers[place]),
                relation: self.labels.get(best).map_or_else(|| format!("LABEL_{best}"), Clone::clone),
                probability: (arc + logs[best]).exp(),
            });
        }
        Ok(sentence.places.iter().map(|place| found.get((*place)?).cloned()).collect())
    }
}

fn scores_of(prediction: &Prediction) -> Result<&Parse, TaskError> {
    match prediction {
        Prediction::Parse(parse) => Ok(parse),
        other => Err(TaskError::Output {
            kind: TaskKind::DependencyParsing,
            found: other.logits().map(|logits| logits.dims().to_vec()).unwrap_or_default(),
            expected: "scores of arcs and of relations",
        }),
    }
}

/// The scores of all relations, `[n, labels]`, of words at places in the flattened batch to heads.
fn relations_at(parse: &Parse, pairs: impl Iterator<Item = (usize, usize)>) -> candle_core::Result<Tensor> {
    let (_, _, heads, labels) = parse.relations.dims4()?;
    let places: Vec<u32> = pairs.map(|(word, head)| (word * heads + head) as u32).collect();
    let places = Tensor::new(places, parse.relations.device())?;
    parse.relations.reshape(((), labels))?.index_select(&places, 0)
}

impl Expected for Trees {
    /// Those of heads: nearly every word that has one has a relation too.
    fn losses(&self, rows: &[usize], _: Mode) -> usize {
        rows.iter().map(|&row| self.known[row].len()).sum()
    }

    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        let parse = scores_of(prediction)?;
        let (_, length, heads) = parse.arcs.dims3()?;
        let device = parse.arcs.device();
        let (mut words, mut mask, mut arcs, mut pairs, mut relations) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (place, &row) in rows.iter().enumerate() {
            for &Known { word, head, relation } in &self.known[row] {
                let word = place * length + word;
                words.push(word as u32);
                arcs.push(head as u32);
                mask.extend(self.mask(row, heads));
                pairs.extend(relation.map(|_| (word, head)));
                relations.extend(relation);
            }
        }
        if relations.is_empty() {
            // Nothing to learn in the whole batch, and no division by nothing.
            return Ok(((parse.arcs.sum_all()? + parse.relations.sum_all()?)? * 0.0)?);
        }
        let mask = Tensor::from_vec(mask, (words.len(), heads), device)?.to_dtype(parse.arcs.dtype())?;
        let scores = parse.arcs.reshape(((), heads))?.index_select(&Tensor::new(words, device)?, 0)?;
        let of_arcs = cross_entropy(&(scores + mask)?, &Tensor::new(arcs, device)?)?;
        let scores = relations_at(parse, pairs.into_iter())?;
        Ok((of_arcs + cross_entropy(&scores, &Tensor::new(relations, device)?)?)?)
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let parse = scores_of(prediction)?;
        let length = parse.arcs.dim(D::Minus2)?;
        let all = parse.arcs.to_dtype(DType::F32)?.to_vec3::<f32>()?;
        let reading = |(place, (&row, arcs)): (usize, (&usize, &Vec<Vec<f32>>))| {
            let sentence = &self.sentences[row];
            let relations = |pairs: &[(usize, usize)]| {
                let pairs = pairs.iter().map(|(word, head)| (place * length + word, *head));
                relations_at(parse, pairs)?.to_dtype(DType::F32)?.to_vec2::<f32>()
            };
            let known = &self.known[row];
            let pairs: Vec<(usize, usize)> = known.iter().map(|known| (known.word, known.head)).collect();
            let mut loss = 0.0;
            if !known.is_empty() {
                for (known, scores) in known.iter().zip(relations(&pairs)?) {
                    loss -= log_softmax(&arcs[known.word][..=sentence.rows])[known.head];
                    loss -= known.relation.map_or(0.0, |id| log_softmax(&scores)[id as usize]);
                }
            }
            let words = if sentence.numbers().is_empty() {
                vec![None; sentence.places.len()]
            } else {
                self.tree(row, arcs, relations)?
            };
            Ok(Reading { predicted: Predicted::Tree { words }, loss, weight: known.len() as f64 })
        };
        rows.iter().zip(&all).enumerate().map(reading).collect()
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        let (mut attachment, mut examples) = (Attachment::default(), 0);
        let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
        for (sentence, answer) in self.sentences.iter().zip(answers) {
            let (Some(truth), Predicted::Tree { words }) = (&sentence.truth, answer) else { continue };
            examples += 1;
            let truth = || truth.iter().map(|(head, relation)| (*head, relation.as_str()));
            let guess = || words.iter().map(|arc| arc.as_ref().map(|arc| (arc.head, arc.relation.as_str())));
            attachment.add(truth(), guess());
            for (right, guess) in truth().zip(guess()) {
                counts.entry(right.1).or_default().support += 1;
                let Some(guess) = guess else { continue };
                let counts = counts.entry(guess.1).or_default();
                counts.guessed += 1;
                counts.right += u64::from(guess == right);
            }
        }
        let label = |(label, counts): (&str, Counts)| LabelCounts { label: label.to_owned(), counts };
        Scores {
            examples,
            values: vec![(Metric::Las, attachment.las()), (Metric::Uas, attachment.uas())],
            labels: counts.into_iter().map(label).collect(),
            confusion: None,
        }
    }
}
