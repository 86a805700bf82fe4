//! From what a person types to examples that a head can answer.

use hub_client::data::{Example, TaskKind};

use crate::failure::UserError;

/// How texts are read.
pub(crate) struct Typed<'a> {
    kind: TaskKind,
    /// What belongs to every text.
    pair: Option<&'a str>,
    /// Whether every text is two.
    pairs: bool,
    /// What every text is to be followed by.
    choices: &'a [String],
}

impl<'a> Typed<'a> {
    /// Refuses what the kind of task has no use for.
    pub(crate) fn new(
        kind: TaskKind,
        (pair, pairs): (Option<&'a str>, bool),
        choices: &'a [String],
    ) -> Result<Self, UserError> {
        let is_sentence = matches!(kind, TaskKind::Tagging | TaskKind::DependencyParsing);
        let flag = if pairs { "--pairs" } else { "--pair" };
        let has_pair = pairs || pair.is_some();
        if is_sentence && has_pair {
            let what = if kind == TaskKind::Tagging { "tags belong" } else { "trees belong" };
            return Err(UserError::new(format!(
                "{what} to the words of one text: `{flag}` has nothing to add"
            )));
        }
        if kind == TaskKind::MultipleChoice && has_pair {
            let reason = format!("every text has choices behind it: `{flag}` has nothing to add");
            return Err(UserError::new(reason).hint("pass each of them with `--choice`"));
        }
        if kind != TaskKind::MultipleChoice && !choices.is_empty() {
            let reason = format!("`--choice` is for adapters that choose; this one is for `{kind}`");
            return Err(UserError::new(reason));
        }
        Ok(Self { kind, pair, pairs, choices })
    }

    /// An example of every text.
    pub(crate) fn examples(&self, texts: &[String]) -> Result<Vec<Example>, UserError> {
        texts.iter().map(|text| self.example(text)).collect()
    }

    /// A sentence, a text, two with a tab between them, or one with its choices.
    pub(crate) fn example(&self, text: &str) -> Result<Example, UserError> {
        let texts = |texts: &[&str]| Example::unanswered(texts.iter().map(|&text| text.to_owned()).collect());
        let start = || text.chars().take(60).collect::<String>();
        match self.kind {
            TaskKind::Tagging | TaskKind::DependencyParsing => return Ok(Example::of_sentence(text)),
            TaskKind::MultipleChoice if !self.choices.is_empty() => {
                let choices = self.choices.iter().map(String::as_str);
                return Ok(texts(&std::iter::once(text).chain(choices).collect::<Vec<_>>()));
            }
            TaskKind::MultipleChoice => {
                let parts: Vec<&str> = text.split('\t').map(str::trim).collect();
                if parts.len() < 3 {
                    let reason = format!(
                        "a text with two choices or more is needed, tabs between them: {:?}",
                        start()
                    );
                    return Err(UserError::new(reason).hint("pass each choice with `--choice`"));
                }
                return Ok(texts(&parts));
            }
            _ => {}
        }
        if let Some(pair) = self.pair {
            return Ok(texts(&[text, pair]));
        }
        if !self.pairs && self.kind != TaskKind::QuestionAnswering {
            return Ok(texts(&[text]));
        }
        let Some((first, second)) = text.split_once('\t') else {
            let reason =
                format!("two texts with a tab between them are needed; there is no tab in {:?}", start());
            let hint = "pass the second text, such as the passage, with `--pair`";
            return Err(UserError::new(reason).hint(hint));
        };
        Ok(texts(&[first.trim(), second.trim()]))
    }
}
