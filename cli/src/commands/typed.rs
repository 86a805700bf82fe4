//! From what a person types to examples that a head can answer.

use hub_client::data::{Example, TaskKind};

use crate::failure::UserError;

/// How texts are read.
pub(crate) struct Typed<'a> {
    pub(crate) kind: TaskKind,
    /// What belongs to every text.
    pub(crate) pair: Option<&'a str>,
    /// Whether every text is two.
    pub(crate) pairs: bool,
}

impl Typed<'_> {
    /// An example of every text.
    pub(crate) fn examples(&self, texts: &[String]) -> Result<Vec<Example>, UserError> {
        texts.iter().map(|text| self.example(text)).collect()
    }

    /// A sentence, a text, or two with a tab between them.
    pub(crate) fn example(&self, text: &str) -> Result<Example, UserError> {
        let texts = |texts: &[&str]| Example::unanswered(texts.iter().map(|&text| text.to_owned()).collect());
        if self.kind == TaskKind::Tagging {
            return Ok(Example::of_sentence(text));
        }
        if let Some(pair) = self.pair {
            return Ok(texts(&[text, pair]));
        }
        if !self.pairs && self.kind != TaskKind::QuestionAnswering {
            return Ok(texts(&[text]));
        }
        let Some((first, second)) = text.split_once('\t') else {
            let start: String = text.chars().take(60).collect();
            let reason =
                format!("two texts with a tab between them are needed; there is no tab in {start:?}");
            let hint = "pass the second text, such as the passage, with `--pair`";
            return Err(UserError::new(reason).hint(hint));
        };
        Ok(texts(&[first.trim(), second.trim()]))
    }
}
