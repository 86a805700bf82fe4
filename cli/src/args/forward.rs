//! `hub forward`.

use clap::Args;

/// Arguments of `hub forward`.
#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {}
