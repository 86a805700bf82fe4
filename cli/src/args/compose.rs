//! `hub compose`.

use std::path::PathBuf;

use clap::Args;
use hub_schemas::{
    AdapterId, Version,
    label::{License, TaskId},
};

use super::forward::NamedFolder;

/// Arguments of `hub compose`.
#[derive(Debug, Args)]
#[command(after_help = "\
Writes a small folder that names an expression and its members by digest: no weights but those of a
fusion. `hub run` and `hub forward` run it, `hub push` publishes it, and `hub pull` fetches the members.

  hub compose \"Stack(lang, task)\" --adapter lang=ada/english@1.0.0 --adapter task=./ner -o english-ner")]
pub(crate) struct ComposeArgs {
    /// How the adapters work together, as in `Stack(a, Fuse(b, c))`
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// An adapter, with the name that the expression calls it by; may be repeated
    #[arg(long = "adapter", value_name = "[NAME=]REF|DIR", required = true)]
    pub(crate) adapters: Vec<NamedFolder>,
    /// Folder with the trained weights of the expression's `Fuse`
    #[arg(long, value_name = "DIR")]
    pub(crate) fusion: Option<PathBuf>,
    /// Where the composition is written
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Folder of the backbone; by default the one with the right weights
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// Full name; by default `local/` and the output folder's name
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub(crate) name: Option<AdapterId>,
    /// Version
    #[arg(long, value_name = "VERSION", default_value = "0.1.0", id = "composition_version")]
    pub(crate) version: Version,
    /// What it is for; by default what its last member is for
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<TaskId>,
    /// Licence of the composition, as an SPDX expression
    #[arg(long, value_name = "SPDX", default_value = "NOASSERTION")]
    pub(crate) license: License,
    /// One or two sentences for listings
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}
