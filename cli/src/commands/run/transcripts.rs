//! Recordings, written down.

use std::path::Path;

use hub_client::generation::{Generator, SpeechOptions, Transcript};
use serde_json::{Value, json};

use super::answers::options;
use crate::{
    args::run::RunArgs,
    commands::lines::each,
    context::Context,
    failure::{Exit, UserError},
};

/// Writes down every file, or the file that every line of standard input names.
pub(super) fn run(
    context: &Context,
    args: &RunArgs,
    title: &str,
    generator: &Generator,
) -> anyhow::Result<Exit> {
    if args.system.is_some() || args.raw {
        return Err(UserError::new(
            "a recording is no prompt: `--system` and `--raw` have nothing to change",
        )
        .hint("leave them out; `--language` and `--task` say what is written down")
        .into());
    }
    let mut all: Vec<Value> = Vec::new();
    let write_down = |file: &str| -> anyhow::Result<()> {
        let transcript = transcribe(context, args, generator, file)?;
        if context.printer.is_json() {
            let mut document = serde_json::to_value(&transcript)?;
            document["file"] = json!(file);
            all.push(document);
        }
        Ok(())
    };
    each(context, &args.texts, "names of recordings", write_down)?;
    if context.printer.is_json() {
        context.printer.json(&json!({ "adapter": title, "transcripts": all }))?;
    }
    Ok(Exit::Success)
}

/// What is asked for.
fn asked(args: &RunArgs) -> SpeechOptions {
    SpeechOptions { language: args.language.clone(), task: args.task.clone() }
}

fn transcribe(
    context: &Context,
    args: &RunArgs,
    generator: &Generator,
    file: &str,
) -> anyhow::Result<Transcript> {
    let is_json = context.printer.is_json();
    let mut failed = None;
    let mut show = |text: &str| {
        if !is_json && let Err(error) = context.printer.raw(text.as_bytes()) {
            failed.get_or_insert(error);
        }
    };
    let options = options(&args.generation, generator.defaults());
    let transcript = generator.transcribe(Path::new(file), &asked(args), &options, &mut show)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if !is_json {
        context.printer.raw(b"\n")?;
    }
    if transcript.pieces > 1 {
        context.printer.warn(&format!(
            "`{file}` is longer than what the base model reads: it was written down in {} pieces, cut where it is \
             quietest, each by itself; check what stands at the cuts",
            transcript.pieces
        ));
    }
    Ok(transcript)
}
