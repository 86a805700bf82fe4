//! The part of a passage that answers a question. Loss: the mean of the cross-entropies of its two ends over
//! the tokens of a window. Where a window does not hold the answer, or there is none, both ends are at the first
//! token (Devlin et al. 2019).

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::{
    Encoded, Expected, Predicted, Reading, SpanPrediction, TaskError, cross_entropy, expected::of_rank,
    log_softmax,
};
use crate::{
    backbones::Mode,
    data::{Answer, Example, Span, TaskKind},
    heads::Prediction,
    inputs::Input,
    metrics::{Metric, Scores, answer_f1, exact_match},
    text::{Placed, WindowEncoder},
};

pub(super) const METRICS: [Metric; 2] = [Metric::AnswerF1, Metric::ExactMatch];
/// Most tokens of an answer: the value of the official script.
const LONGEST_ANSWER: usize = 30;
/// What takes a position out of a softmax.
const NEVER: f32 = -1e30;

/// The windows of an example's passage.
pub(super) fn read(windows: &WindowEncoder, example: &Example) -> Result<Vec<Placed>, TaskError> {
    match example.texts.as_slice() {
        [question, passage] => Ok(windows.encode(question, passage)?),
        texts => Err(TaskError::NoPassage(texts.len())),
    }
}

/// A row for every window of every example.
pub(super) fn encoded(examples: &[Example], read: Vec<Vec<Placed>>) -> Encoded {
    let (mut inputs, mut windows) = (Vec::new(), Vec::new());
    for (number, (example, placed)) in examples.iter().zip(read).enumerate() {
        for Placed { tokens, places } in placed {
            let truth = match &example.answer {
                Answer::Spans(spans) => Some(ends(&places, spans.first())),
                _ => None,
            };
            windows.push(Window { example: number, truth, places });
            inputs.push(Input::Text(tokens));
        }
    }
    let question = |example: &Example| Question {
        passage: example.texts.get(1).cloned().unwrap_or_default(),
        answers: match &example.answer {
            Answer::Spans(spans) => Some(spans.iter().map(|span| span.text.clone()).collect()),
            _ => None,
        },
    };
    let questions: Vec<Question> = examples.iter().map(question).collect();
    Encoded { inputs, expected: Arc::new(Questions { questions, windows }) }
}

/// The tokens at both ends of the answer; the first token where it is not wholly in the window.
fn ends(places: &[Option<(usize, usize)>], answer: Option<&Span>) -> (u32, u32) {
    let Some(Span { start, text }) = answer else { return (0, 0) };
    let end = start + text.chars().count();
    let there =
        |f: &dyn Fn(&(usize, usize)) -> bool| places.iter().position(|place| place.as_ref().is_some_and(f));
    let first = there(&|place| place.1 > *start);
    let last = places.iter().rposition(|place| place.is_some_and(|place| place.0 < end && place.1 > place.0));
    let begins_before =
        there(&|place| place.1 > place.0).and_then(|token| places[token]).is_some_and(|p| p.0 <= *start);
    let ends_behind = places.iter().flatten().next_back().is_some_and(|place| place.1 >= end);
    match (first, last) {
        (Some(first), Some(last)) if begins_before && ends_behind && first <= last => {
            (first as u32, last as u32)
        }
        _ => (0, 0),
    }
}

/// A row.
#[derive(Debug)]
struct Window {
    example: usize,
    /// The tokens at both ends of the answer; `None` where nobody says.
    truth: Option<(u32, u32)>,
    /// The characters of the passage that each token stands for.
    places: Vec<Option<(usize, usize)>>,
}

/// An example.
#[derive(Debug)]
struct Question {
    passage: String,
    /// What is right; none where the passage has no answer, absent where nobody says.
    answers: Option<Vec<String>>,
}

/// The answers of every row.
#[derive(Debug)]
pub(super) struct Questions {
    questions: Vec<Question>,
    windows: Vec<Window>,
}

impl Questions {
    /// The scores `[b, t, 2]`, and how many tokens of an adapter stand in front of the input's.
    fn scores_of<'p>(
        &self,
        prediction: &'p Prediction,
        rows: &[usize],
    ) -> Result<(&'p Tensor, usize), TaskError> {
        let logits = of_rank(prediction, 3, TaskKind::QuestionAnswering, "two scores for each token")?;
        let longest = rows.iter().map(|&row| self.windows[row].places.len()).max().unwrap_or(0);
        Ok((logits, logits.dim(1)?.saturating_sub(longest)))
    }

    /// 0 for tokens and [`NEVER`] for padding, `[b, t]`.
    fn mask(&self, rows: &[usize], length: usize, device: &Device) -> candle_core::Result<Tensor> {
        let position = |row: usize| {
            let tokens = self.windows[row].places.len();
            (0..length).map(move |position| if position < tokens { 0.0 } else { NEVER })
        };
        let mask: Vec<f32> = rows.iter().flat_map(|&row| position(row)).collect();
        Tensor::from_vec(mask, (rows.len(), length), device)
    }

    /// The best part of the passage in a window, by the scores of its tokens for both ends.
    fn best(&self, window: &Window, starts: &[f32], ends: &[f32]) -> SpanPrediction {
        let mut best: Option<(f32, usize, usize)> = None;
        let is_passage = |token: usize| window.places[token].is_some();
        for first in (0..starts.len()).filter(|&token| is_passage(token)) {
            let until = ends.len().min(first + LONGEST_ANSWER);
            for last in (first..until).filter(|&token| is_passage(token)) {
                let score = starts[first] + ends[last];
                if best.is_none_or(|(most, ..)| score > most) {
                    best = Some((score, first, last));
                }
            }
        }
        let no_answer_score = starts.first().copied().unwrap_or(0.0) + ends.first().copied().unwrap_or(0.0);
        let nothing = SpanPrediction {
            text: String::new(),
            start: 0,
            score: f32::NEG_INFINITY,
            probability: 0.0,
            no_answer_score,
        };
        let Some((score, first, last)) = best else { return nothing };
        let (Some((start, _)), Some((_, end))) = (window.places[first], window.places[last]) else {
            return nothing;
        };
        let passage = &self.questions[window.example].passage;
        let text: String = passage.chars().skip(start).take(end.saturating_sub(start)).collect();
        let in_front = text.chars().take_while(|c| c.is_whitespace()).count();
        let probability = (log_softmax(starts)[first] + log_softmax(ends)[last]).exp();
        let text = text.trim().to_owned();
        SpanPrediction { text, start: start + in_front, score, probability, no_answer_score }
    }
}

impl Expected for Questions {
    fn loss(&self, prediction: &Prediction, rows: &[usize], _: Mode) -> Result<Tensor, TaskError> {
        let (logits, prompt) = self.scores_of(prediction, rows)?;
        let length = logits.dim(1)? - prompt;
        let mask = self.mask(rows, length, logits.device())?.to_dtype(logits.dtype())?;
        let truth: Vec<(u32, u32)> = rows.iter().filter_map(|&row| self.windows[row].truth).collect();
        let end = |index: usize, truth: Vec<u32>| -> candle_core::Result<Tensor> {
            let scores = logits.narrow(1, prompt, length)?.narrow(2, index, 1)?.squeeze(2)?;
            cross_entropy(&(scores + &mask)?, &Tensor::new(truth, logits.device())?)
        };
        let start = end(0, truth.iter().map(|ends| ends.0).collect())?;
        let end = end(1, truth.iter().map(|ends| ends.1).collect())?;
        Ok(((start + end)? / 2.0)?)
    }

    fn read(&self, prediction: &Prediction, rows: &[usize]) -> Result<Vec<Reading>, TaskError> {
        let (logits, prompt) = self.scores_of(prediction, rows)?;
        let logits = logits.to_vec3::<f32>()?;
        let reading = |(&row, logits): (&usize, Vec<Vec<f32>>)| {
            let window = &self.windows[row];
            let own = logits.iter().skip(prompt).take(window.places.len());
            let (starts, ends): (Vec<f32>, Vec<f32>) = own.map(|scores| (scores[0], scores[1])).unzip();
            let loss = window.truth.map(|(first, last)| {
                -(log_softmax(&starts)[first as usize] + log_softmax(&ends)[last as usize]) / 2.0
            });
            Reading {
                predicted: Predicted::Span(self.best(window, &starts, &ends)),
                loss: loss.unwrap_or(0.0),
                weight: f64::from(u8::from(loss.is_some())),
            }
        };
        Ok(rows.iter().zip(logits).map(reading).collect())
    }

    /// The best answer of all windows of a passage.
    fn answers(&self, rows: Vec<Predicted>) -> Vec<Predicted> {
        let mut answers: Vec<Option<SpanPrediction>> = vec![None; self.questions.len()];
        for (window, row) in self.windows.iter().zip(rows) {
            let Predicted::Span(span) = row else { continue };
            let best = &mut answers[window.example];
            *best = Some(match best.take() {
                None => span,
                Some(best) => {
                    let no_answer_score = best.no_answer_score.min(span.no_answer_score);
                    let better = if span.score > best.score { span } else { best };
                    SpanPrediction { no_answer_score, ..better }
                }
            });
        }
        answers.into_iter().flatten().map(Predicted::Span).collect()
    }

    fn scores(&self, answers: &[Predicted]) -> Scores {
        // As in the official scripts: only where some question has no answer may the model say so.
        let may_be_none = self.questions.iter().any(|q| q.answers.as_ref().is_some_and(Vec::is_empty));
        let (mut examples, mut f1, mut exact) = (0_u64, 0.0, 0.0);
        for (question, answer) in self.questions.iter().zip(answers) {
            let (Some(truth), Predicted::Span(span)) = (&question.answers, answer) else { continue };
            let text = if may_be_none && !span.is_answer() { "" } else { span.text.as_str() };
            let truth: Vec<&str> = truth.iter().map(String::as_str).collect();
            examples += 1;
            f1 += answer_f1(text, &truth);
            exact += exact_match(text, &truth);
        }
        let mean = |sum: f64| sum / examples.max(1) as f64;
        let values = vec![(Metric::AnswerF1, mean(f1)), (Metric::ExactMatch, mean(exact))];
        Scores { examples, values, ..Scores::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores `[b, t, 2]`.
    fn scores(rows: &[Vec<[f32; 2]>]) -> Prediction {
        let flat: Vec<f32> = rows.iter().flatten().flatten().copied().collect();
        let shape = (rows.len(), rows[0].len(), 2);
        Prediction::Span(Tensor::from_vec(flat, shape, &Device::Cpu).expect("scores"))
    }

    /// `[CLS] q [SEP] one two three [SEP]`, words of three to five letters.
    fn places() -> Vec<Option<(usize, usize)>> {
        vec![None, None, None, Some((0, 3)), Some((4, 7)), Some((8, 13)), None]
    }

    fn questions(answers: &[&str]) -> Questions {
        let answers = Some(answers.iter().map(|&answer| answer.to_owned()).collect());
        let question = Question { passage: "one two three".to_owned(), answers };
        let window = Window { example: 0, truth: Some((4, 5)), places: places() };
        Questions { questions: vec![question], windows: vec![window] }
    }

    #[test]
    fn an_answer_is_found_by_its_characters_or_not_at_all() {
        let span = |start: usize, text: &str| Span { start, text: text.to_owned() };
        let found = |start, text| ends(&places(), Some(&span(start, text)));
        assert_eq!(found(4, "two"), (4, 4));
        assert_eq!(found(4, "two three"), (4, 5));
        assert_eq!(found(1, "ne t"), (3, 4));
        assert_eq!(found(8, "three four"), (0, 0));
        assert_eq!(ends(&places()[4..], Some(&span(0, "one two"))), (0, 0));
        assert_eq!(ends(&places(), None), (0, 0));
    }

    #[test]
    fn the_best_span_does_not_end_before_it_starts_nor_stand_in_the_question() {
        let questions = questions(&["two three"]);
        let mut row = vec![[0.0_f32, 0.0]; 7];
        // The best start and the best end alone would give a span backwards, and the question scores highest.
        row[1] = [20.0, 20.0];
        row[4] = [5.0, 1.0];
        row[3] = [0.0, 6.0];
        row[5] = [0.0, 4.0];
        let reading = questions.read(&scores(&[row]), &[0]).expect("reads").remove(0);
        let Predicted::Span(span) = &reading.predicted else { panic!("{reading:?}") };
        assert_eq!((span.text.as_str(), span.start, span.score), ("two three", 4, 9.0));
        let measured = questions.scores(&[reading.predicted]);
        assert_eq!(measured.value(Metric::ExactMatch), Some(1.0));
    }

    #[test]
    fn padding_changes_neither_loss_nor_answer() {
        let questions = questions(&["two three"]);
        let row: Vec<[f32; 2]> = (0..7).map(|i| [i as f32 * 0.3, 1.0 - i as f32 * 0.2]).collect();
        let padded: Vec<[f32; 2]> = row.iter().copied().chain([[50.0, 50.0]; 3]).collect();
        let mut longer = Questions { windows: Vec::new(), ..questions };
        longer.windows = vec![
            Window { example: 0, truth: Some((4, 5)), places: places() },
            Window { example: 0, truth: Some((0, 0)), places: vec![None; 10] },
        ];
        let alone = scores(&[row]);
        let reading = longer.read(&alone, &[0]).expect("reads").remove(0);
        let loss =
            longer.loss(&alone, &[0], Mode::Eval).expect("a loss").to_scalar::<f32>().expect("a number");
        assert!((f64::from(loss) - reading.loss).abs() < 1e-6);
        let batch = scores(&[padded, vec![[0.0; 2]; 10]]);
        assert_eq!(longer.read(&batch, &[0, 1]).expect("reads")[0], reading);
        let both = longer.loss(&batch, &[0, 1], Mode::Eval).expect("a loss").to_scalar::<f32>();
        let expected = f64::midpoint(reading.loss, 10.0_f64.ln());
        assert!((f64::from(both.expect("a number")) - expected).abs() < 1e-6);
    }
}
