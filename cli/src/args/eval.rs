//! `hub eval`.

use clap::Args;

/// Arguments of `hub eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {}
