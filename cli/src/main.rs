//! `hub`: push, pull, train, evaluate and run adapters.
//!
//! Each verb has three files: `args/<verb>.rs` says what may be typed,
//! `commands/<verb>.rs` does it, and what it prints goes through `output/`.
//! Flags, environment and configuration file meet in `settings/`.

mod args;
mod bases;
mod commands;
mod context;
mod env;
mod failure;
mod interrupt;
mod locate;
#[cfg(feature = "stitch")]
mod members;
mod output;
mod settings;
mod whole;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::Cli,
    context::Context,
    failure::Exit,
    output::{Printer, report_error},
    settings::Settings,
};

#[cfg(feature = "stitch")]
#[global_allocator]
static ALLOCATOR: hub_kernels::memory::Allocator = hub_kernels::memory::Allocator;

fn main() -> ExitCode {
    #[cfg(feature = "stitch")]
    hub_kernels::memory::keep();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version go to standard output and are no failure.
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            return if error.print().is_ok() { exit.into() } else { Exit::Usage.into() };
        }
    };
    let printer = Printer::new(&cli.global);
    match run(&printer, cli) {
        Ok(exit) => exit.into(),
        Err(error) => report_error(&printer, &error).into(),
    }
}

fn run(printer: &Printer, cli: Cli) -> anyhow::Result<Exit> {
    let settings = Settings::load(&cli.global, settings::EditsConfig::of(&cli.command))?;
    let printer = printer.with_color(settings.color.value);
    output::init_tracing(&printer);
    let context = Context::new(printer, settings)?;
    commands::run(&context, cli.command)
}
