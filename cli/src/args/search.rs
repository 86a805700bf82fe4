//! `hub search`.

use clap::Args;
use hub_schemas::manifest::ArtifactKind;

/// Arguments of `hub search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Words to find in names, tasks, descriptions, base models and labels
    #[arg(value_name = "WORDS")]
    pub(crate) words: Vec<String>,
    /// Only this task or subtask
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,
    /// Only this base model: a name, a weights digest, or a backbone folder
    #[arg(long, value_name = "BASE")]
    pub(crate) base: Option<String>,
    /// Only this kind of adapter method, as in `lora`
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Only this language, as a BCP 47 tag
    #[arg(long, value_name = "TAG")]
    pub(crate) language: Option<String>,
    /// Only this licence, as an SPDX identifier
    #[arg(long, value_name = "SPDX")]
    pub(crate) license: Option<String>,
    /// Only this architecture of the base model, as in `bert`
    #[arg(long, value_name = "NAME")]
    pub(crate) architecture: Option<String>,
    /// Only adapters (`adapter`) or base models (`base`)
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<ArtifactKind>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = hub_schemas::api::DEFAULT_LIMIT, value_parser = clap::value_parser!(u32).range(1..=i64::from(hub_schemas::api::MAX_LIMIT)))]
    pub(crate) limit: u32,
    /// Continue after the page that showed this cursor
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}
