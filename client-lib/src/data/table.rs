//! Rows and cells of a CSV, TSV or JSONL file, each with its line.

use serde_json::{Map, Value};

use super::{DataError, FileFormat};

/// One row. A cell is absent where a JSON object lacks the field or holds no plain value in it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) cells: Vec<Option<String>>,
    /// The lists of a JSON object, by field.
    pub(super) lists: Map<String, Value>,
}

impl Row {
    /// The text of a cell of a column among `names`.
    pub(super) fn cell(&self, file: &str, names: &[String], column: usize) -> Result<&str, DataError> {
        self.cells[column].as_deref().map(str::trim).ok_or_else(|| DataError::Field {
            file: file.to_owned(),
            line: self.line,
            field: names[column].clone(),
        })
    }
}

/// A file's rows, before anybody knows what the columns mean.
#[derive(Debug)]
pub(super) struct Table {
    /// Names of the columns, when the format itself brings them (JSONL).
    pub(super) fields: Option<Vec<String>>,
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// What the columns are called, if the first row says so where the format does not.
    pub(super) fn names(&self) -> Vec<String> {
        let header = || self.rows[0].cells.iter().flatten().map(|name| name.trim().to_owned()).collect();
        self.fields.clone().unwrap_or_else(header)
    }

    /// What the columns are called, by their numbers where nothing says it, and how many rows stand in front of the
    /// first example.
    pub(super) fn header(&self, is_there: impl FnOnce() -> bool) -> (Vec<String>, usize) {
        if self.fields.is_some() {
            (self.names(), 0)
        } else if is_there() {
            (self.names(), 1)
        } else {
            ((1..=self.rows[0].cells.len()).map(|number| number.to_string()).collect(), 0)
        }
    }
}

/// Reads a table of one of the three formats; messages call it `file`.
pub(super) fn parse(format: FileFormat, file: &str, text: &str) -> Result<Table, DataError> {
    match format {
        FileFormat::Csv => delimited(file, text, b',', true),
        FileFormat::Tsv => delimited(file, text, b'\t', false),
        _ => jsonl(file, text),
    }
}

fn delimited(file: &str, text: &str, delimiter: u8, quoting: bool) -> Result<Table, DataError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .quoting(quoting)
        .from_reader(text.as_bytes());
    let mut rows: Vec<Row> = Vec::new();
    let mut record = csv::StringRecord::new();
    // The text is valid UTF-8 and the rows are flexible: what is left can't fail.
    while reader.read_record(&mut record).map_err(|e| unreadable(file, e))? {
        let line = record.position().map_or(0, csv::Position::line);
        if let Some(first) = rows.first()
            && first.cells.len() != record.len()
        {
            let (found, expected) = (record.len(), first.cells.len());
            return Err(DataError::Ragged { file: file.to_owned(), line, found, expected });
        }
        let cells = record.iter().map(|cell| Some(cell.to_owned())).collect();
        rows.push(Row { line, cells, lists: Map::new() });
    }
    Ok(Table { fields: None, rows })
}

fn unreadable(file: &str, error: csv::Error) -> DataError {
    DataError::Io { path: file.into(), source: std::io::Error::other(error) }
}

fn jsonl(file: &str, text: &str) -> Result<Table, DataError> {
    let mut fields: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let refuse = |reason: String| DataError::Json { file: file.to_owned(), line, reason };
        let object: Map<String, Value> = match serde_json::from_str(text) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(refuse("it holds another kind of value".to_owned())),
            Err(error) => return Err(refuse(error.to_string())),
        };
        if fields.is_empty() {
            fields = object.keys().cloned().collect();
        }
        let cells = fields.iter().map(|field| plain(object.get(field)?)).collect();
        let lists = object.into_iter().filter(|(_, value)| value.is_array()).collect();
        rows.push(Row { line, cells, lists });
    }
    Ok(Table { fields: Some(fields), rows })
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
