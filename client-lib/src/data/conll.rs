//! Words in columns: CoNLL files of tagged words, and CoNLL-U.
//!
//! One word a line, an empty line between sentences. In CoNLL files columns are separated by tabs or spaces,
//! the first is the word and the last the tag where nobody says otherwise (Tjong Kim Sang & De Meulder 2003);
//! CoNLL-U has ten columns separated by tabs (<https://universaldependencies.org/format.html>).

use super::{Answer, ColumnOptions, ColumnRef, DataError, Example, labels};

/// The columns of CoNLL-U.
const COLUMNS: [&str; 10] =
    ["ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC"];
/// Tags of a sentence without tags: Universal Dependencies' mark of what was not annotated.
const NOTHING: &str = "_";

/// The sentences of a CoNLL file.
pub(super) fn tagged(file: &str, text: &str, options: &ColumnOptions) -> Result<Vec<Example>, DataError> {
    let mut sentences = Sentences::default();
    for (line, row) in (1..).zip(text.lines()) {
        let row = row.trim_end_matches('\r');
        // In files of 2003 a document begins with this.
        if row.trim().is_empty() || row.starts_with("-DOCSTART-") {
            sentences.end();
            continue;
        }
        let cells: Vec<&str> = if row.contains('\t') {
            row.split('\t').map(str::trim).collect()
        } else {
            row.split_ascii_whitespace().collect()
        };
        // A comment, where comments are: not the word `#`, which has a tag.
        if row.starts_with("# ") && !row.contains('\t') && cells.len() > 2 {
            continue;
        }
        if cells.len() < 2 {
            return Err(DataError::NoTag { file: file.to_owned(), line, word: cells.concat() });
        }
        let word = column(file, options.text.as_ref(), 0, cells.len())?;
        let tag = column(file, options.label.as_ref(), cells.len() - 1, cells.len())?;
        sentences.add(file, line, cells[word], cells[tag])?;
    }
    Ok(sentences.finish())
}

/// The sentences of a CoNLL-U file with universal tags, or those of another column.
pub(super) fn universal(file: &str, text: &str, options: &ColumnOptions) -> Result<Vec<Example>, DataError> {
    let tag = match &options.label {
        None => 3,
        Some(ColumnRef::Number(number)) if (1..=COLUMNS.len()).contains(number) => number - 1,
        Some(named) => {
            let name = named.to_string();
            let found = COLUMNS.iter().position(|column| column.eq_ignore_ascii_case(&name));
            found.ok_or_else(|| DataError::NoColumn {
                file: file.to_owned(),
                column: name,
                available: COLUMNS.map(str::to_owned).to_vec(),
            })?
        }
    };
    let mut sentences = Sentences::default();
    each_word(file, text, |line, cells| match cells {
        None => {
            sentences.end();
            Ok(())
        }
        Some(cells) => sentences.add(file, line, cells[1], cells[tag]),
    })?;
    Ok(sentences.finish())
}

/// Calls `word` with the ten cells of every word, and with `None` where a sentence ends. Comments,
/// parts of words written together (`3-4`) and words that are not in the text (`5.1`) are left out.
pub(super) fn each_word(
    file: &str,
    text: &str,
    mut word: impl FnMut(u64, Option<&[&str]>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for (line, row) in (1..).zip(text.lines()) {
        let row = row.trim_end_matches('\r');
        if row.trim().is_empty() {
            word(line, None)?;
        } else if !row.starts_with('#') {
            let cells: Vec<&str> = row.split('\t').collect();
            if cells.len() != COLUMNS.len() {
                return Err(DataError::NotConllu { file: file.to_owned(), line, found: cells.len() });
            }
            if !cells[0].contains(['-', '.']) {
                word(line, Some(&cells))?;
            }
        }
    }
    Ok(())
}

fn column(file: &str, told: Option<&ColumnRef>, otherwise: usize, width: usize) -> Result<usize, DataError> {
    match told {
        None => Ok(otherwise),
        Some(ColumnRef::Number(number)) if (1..=width).contains(number) => Ok(number - 1),
        Some(column) => Err(DataError::NoColumn {
            file: file.to_owned(),
            column: column.to_string(),
            available: (1..=width).map(|number| number.to_string()).collect(),
        }),
    }
}

/// Sentences as they grow.
#[derive(Default)]
struct Sentences {
    done: Vec<Example>,
    words: Vec<String>,
    tags: Vec<String>,
    line: u64,
}

impl Sentences {
    fn add(&mut self, file: &str, line: u64, word: &str, tag: &str) -> Result<(), DataError> {
        if !labels::is_acceptable(tag) {
            let label = tag.chars().take(40).collect();
            return Err(DataError::Label { file: file.to_owned(), line, label });
        }
        if self.words.is_empty() {
            self.line = line;
        }
        self.words.push(word.to_owned());
        self.tags.push(tag.to_owned());
        Ok(())
    }

    fn end(&mut self) {
        let (texts, tags) = (std::mem::take(&mut self.words), std::mem::take(&mut self.tags));
        if tags.iter().any(|tag| tag != NOTHING) {
            let answer = Answer::Tags(tags);
            self.done.push(Example { texts, places: Vec::new(), answer, source: None, line: self.line });
        }
    }

    fn finish(mut self) -> Vec<Example> {
        self.end();
        self.done
    }
}
