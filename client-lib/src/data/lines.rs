//! Plain text: every line that is not empty is an example.

use super::{Answer, Example};

/// The lines of a file.
pub(super) fn texts(text: &str) -> Vec<Example> {
    let lines = (1..).zip(text.lines()).map(|(line, text)| (line, text.trim()));
    let example = |(line, text): (u64, &str)| Example {
        texts: vec![text.to_owned()],
        places: Vec::new(),
        answer: Answer::Unknown,
        source: None,
        line,
    };
    lines.filter(|(_, text)| !text.is_empty()).map(example).collect()
}
