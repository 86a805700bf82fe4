//! Trees of sentences: the head of every word and its relation to it, as CoNLL-U states them.
//!
//! Relations are the universal ones: what stands behind a colon (`nmod:poss`) belongs to one language, and the
//! evaluation of the CoNLL 2018 shared task leaves it out too (Zeman et al. 2018).

use super::{Answer, DataError, Example, conll::each_word, labels};

/// Universal Dependencies' mark of what was not annotated.
const NOTHING: &str = "_";

/// The sentences of a CoNLL-U file that have a tree.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Example>, DataError> {
    let mut sentence = Sentence::default();
    let mut done = Vec::new();
    each_word(file, text, |line, cells| {
        if let Some(cells) = cells {
            return sentence.add(file, line, cells);
        }
        done.extend(std::mem::take(&mut sentence).end(file)?);
        Ok(())
    })?;
    done.extend(sentence.end(file)?);
    Ok(done)
}

/// A sentence as it grows.
#[derive(Default)]
struct Sentence {
    words: Vec<String>,
    /// What stands in the column of heads, and in which line.
    heads: Vec<(u64, String)>,
    relations: Vec<String>,
}

impl Sentence {
    /// Takes the ten cells of a word.
    fn add(&mut self, file: &str, line: u64, cells: &[&str]) -> Result<(), DataError> {
        let number = self.words.len() + 1;
        if cells[0].parse() != Ok(number) {
            let found = cells[0].chars().take(20).collect();
            return Err(DataError::WordNumber { file: file.to_owned(), line, found, expected: number });
        }
        let relation = cells[7].split(':').next().unwrap_or_default();
        if !labels::is_acceptable(relation) {
            let label = cells[7].chars().take(40).collect();
            return Err(DataError::Label { file: file.to_owned(), line, label });
        }
        self.words.push(cells[1].to_owned());
        self.heads.push((line, cells[6].to_owned()));
        self.relations.push(relation.to_owned());
        Ok(())
    }

    /// The example; `None` for a sentence without a tree.
    fn end(self, file: &str) -> Result<Option<Example>, DataError> {
        let Some(line) = self.heads.first().map(|(line, _)| *line) else { return Ok(None) };
        if self.heads.iter().all(|(_, head)| head == NOTHING) {
            return Ok(None);
        }
        let count = self.words.len();
        let head = |(number, (line, text)): (usize, &(u64, String))| {
            let head = text.parse::<usize>().ok().filter(|&head| head <= count && head != number);
            head.ok_or_else(|| DataError::NoHead {
                file: file.to_owned(),
                line: *line,
                word: self.words[number - 1].clone(),
                found: text.chars().take(20).collect(),
            })
        };
        let heads = (1..).zip(&self.heads).map(head).collect::<Result<_, _>>()?;
        let answer = Answer::Tree { heads, relations: self.relations };
        Ok(Some(Example { answer, line, ..Example::unanswered(self.words) }))
    }
}
