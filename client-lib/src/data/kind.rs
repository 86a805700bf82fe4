//! What the rows of a data file are for.

use std::{fmt, str::FromStr};

use hub_schemas::{backbone::Architecture, head::Head};

/// What a model learns from a data file: each kind has a head, a loss and metrics of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskKind {
    /// One label for a text, a pair of texts or an image.
    Classification,
    /// Any number of labels for a text.
    MultiLabel,
    /// A number for a text or a pair of texts.
    Regression,
    /// A vector for a text, so that the vectors of two texts are as close as their score says.
    Embedding,
    /// A tag for every word.
    Tagging,
    /// One of several texts that could follow or answer another.
    MultipleChoice,
    /// The head of every word, and the relation to it.
    DependencyParsing,
    /// The words of a passage that answer a question.
    QuestionAnswering,
    /// Tokens from their surroundings.
    MaskedLm,
    /// Every token from those before it: a text, or the answer to a prompt.
    CausalLm,
    /// A text from another one, or from a recording, behind encoder and decoder.
    Seq2SeqLm,
}

/// A word that names no kind of task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of task; there are: {list}", list = names())]
pub struct UnknownKind(pub String);

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Classification,
        Self::MultiLabel,
        Self::Regression,
        Self::Embedding,
        Self::MultipleChoice,
        Self::Tagging,
        Self::DependencyParsing,
        Self::QuestionAnswering,
        Self::MaskedLm,
        Self::CausalLm,
        Self::Seq2SeqLm,
    ];

    /// The name of its head in a manifest, and of the task where nobody names it otherwise.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::MultiLabel => "multi-label-classification",
            Self::Regression => "regression",
            Self::Embedding => "embedding",
            Self::MultipleChoice => "multiple-choice",
            Self::Tagging => "tagging",
            Self::DependencyParsing => "dependency-parsing",
            Self::QuestionAnswering => "question-answering",
            Self::MaskedLm => "masked-lm",
            Self::CausalLm => "causal-lm",
            Self::Seq2SeqLm => "seq2seq-lm",
        }
    }

    /// Other words for it.
    const fn others(self) -> &'static [&'static str] {
        match self {
            Self::Classification => &["text-classification"],
            Self::MultiLabel => &["multi-label"],
            Self::Regression => &["sts", "semantic-similarity"],
            Self::Embedding => {
                &["embeddings", "sentence-embeddings", "sentence-similarity", "feature-extraction"]
            }
            Self::Tagging => &["token-classification", "ner", "named-entities", "pos"],
            Self::MultipleChoice => &["choice", "swag"],
            Self::DependencyParsing => &["parsing", "trees", "dp"],
            Self::QuestionAnswering => &["extractive-question-answering", "qa"],
            Self::MaskedLm => &["mlm", "language-modelling"],
            Self::CausalLm => &["clm", "text-generation", "instruction-tuning"],
            Self::Seq2SeqLm => &[
                "seq2seq",
                "text2text-generation",
                "summarization",
                "translation",
                "transcription",
                "automatic-speech-recognition",
            ],
        }
    }

    /// The kind of task that a head is for.
    pub const fn of_head(head: &Head) -> Self {
        match head {
            Head::Classification(_) => Self::Classification,
            Head::MultiLabelClassification(_) => Self::MultiLabel,
            Head::Regression(_) => Self::Regression,
            Head::Tagging(_) => Self::Tagging,
            Head::MultipleChoice(_) => Self::MultipleChoice,
            Head::DependencyParsing(_) => Self::DependencyParsing,
            Head::QuestionAnswering(_) => Self::QuestionAnswering,
            Head::MaskedLm(_) => Self::MaskedLm,
            Head::CausalLm(_) => Self::CausalLm,
            Head::Seq2SeqLm(_) => Self::Seq2SeqLm,
            Head::Embedding(_) => Self::Embedding,
        }
    }

    /// Whether its head reads every token, not a whole sequence.
    pub const fn reads_tokens(self) -> bool {
        matches!(self, Self::Tagging | Self::DependencyParsing | Self::QuestionAnswering | Self::MaskedLm)
            || self.writes()
    }

    /// Whether it is learned under the language model's head of the base model, which an adapter does not bring.
    pub const fn writes(self) -> bool {
        matches!(self, Self::CausalLm | Self::Seq2SeqLm)
    }

    /// What a file that was taken for this kind is for where nobody has said so: texts and answers are what a
    /// language model reads in its own way.
    #[must_use]
    pub fn on(self, architecture: Architecture) -> Self {
        match self {
            Self::MaskedLm if architecture.is_decoder() => Self::CausalLm,
            Self::CausalLm if architecture.is_encoder_decoder() => Self::Seq2SeqLm,
            other => other,
        }
    }

    /// The files that its examples can stand in, as their names end.
    pub const fn extensions(self) -> &'static str {
        match self {
            Self::Classification
            | Self::MultiLabel
            | Self::Regression
            | Self::Embedding
            | Self::MultipleChoice
            | Self::Seq2SeqLm => ".csv, .tsv or .jsonl",
            Self::Tagging => ".conll, .conllu or .jsonl",
            Self::DependencyParsing => ".conllu",
            Self::QuestionAnswering => ".json",
            Self::MaskedLm => ".txt",
            Self::CausalLm => ".csv, .tsv, .jsonl or .txt",
        }
    }
}

fn names() -> String {
    TaskKind::ALL.map(TaskKind::as_str).join(", ")
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TaskKind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let is = |kind: &Self| kind.as_str() == text || kind.others().contains(&text);
        Self::ALL.into_iter().find(is).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}
