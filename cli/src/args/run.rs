//! `hub run`.

use clap::Args;

/// Arguments of `hub run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {}
