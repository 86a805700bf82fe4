//! `hub eval` of a model of speech: what it writes down against what was said.

use std::path::Path;

use hub_client::{
    data::{Answer, DataFile, TaskKind},
    generation::{GenerateError, Generator, SpeechOptions},
    metrics::{Metric, WordErrors},
};
use serde_json::json;

use super::{
    eval::{progress, say},
    numeric::columns,
};
use crate::{args::eval::EvalArgs, context::Context, failure::Exit, output::Fields};

/// A recording with what was written down and what was said.
struct Compared {
    file: String,
    written: String,
    right: String,
}

/// Writes down every recording of a data file, and counts the errors.
pub(super) fn eval(
    context: &Context,
    args: &EvalArgs,
    title: &str,
    generator: &Generator,
) -> anyhow::Result<Exit> {
    let data = DataFile::read(&args.data, Some(TaskKind::Seq2SeqLm), &columns(&args.columns))?;
    say(context, &data);
    let all = compare(context, generator, &data)?;
    let rate = |errors: fn(&str, &str) -> WordErrors| {
        all.iter().map(|pair| errors(&pair.written, &pair.right)).sum::<WordErrors>()
    };
    let (exact, plain) = (rate(WordErrors::of), rate(WordErrors::of_plain));
    let metrics = [(Metric::WordErrorRate, exact), (Metric::PlainWordErrorRate, plain)];
    if context.printer.is_json() {
        let pair = |pair: &Compared| json!({ "file": pair.file, "text": pair.written, "right": pair.right });
        let mut document = json!({
            "adapter": title,
            "data": { "name": data.name, "digest": data.digest },
            "examples": all.len(),
            "words": exact.words,
            "transcripts": all.iter().map(pair).collect::<Vec<_>>(),
        });
        for (metric, errors) in metrics {
            document[metric.as_str()] = json!(errors.rate());
        }
        context.printer.json(&document)?;
        return Ok(Exit::Success);
    }
    let mut fields = Fields::default();
    fields.add("adapter", title);
    fields.add("data", &data.name);
    fields.add("examples", all.len().to_string());
    fields.add("words", exact.words.to_string());
    for (metric, errors) in metrics {
        fields.add(metric.title(), format!("{:.4}", errors.rate()));
    }
    context.printer.fields(&fields)?;
    Ok(Exit::Success)
}

/// One after the other: a recording is as much work as a batch of texts.
fn compare(
    context: &Context,
    generator: &Generator,
    data: &DataFile,
) -> Result<Vec<Compared>, GenerateError> {
    let mut show = progress(context, "writing down");
    let mut all = Vec::with_capacity(data.examples.len());
    for example in &data.examples {
        let ([file], Answer::Text(right)) = (example.texts.as_slice(), &example.answer) else { continue };
        let path = data.folder.join(Path::new(file));
        let asked = SpeechOptions::default();
        let transcript = generator.transcribe(&path, &asked, generator.defaults(), &mut |_| {})?;
        all.push(Compared { file: file.clone(), written: transcript.text, right: right.clone() });
        show(all.len(), data.examples.len());
    }
    Ok(all)
}
