//! Answers of a language model, shown as they are written.

use std::path::Path;

use hub_client::generation::{
    BeamOptions, Constraints, Generated, GenerationOptions, Generator, Message, Sampling,
};
use serde_json::{Value, json};

use crate::{
    args::run::{GenerationArgs, RunArgs},
    commands::lines::each,
    context::Context,
    failure::{Exit, UserError},
};

/// Answers every text, or every line of standard input.
pub(super) fn run(
    context: &Context,
    args: &RunArgs,
    title: &str,
    generator: &Generator,
) -> anyhow::Result<Exit> {
    let mut all: Vec<Value> = Vec::new();
    let answer = |prompt: &str| -> anyhow::Result<()> {
        let generated = answer(context, args, generator, prompt)?;
        if context.printer.is_json() {
            all.push(json!({
                "prompt": prompt,
                "text": generated.text,
                "tokens": generated.tokens,
                "prompt_tokens": generated.prompt_tokens,
                "finish_reason": generated.finish_reason,
            }));
        }
        Ok(())
    };
    each(context, &args.texts, "prompts", answer)?;
    if context.printer.is_json() {
        context.printer.json(&json!({ "adapter": title, "answers": all }))?;
    }
    Ok(Exit::Success)
}

fn answer(
    context: &Context,
    args: &RunArgs,
    generator: &Generator,
    prompt: &str,
) -> anyhow::Result<Generated> {
    let is_rendered = !args.raw && generator.has_template();
    let prompt = if generator.sees() {
        generator.picture(Path::new(prompt))?
    } else if is_rendered {
        let message =
            |role: &str, content: &str| Message { role: role.to_owned(), content: content.to_owned() };
        let mut messages: Vec<Message> = args.system.iter().map(|text| message("system", text)).collect();
        messages.push(message("user", prompt));
        generator.encode(&generator.conversation(&messages)?, true)?
    } else {
        if args.system.is_some() {
            return Err(UserError::new(
                "this base model has no chat template, so that nothing says where `--system` stands",
            )
            .hint("write it into the prompt")
            .into());
        }
        generator.encode(prompt, false)?
    };
    let options = options(&args.generation, generator.defaults());
    let is_json = context.printer.is_json();
    let mut failed = None;
    let mut show = |text: &str| {
        if !is_json && let Err(error) = context.printer.raw(text.as_bytes()) {
            failed.get_or_insert(error);
        }
    };
    let generated = generator.generate(&prompt, &options, &mut show)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if !is_json {
        context.printer.raw(b"\n")?;
    }
    Ok(generated)
}

/// What the backbone states, but for what was asked for.
pub(crate) fn options(args: &GenerationArgs, stated: &GenerationOptions) -> GenerationOptions {
    let (constraints, beams) = (&stated.constraints, &stated.beams);
    // Who asks for draws has no use for the beams that a backbone states.
    let usual = if args.temperature > 0.0 { 1 } else { beams.beams };
    GenerationOptions {
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k.map(|k| k as usize),
            top_p: args.top_p,
            seed: args.seed,
        },
        constraints: Constraints {
            repetition_penalty: args.repetition_penalty.unwrap_or(constraints.repetition_penalty),
            no_repeat_ngram: args.no_repeat_ngram.unwrap_or(constraints.no_repeat_ngram),
            ..constraints.clone()
        },
        beams: BeamOptions {
            beams: args.beams.map_or(usual, usize::from),
            length_penalty: args.length_penalty.unwrap_or(beams.length_penalty),
            early_stopping: args.early_stopping.map_or(beams.early_stopping, Into::into),
        },
        max_new_tokens: args.max_new_tokens.unwrap_or(stated.max_new_tokens),
        stops: stated.stops.iter().chain(&args.stop).cloned().collect(),
    }
}
