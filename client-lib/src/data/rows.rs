//! From rows of a table to examples: what they are for, and what stands in which cell.

use serde_json::Value;

use super::{
    Answer, ColumnOptions, DataError, Example, Notice, TaskKind, captions, choices,
    columns::{self, Columns},
    labels, prompts,
    table::{Row, Table},
};

/// What separates labels in one cell.
const SEPARATOR: char = '|';
/// Fields of a JSON object with words and their tags, most telling first.
const WORD_FIELDS: [&str; 2] = ["tokens", "words"];
const TAG_FIELDS: [&str; 5] = ["tags", "ner_tags", "pos_tags", "upos", "labels"];

/// What the rows of a table are.
pub(super) struct Read {
    pub(super) kind: TaskKind,
    pub(super) examples: Vec<Example>,
    pub(super) notices: Vec<Notice>,
}

/// Reads every row; without a `kind` the columns and what they hold decide.
pub(super) fn read(
    file: &str,
    table: &Table,
    kind: Option<TaskKind>,
    options: &ColumnOptions,
) -> Result<Read, DataError> {
    let Some(first) = table.rows.first() else {
        return Err(DataError::Empty { file: file.to_owned(), detail: ": it is empty".to_owned() });
    };
    if let Some(image) = &options.image {
        return captions::read(file, table, image, options);
    }
    let has_words = WORD_FIELDS.iter().any(|field| first.lists.contains_key(*field));
    match kind {
        Some(TaskKind::Tagging) => tagged(file, table, options, Vec::new()),
        None if has_words => {
            let why = "its rows hold lists of words and tags";
            tagged(file, table, options, vec![Notice::Task { kind: TaskKind::Tagging, why }])
        }
        Some(TaskKind::MultipleChoice) => choices::read(file, table, options, Vec::new()),
        None if !options.choices.is_empty() => choices::read(file, table, options, Vec::new()),
        None if is_untold(options) && choices::are_named(table) => {
            let (kind, why) = (TaskKind::MultipleChoice, "its columns are choices, and which is right");
            choices::read(file, table, options, vec![Notice::Task { kind, why }])
        }
        Some(kind) if kind.writes() => prompts::read(file, table, kind, options, Vec::new()),
        None if is_untold(options) && prompts::are_named(table) => {
            let (kind, why) = (TaskKind::CausalLm, "its columns are prompts and the answers to them");
            prompts::read(file, table, kind, options, vec![Notice::Task { kind, why }])
        }
        None if is_untold(options) && prompts::are_spoken(table) => {
            let (kind, why) = (TaskKind::Seq2SeqLm, "its columns are recordings and what is said in them");
            prompts::read(file, table, kind, options, vec![Notice::Task { kind, why }])
        }
        _ => labelled(file, table, kind, options),
    }
}

/// Whether nobody has said where something stands.
fn is_untold(options: &ColumnOptions) -> bool {
    options.text.is_none() && options.pair.is_none() && options.label.is_none()
}

/// Texts, or pairs of them, with a label, labels or a number.
fn labelled(
    file: &str,
    table: &Table,
    kind: Option<TaskKind>,
    options: &ColumnOptions,
) -> Result<Read, DataError> {
    let mut columns = columns::find(file, table, options)?;
    let mut notices = std::mem::take(&mut columns.notices);
    let body = &table.rows[columns.skip..];
    let kind = match kind {
        Some(kind) => kind,
        None => guess(body, &columns, &mut notices),
    };
    if kind == TaskKind::Embedding && columns.pair.is_none() {
        return Err(DataError::NoPair { file: file.to_owned(), text: columns.names[columns.text].clone() });
    }
    let (mut blank_texts, mut blank_labels) = (0, 0);
    let mut examples = Vec::with_capacity(body.len());
    for row in body {
        let texts = [Some(columns.text), columns.pair].into_iter().flatten();
        let texts =
            texts.map(|column| row.cell(file, &columns.names, column)).collect::<Result<Vec<_>, _>>()?;
        let answer = answer(file, row, &columns, kind)?;
        match (texts.iter().any(|text| text.is_empty()), answer) {
            (true, _) => blank_texts += 1,
            (false, None) => blank_labels += 1,
            (false, Some(answer)) => examples.push(Example {
                texts: texts.into_iter().map(str::to_owned).collect(),
                places: Vec::new(),
                answer,
                source: None,
                line: row.line,
            }),
        }
    }
    notices.extend(Notice::skipped(blank_texts, blank_labels));
    let rows = examples.iter().filter(|example| kind == TaskKind::Embedding && !example.is_cosine()).count();
    if rows > 0 {
        notices.push(Notice::NoCosines { column: columns.names[columns.label].clone(), rows });
    }
    if examples.is_empty() {
        let detail = if blank_texts + blank_labels > 0 {
            ": every row lacks its text or its label".to_owned()
        } else {
            ": it has a header and nothing else".to_owned()
        };
        return Err(DataError::Empty { file: file.to_owned(), detail });
    }
    Ok(Read { kind, examples, notices })
}

/// Lists of labels are for multi-label classification, broken numbers for regression, all else are labels.
fn guess(body: &[Row], columns: &Columns, notices: &mut Vec<Notice>) -> TaskKind {
    let lists = body.iter().any(|row| row.lists.contains_key(&columns.names[columns.label]));
    let numbers: Option<Vec<f64>> = body
        .iter()
        .filter_map(|row| row.cells[columns.label].as_deref())
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .map(|cell| cell.parse::<f64>().ok().filter(|number| number.is_finite()))
        .collect();
    let broken = numbers.is_some_and(|numbers| numbers.iter().any(|number| number.fract() != 0.0));
    let (kind, why) = if lists {
        (TaskKind::MultiLabel, "its labels stand in lists")
    } else if broken {
        (TaskKind::Regression, "its labels are numbers with a fraction")
    } else {
        return TaskKind::Classification;
    };
    notices.push(Notice::Task { kind, why });
    kind
}

/// What is right; `None` where the cell is empty and something must stand there.
fn answer(file: &str, row: &Row, columns: &Columns, kind: TaskKind) -> Result<Option<Answer>, DataError> {
    let name = &columns.names[columns.label];
    if kind == TaskKind::MultiLabel {
        let labels = if let Some(list) = row.lists.get(name) {
            texts(file, row.line, name, list)?
        } else {
            let parts = row.cell(file, &columns.names, columns.label)?.split(SEPARATOR).map(str::trim);
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        labels.iter().try_for_each(|label| check_label(file, row.line, label))?;
        return Ok(Some(Answer::Labels(labels)));
    }
    let text = row.cell(file, &columns.names, columns.label)?;
    if text.is_empty() {
        return Ok(None);
    }
    if matches!(kind, TaskKind::Regression | TaskKind::Embedding) {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        return number.map(|number| Some(Answer::Number(number))).ok_or_else(|| DataError::NotANumber {
            file: file.to_owned(),
            line: row.line,
            column: name.clone(),
            value: text.chars().take(40).collect(),
        });
    }
    check_label(file, row.line, text)?;
    Ok(Some(Answer::Label(text.to_owned())))
}

fn check_label(file: &str, line: u64, label: &str) -> Result<(), DataError> {
    if labels::is_acceptable(label) {
        return Ok(());
    }
    Err(DataError::Label { file: file.to_owned(), line, label: label.chars().take(40).collect() })
}

/// Words and their tags, from lists.
fn tagged(
    file: &str,
    table: &Table,
    options: &ColumnOptions,
    notices: Vec<Notice>,
) -> Result<Read, DataError> {
    let fields = table.fields.as_deref().unwrap_or_default();
    let field = |told: Option<String>, known: &[&str]| {
        let found = known.iter().find(|name| fields.iter().any(|field| field == *name));
        told.or_else(|| found.map(|name| (*name).to_owned())).ok_or_else(|| DataError::NoColumn {
            file: file.to_owned(),
            column: known[0].to_owned(),
            available: fields.to_vec(),
        })
    };
    let words = field(options.text.as_ref().map(ToString::to_string), &WORD_FIELDS)?;
    let tags = field(options.label.as_ref().map(ToString::to_string), &TAG_FIELDS)?;
    let mut examples = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let list = |name: &str| {
            let missing =
                || DataError::NoList { file: file.to_owned(), line: row.line, field: name.to_owned() };
            texts(file, row.line, name, row.lists.get(name).ok_or_else(missing)?)
        };
        let (words, tags) = (list(&words)?, list(&tags)?);
        if words.len() != tags.len() {
            let (words, tags) = (words.len(), tags.len());
            return Err(DataError::TagCount { file: file.to_owned(), line: row.line, words, tags });
        }
        tags.iter().try_for_each(|tag| check_label(file, row.line, tag))?;
        if !words.is_empty() {
            let (places, answer) = (Vec::new(), Answer::Tags(tags));
            examples.push(Example { texts: words, places, answer, source: None, line: row.line });
        }
    }
    Ok(Read { kind: TaskKind::Tagging, examples, notices })
}

/// The texts of a list; numbers are taken as they are written.
pub(super) fn texts(file: &str, line: u64, field: &str, list: &Value) -> Result<Vec<String>, DataError> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let all: Option<Vec<String>> = list.as_array().and_then(|list| list.iter().map(text).collect());
    all.ok_or_else(|| DataError::NoList { file: file.to_owned(), line, field: field.to_owned() })
}
