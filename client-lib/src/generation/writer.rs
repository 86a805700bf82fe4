//! The loops of an answer: token by token, or beam by beam.

use super::{Cache, GenerateError, Generated, GenerationOptions, Lengths, beam::BeamSearch, stop};
use crate::{
    model::StitchedModel,
    tasks::log_softmax,
    text::{TextEncoder, TextStream},
};

/// One answer under way.
pub(super) struct Writer<'a> {
    pub(super) model: &'a StitchedModel,
    pub(super) encoder: &'a TextEncoder,
    pub(super) options: &'a GenerationOptions,
    pub(super) cache: Cache,
    /// What stands in front of the answer.
    pub(super) prompt: &'a [u32],
    /// Tokens of the answer at most.
    pub(super) limit: usize,
    /// From which token on tokens are no text, where some are not.
    pub(super) silent_from: Option<u32>,
}

impl Writer<'_> {
    fn lengths(&self) -> Lengths {
        Lengths { prompt: self.prompt.len(), most: self.prompt.len() + self.limit }
    }

    /// Writes the answer; `show` gets its text as it grows, in whole characters.
    pub(super) fn write(&self, show: &mut dyn FnMut(&str)) -> Result<Generated, GenerateError> {
        let stream = self.encoder.decode_stream();
        let mut shown = Shown { stream, text: String::new(), len: 0, silent_from: self.silent_from, show };
        let (tokens, is_over) = match self.options.beams.beams {
            0 | 1 => self.write_on(&mut shown)?,
            beams if self.options.sampling.temperature > 0.0 => return Err(GenerateError::DrawnBeams(beams)),
            _ => self.search(&mut shown)?,
        };
        let text = shown.finish();
        let finish_reason = if is_over { "stop" } else { "length" };
        Ok(Generated { text, tokens, prompt_tokens: self.prompt.len(), finish_reason })
    }

    /// One token after the other, and whether something ended them.
    fn write_on(&self, shown: &mut Shown<'_>) -> Result<(Vec<u32>, bool), GenerateError> {
        let GenerationOptions { sampling, constraints, stops, .. } = self.options;
        let mut random = sampling.generator();
        let mut seen = self.prompt.to_vec();
        let mut unread = seen.len();
        let mut is_over = false;
        while !is_over && seen.len() < self.lengths().most {
            let scores = self.model.next_token_scores(&seen[seen.len() - unread..], &self.cache)?;
            let mut scores: Vec<f64> = numbers(&scores)?.iter().map(|&score| f64::from(score)).collect();
            constraints.apply(&mut scores, &seen, self.lengths());
            let token = sampling.choose(&scores, &mut random);
            seen.push(token);
            unread = 1;
            is_over = constraints.ends.contains(&token) || shown.add(token, stops)?;
        }
        Ok((seen.split_off(self.prompt.len()), is_over))
    }

    /// The best text of a beam search, and whether something ended it.
    fn search(&self, shown: &mut Shown<'_>) -> Result<(Vec<u32>, bool), GenerateError> {
        let GenerationOptions { constraints, stops, beams, .. } = self.options;
        let mut search = BeamSearch::new(*beams, &constraints.ends, self.prompt, self.lengths().most);
        let mut unread = self.prompt.len();
        if self.limit == 0 {
            return Ok((Vec::new(), false));
        }
        loop {
            let rows: Vec<&[u32]> = search.beams().map(|beam| &beam[beam.len() - unread..]).collect();
            let scores = self.model.next_scores(&rows, &self.cache)?;
            unread = 1;
            let follow = |(scores, beam): (&Vec<f32>, &[u32])| {
                let mut scores = log_softmax(numbers(scores)?);
                constraints.apply(&mut scores, beam, self.lengths());
                Ok(scores)
            };
            let scores: Result<Vec<Vec<f64>>, GenerateError> =
                scores.iter().zip(search.beams()).map(follow).collect();
            match search.advance(&scores?) {
                Some(order) => self.cache.select(&order)?,
                None => break,
            }
        }
        let tokens = search.best();
        let mut is_over = false;
        for &token in &tokens {
            is_over = constraints.ends.contains(&token) || shown.add(token, stops)?;
            if is_over {
                break;
            }
        }
        Ok((tokens, is_over))
    }
}

/// Refuses scores that damaged weights give.
fn numbers(scores: &[f32]) -> Result<&[f32], GenerateError> {
    if scores.iter().any(|score| score.is_nan()) { Err(GenerateError::NotFinite) } else { Ok(scores) }
}

/// The text of an answer, and how much of it somebody has seen.
struct Shown<'a> {
    stream: TextStream<'a>,
    text: String,
    len: usize,
    silent_from: Option<u32>,
    show: &'a mut dyn FnMut(&str),
}

impl Shown<'_> {
    /// Adds a token's text, and tells whether one of `stops` stands there now.
    fn add(&mut self, token: u32, stops: &[String]) -> Result<bool, GenerateError> {
        if self.silent_from.is_some_and(|first| token >= first) {
            return Ok(false);
        }
        self.text += &self.stream.next(token)?;
        let may = stop::shown(&self.text, stops);
        self.show(may.len);
        if may.is_over {
            self.text.truncate(may.len);
        }
        Ok(may.is_over)
    }

    fn show(&mut self, len: usize) {
        if len > self.len {
            (self.show)(&self.text[self.len..len]);
            self.len = len;
        }
    }

    /// Shows what was held back.
    fn finish(mut self) -> String {
        self.show(self.text.len());
        self.text
    }
}
