//! Which column holds the text and which the label: as told, or guessed and said so.

use std::{collections::HashSet, convert::Infallible, fmt, str::FromStr};

use super::{
    DataError, Notice,
    table::{Row, Table},
};

/// Column names that mean "the text", most telling first.
const TEXT_NAMES: [&str; 22] = [
    "text",
    "sentence",
    "review",
    "content",
    "message",
    "utterance",
    "document",
    "comment",
    "tweet",
    "question",
    "query",
    "body",
    "description",
    "title",
    "image",
    "image_path",
    "audio",
    "audio_path",
    "recording",
    "path",
    "file",
    "file_name",
];
/// Column names that mean "the label", most telling first.
pub(super) const LABEL_NAMES: [&str; 14] = [
    "label",
    "labels",
    "class",
    "category",
    "target",
    "sentiment",
    "intent",
    "topic",
    "tag",
    "genre",
    "score",
    "similarity",
    "similarity_score",
    "y",
];
/// Names of two columns whose texts belong together.
const PAIR_NAMES: [(&str, &str); 9] = [
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("question", "passage"),
    ("anchor", "positive"),
    ("query", "document"),
];
/// Guessing looks at this many rows: enough to tell a label from a text, whatever the file's size.
const ROWS_TO_GUESS_FROM: usize = 1000;

/// A column as a person names it: by its name, or by its number from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnRef {
    /// The name in the header.
    Name(String),
    /// Its position, from 1.
    Number(usize),
}

impl ColumnRef {
    /// Whether it is a number, which needs no header.
    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Number(_))
    }
}

impl FromStr for ColumnRef {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number))
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.pad(name),
            Self::Number(number) => f.pad(&number.to_string()),
        }
    }
}

/// What was said about a file's columns; what was not is guessed.
#[derive(Debug, Clone, Default)]
pub struct ColumnOptions {
    /// The column of the text.
    pub text: Option<ColumnRef>,
    /// The column of a second text that belongs to the first.
    pub pair: Option<ColumnRef>,
    /// The column of the label.
    pub label: Option<ColumnRef>,
    /// The columns of texts of which one is to be chosen, or the field of their list.
    pub choices: Vec<ColumnRef>,
    /// The column of files of pictures, for a language model that sees.
    pub image: Option<ColumnRef>,
    /// Whether the first row holds names.
    pub header: Option<bool>,
}

/// The answer.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) text: usize,
    /// Of a second text, where there is one.
    pub(super) pair: Option<usize>,
    pub(super) label: usize,
    pub(super) names: Vec<String>,
    /// Rows before the first example: the header.
    pub(super) skip: usize,
    pub(super) notices: Vec<Notice>,
}

/// Finds the two columns of `table`, whose first row exists.
pub(super) fn find(file: &str, table: &Table, options: &ColumnOptions) -> Result<Columns, DataError> {
    let width = table.rows[0].cells.len();
    if width < 2 {
        return Err(DataError::OneColumn { file: file.to_owned() });
    }
    let mut notices = Vec::new();
    let (names, skip) = table.header(|| has_header(table, options, &mut notices));
    let body = &table.rows[skip..];
    let told =
        |column: &Option<ColumnRef>| column.as_ref().map(|column| position(file, &names, column)).transpose();
    let (mut text, mut pair, label) = (told(&options.text)?, told(&options.pair)?, told(&options.label)?);
    if text.is_none() && pair.is_none() {
        (text, pair) = named_pair(&names, label, &mut notices).unzip();
    }
    let label = match label {
        Some(label) => label,
        None => guess_label(&names, body, [text, pair], &mut notices),
    };
    let text = match text {
        Some(text) => text,
        None => guess_text(&names, body, [Some(label), pair], &mut notices),
    };
    if text == label || pair.is_some_and(|pair| pair == text || pair == label) {
        let column = if text == label { text } else { pair.unwrap_or(text) };
        return Err(DataError::SameColumn { file: file.to_owned(), column: names[column].clone() });
    }
    Ok(Columns { text, pair, label, names, skip, notices })
}

/// The column of this name, however it is written.
pub(super) fn named(names: &[String], known: &str) -> Option<usize> {
    names.iter().position(|name| name.eq_ignore_ascii_case(known))
}

/// The column of the first of these names that there is.
pub(super) fn named_any(names: &[String], known: &[&str]) -> Option<usize> {
    known.iter().find_map(|known| named(names, known))
}

/// The columns of the first of these pairs of names that there are.
pub(super) fn named_both<'a, 'n: 'a>(
    names: &[String],
    known: impl IntoIterator<Item = &'a (&'n str, &'n str)>,
) -> Option<(usize, usize)> {
    known.into_iter().find_map(|(first, second)| Some((named(names, first)?, named(names, second)?)))
}

/// Two columns whose names say that their texts belong together.
fn named_pair(names: &[String], label: Option<usize>, notices: &mut Vec<Notice>) -> Option<(usize, usize)> {
    let found = named_both(names, &PAIR_NAMES);
    let (first, second) = found.filter(|&(first, second)| label != Some(first) && label != Some(second))?;
    notices.push(Notice::Pair { first: names[first].clone(), second: names[second].clone() });
    Some((first, second))
}

pub(super) fn position(file: &str, names: &[String], column: &ColumnRef) -> Result<usize, DataError> {
    let found = match column {
        ColumnRef::Name(name) => names.iter().position(|n| n == name),
        // A header may hold a bare number as a name; the position wins only without one.
        ColumnRef::Number(number) => (names.iter().position(|n| *n == number.to_string()))
            .or_else(|| number.checked_sub(1).filter(|&index| index < names.len())),
    };
    found.ok_or_else(|| DataError::NoColumn {
        file: file.to_owned(),
        column: column.to_string(),
        available: names.to_vec(),
    })
}

pub(super) fn has_header(table: &Table, options: &ColumnOptions, notices: &mut Vec<Notice>) -> bool {
    if let Some(told) = options.header {
        return told;
    }
    let first: Vec<String> =
        table.rows[0].cells.iter().flatten().map(|cell| cell.trim().to_ascii_lowercase()).collect();
    let named = |column: &Option<ColumnRef>| matches!(column, Some(ColumnRef::Name(name)) if first.contains(&name.to_ascii_lowercase()));
    let known = |names: &[&str]| first.iter().any(|cell| names.contains(&cell.as_str()));
    let guess = if named(&options.text) || named(&options.label) || named(&options.pair) {
        true
    } else if known(&TEXT_NAMES)
        || known(&LABEL_NAMES)
        || PAIR_NAMES.iter().any(|(first, second)| known(&[first]) && known(&[second]))
    {
        notices.push(Notice::Header { found: true });
        true
    } else {
        let found = label_name_is_no_label(table);
        notices.push(Notice::Header { found });
        found
    };
    // A name can only be looked up in a header, so the search for it must fail against one.
    guess
        || [&options.text, &options.pair, &options.label]
            .iter()
            .any(|column| matches!(column, Some(ColumnRef::Name(_))))
}

/// Whether the label column's values repeat, but its first one never comes back.
fn label_name_is_no_label(table: &Table) -> bool {
    let body = &table.rows[1..];
    let Some(label) = (0..table.rows[0].cells.len()).min_by_key(|&column| distinct(body, column)) else {
        return false;
    };
    let first = table.rows[0].cells[label].as_deref();
    distinct(body, label) * 2 <= body.len() && body.iter().all(|row| row.cells[label].as_deref() != first)
}

fn distinct(rows: &[Row], column: usize) -> usize {
    rows.iter()
        .take(ROWS_TO_GUESS_FROM)
        .filter_map(|row| row.cells[column].as_deref())
        .collect::<HashSet<_>>()
        .len()
}

/// Columns that have another role already.
type Taken = [Option<usize>; 2];

fn by_name(names: &[String], known: &[&str], taken: Taken) -> Option<usize> {
    known.iter().find_map(|known| {
        (0..names.len()).find(|&i| !taken.contains(&Some(i)) && names[i].eq_ignore_ascii_case(known))
    })
}

fn guess_label(names: &[String], body: &[Row], taken: Taken, notices: &mut Vec<Notice>) -> usize {
    let (column, why) = if let Some(column) = by_name(names, &LABEL_NAMES, taken) {
        (column, "by its name")
    } else {
        let free = (0..names.len()).filter(|&column| !taken.contains(&Some(column)));
        let column = free.min_by_key(|&column| distinct(body, column)).unwrap_or(0);
        (column, "it has the fewest different values")
    };
    notices.push(Notice::Guessed { role: "label", column: names[column].clone(), why });
    column
}

fn guess_text(names: &[String], body: &[Row], taken: Taken, notices: &mut Vec<Notice>) -> usize {
    let length = |column: usize| -> usize {
        body.iter()
            .take(ROWS_TO_GUESS_FROM)
            .map(|row| row.cells[column].as_ref().map_or(0, String::len))
            .sum()
    };
    let (column, why) = if let Some(column) = by_name(names, &TEXT_NAMES, taken) {
        (column, "by its name")
    } else {
        let free = (0..names.len()).rev().filter(|&column| !taken.contains(&Some(column)));
        (free.max_by_key(|&column| length(column)).unwrap_or(0), "it has the longest values")
    };
    notices.push(Notice::Guessed { role: "text", column: names[column].clone(), why });
    column
}
