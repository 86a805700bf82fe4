//! Labelled texts from CSV, TSV and JSONL files.
//!
//! Whatever is guessed, skipped or noticed on the way is returned as a [`Notice`]
//! for the person to read: training on the wrong column looks like a bad model.

mod columns;
mod error;
mod labels;
mod split;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
};

use hub_schemas::Digest;

pub use columns::{ColumnOptions, ColumnRef};
pub use error::DataError;
pub use labels::LabelSet;
pub use split::split;

/// A labelled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The text, without white space around it.
    pub text: String,
    /// Its label, without white space around it.
    pub label: String,
    /// Where it stands in its file, from 1.
    pub line: u64,
}

/// The examples of one file.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// The file's name, without its folder.
    pub name: String,
    /// Where it lies: relative names of files in it count from here.
    pub folder: PathBuf,
    /// The file's bytes.
    pub digest: Digest,
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
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { found: true } => write!(f, "the first row holds the names of the columns"),
            Self::Header { found: false } => write!(f, "the first row is an example, not a header"),
            Self::Guessed { role, column, why } => write!(f, "column `{column}` is the {role}: {why}"),
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
        }
    }
}

impl DataFile {
    /// Reads a file; its extension says how.
    pub fn read(path: &Path, options: &ColumnOptions) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
        let name = path.file_name().map_or_else(|| PathBuf::from(path), PathBuf::from).display().to_string();
        Self::parse(path, name, &bytes, options)
    }

    fn parse(path: &Path, name: String, bytes: &[u8], options: &ColumnOptions) -> Result<Self, DataError> {
        let table = table::parse(path, &name, bytes)?;
        if table.rows.is_empty() {
            return Err(DataError::Empty { file: name, detail: ": it is empty".to_owned() });
        }
        let columns = columns::find(&name, &table, options)?;
        let (mut blank_texts, mut blank_labels) = (0, 0);
        let mut examples = Vec::with_capacity(table.rows.len());
        for row in &table.rows[columns.skip..] {
            let cell = |column: usize| {
                row.cells[column].as_deref().map(str::trim).ok_or_else(|| DataError::Field {
                    file: name.clone(),
                    line: row.line,
                    field: columns.names[column].clone(),
                })
            };
            let (text, label) = (cell(columns.text)?, cell(columns.label)?);
            match (text.is_empty(), label.is_empty()) {
                (true, _) => blank_texts += 1,
                (false, true) => blank_labels += 1,
                (false, false) if labels::is_acceptable(label) => {
                    examples.push(Example { text: text.to_owned(), label: label.to_owned(), line: row.line });
                }
                (false, false) => {
                    let label = label.chars().take(40).collect();
                    return Err(DataError::Label { file: name, line: row.line, label });
                }
            }
        }
        let mut notices = columns.notices;
        if blank_texts + blank_labels > 0 {
            notices.push(Notice::Skipped { blank_texts, blank_labels });
        }
        if examples.is_empty() {
            let detail = if blank_texts + blank_labels > 0 {
                ": every row lacks its text or its label".to_owned()
            } else {
                ": it has a header and nothing else".to_owned()
            };
            return Err(DataError::Empty { file: name, detail });
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { name, folder, digest: Digest::of(bytes), examples, notices })
    }

    /// Says so when texts of this file also stand in the training data.
    pub fn leak(&self, training: &[Example]) -> Option<Notice> {
        let seen: HashSet<&str> = training.iter().map(|e| e.text.as_str()).collect();
        let rows = self.examples.iter().filter(|e| seen.contains(e.text.as_str())).count();
        (rows > 0).then(|| Notice::Leak { file: self.name.clone(), rows })
    }
}
