//! What heads predict: labels, numbers, tags and answers in passages.

use std::{fmt::Write as _, io::IsTerminal as _};

use hub_client::{
    data::Example,
    predict::Predictor,
    tasks::{ArcPrediction, EmbeddingPrediction, LabelShare, Predicted},
};
use serde_json::{Value, json};

use crate::{
    args::run::RunArgs,
    commands::{lines::lines, typed::Typed},
    context::Context,
    failure::Exit,
    output::plain,
};

/// Lines of standard input that are answered together: enough to fill batches of
/// like length, few enough that answers flow.
const CHUNK: usize = 256;

/// Answers every text, or every line of standard input.
pub(super) fn run(
    context: &Context,
    args: &RunArgs,
    title: &str,
    predictor: &Predictor,
) -> anyhow::Result<Exit> {
    let pair = (args.pair.as_deref(), args.pairs);
    let reader = Typed::new(predictor.task().kind(), pair, &args.choices)?;
    let mut answers = Answers { context, json: Vec::new() };
    if args.texts.is_empty() {
        answer_lines(predictor, &reader, &mut answers)?;
    } else {
        let with_text = args.texts.len() > 1;
        let examples = reader.examples(&args.texts)?;
        answers.add(&args.texts, &examples, predictor.predict(&examples)?, with_text)?;
    }
    if context.printer.is_json() {
        context.printer.json(&json!({
            "adapter": title,
            "labels": predictor.labels(),
            "predictions": answers.json,
        }))?;
    }
    Ok(Exit::Success)
}

fn answer_lines(predictor: &Predictor, reader: &Typed<'_>, answers: &mut Answers<'_>) -> anyhow::Result<()> {
    // A person at a terminal wants an answer after every line.
    let chunk = if std::io::stdin().is_terminal() { 1 } else { CHUNK };
    let mut lines = lines(answers.context, "texts");
    loop {
        let texts = lines.by_ref().take(chunk).collect::<anyhow::Result<Vec<String>>>()?;
        if texts.is_empty() {
            return Ok(());
        }
        let examples = reader.examples(&texts)?;
        let predictions = predictor.predict(&examples)?;
        answers.add(&texts, &examples, predictions, true)?;
    }
}

/// Prints answers as they come, or collects them for one JSON document.
struct Answers<'a> {
    context: &'a Context,
    json: Vec<Value>,
}

impl Answers<'_> {
    fn add(
        &mut self,
        texts: &[String],
        examples: &[Example],
        predictions: Vec<Predicted>,
        with_text: bool,
    ) -> anyhow::Result<()> {
        let mut lines = String::new();
        for ((text, example), predicted) in texts.iter().zip(examples).zip(predictions) {
            if self.context.printer.is_json() {
                self.json.push(document(text, example, &predicted)?);
                continue;
            }
            lines.push_str(&line(example, &predicted));
            // Words stand in their own lines already.
            if with_text && !matches!(predicted, Predicted::Tags { .. } | Predicted::Tree { .. }) {
                lines.push('\t');
                lines.push_str(&plain::line(&shown(example, text)));
            }
            lines.push('\n');
        }
        Ok(self.context.printer.raw(lines.as_bytes())?)
    }
}

/// The answer for people and pipes. Tags end with an empty line.
fn line(example: &Example, predicted: &Predicted) -> String {
    let number = |number: &f64| format!("{number:.4}");
    match predicted {
        Predicted::Label(label) => format!("{}\t{}", plain::line(&label.label), number(&label.probability)),
        Predicted::Labels { labels, probabilities, .. } => {
            let chosen = probabilities.iter().filter(|share| labels.contains(&share.label));
            let shares: Vec<String> = chosen.map(|share| number(&share.probability)).collect();
            format!("{}\t{}", plain::line(&labels.join("|")), shares.join("|"))
        }
        Predicted::Number { value } => number(&f64::from(*value)),
        Predicted::Embedding(found) => vectors(found),
        Predicted::Tags { tags } => {
            let mut lines = String::new();
            for (word, tag) in example.words().iter().zip(tags) {
                // Writing to a String can't fail.
                let _ = match tag {
                    Some(tag) => writeln!(
                        lines,
                        "{}\t{}\t{}",
                        plain::line(word),
                        plain::line(&tag.label),
                        number(&tag.probability)
                    ),
                    None => writeln!(lines, "{}\t\t", plain::line(word)),
                };
            }
            lines
        }
        Predicted::Masks { masks } => {
            let shares = |mask: &Vec<LabelShare>| {
                let share = |share: &LabelShare| {
                    format!("{} {}", plain::line(&share.label), number(&share.probability))
                };
                mask.iter().map(share).collect::<Vec<_>>().join(", ")
            };
            masks.iter().map(shares).collect::<Vec<_>>().join("\t")
        }
        // Only measured, never asked for.
        Predicted::Tokens { loss, .. } => number(loss),
        Predicted::Tree { words } => conllu(example, words),
        Predicted::Choice(choice) => {
            format!("{}\t{}", plain::line(&choice.text), number(&choice.probability))
        }
        Predicted::Span(span) => format!("{}\t{}", plain::line(&span.text), number(&span.probability)),
    }
}

/// How many numbers of a vector are shown to people: enough to tell two apart.
const SHOWN: usize = 4;

/// How alike two texts are, or how the vector of one begins: all of it stands in the JSON.
fn vectors(found: &EmbeddingPrediction) -> String {
    if let Some(similarity) = found.similarity {
        return format!("{similarity:.4}");
    }
    let first = found.embedding.iter().take(SHOWN);
    let first = first.map(|number| format!("{number:.4}")).collect::<Vec<_>>().join(" ");
    let rest = if found.embedding.len() > SHOWN { " …" } else { "" };
    format!("{first}{rest}\t{} numbers", found.embedding.len())
}

/// What was asked, where it is shown beside its answer: of a text with choices the text.
fn shown<'t>(example: &'t Example, text: &'t str) -> std::borrow::Cow<'t, str> {
    match example.texts.as_slice() {
        [first, _, _, ..] if example.places.is_empty() => first.into(),
        _ => text.into(),
    }
}

/// The words of a sentence in the ten columns of CoNLL-U.
fn conllu(example: &Example, words: &[Option<ArcPrediction>]) -> String {
    let mut lines = String::new();
    for (number, (word, arc)) in (1..).zip(example.words().iter().zip(words)) {
        let (head, relation) = match arc {
            Some(arc) => (arc.head.to_string(), plain::line(&arc.relation)),
            None => ("_".to_owned(), "_".into()),
        };
        let word = plain::line(word);
        // Writing to a String can't fail.
        let _ = writeln!(lines, "{number}\t{word}\t_\t_\t_\t_\t{head}\t{relation}\t_\t_");
    }
    lines
}

fn document(text: &str, example: &Example, predicted: &Predicted) -> anyhow::Result<Value> {
    let mut document = json!({ "text": text });
    if let [first, second] = example.texts.as_slice() {
        (document["text"], document["pair"]) = (json!(first), json!(second));
    }
    if let Predicted::Tags { tags } = predicted {
        let word =
            |(word, tag): (&std::borrow::Cow<'_, str>, &Option<_>)| json!({ "word": word, "tag": tag });
        document["words"] = example.words().iter().zip(tags).map(word).collect();
        return Ok(document);
    }
    if let Predicted::Tree { words } = predicted {
        let word =
            |(word, arc): (&std::borrow::Cow<'_, str>, &Option<_>)| json!({ "word": word, "arc": arc });
        document["words"] = example.words().iter().zip(words).map(word).collect();
        return Ok(document);
    }
    if let (Predicted::Choice(choice), [first, choices @ ..]) = (predicted, example.texts.as_slice()) {
        (document["text"], document["choices"]) = (json!(first), json!(choices));
        document["answer"] = serde_json::to_value(choice)?;
        return Ok(document);
    }
    // The text of an answer is not the text that was asked about.
    if let Predicted::Span(span) = predicted {
        document["answer"] = serde_json::to_value(span)?;
        return Ok(document);
    }
    if let (Value::Object(fields), Value::Object(more)) = (&mut document, serde_json::to_value(predicted)?) {
        fields.extend(more);
    }
    Ok(document)
}
