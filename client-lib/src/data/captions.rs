//! Rows of a table with pictures and what they show, for a language model that sees.

use super::{
    Answer, ColumnOptions, ColumnRef, DataError, Example, Notice, TaskKind,
    columns::{named_columns, position},
    rows::Read,
    table::{Row, Table},
};

/// What a model is asked about every picture.
pub const DESCRIBE: &str = "Describe this picture.";
/// Names of a column with what a picture shows, most telling first.
const CAPTIONS: [&str; 6] = ["caption", "description", "text", "completion", "answer", "label"];

/// Reads every row of a table that is not empty: the file of the picture in the column `image`.
pub(super) fn read(
    file: &str,
    table: &Table,
    image: &ColumnRef,
    options: &ColumnOptions,
) -> Result<Read, DataError> {
    let has_header = options.header.unwrap_or(true);
    let width = table.rows[0].cells.len();
    let (names, skip) = match (&table.fields, has_header) {
        (Some(fields), _) => (fields.clone(), 0),
        (None, true) => (named_columns(&table.rows[0]), 1),
        (None, false) => ((1..=width).map(|number| number.to_string()).collect(), 0),
    };
    let image = position(file, &names, image)?;
    let at = |known: &&str| names.iter().position(|name| name.eq_ignore_ascii_case(known));
    let caption = match &options.label {
        Some(column) => position(file, &names, column)?,
        None => CAPTIONS.iter().find_map(at).ok_or_else(|| DataError::NoColumn {
            file: file.to_owned(),
            column: CAPTIONS[0].to_owned(),
            available: names.clone(),
        })?,
    };
    if image == caption {
        return Err(DataError::SameColumn { file: file.to_owned(), column: names[image].clone() });
    }
    let (mut examples, mut blank_texts, mut blank_labels) = (Vec::new(), 0, 0);
    for row in &table.rows[skip..] {
        let cell = |column: usize| cell(file, row, &names, column);
        match (cell(image)?, cell(caption)?) {
            ("", _) => blank_texts += 1,
            (_, "") => blank_labels += 1,
            (image, caption) => examples.push(Example {
                answer: Answer::Text(caption.to_owned()),
                line: row.line,
                ..Example::of_picture(image)
            }),
        }
    }
    let mut notices = vec![Notice::Answered {
        prompt: names[image].clone(),
        subject: None,
        answer: Some(names[caption].clone()),
    }];
    if blank_texts + blank_labels > 0 {
        notices.push(Notice::Skipped { blank_texts, blank_labels });
    }
    Ok(Read { kind: TaskKind::CausalLm, examples, notices })
}

fn cell<'r>(file: &str, row: &'r Row, names: &[String], column: usize) -> Result<&'r str, DataError> {
    row.cells[column].as_deref().map(str::trim).ok_or_else(|| DataError::Field {
        file: file.to_owned(),
        line: row.line,
        field: names[column].clone(),
    })
}
