//! Questions about passages, as SQuAD 1.1 and 2.0 store them (Rajpurkar et al. 2016, 2018):
//! `data[].paragraphs[].{context, qas[].{question, answers[].{text, answer_start}, is_impossible}}`.

use serde::Deserialize;

use super::{Answer, DataError, Example, Span};

#[derive(Deserialize)]
struct Squad {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    title: Option<String>,
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    question: String,
    #[serde(default)]
    answers: Vec<Given>,
    #[serde(default)]
    is_impossible: bool,
}

#[derive(Deserialize)]
struct Given {
    text: String,
    answer_start: usize,
}

/// The questions of a file; their line is their number, from 1.
pub(super) fn questions(file: &str, text: &str) -> Result<Vec<Example>, DataError> {
    let squad: Squad = serde_json::from_str(text)
        .map_err(|e| DataError::NotSquad { file: file.to_owned(), reason: e.to_string() })?;
    let mut examples = Vec::new();
    for (number, article) in squad.data.into_iter().enumerate() {
        let title = article.title.filter(|title| !title.is_empty());
        let source = title.unwrap_or_else(|| format!("article {}", number + 1));
        for Paragraph { context, qas } in article.paragraphs {
            let characters: Vec<char> = context.chars().collect();
            for question in qas {
                let line = examples.len() as u64 + 1;
                let given = if question.is_impossible { Vec::new() } else { question.answers };
                let spans = given
                    .into_iter()
                    .map(|given| span(file, line, &characters, given))
                    .collect::<Result<_, _>>()?;
                examples.push(Example {
                    texts: vec![question.question.trim().to_owned(), context.clone()],
                    places: Vec::new(),
                    answer: Answer::Spans(spans),
                    source: Some(source.clone()),
                    line,
                });
            }
        }
    }
    Ok(examples)
}

/// The answer where it stands: its start is right in the official files, and a wrong one would train nonsense.
fn span(file: &str, question: u64, context: &[char], given: Given) -> Result<Span, DataError> {
    let text: Vec<char> = given.text.chars().collect();
    let found = context.get(given.answer_start..).is_some_and(|rest| rest.starts_with(&text));
    if !found || text.is_empty() {
        return Err(DataError::NotInPassage {
            file: file.to_owned(),
            question,
            answer: given.text.chars().take(60).collect(),
            start: given.answer_start,
        });
    }
    Ok(Span { start: given.answer_start, text: given.text })
}
