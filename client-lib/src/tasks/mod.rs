//! What models learn and answer: one file per kind of task.
//!
//! A task turns examples into what the backbone reads, a head's output into a loss and into answers, and
//! answers into scores. Training, evaluation and prediction know nothing but this.
//!
//! | task | reads | answers | scored by |
//! |---|---|---|---|
//! | `classification` | a text, a pair, an image or a recording | one label | accuracy, macro F1, MCC |
//! | `multi_label` | the same | any number of labels | micro and macro F1, accuracy of whole sets |
//! | `regression` | the same | a number | Pearson, Spearman, mean squared error |
//! | `embedding` | texts, one by one | a vector for each, and how alike two are | Spearman, Pearson |
//! | `multiple_choice` | a text with each of several choices | one choice | accuracy |
//! | `tagging` | the words of a sentence | a tag for every word | F1 of entities; else accuracy, macro F1 |
//! | `dependency_parsing` | the words of a sentence | a head for every word, and its relation to it | LAS, UAS |
//! | `question_answering` | a question and a passage | a part of the passage | F1 of words, exact match |
//! | `masked_lm` | a text with hidden tokens | the tokens | perplexity, accuracy |
//! | `causal_lm` | a prompt, or nothing | a text, token by token | perplexity, accuracy of tokens |
//! | `seq2seq_lm` | a text or a recording, behind encoder and decoder | a text | the same |

mod causal_lm;
mod classification;
mod cosine;
mod dependency_parsing;
mod embedding;
mod error;
mod expected;
mod loss;
mod masked_lm;
mod multi_label;
mod multiple_choice;
mod next_token;
mod predicted;
mod question_answering;
mod regression;
mod seq2seq_lm;
mod softmax;
mod tagging;
mod tree;

use std::{path::Path, sync::Arc};

use hub_schemas::{
    head::{EmbeddingHead, Head},
    method::{Method, PromptConfig, PromptPlace},
};

use crate::{
    data::{DataError, DataFile, Example, LabelSet, TaskKind},
    generation::Dialogue,
    inputs::{Input, InputEncoder},
    methods::whole_sequence,
    metrics::{Metric, are_entities},
    text::Placed,
};

pub use cosine::{cosine, cosine_similarity};
pub use error::TaskError;
pub use expected::{Altered, Expected, Reading};
pub use loss::{binary_cross_entropy, cross_entropy, mean_squared_error};
pub use predicted::{
    ArcPrediction, ChoicePrediction, EmbeddingPrediction, LabelPrediction, LabelShare, Predicted,
    SpanPrediction,
};
pub use softmax::{argmax, log_softmax};

/// What the single output of a regression is called.
const NUMBER: &str = "score";

/// A kind of task, with its labels.
#[derive(Debug, Clone)]
pub struct Task {
    kind: TaskKind,
    labels: LabelSet,
    /// How many choices the examples have, where they have choices.
    choices: usize,
    /// Tokens by which the windows of a long passage overlap.
    stride: usize,
    /// How the base model writes, where that is what is learned.
    dialogue: Option<Arc<Dialogue>>,
    /// How texts are read that vectors are made of.
    vectors: Option<Arc<EmbeddingHead>>,
}

/// Examples as a task reads them: rows for the model, and what is right.
#[derive(Debug)]
pub struct Encoded {
    /// What the model reads, row by row: one of each example, or every window of a passage.
    pub inputs: Vec<Input>,
    /// What the rows should be answered with.
    pub expected: Arc<dyn Expected>,
}

/// Where examples come from: for messages, and for the files that they name.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The data file's name.
    pub file: &'a str,
    /// Its folder.
    pub folder: &'a Path,
}

impl Task {
    /// Tokens by which windows overlap where nobody says otherwise: the value of Devlin et al. (2019).
    pub const STRIDE: usize = 128;

    /// What the examples of `file` are for.
    pub fn of(file: &DataFile) -> Result<Self, DataError> {
        let labels = match file.kind {
            TaskKind::Classification
            | TaskKind::MultiLabel
            | TaskKind::Tagging
            | TaskKind::DependencyParsing => LabelSet::of(file)?,
            TaskKind::Regression => LabelSet::from_names(vec![NUMBER.to_owned()]),
            TaskKind::Embedding => {
                embedding::check_scores(file)?;
                LabelSet::from_names(Vec::new())
            }
            TaskKind::MultipleChoice
            | TaskKind::QuestionAnswering
            | TaskKind::MaskedLm
            | TaskKind::CausalLm
            | TaskKind::Seq2SeqLm => LabelSet::from_names(Vec::new()),
        };
        let choices = file.examples.first().map_or(0, |example| example.texts.len().saturating_sub(1));
        let choices = if file.kind == TaskKind::MultipleChoice { choices } else { 0 };
        Ok(Self { kind: file.kind, labels, choices, stride: Self::STRIDE, dialogue: None, vectors: None })
    }

    /// What a head answers.
    pub fn of_head(head: &Head, labels: &[String]) -> Self {
        let kind = TaskKind::of_head(head);
        let labels = if labels.is_empty() { head.default_labels() } else { labels.to_vec() };
        let choices = if kind == TaskKind::MultipleChoice { head.num_labels() } else { 0 };
        let (labels, stride) = (LabelSet::from_names(labels), Self::STRIDE);
        let task = Self { kind, labels, choices, stride, dialogue: None, vectors: None };
        task.with_texts_of(head)
    }

    /// The same with texts read as this head says; only one for vectors does.
    #[must_use]
    pub fn with_texts_of(self, head: &Head) -> Self {
        match head {
            Head::Embedding(config) => Self { vectors: Some(Arc::new(config.clone())), ..self },
            _ => self,
        }
    }

    /// The same with windows that overlap by `stride` tokens.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The same for a base model that writes like this.
    #[must_use]
    pub fn with_dialogue(self, dialogue: Dialogue) -> Self {
        Self { dialogue: Some(Arc::new(dialogue)), ..self }
    }

    /// The language of the transcripts that are learned, where that is said.
    pub fn spoken(&self) -> Option<&str> {
        self.dialogue.as_ref()?.spoken()
    }

    /// Its kind.
    pub fn kind(&self) -> TaskKind {
        self.kind
    }

    /// Names of the head's outputs; none where an answer has no name.
    pub fn labels(&self) -> &[String] {
        self.labels.names()
    }

    /// How many outputs its head has, where that follows from the data: labels, choices, or the ends of an answer.
    pub fn outputs(&self) -> usize {
        match self.kind {
            TaskKind::MultipleChoice => self.choices,
            TaskKind::QuestionAnswering => 2,
            _ => self.labels.len(),
        }
    }

    /// What is measured, the most telling first.
    pub fn metrics(&self) -> &'static [Metric] {
        match self.kind {
            TaskKind::Classification => &classification::METRICS,
            TaskKind::MultiLabel => &multi_label::METRICS,
            TaskKind::Regression => &regression::METRICS,
            TaskKind::Embedding => &embedding::METRICS,
            TaskKind::MultipleChoice => &multiple_choice::METRICS,
            TaskKind::DependencyParsing => &dependency_parsing::METRICS,
            TaskKind::Tagging if are_entities(self.labels()) => &tagging::ENTITY_METRICS,
            TaskKind::Tagging => &tagging::METRICS,
            TaskKind::QuestionAnswering => &question_answering::METRICS,
            TaskKind::MaskedLm | TaskKind::CausalLm | TaskKind::Seq2SeqLm => &next_token::METRICS,
        }
    }

    /// Refuses labels that are none of this task's, and scores that can't be learned.
    pub fn check(&self, file: &DataFile) -> Result<(), DataError> {
        if self.kind == TaskKind::Embedding {
            embedding::check_scores(file)?;
        }
        self.ids(&file.name, &file.examples).map(|_| ())
    }

    /// The numbers of every example's labels. A relation that the head does not have is only wrong: languages differ
    /// in them, and the trees of another language can still be found. Where none is known, the file means others.
    fn ids(&self, file: &str, examples: &[Example]) -> Result<Vec<Vec<u32>>, DataError> {
        if self.kind == TaskKind::DependencyParsing {
            let is_known =
                |example: &Example| example.labels().iter().any(|label| self.labels().contains(label));
            if examples.iter().any(is_known) {
                return Ok(Vec::new());
            }
        }
        self.labels.ids(file, examples)
    }

    /// Refuses a method under which the tokens of the input can't be told from those of the method, or under
    /// which a token's state depends on those that are still to be written.
    pub fn check_method(&self, method: &Method) -> Result<(), TaskError> {
        let is_among = |part: &Method| {
            matches!(part, Method::Prompt(PromptConfig { place: PromptPlace::AfterFirstToken, .. }))
        };
        if self.kind.reads_tokens() && method.parts().iter().any(is_among) {
            return Err(TaskError::PromptInside(self.kind));
        }
        let has_prompt = method.parts().iter().any(|part| matches!(part, Method::Prompt(_)));
        if self.kind == TaskKind::DependencyParsing && has_prompt {
            return Err(TaskError::PromptBeforeWords(self.kind));
        }
        match whole_sequence(method).filter(|_| self.kind.writes()) {
            Some(reason) => Err(TaskError::WholeSequence { kind: self.kind, reason }),
            None => Ok(()),
        }
    }

    /// What the model reads of `examples`, and what is right.
    pub fn encode(
        &self,
        origin: Origin<'_>,
        examples: &[Example],
        encoder: &InputEncoder,
    ) -> Result<Encoded, TaskError> {
        use rayon::prelude::*;
        let ids = self.ids(origin.file, examples)?;
        let labels = || self.labels().to_vec();
        let text = || encoder.text().ok_or(TaskError::NeedsText(self.kind));
        let dialogue = || self.dialogue.as_deref().ok_or(TaskError::NeedsText(self.kind));
        let whole = || encoder.encode_all(examples.iter().map(|e| e.texts.as_slice()), origin.folder);
        Ok(match self.kind {
            TaskKind::Classification => {
                let truth = ids.iter().map(|ids| ids.first().copied()).collect();
                let expected = Arc::new(classification::Classes::new(labels(), truth));
                Encoded { inputs: whole()?, expected }
            }
            TaskKind::MultiLabel => {
                let expected = Arc::new(multi_label::LabelSets::new(labels(), examples, &ids));
                Encoded { inputs: whole()?, expected }
            }
            TaskKind::Regression => {
                Encoded { inputs: whole()?, expected: Arc::new(regression::Numbers::new(examples)) }
            }
            TaskKind::Embedding => {
                embedding::encoded(encoder, examples, origin.folder, self.vectors.as_deref())?
            }
            TaskKind::MultipleChoice => multiple_choice::encoded(text()?, examples)?,
            TaskKind::DependencyParsing => {
                let text = text()?;
                let read = |example: &Example| dependency_parsing::Sentence::read(text, example);
                let read: Vec<_> = examples.par_iter().map(read).collect::<Result<_, TaskError>>()?;
                let (inputs, sentences) = read.into_iter().unzip();
                Encoded { inputs, expected: Arc::new(dependency_parsing::Trees::new(labels(), sentences)) }
            }
            TaskKind::Tagging => {
                let text = text()?;
                let read =
                    |(example, ids): (&Example, &Vec<u32>)| tagging::Sentence::read(text, example, ids);
                let read: Vec<_> =
                    examples.par_iter().zip(&ids).map(read).collect::<Result<_, TaskError>>()?;
                let (inputs, sentences) = read.into_iter().unzip();
                Encoded { inputs, expected: Arc::new(tagging::Tags::new(labels(), sentences)) }
            }
            TaskKind::QuestionAnswering => {
                let windows = text()?.windows(self.stride)?;
                let read = |example: &Example| question_answering::read(&windows, example);
                let read: Vec<Vec<Placed>> =
                    examples.par_iter().map(read).collect::<Result<_, TaskError>>()?;
                question_answering::encoded(examples, read)
            }
            TaskKind::MaskedLm => {
                let text = text()?;
                let read = |example: &Example| Ok(text.encode_placed(&example.texts.join(" "))?);
                let read: Vec<Placed> = examples.par_iter().map(read).collect::<Result<_, TaskError>>()?;
                let inputs = read.iter().map(|placed| Input::Text(placed.tokens.clone())).collect();
                // A person asks about the masks in a text; in a file's texts tokens are hidden.
                let asks_masks = origin.file.is_empty();
                Encoded { inputs, expected: Arc::new(masked_lm::Texts::new(text, read, asks_masks)?) }
            }
            TaskKind::CausalLm => {
                let (most, dialogue) = (text()?.max_length(), dialogue()?);
                let rows: Vec<Vec<_>> = if let Some(vision) = encoder.vision() {
                    let files = examples.iter().filter_map(|example| example.texts.first());
                    let files: Vec<_> = files.map(|file| origin.folder.join(file)).collect();
                    let seen = examples.iter().zip(vision.features(&files)?);
                    let read = |(example, image)| causal_lm::described(dialogue, example, image, most);
                    seen.map(read).collect::<Result<_, TaskError>>()?
                } else {
                    let read = |example: &Example| causal_lm::rows(dialogue, example, most);
                    examples.par_iter().map(read).collect::<Result<_, TaskError>>()?
                };
                next_token::Answers::encoded(self.kind, rows.concat(), examples.len())?
            }
            TaskKind::Seq2SeqLm => {
                let dialogue = dialogue()?;
                let rows: Vec<_> = if encoder.reads_audio() {
                    let heard = examples.par_iter().zip(whole()?);
                    heard
                        .map(|(example, recording)| seq2seq_lm::heard(dialogue, recording, example))
                        .collect()
                } else {
                    let text = text()?;
                    examples.par_iter().map(|example| seq2seq_lm::row(dialogue, text, example)).collect()
                };
                let rows = rows.into_iter().collect::<Result<_, TaskError>>()?;
                next_token::Answers::encoded(self.kind, rows, examples.len())?
            }
        })
    }
}
