//! `hub run`: what a head predicts, or answers of a language model.

mod answers;
mod predictions;
mod transcripts;

pub(super) use answers::options;

use crate::{
    args::run::RunArgs,
    context::Context,
    failure::{Exit, UserError},
    members::Opened,
};

/// Runs `hub run`.
pub(crate) fn run(context: &Context, args: &RunArgs) -> anyhow::Result<Exit> {
    match context.open_model(&args.adapter, args.base.as_deref(), args.force, &args.stitch)? {
        Opened::Predicts(title, predictor) => predictions::run(context, args, &title, &predictor),
        Opened::Answers(..) if args.pair.is_some() || args.pairs => {
            let flag = if args.pairs { "--pairs" } else { "--pair" };
            Err(UserError::new(format!("a language model continues one text: `{flag}` has nothing to add"))
                .into())
        }
        Opened::Answers(..) if !args.choices.is_empty() => {
            Err(UserError::new("a language model writes its answer: `--choice` is for adapters that choose")
                .into())
        }
        Opened::Answers(..) if args.stitch.max_length.is_some() => {
            let reason = "a language model reads its whole prompt: `--max-length` has nothing to cut";
            Err(UserError::new(reason).hint("`--max-new-tokens` bounds what it writes").into())
        }
        Opened::Answers(..) if args.stitch.doc_stride.is_some() => {
            Err(UserError::new("a language model reads no windows: `--doc-stride` has no meaning").into())
        }
        Opened::Answers(_, generator) if generator.sees() && (args.raw || args.system.is_some()) => {
            let reason =
                "a picture is described as in training: `--raw` and `--system` have nothing to change";
            Err(UserError::new(reason).into())
        }
        Opened::Answers(title, generator) if generator.listens() => {
            transcripts::run(context, args, &title, &generator)
        }
        Opened::Answers(..) if args.language.is_some() || args.task.is_some() => {
            Err(UserError::new("this base model reads texts: `--language` and `--task` are for recordings")
                .hint("write what is asked for into the prompt")
                .into())
        }
        Opened::Answers(title, generator) => answers::run(context, args, &title, &generator),
    }
}
