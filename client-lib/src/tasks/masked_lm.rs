//! Tokens from their surroundings (Devlin et al. 2019, section 3.1). Loss: cross-entropy over the chosen tokens.
//!
//! 15 % of the tokens of a row are chosen, at least one; of them 80 % are hidden behind the mask token, 10 %
//! replaced by any token of the vocabulary and 10 % left. The choice is a pure function of seed, step and row, and
//! for measuring of the row alone: two evaluations measure the same.

use candle_core::Tensor;

use super::{
    Expected, LabelShare, Predicted, Reading, TaskError, argmax,
    expected::{Altered, of_rank, word_loss},
    log_softmax,
    next_token::of_tokens,
};
use crate::{
    backbones::Mode,
    data::TaskKind,
    heads::Prediction,
    inputs::Input,
    metrics::Scores,
    random::{below, generator},
    text::{Placed, TextEncoder, Tokens},
};

/// Of a hundred tokens, how many are chosen.
const CHOSEN: u64 = 15;
/// Of ten chosen tokens, how many are hidden.
const HIDDEN: u64 = 8;
/// Of ten chosen tokens, how many are hidden or replaced.
const CHANGED: u64 = 9;
/// Keeps these choices apart from others of the same seed.
const CHOICES: u64 = 0x6d61_736b;
/// Suggestions for a mask in a text.
const SUGGESTIONS: usize = 5;

/// The rows of a data set, in which tokens are hidden; or texts whose own masks are asked about.
#[derive(Debug)]
pub(super) struct Texts {
    rows: Vec<Row>,
    encoder: TextEncoder,
    mask: u32,
    asks_masks: bool,
}

/// One row.
#[derive(Debug)]
struct Row {
    tokens: Tokens,
    /// The places that may be chosen, or the masks.
    places: Vec<usize>,
}

/// A chosen token.
struct Choice {
    place: usize,
    /// What stands there.
    truth: u32,
    /// What the model reads there.
    read: u32,
}

impl Texts {
    pub(super) fn new(
        encoder: &TextEncoder,
        placed: Vec<Placed>,
        asks_masks: bool,
    ) -> Result<Self, TaskError> {
        let mask = encoder.mask_token().ok_or(TaskError::NoMaskToken)?;
        let row = |Placed { tokens, places }: Placed| {
            let all = 0..tokens.len();
            let places: Vec<usize> = if asks_masks {
                all.filter(|&place| tokens.ids()[place] == mask).collect()
            } else if places.iter().all(Option::is_none) {
                // A text that the tokenizer makes nothing of.
                all.collect()
            } else {
                all.filter(|&place| places[place].is_some()).collect()
            };
            if places.is_empty() {
                return Err(TaskError::NoMask(encoder.token(mask).unwrap_or_default()));
            }
            Ok(Row { tokens, places })
        };
        let rows = placed.into_iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { rows, encoder: encoder.clone(), mask, asks_masks })
    }

    /// The tokens of a row that a step predicts: at least one.
    fn choices(&self, row: usize, mode: Mode) -> Vec<Choice> {
        let Row { tokens, places } = &self.rows[row];
        if self.asks_masks {
            let mask = |&place: &usize| Choice { place, truth: self.mask, read: self.mask };
            return places.iter().map(mask).collect();
        }
        let mut random = match mode {
            Mode::Eval => generator(CHOICES, row as u64),
            Mode::Train { seed, step } => generator(seed ^ CHOICES, ((step + 1) << 32) | row as u64),
        };
        let mut chosen: Vec<usize> =
            places.iter().copied().filter(|_| below(&mut random, 100) < CHOSEN).collect();
        if chosen.is_empty() {
            chosen.push(places[below(&mut random, places.len() as u64) as usize]);
        }
        let vocabulary = self.encoder.vocabulary() as u64;
        let mut choice = |place: usize| {
            let truth = tokens.ids()[place];
            let read = match below(&mut random, 10) {
                hidden if hidden < HIDDEN => self.mask,
                changed if changed < CHANGED => below(&mut random, vocabulary) as u32,
                _ => truth,
            };
            Choice { place, truth, read }
        };
        chosen.into_iter().map(&mut choice).collect()
    }

    /// The most probable tokens.
    fn suggestions(&self, logs: &[f64]) -> Vec<LabelShare> {
        let mut order: Vec<usize> = (0..logs.len()).collect();
        order.sort_by(|&a, &b| logs[b].total_cmp(&logs[a]));
        order.truncate(SUGGESTIONS);
        let share = |token: usize| LabelShare {
            label: self.encoder.token(token as u32).unwrap_or_default(),
            probability: logs[token].exp(),
        };
        order.into_iter().map(share).collect()
    }
}

/// The scores `[n, vocabulary]` of the tokens that were asked about.
fn scores_of(prediction: &Prediction) -> Result<Tensor, TaskError> {
    let scores = of_rank(prediction, 3, TaskKind::MaskedLm, "a row of scores for each chosen token")?;
    Ok(scores.squeeze(0)?)
}

impl Expected for Texts {
    fn altered(&self, rows: &[usize], mode: Mode) -> Option<Altered> {
        let (mut inputs, mut asked) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for &row in rows {
            let choices = self.choices(row, mode);
            let read = choices.iter().map(|choice| (choice.place, choice.read));
            inputs.push(Input::Text(self.rows[row].tokens.replaced(read)));
            asked.push(choices.into_iter().map(|choice| choice.place).collect());
        }
        Some(Altered { inputs, asked, decoder: Vec::new() })
    }

    fn losses(&self, rows: &[usize], mode: Mode) -> usize {
        rows.iter().map(|&row| self.choices(row, mode).len()).sum()
    }

    fn loss(&self, prediction: &Prediction, rows: &[usize], mode: Mode) -> Result<Tensor, TaskError> {
        let choices = rows.iter().flat_map(|&row| self.choices(row, mode));
        let truth: Vec<u32> = choices.map(|choice| choice.truth).collect();
        word_loss(prediction, &truth, || scores_of(prediction))
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let mut scores = scores_of(prediction)?.to_vec2::<f32>()?.into_iter();
        let mut reading = |&row: &usize| {
            let (mut loss, mut right, mut count, mut masks) = (0.0, 0, 0, Vec::new());
            for (choice, scores) in self.choices(row, Mode::Eval).iter().zip(scores.by_ref()) {
                let logs = log_softmax(&scores);
                if self.asks_masks {
                    masks.push(self.suggestions(&logs));
                    continue;
                }
                loss -= logs[choice.truth as usize];
                right += u64::from(argmax(&scores) == choice.truth);
                count += 1;
            }
            let predicted = if self.asks_masks {
                Predicted::Masks { masks }
            } else {
                Predicted::Tokens { loss, right, count }
            };
            Reading { predicted, loss, weight: count as f64 }
        };
        Ok(rows.iter().map(&mut reading).collect())
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        of_tokens(answers)
    }
}
