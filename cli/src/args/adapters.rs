//! `hub pull`, `hub info` and `hub remove`: verbs that take a reference.

use std::path::PathBuf;

use clap::Args;
use hub_schemas::Reference;

const REFERENCE_HELP: &str = "\
A reference is one of:
  sentiment              a task or a name: the best adapter for the base model in use
  ada/sentiment          the newest version of an adapter or base model
  ada/sentiment@^1.2     the newest version that fits (`@1.2.0` is exactly that one)
  sha256:…               the version whose manifest has this digest";

/// Arguments of `hub pull`.
#[derive(Debug, Args)]
#[command(after_help = REFERENCE_HELP)]
pub(crate) struct PullArgs {
    /// Which adapter, or which base model
    #[arg(value_name = "REF")]
    pub(crate) reference: Reference,
    /// Folder of the backbone in use: a bare word is resolved for it
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// Leave its base model where it is, even when the registry has it and this machine does not
    #[arg(long)]
    pub(crate) no_base: bool,
    /// Copy the version's files into this folder too
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
}

/// Arguments of `hub info`.
#[derive(Debug, Args)]
#[command(after_help = REFERENCE_HELP)]
pub(crate) struct InfoArgs {
    /// Which adapter: a reference, or a folder
    #[arg(value_name = "REF|DIR")]
    pub(crate) adapter: String,
    /// Folder of the backbone in use: a bare word is resolved for it
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
}

/// Arguments of `hub remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Which adapter or base model: a full name, with or without version, or a digest
    #[arg(value_name = "REF", required_unless_present = "all")]
    pub(crate) references: Vec<Reference>,
    /// Remove everything, downloads in progress included
    #[arg(long, conflicts_with = "references")]
    pub(crate) all: bool,
}
