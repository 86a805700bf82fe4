//! Rows of a table that a model learns to write: a prompt, or a text, with the answer to it; a recording with what is
//! said in it; or a text alone.

use super::{
    Answer, ColumnOptions, DataError, Example, Notice, TaskKind,
    columns::{LABEL_NAMES, has_header, named, named_any, named_both, position},
    rows::Read,
    table::Table,
};

/// Names of two columns of which the second answers the first, most telling first. Those behind `source` say
/// nothing of the kind unless somebody asks for it.
const PAIRS: [(&str, &str); 15] = [
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "answer"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("article", "highlights"),
    ("document", "summary"),
    ("dialogue", "summary"),
    ("source", "target"),
    ("input", "output"),
    ("question", "answer"),
    ("text", "summary"),
    ("text", "headline"),
    ("text", "target"),
    ("text", "answer"),
];
/// How many of them speak for themselves.
const TELLING: usize = 9;
/// Names of two columns of which the second is what is said in the first. The last two are how Common Voice and folders
/// of recordings for `datasets` call them.
const SPOKEN: [(&str, &str); 8] = [
    ("audio", "text"),
    ("audio", "transcript"),
    ("audio", "transcription"),
    ("audio", "sentence"),
    ("recording", "text"),
    ("recording", "transcript"),
    ("path", "sentence"),
    ("file_name", "transcription"),
];
/// What an instruction may be about, in a column of its own.
const SUBJECTS: [&str; 2] = ["input", "context"];
/// Columns of texts that are learned whole.
const TEXTS: [&str; 3] = ["text", "content", "sentence"];

/// Which columns hold what.
struct Columns {
    prompt: usize,
    /// What the prompt is about.
    subject: Option<usize>,
    /// None where a text is learned whole.
    answer: Option<usize>,
    names: Vec<String>,
}

/// Whether the columns' names say that one answers the other.
pub(super) fn are_named(table: &Table) -> bool {
    named_both(&table.names(), &PAIRS[..TELLING]).is_some()
}

/// Whether the columns' names say that one is what is said in the other, and nothing else is to be learned.
pub(super) fn are_spoken(table: &Table) -> bool {
    let names = table.names();
    named_both(&names, &SPOKEN).is_some() && named_any(&names, &LABEL_NAMES).is_none()
}

/// Reads every row of a table that is not empty.
pub(super) fn read(
    file: &str,
    table: &Table,
    kind: TaskKind,
    options: &ColumnOptions,
    mut notices: Vec<Notice>,
) -> Result<Read, DataError> {
    let width = table.rows[0].cells.len();
    // Texts never repeat, so that only names tell a header; more than two columns need names.
    let (names, skip) = table.header(|| {
        let known = named_both(&table.names(), pairs(kind)).is_some();
        options.header.unwrap_or_else(|| known || width > 2 || has_header(table, options, &mut notices))
    });
    let columns = find(file, names, kind, options, &mut notices)?;
    let (mut examples, mut blank_texts, mut blank_labels) = (Vec::new(), 0, 0);
    for row in &table.rows[skip..] {
        let cell = |column| row.cell(file, &columns.names, column);
        let mut prompt = cell(columns.prompt)?.to_owned();
        let subject = columns.subject.map(cell).transpose()?.unwrap_or_default();
        if !prompt.is_empty() && !subject.is_empty() {
            prompt = format!("{prompt}\n\n{subject}");
        }
        let answer = columns.answer.map(cell).transpose()?;
        match (prompt.is_empty(), answer) {
            (true, _) => blank_texts += 1,
            (false, Some("")) => blank_labels += 1,
            (false, answer) => {
                let answer = answer.map_or(Answer::Unknown, |text| Answer::Text(text.to_owned()));
                examples.push(Example { answer, line: row.line, ..Example::unanswered(vec![prompt]) });
            }
        }
    }
    notices.extend(Notice::skipped(blank_texts, blank_labels));
    Ok(Read { kind, examples, notices })
}

/// The pairs of names that may stand for a prompt and its answer: names of files are none for a decoder.
fn pairs(kind: TaskKind) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let spoken: &[_] = if kind == TaskKind::Seq2SeqLm { &SPOKEN } else { &[] };
    PAIRS.iter().chain(spoken)
}

fn find(
    file: &str,
    names: Vec<String>,
    kind: TaskKind,
    options: &ColumnOptions,
    notices: &mut Vec<Notice>,
) -> Result<Columns, DataError> {
    let told = |column: &Option<_>| column.as_ref().map(|column| position(file, &names, column)).transpose();
    let (text, subject, answer) = (told(&options.text)?, told(&options.pair)?, told(&options.label)?);
    let whole = || named_any(&names, &TEXTS);
    let missing = |column: &str| {
        let (file, available) = (file.to_owned(), names.clone());
        DataError::NoColumn { file, column: column.to_owned(), available }
    };
    let (prompt, answer) = match (text, answer) {
        // A text alone is learned whole by a decoder.
        (Some(text), None) if kind != TaskKind::CausalLm => {
            let its = pairs(kind).filter(|(first, _)| names[text].eq_ignore_ascii_case(first));
            (text, its.filter_map(|(_, second)| named(&names, second)).find(|&column| column != text))
        }
        (Some(text), answer) => (text, answer),
        (None, Some(answer)) => {
            let its = |(_, second): &&(&str, &str)| names[answer].eq_ignore_ascii_case(second);
            let spoken = SPOKEN.iter().filter(|_| kind == TaskKind::Seq2SeqLm);
            let firsts = pairs(kind).filter(its).chain(spoken).chain(pairs(kind)).map(|(first, _)| first);
            let first = firsts.filter_map(|first| named(&names, first)).find(|&column| column != answer);
            (first.ok_or_else(|| missing("prompt"))?, Some(answer))
        }
        (None, None) => match named_both(&names, pairs(kind)) {
            Some((prompt, answer)) => (prompt, Some(answer)),
            None if kind == TaskKind::CausalLm && (names.len() == 1 || whole().is_some()) => {
                (whole().unwrap_or(0), None)
            }
            None if names.len() == 2 => (0, Some(1)),
            None => return Err(missing("prompt")),
        },
    };
    if answer.is_none() && kind != TaskKind::CausalLm {
        return Err(missing("target"));
    }
    let subject = subject.or_else(|| {
        let is_instruction = names[prompt].eq_ignore_ascii_case("instruction");
        let found = named_any(&names, &SUBJECTS).filter(|_| is_instruction);
        found.filter(|&column| Some(column) != answer)
    });
    if answer == Some(prompt) || subject.is_some_and(|column| column == prompt || Some(column) == answer) {
        return Err(DataError::SameColumn { file: file.to_owned(), column: names[prompt].clone() });
    }
    if options.text.is_none() || options.label.is_none() {
        let (prompt, answer) = (names[prompt].clone(), answer.map(|answer| names[answer].clone()));
        let subject = subject.map(|subject| names[subject].clone());
        notices.push(match answer {
            Some(words) if SPOKEN.iter().any(|(first, _)| prompt.eq_ignore_ascii_case(first)) => {
                Notice::Said { recording: prompt, words }
            }
            answer => Notice::Answered { prompt, subject, answer },
        });
    }
    Ok(Columns { prompt, subject, answer, names })
}
