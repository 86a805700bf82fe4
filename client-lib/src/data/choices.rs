//! Rows of a table with a text, several that could follow or answer it, and which of them is right.

use super::{
    Answer, ColumnOptions, ColumnRef, DataError, Example, Notice, TaskKind,
    columns::{named_any, named_both, position},
    rows::{Read, texts},
    table::{Row, Table},
};

/// What columns with one choice each are called in front of a number or a letter, and a list of all of them
/// with an `s` behind. Those behind `option` say nothing of the kind unless somebody asks for it.
const CHOICES: [&str; 8] = ["choice", "ending", "option", "answer", "alternative", "sol", "hyp", "candidate"];
/// How many of them speak for themselves.
const TELLING: usize = 3;
/// Names of two columns of which the second begins every choice.
const PAIRS: [(&str, &str); 4] =
    [("sent1", "sent2"), ("article", "question"), ("passage", "question"), ("context", "question")];
/// Names of a column with the text.
const TEXTS: [&str; 11] = [
    "text", "premise", "context", "ctx", "sent1", "article", "passage", "question", "goal", "sentence",
    "prompt",
];
/// Names of a column that says which choice is right.
const LABELS: [&str; 6] = ["label", "answer", "answer_key", "answerkey", "correct", "gold"];

/// Which columns hold what.
struct Columns {
    text: usize,
    /// What begins every choice.
    pair: Option<usize>,
    choices: Choices,
    label: usize,
    names: Vec<String>,
}

/// Where the choices of a row stand.
enum Choices {
    /// One in each of these columns.
    Columns(Vec<usize>),
    /// In the list of a JSON object.
    List(String),
}

/// Whether the names of columns, or of a list, say that they are choices.
pub(super) fn are_named(table: &Table) -> bool {
    let names = table.names();
    by_name(table, &names, &CHOICES[..TELLING]).is_some() && named_any(&names, &LABELS).is_some()
}

/// The list of choices, or their columns in the order of their numbers or letters.
fn by_name(table: &Table, names: &[String], known: &[&str]) -> Option<Choices> {
    let is_list = |name: &&String| {
        let is_known = known.iter().any(|known| name.to_ascii_lowercase() == format!("{known}s"));
        is_known && table.rows[0].lists.contains_key(name.as_str())
    };
    if let Some(list) = names.iter().find(is_list) {
        return Some(Choices::List(list.clone()));
    }
    known.iter().find_map(|known| {
        let mut found: Vec<(u32, usize)> = Vec::new();
        for (column, name) in names.iter().enumerate() {
            let name = name.to_ascii_lowercase();
            let rest = name.strip_prefix(known).map(|rest| rest.trim_start_matches(['_', ' ', '-']));
            found.extend(rest.and_then(ordinal).map(|place| (place, column)));
        }
        found.sort_unstable();
        let columns: Vec<usize> = found.into_iter().map(|(_, column)| column).collect();
        (columns.len() > 1).then_some(Choices::Columns(columns))
    })
}

/// The place that a number or a letter gives.
fn ordinal(text: &str) -> Option<u32> {
    match text.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(u32::from(letter - b'a')),
        _ => text.parse().ok(),
    }
}

/// Reads every row of a table that is not empty.
pub(super) fn read(
    file: &str,
    table: &Table,
    options: &ColumnOptions,
    mut notices: Vec<Notice>,
) -> Result<Read, DataError> {
    let (names, skip) = table.header(|| options.header.unwrap_or_else(|| !names_are_numbers(options)));
    let columns = find(file, table, names, options)?;
    let (mut examples, mut labels, mut blank_texts, mut blank_labels) = (Vec::new(), Vec::new(), 0, 0);
    for row in &table.rows[skip..] {
        let (texts, label) =
            (row_texts(file, row, &columns)?, row.cell(file, &columns.names, columns.label)?);
        match (texts, label) {
            (None, _) => blank_texts += 1,
            (Some(_), "") => blank_labels += 1,
            (Some(texts), label) => {
                labels.push(label);
                examples.push(Example { line: row.line, ..Example::unanswered(texts) });
            }
        }
    }
    notices.extend(Notice::skipped(blank_texts, blank_labels));
    check_counts(file, &examples)?;
    let numbering = Numbering::of(file, &columns, &labels, &examples)?;
    if let Numbering::From(first) = numbering {
        notices.push(Notice::Counted { column: columns.names[columns.label].clone(), first });
    }
    for (example, label) in examples.iter_mut().zip(labels) {
        example.answer = Answer::Choice(numbering.choice(file, &columns, label, example)?);
    }
    Ok(Read { kind: TaskKind::MultipleChoice, examples, notices })
}

/// Whether every column that was named was named by its number.
fn names_are_numbers(options: &ColumnOptions) -> bool {
    let told = [&options.text, &options.pair, &options.label].into_iter().flatten().chain(&options.choices);
    let mut told = told.peekable();
    told.peek().is_some() && told.all(ColumnRef::is_number)
}

/// The text and its choices; `None` where one of them is empty.
fn row_texts(file: &str, row: &Row, columns: &Columns) -> Result<Option<Vec<String>>, DataError> {
    let cell = |column: usize| row.cell(file, &columns.names, column).map(str::to_owned);
    let beginning = columns.pair.map(cell).transpose()?.unwrap_or_default();
    let choices = match &columns.choices {
        Choices::Columns(columns) => columns.iter().map(|&column| cell(column)).collect::<Result<_, _>>()?,
        Choices::List(name) => {
            let missing = || DataError::NoList { file: file.to_owned(), line: row.line, field: name.clone() };
            texts(file, row.line, name, row.lists.get(name).ok_or_else(missing)?)?
        }
    };
    let text = cell(columns.text)?;
    if text.is_empty() || choices.iter().any(String::is_empty) {
        return Ok(None);
    }
    let begun = |choice: String| format!("{beginning} {choice}").trim_start().to_owned();
    Ok(Some(std::iter::once(text).chain(choices.into_iter().map(begun)).collect()))
}

/// A head scores as many choices for every example.
fn check_counts(file: &str, examples: &[Example]) -> Result<(), DataError> {
    let Some(first) = examples.first() else { return Ok(()) };
    let expected = first.texts.len() - 1;
    let other = examples.iter().find(|example| example.texts.len() - 1 != expected);
    let count = other.map_or(expected, |example| example.texts.len() - 1);
    if count == expected && expected > 1 {
        return Ok(());
    }
    let line = other.unwrap_or(first).line;
    Err(DataError::ChoiceCount { file: file.to_owned(), line, found: count, expected })
}

fn find(
    file: &str,
    table: &Table,
    names: Vec<String>,
    options: &ColumnOptions,
) -> Result<Columns, DataError> {
    let missing = |column: &str| {
        let (file, available) = (file.to_owned(), names.clone());
        DataError::NoColumn { file, column: column.to_owned(), available }
    };
    let told = |column: &Option<_>| column.as_ref().map(|column| position(file, &names, column)).transpose();
    let (text, pair, label) = (told(&options.text)?, told(&options.pair)?, told(&options.label)?);
    let choices = match options.choices.as_slice() {
        [] => by_name(table, &names, &CHOICES).ok_or_else(|| missing("choice1"))?,
        [list] if table.rows[0].lists.contains_key(&list.to_string()) => Choices::List(list.to_string()),
        several => {
            let column = |column| position(file, &names, column);
            Choices::Columns(several.iter().map(column).collect::<Result<_, _>>()?)
        }
    };
    let label = label.or_else(|| named_any(&names, &LABELS)).ok_or_else(|| missing("label"))?;
    let (text, pair) = if let Some(text) = text {
        (text, pair)
    } else {
        let both = named_both(&names, &PAIRS).filter(|_| pair.is_none());
        let found = both.map(|(text, pair)| (text, Some(pair)));
        let alone = || named_any(&names, &TEXTS).map(|text| (text, pair));
        found.or_else(alone).ok_or_else(|| missing("text"))?
    };
    let mut taken = vec![text, label];
    taken.extend(pair);
    if let Choices::Columns(columns) = &choices {
        taken.extend(columns);
    }
    let twice = (1..taken.len()).find(|&place| taken[..place].contains(&taken[place]));
    match twice {
        Some(place) => {
            let column = names[taken[place]].clone();
            Err(DataError::SameColumn { file: file.to_owned(), column })
        }
        None => Ok(Columns { text, pair, choices, label, names }),
    }
}

/// How a file says which choice is right.
#[derive(Clone, Copy)]
enum Numbering {
    /// By its number, counted from 0 or from 1.
    From(usize),
    /// By a letter, from `A`.
    Letters,
    /// By its text or the name of its column.
    Names,
}

impl Numbering {
    /// Numbers say where they begin: with a 0 among them, or with the number of choices. Where neither stands
    /// there, they could mean either.
    fn of(file: &str, columns: &Columns, labels: &[&str], examples: &[Example]) -> Result<Self, DataError> {
        let choices = examples.first().map_or(0, |example| example.texts.len() - 1);
        let numbers: Option<Vec<usize>> = labels.iter().map(|label| label.parse().ok()).collect();
        let is_letter = |label: &&str| {
            let place = ordinal(&label.to_ascii_lowercase());
            label.len() == 1 && place.is_some_and(|place| (place as usize) < choices)
        };
        match numbers {
            Some(numbers) if numbers.contains(&0) => Ok(Self::From(0)),
            Some(numbers) if numbers.contains(&choices) => Ok(Self::From(1)),
            Some(_) => {
                let column = columns.names[columns.label].clone();
                Err(DataError::Numbering { file: file.to_owned(), column, choices })
            }
            None if labels.iter().all(is_letter) => Ok(Self::Letters),
            None => Ok(Self::Names),
        }
    }

    /// The choice that a label means, from 0.
    fn choice(
        self,
        file: &str,
        columns: &Columns,
        label: &str,
        example: &Example,
    ) -> Result<usize, DataError> {
        let choices = &example.texts[1..];
        let found = match self {
            Self::From(first) => label.parse().ok().and_then(|number: usize| number.checked_sub(first)),
            Self::Letters => ordinal(&label.to_ascii_lowercase()).map(|place| place as usize),
            Self::Names => {
                let named = match &columns.choices {
                    Choices::Columns(own) => own.iter().position(|&column| columns.names[column] == label),
                    Choices::List(_) => None,
                };
                let is_it = |choice: &String| choice == label || choice.ends_with(&format!(" {label}"));
                let matching: Vec<usize> =
                    (0..choices.len()).filter(|&place| is_it(&choices[place])).collect();
                named.or_else(|| choices.iter().position(|choice| choice == label)).or(match matching[..] {
                    [only] => Some(only),
                    _ => None,
                })
            }
        };
        found.filter(|&choice| choice < choices.len()).ok_or_else(|| DataError::NoChoice {
            file: file.to_owned(),
            line: example.line,
            label: label.chars().take(40).collect(),
            choices: choices.len(),
        })
    }
}
