//! Rows of a table with pictures and what they show, for a language model that sees.

use super::{
    Answer, ColumnOptions, ColumnRef, DataError, Example, Notice, TaskKind,
    columns::{named_any, position},
    rows::Read,
    table::Table,
};

/// The column of pictures where nobody names another.
pub const IMAGES: &str = "image";
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
    let (names, skip) = table.header(|| options.header.unwrap_or(true));
    let image = position(file, &names, image)?;
    let caption = match &options.label {
        Some(column) => position(file, &names, column)?,
        None => named_any(&names, &CAPTIONS).ok_or_else(|| DataError::NoColumn {
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
        let cell = |column: usize| row.cell(file, &names, column);
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
    notices.extend(Notice::skipped(blank_texts, blank_labels));
    Ok(Read { kind: TaskKind::CausalLm, examples, notices })
}
