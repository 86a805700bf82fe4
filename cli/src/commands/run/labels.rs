//! Labels for texts, or for images.

use std::{
    fmt::Write as _,
    io::{BufRead as _, IsTerminal as _},
};

use anyhow::Context as _;
use hub_client::predict::{Prediction, Predictor};
use serde_json::{Value, json};

use crate::{
    args::run::RunArgs,
    context::Context,
    failure::{Exit, UserError},
    output::plain,
};

/// Lines of standard input that are labelled together: enough to fill batches of
/// like length, few enough that answers flow.
const CHUNK: usize = 256;

/// Labels every text, or every line of standard input.
pub(super) fn run(
    context: &Context,
    args: &RunArgs,
    title: &str,
    predictor: &Predictor,
) -> anyhow::Result<Exit> {
    let mut answers = Answers { context, json: Vec::new() };
    if args.texts.is_empty() {
        if std::io::stdin().is_terminal() {
            context.printer.status("reading texts from standard input, one a line; Ctrl-D ends");
        }
        label_lines(predictor, &mut answers)?;
    } else {
        let with_text = args.texts.len() > 1;
        answers.add(&args.texts, predictor.predict(&args.texts)?, with_text)?;
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

fn label_lines(predictor: &Predictor, answers: &mut Answers<'_>) -> anyhow::Result<()> {
    // A person at a terminal wants an answer after every line.
    let chunk = if std::io::stdin().is_terminal() { 1 } else { CHUNK };
    let mut lines = std::io::stdin().lock().lines();
    let mut number = 0_u64;
    loop {
        let mut texts = Vec::with_capacity(chunk);
        for line in lines.by_ref().take(chunk) {
            number += 1;
            texts.push(
                line.map_err(|e| match e.kind() {
                    std::io::ErrorKind::InvalidData => anyhow::Error::from(UserError::new(format!(
                        "standard input, line {number}: not valid UTF-8"
                    ))),
                    _ => anyhow::Error::from(e),
                })
                .context("can't read the texts")?,
            );
        }
        if texts.is_empty() {
            return Ok(());
        }
        let predictions = predictor.predict(&texts)?;
        answers.add(&texts, predictions, true)?;
    }
}

/// Prints answers as they come, or collects them for one JSON document.
struct Answers<'a> {
    context: &'a Context,
    json: Vec<Value>,
}

impl Answers<'_> {
    fn add(&mut self, texts: &[String], predictions: Vec<Prediction>, with_text: bool) -> anyhow::Result<()> {
        // Writing to a String can't fail.
        let mut lines = String::new();
        for (text, prediction) in texts.iter().zip(predictions) {
            if self.context.printer.is_json() {
                self.json.push(json!({
                    "text": text,
                    "label": prediction.label,
                    "probability": prediction.probability,
                    "logits": prediction.logits,
                }));
                continue;
            }
            let _ = write!(lines, "{}\t{:.4}", plain::line(&prediction.label), prediction.probability);
            if with_text {
                lines.push('\t');
                lines.push_str(&plain::line(text));
            }
            lines.push('\n');
        }
        Ok(self.context.printer.raw(lines.as_bytes())?)
    }
}
