//! Examples from files: tables, words in columns, questions about passages.
//!
//! | file | examples | for |
//! |---|---|---|
//! | `table`, `columns`, `rows` | CSV, TSV and JSONL: texts or pairs with labels or numbers | classification, multi-label classification, regression, embedding; tagging from lists |
//! | `prompts` | the same tables: prompts and the answers to them, sources and targets, recordings and what is said, texts | causal and encoder-decoder language models |
//! | `choices` | the same tables: texts with choices, and which is right | multiple choice |
//! | `captions` | the same tables: pictures and what they show | causal language models that see |
//! | `conll` | words in columns, CoNLL-U | tagging |
//! | `trees` | CoNLL-U | dependency parsing |
//! | `squad` | questions about passages | question answering |
//! | `lines` | a text on every line | masked and causal language models |
//!
//! Whatever is guessed, skipped or noticed on the way is returned as a [`Notice`]
//! for the person to read: training on the wrong column looks like a bad model.

mod captions;
mod choices;
mod columns;
mod conll;
mod error;
mod example;
mod format;
#[cfg(test)]
mod formats_tests;
mod kind;
mod labels;
mod lines;
mod prompts;
mod rows;
mod split;
mod squad;
mod table;
#[cfg(test)]
mod tests;
mod trees;

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
};

use hub_schemas::{Digest, backbone::Architecture};

pub use captions::{DESCRIBE, IMAGES};
pub use columns::{ColumnOptions, ColumnRef};
pub use error::DataError;
pub use example::{Answer, Example, Span};
pub use format::FileFormat;
pub use kind::{TaskKind, UnknownKind};
pub use labels::LabelSet;
pub use split::split;

/// The examples of one file.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// The file's name, without its folder.
    pub name: String,
    /// Where it lies: relative names of files in it count from here.
    pub folder: PathBuf,
    /// The file's bytes.
    pub digest: Digest,
    /// What its examples are for.
    pub kind: TaskKind,
    /// At least one.
    pub examples: Vec<Example>,
    /// What the reader should know.
    pub notices: Vec<Notice>,
}

/// Something about the data that a person should read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Whether the first row was taken for column names.
    Header {
        /// It was.
        found: bool,
    },
    /// A column was guessed.
    Guessed {
        /// `text` or `label`.
        role: &'static str,
        /// The column's name or number.
        column: String,
        /// The reason.
        why: &'static str,
    },
    /// Two columns hold texts that belong together, by their names.
    Pair {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// What is written and what stands in front of it, by the names of the columns.
    Answered {
        /// The prompt, or the text.
        prompt: String,
        /// What the prompt is about.
        subject: Option<String>,
        /// The answer; none where the text is learned whole.
        answer: Option<String>,
    },
    /// Which column holds what is said in recordings.
    Said {
        /// The files of the recordings.
        recording: String,
        /// The words.
        words: String,
    },
    /// Numbers that say which choice is right were taken to count from here.
    Counted {
        /// Their column.
        column: String,
        /// 0 or 1.
        first: usize,
    },
    /// The task was guessed.
    Task {
        /// The task.
        kind: TaskKind,
        /// The reason.
        why: &'static str,
    },
    /// Scores that no cosine reaches.
    NoCosines {
        /// Their column.
        column: String,
        /// How many.
        rows: usize,
    },
    /// Rows were left out.
    Skipped {
        /// Rows without a text.
        blank_texts: usize,
        /// Rows with a text but without a label.
        blank_labels: usize,
    },
    /// Texts of the evaluation data also stand in the training data.
    Leak {
        /// The evaluation file.
        file: String,
        /// How many of its rows.
        rows: usize,
    },
    /// Texts were cut at the longest length.
    Truncated {
        /// How many.
        texts: usize,
        /// Of how many.
        of: usize,
        /// The length, in tokens.
        max_length: usize,
    },
    /// The vectors that the base model's folder states are learned.
    Vectors {
        /// Which.
        stated: String,
    },
    /// Fused adapters stand at different sub-layers, which `adapters` 1.3.0 refuses to load.
    Apart {
        /// A member.
        first: String,
        /// One that stands elsewhere.
        second: String,
    },
    /// Recordings are longer than what the backbone hears.
    Unheard {
        /// How many.
        recordings: usize,
        /// Of how many.
        of: usize,
    },
}

impl Notice {
    /// That rows were skipped, if any were.
    fn skipped(blank_texts: usize, blank_labels: usize) -> Option<Self> {
        (blank_texts + blank_labels > 0).then_some(Self::Skipped { blank_texts, blank_labels })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { found: true } => write!(f, "the first row holds the names of the columns"),
            Self::Header { found: false } => write!(f, "the first row is an example, not a header"),
            Self::Guessed { role, column, why } => write!(f, "column `{column}` is the {role}: {why}"),
            Self::Pair { first, second } => {
                write!(
                    f,
                    "columns `{first}` and `{second}` hold two texts that belong together: by their names"
                )
            }
            Self::Answered { prompt, answer: None, .. } => {
                write!(f, "column `{prompt}` holds texts that are learned whole")
            }
            Self::Answered { prompt, subject: Some(subject), answer: Some(answer) } => {
                write!(f, "column `{answer}` answers `{prompt}`, which is about `{subject}`")
            }
            Self::Answered { prompt, subject: None, answer: Some(answer) } => {
                write!(f, "column `{answer}` answers `{prompt}`")
            }
            Self::Apart { first, second } => {
                write!(
                    f,
                    "`{first}` and `{second}` stand at different sub-layers: `hub` runs their fusion, the library `adapters` refuses it"
                )
            }
            Self::Said { recording, words } => {
                write!(f, "column `{words}` is what is said in `{recording}`")
            }
            Self::Counted { column, first } => {
                write!(f, "column `{column}` counts the choices from {first}")
            }
            Self::NoCosines { column, rows } => write!(
                f,
                "{rows} scores in the column `{column}` are no cosines, which lie between -1 and 1: the loss compares \
                 different scales, correlations do not depend on them"
            ),
            Self::Task { kind, why } => write!(f, "the task is `{kind}`: {why}"),
            Self::Skipped { blank_texts, blank_labels: 0 } => {
                write!(f, "{blank_texts} rows without a text were skipped")
            }
            Self::Skipped { blank_texts: 0, blank_labels } => {
                write!(f, "{blank_labels} rows without a label were skipped")
            }
            Self::Skipped { blank_texts, blank_labels } => write!(
                f,
                "{blank_texts} rows without a text and {blank_labels} rows without a label were skipped"
            ),
            Self::Leak { file, rows } => {
                write!(f, "{rows} texts of `{file}` also stand in the training data: its scores are too good")
            }
            Self::Truncated { texts, of, max_length } => {
                write!(f, "{texts} of {of} texts were cut at {max_length} tokens")
            }
            Self::Vectors { stated } => {
                write!(f, "vectors as the base model's `modules.json` states them: {stated}")
            }
            Self::Unheard { recordings, of } => write!(
                f,
                "{recordings} of {of} recordings are longer than what the base model hears: what is said at their ends is not heard"
            ),
        }
    }
}

impl DataFile {
    /// Reads a file; its extension says how. Without a `kind` the file decides what it is for.
    pub fn read(path: &Path, kind: Option<TaskKind>, options: &ColumnOptions) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
        let name = path.file_name().map_or_else(|| PathBuf::from(path), PathBuf::from).display().to_string();
        Self::parse(path, name, &bytes, kind, options)
    }

    fn parse(
        path: &Path,
        name: String,
        bytes: &[u8],
        kind: Option<TaskKind>,
        options: &ColumnOptions,
    ) -> Result<Self, DataError> {
        let format = FileFormat::of(path).ok_or_else(|| DataError::Kind { path: path.to_owned() })?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(text).map_err(|e| {
            let line = text[..e.valid_up_to()].split(|&b| b == b'\n').count() as u64;
            DataError::Utf8 { file: name.clone(), line }
        })?;
        if text.trim().is_empty() {
            return Err(DataError::Empty { file: name, detail: ": it is empty".to_owned() });
        }
        if let Some(kind) = kind.filter(|kind| !format.holds(*kind)) {
            return Err(DataError::Format { file: name, task: kind });
        }
        let (kind, examples, notices) = match format {
            FileFormat::Csv | FileFormat::Tsv | FileFormat::Jsonl => {
                let read = rows::read(&name, &table::parse(format, &name, text)?, kind, options)?;
                (read.kind, read.examples, read.notices)
            }
            FileFormat::Conll => (TaskKind::Tagging, conll::tagged(&name, text, options)?, Vec::new()),
            FileFormat::Conllu if kind == Some(TaskKind::DependencyParsing) => {
                (TaskKind::DependencyParsing, trees::read(&name, text)?, Vec::new())
            }
            FileFormat::Conllu => (TaskKind::Tagging, conll::universal(&name, text, options)?, Vec::new()),
            FileFormat::Squad => (TaskKind::QuestionAnswering, squad::questions(&name, text)?, Vec::new()),
            FileFormat::Lines => (kind.unwrap_or(TaskKind::MaskedLm), lines::texts(text), Vec::new()),
        };
        if examples.is_empty() {
            return Err(DataError::Empty { file: name, detail: String::new() });
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { name, folder, digest: Digest::of(bytes), kind, examples, notices })
    }

    /// The file as it is meant for a backbone of this architecture, where nobody has said what it is for.
    #[must_use]
    pub fn on(mut self, architecture: Architecture) -> Self {
        self.kind = self.kind.on(architecture);
        for notice in &mut self.notices {
            if let Notice::Task { kind, .. } = notice {
                *kind = kind.on(architecture);
            }
        }
        self
    }

    /// Says so when texts of this file also stand in the training data.
    pub fn leak(&self, training: &[Example]) -> Option<Notice> {
        let seen: HashSet<Cow<'_, str>> = training.iter().map(Example::key).collect();
        let rows = self.examples.iter().filter(|e| seen.contains(&e.key())).count();
        (rows > 0).then(|| Notice::Leak { file: self.name.clone(), rows })
    }
}
