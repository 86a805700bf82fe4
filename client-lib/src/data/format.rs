//! How a file's bytes are to be read: its extension says so.

use std::path::Path;

use super::TaskKind;

/// A format of data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// RFC 4180.
    Csv,
    /// Tabs only. A quote is a letter like any other: published TSV files hold bare quotes.
    Tsv,
    /// One JSON object a line.
    Jsonl,
    /// Words in columns, an empty line between sentences.
    Conll,
    /// The same with the ten columns of Universal Dependencies.
    Conllu,
    /// Questions about passages, as SQuAD has them.
    Squad,
    /// A text on every line.
    Lines,
}

impl FileFormat {
    /// The format of the file at `path`, by its extension.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "conll" | "conll03" | "bio" | "iob" | "iob2" => Some(Self::Conll),
            "conllu" => Some(Self::Conllu),
            "json" => Some(Self::Squad),
            "txt" => Some(Self::Lines),
            _ => None,
        }
    }

    /// Whether examples of a kind can stand in such a file.
    pub const fn holds(self, kind: TaskKind) -> bool {
        match kind {
            TaskKind::Classification
            | TaskKind::MultiLabel
            | TaskKind::Regression
            | TaskKind::Embedding
            | TaskKind::MultipleChoice
            | TaskKind::Seq2SeqLm => {
                matches!(self, Self::Csv | Self::Tsv | Self::Jsonl)
            }
            TaskKind::Tagging => matches!(self, Self::Jsonl | Self::Conll | Self::Conllu),
            TaskKind::DependencyParsing => matches!(self, Self::Conllu),
            TaskKind::QuestionAnswering => matches!(self, Self::Squad),
            TaskKind::MaskedLm => matches!(self, Self::Lines),
            TaskKind::CausalLm => matches!(self, Self::Csv | Self::Tsv | Self::Jsonl | Self::Lines),
        }
    }
}
