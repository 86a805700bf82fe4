//! `hub completions`: a script for the shell to source.

use clap::CommandFactory as _;

use crate::{
    args::{Cli, CompletionsArgs},
    context::Context,
    failure::Exit,
};

/// Prints the script.
pub(crate) fn run(context: &Context, args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hub", &mut script);
    context.printer.raw(&script)?;
    Ok(Exit::Success)
}
