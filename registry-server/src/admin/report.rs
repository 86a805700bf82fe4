//! What verbs print: a table for people, JSON for programs.

use clap::ValueEnum;
use serde::Serialize;

use super::{AdminError, print};

/// How a verb prints its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Prints `rows` as JSON, or as a table of what `cells` makes of each.
pub(crate) fn rows<T: Serialize, const N: usize>(
    format: Format,
    titles: [&str; N],
    rows: &[T],
    cells: impl Fn(&T) -> [String; N],
) -> Result<(), AdminError> {
    if format == Format::Json {
        let text = serde_json::to_string_pretty(rows).map_err(std::io::Error::other)?;
        return print(&text);
    }
    let table: Vec<[String; N]> =
        std::iter::once(titles.map(str::to_owned)).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in &table {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        print(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
