//! `hub train`.

use clap::Args;

/// Arguments of `hub train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {}
