//! Why a data file can't be trained on. Every variant names the file, and the line where there is one.

use std::path::PathBuf;

use super::TaskKind;

/// A data file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It could not be read.
    #[error("can't read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No format that is known, by its extension.
    #[error(
        "`{}` is of an unknown kind: its name must end in .csv, .tsv, .jsonl, .conll, .conllu, .json or .txt",
        path.display()
    )]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// A format that can't hold what the task needs.
    #[error("`{file}` can't hold examples for `{task}`: they stand in files that end in {}", task.extensions())]
    Format {
        /// The file.
        file: String,
        /// The task.
        task: TaskKind,
    },
    /// A word without a tag.
    #[error(
        "`{file}`, line {line}: the word `{word}` has no tag: a line has a word and, behind a tab or a space, its tag"
    )]
    NoTag {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The word.
        word: String,
    },
    /// A line that is none of CoNLL-U.
    #[error(
        "`{file}`, line {line}: the number of columns is {found}; a word of a CoNLL-U file has 10, separated by tabs"
    )]
    NotConllu {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// Columns of this line.
        found: usize,
    },
    /// Words that are not counted one by one.
    #[error(
        "`{file}`, line {line}: the word has the number `{found}`; the words of a sentence count from 1, and here {expected} is next"
    )]
    WordNumber {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What stands there.
        found: String,
        /// What should.
        expected: usize,
    },
    /// A word without a place in its sentence's tree.
    #[error(
        "`{file}`, line {line}: the head of `{word}` is `{found}`; it must be 0 for the root, or the number of another word of the sentence"
    )]
    NoHead {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The word.
        word: String,
        /// What stands there.
        found: String,
    },
    /// Too few choices, or another number of them than in the rows before.
    #[error(
        "`{file}`, line {line}: the number of choices is {found}; every example needs as many, two or more, and the first has {expected}"
    )]
    ChoiceCount {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// Choices of this row.
        found: usize,
        /// Choices of the first row.
        expected: usize,
    },
    /// Numbers that could count from 0 or from 1.
    #[error(
        "`{file}`: the column `{column}` holds neither 0 nor {choices}: it could count the choices from 0 or from 1"
    )]
    Numbering {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// Choices of every row.
        choices: usize,
    },
    /// A label that names none of the choices.
    #[error("`{file}`, line {line}: `{label}` is none of the {choices} choices")]
    NoChoice {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The label.
        label: String,
        /// Choices of this row.
        choices: usize,
    },
    /// A JSON file with another layout.
    #[error("`{file}` is not in the layout of SQuAD: {reason}")]
    NotSquad {
        /// The file.
        file: String,
        /// What the parser said.
        reason: String,
    },
    /// An answer that does not stand where the file says.
    #[error(
        "`{file}`, question {question}: the answer `{answer}` does not stand at character {start} of its passage"
    )]
    NotInPassage {
        /// The file.
        file: String,
        /// The question, from 1.
        question: u64,
        /// The answer's beginning.
        answer: String,
        /// Where it should stand.
        start: usize,
    },
    /// A label where a number is needed.
    #[error("`{file}`, line {line}: `{value}` in the column `{column}` is not a number")]
    NotANumber {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A score that no cosine reaches.
    #[error(
        "`{file}`, line {line}: the score {score} is no cosine, which lies between -1 and 1; scale the scores, as in score / 5 where they reach from 0 to 5"
    )]
    NoCosine {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What stands there.
        score: f64,
    },
    /// One text where two are compared.
    #[error(
        "`{file}`: the column `{text}` holds one text of a row, and a score compares two; name the other's column with `--pair-column`"
    )]
    NoPair {
        /// The file.
        file: String,
        /// The column of the first text.
        text: String,
    },
    /// As many tags as words are needed.
    #[error("`{file}`, line {line}: there are {words} words and {tags} tags")]
    TagCount {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// Words.
        words: usize,
        /// Tags.
        tags: usize,
    },
    /// A list of texts that is none.
    #[error("`{file}`, line {line}: the field `{field}` holds no list of texts")]
    NoList {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The field.
        field: String,
    },
    /// Nothing in it, or nothing usable.
    #[error("`{file}` has no examples{detail}")]
    Empty {
        /// The file.
        file: String,
        /// Why not, when it has bytes at all.
        detail: String,
    },
    /// A byte sequence that is not UTF-8.
    #[error("`{file}`, line {line}: not valid UTF-8; save the file with UTF-8 encoding")]
    Utf8 {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
    },
    /// A row with another number of columns than the first.
    #[error("`{file}`, line {line}: the number of columns is {found}, but {expected} in the first row")]
    Ragged {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// Columns of this row.
        found: usize,
        /// Columns of the first row.
        expected: usize,
    },
    /// Rows of a single column hold no label.
    #[error("`{file}` has one column; an example needs a text and a label")]
    OneColumn {
        /// The file.
        file: String,
    },
    /// A line that is not a JSON object.
    #[error("`{file}`, line {line}: not a JSON object: {reason}")]
    Json {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What the parser said.
        reason: String,
    },
    /// A line that lacks the field of the text or the label, or holds no plain value there.
    #[error("`{file}`, line {line}: no text, number or boolean in the field `{field}`")]
    Field {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The field.
        field: String,
    },
    /// A column was named that the file does not have.
    #[error("`{file}` has no column `{column}`; it has: {}", available.join(", "))]
    NoColumn {
        /// The file.
        file: String,
        /// The column asked for.
        column: String,
        /// Those it has.
        available: Vec<String>,
    },
    /// Text and label would be the same column.
    #[error("`{file}`: the column `{column}` can't be both the text and the label")]
    SameColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A label that no manifest may hold.
    #[error(
        "`{file}`, line {line}: the label {label:?} is refused: a label has 1 to 200 bytes of plain text on one line"
    )]
    Label {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The label's beginning.
        label: String,
    },
    /// Only one label: there is nothing to tell apart.
    #[error("`{file}` has a single label, `{label}`; a classifier needs at least two")]
    OneLabel {
        /// The file.
        file: String,
        /// The label.
        label: String,
    },
    /// More labels than a classifier can have.
    #[error(
        "`{file}` has {labels} different labels; at most 100000 are supported: is the label column the right one?"
    )]
    ManyLabels {
        /// The file.
        file: String,
        /// How many.
        labels: usize,
    },
    /// A label that the training data, or the adapter, does not have.
    #[error("`{file}`, line {line}: the label `{label}` is unknown; known are: {known}")]
    UnknownLabel {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The label.
        label: String,
        /// The known labels, cut short when there are many.
        known: String,
    },
    /// A share outside of 0 to 1.
    #[error("the validation share is {0}; it must lie between 0 and 1, both excluded")]
    Share(f64),
    /// Too few different texts to set some aside.
    #[error(
        "`{file}` has too few different texts to set some aside for validation; add examples or name a validation file"
    )]
    TooFew {
        /// The file.
        file: String,
    },
}
