//! Aligned columns for people; programs use `--format json`.

use console::{Style, measure_text_width};

use super::{plain, style};

/// Rows under a header.
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; its text may come from anywhere.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into_iter().map(|cell| plain::line(&cell).into_owned()).collect());
    }

    pub(super) fn render(&self, color: bool) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| measure_text_width(&row[column]));
            cells.max().unwrap_or(0).max(self.header[column].len())
        };
        let widths: Vec<_> = (0..self.header.len()).map(width).collect();
        let mut text = String::new();
        let header: Vec<_> = self.header.iter().map(ToString::to_string).collect();
        text.push_str(&style::paint(line(&header, &widths).trim_end(), Style::new().bold(), color));
        text.push('\n');
        for row in &self.rows {
            text.push_str(line(row, &widths).trim_end());
            text.push('\n');
        }
        text
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', width.saturating_sub(measure_text_width(cell)) + 2));
    }
    text
}

/// Named values, one a line.
#[derive(Default)]
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// Adds a value; its text may come from anywhere.
    pub(crate) fn add(&mut self, name: &'static str, value: impl AsRef<str>) {
        self.0.push((name, plain::line(value.as_ref()).into_owned()));
    }

    pub(super) fn render(&self, color: bool) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value) in &self.0 {
            let padded = format!("{name:width$}");
            text.push_str(&style::paint(&padded, Style::new().bold(), color));
            text.push_str("  ");
            text.push_str(value);
            text.push('\n');
        }
        text
    }
}
