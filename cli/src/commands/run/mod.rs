//! `hub run`: labels for texts and images, or answers of a language model.

mod answers;
mod labels;

use crate::{args::run::RunArgs, context::Context, failure::Exit, members::Opened};

/// Runs `hub run`.
pub(crate) fn run(context: &Context, args: &RunArgs) -> anyhow::Result<Exit> {
    match context.open_model(&args.adapter, args.base.as_deref(), args.force, &args.stitch)? {
        Opened::Labels(title, predictor) => labels::run(context, args, &title, &predictor),
        Opened::Answers(title, generator) => answers::run(context, args, &title, &generator),
    }
}
