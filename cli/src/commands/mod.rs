//! What the verbs do: one file per verb, each with `run(&Context, Args) -> Result<Exit>`.

mod completions;
#[cfg(feature = "stitch")]
mod eval;
#[cfg(feature = "stitch")]
mod forward;
#[cfg(feature = "stitch")]
mod numeric;
#[cfg(feature = "stitch")]
mod run;
#[cfg(feature = "stitch")]
mod train;

use crate::{args::Command, context::Context, failure::Exit};

/// Runs a verb.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        #[cfg(feature = "stitch")]
        Command::Train(args) => train::run(context, args),
        #[cfg(feature = "stitch")]
        Command::Eval(args) => eval::run(context, args),
        #[cfg(feature = "stitch")]
        Command::Run(args) => run::run(context, args),
        #[cfg(feature = "stitch")]
        Command::Forward(args) => forward::run(context, args),
        Command::Completions(args) => completions::run(context, &args),
        _ => Err(crate::failure::UserError::new("this verb is not there yet").into()),
    }
}

/// Hints for the error types of the numeric rooms; `None` for a type that is none of theirs.
#[cfg(feature = "stitch")]
pub(crate) fn numeric_error(error: &(dyn std::error::Error + 'static)) -> Option<Vec<String>> {
    numeric::hints(error)
}
