//! One example of a data file, whatever the task.

use std::borrow::Cow;

use super::DESCRIBE;

/// What a model reads and what it should answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What is read: a text or the name of an image's file, two texts that belong together (question and
    /// passage, premise and hypothesis), the words of a sentence, or a text and behind it those of which one is
    /// to be chosen.
    pub texts: Vec<String>,
    /// Where each word stands in its text, in characters; empty where the words are all there is.
    pub places: Vec<(usize, usize)>,
    /// What is right.
    pub answer: Answer,
    /// What it was taken from, such as an article: examples of one source stay together.
    pub source: Option<String>,
    /// Where it stands in its file, from 1.
    pub line: u64,
}

/// What is right.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Nobody says.
    Unknown,
    /// A label.
    Label(String),
    /// Any number of labels.
    Labels(Vec<String>),
    /// A number.
    Number(f64),
    /// A tag for every word.
    Tags(Vec<String>),
    /// A head for every word, by its number from 1 and 0 for the root, and the relation to it.
    Tree {
        /// The heads.
        heads: Vec<usize>,
        /// The relations.
        relations: Vec<String>,
    },
    /// One of the choices, from 0.
    Choice(usize),
    /// Texts of the passage, any of which answers the question; none where it has no answer.
    Spans(Vec<Span>),
    /// A text.
    Text(String),
}

/// A part of a passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its first character, from 0.
    pub start: usize,
    /// Its text.
    pub text: String,
}

impl Example {
    /// An example that is only read.
    pub fn unanswered(texts: Vec<String>) -> Self {
        Self { texts, places: Vec::new(), answer: Answer::Unknown, source: None, line: 1 }
    }

    /// A picture that is to be described, by its file.
    pub fn of_picture(file: &str) -> Self {
        Self::unanswered(vec![file.to_owned(), DESCRIBE.to_owned()])
    }

    /// A sentence in words, as a person writes it: a word ends at white space, and marks at its beginning and
    /// end are words of their own.
    pub fn of_sentence(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let mut places = Vec::new();
        let mut start = 0;
        while start < characters.len() {
            let rest = &characters[start..];
            let length = rest.iter().position(|c| c.is_whitespace()).unwrap_or(rest.len());
            places.extend(words_in(&characters[start..start + length], start));
            start += length.max(1);
        }
        // Without a word there is no text either: an example without places is nothing but words.
        let texts = if places.is_empty() { Vec::new() } else { vec![text.to_owned()] };
        Self { places, ..Self::unanswered(texts) }
    }

    /// The words of a sentence.
    pub fn words(&self) -> Vec<Cow<'_, str>> {
        if let ([text], false) = (self.texts.as_slice(), self.places.is_empty()) {
            let word = |&(start, end): &(usize, usize)| {
                Cow::Owned(text.chars().skip(start).take(end - start).collect::<String>())
            };
            return self.places.iter().map(word).collect();
        }
        self.texts.iter().map(|word| Cow::Borrowed(word.as_str())).collect()
    }

    /// A sentence as one text, and the characters where each word stands in it.
    pub fn as_text(&self) -> (Cow<'_, str>, Cow<'_, [(usize, usize)]>) {
        if let ([text], false) = (self.texts.as_slice(), self.places.is_empty()) {
            return (Cow::Borrowed(text), Cow::Borrowed(&self.places));
        }
        let mut end = 0;
        let mut place = |word: &String| {
            let start = end;
            end = start + word.chars().count() + 1;
            (start, end - 1)
        };
        let places = self.texts.iter().map(&mut place).collect();
        (Cow::Owned(self.texts.join(" ")), Cow::Owned(places))
    }

    /// What tells it from others: all that is read.
    pub fn key(&self) -> Cow<'_, str> {
        match self.texts.as_slice() {
            [text] => Cow::Borrowed(text),
            texts => Cow::Owned(texts.join("\u{1f}")),
        }
    }

    /// What keeps examples together when some are set aside.
    pub(super) fn group(&self) -> Cow<'_, str> {
        self.source.as_deref().map_or_else(|| self.key(), Cow::Borrowed)
    }

    /// The class that a held-out share is taken of.
    pub(super) fn stratum(&self) -> &str {
        match &self.answer {
            Answer::Label(label) => label,
            _ => "",
        }
    }

    /// Whether its number, where it has one, could be the cosine of an angle.
    pub fn is_cosine(&self) -> bool {
        !matches!(self.answer, Answer::Number(number) if !(-1.0..=1.0).contains(&number))
    }

    /// Every label in it.
    pub fn labels(&self) -> &[String] {
        match &self.answer {
            Answer::Label(label) => std::slice::from_ref(label),
            Answer::Labels(labels) | Answer::Tags(labels) | Answer::Tree { relations: labels, .. } => labels,
            Answer::Unknown | Answer::Number(_) | Answer::Choice(_) | Answer::Spans(_) | Answer::Text(_) => {
                &[]
            }
        }
    }
}

/// The words of a run of characters without white space that begins at `from`.
fn words_in(run: &[char], from: usize) -> Vec<(usize, usize)> {
    let is_mark = |c: &char| !c.is_alphanumeric() && !"@#_$€£%&".contains(*c);
    let first = run.iter().position(|c| !is_mark(c)).unwrap_or(run.len());
    let last = run.iter().rposition(|c| !is_mark(c)).map_or(first, |last| last + 1);
    let single = |place: usize| (from + place, from + place + 1);
    let word = (first < last).then_some((from + first, from + last));
    (0..first).map(single).chain(word).chain((last.max(first)..run.len()).map(single)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_of_a_person_falls_into_words_and_marks() {
        let words = |text: &str| Example::of_sentence(text).words().join("|");
        assert_eq!(words("Ada (born 1815)  wasn't in  Paris..."), "Ada|(|born|1815|)|wasn't|in|Paris|.|.|.");
        assert_eq!(words(" #rust @ada 5% \u{201e}ja\u{201c} "), "#rust|@ada|5%|\u{201e}|ja|\u{201c}");
        assert_eq!(words("..."), ".|.|.");
        assert_eq!(words("  "), "");
    }

    #[test]
    fn words_stand_in_their_text() {
        let example = Example::unanswered(["Für", "alle"].map(str::to_owned).to_vec());
        let (text, places) = example.as_text();
        assert_eq!((text.as_ref(), places.as_ref()), ("Für alle", &[(0, 3), (4, 8)][..]));
    }
}
