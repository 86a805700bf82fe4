//! What the manifest of a computed adapter says.

use clap::Args;
use hub_schemas::{
    AdapterId, Version,
    label::{Language, License, TaskId},
};

/// What the manifest says; what is left out is taken from what the adapter is made of.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manifest")]
pub(crate) struct MadeArgs {
    /// Full name; by default `local/` and the output folder's name
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub(crate) name: Option<AdapterId>,
    /// Version
    #[arg(long, value_name = "VERSION", default_value = "0.1.0", id = "adapter_version")]
    pub(crate) version: Version,
    /// What the adapter is for [default: what the sources are for, or `classification`]
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<TaskId>,
    /// A narrower task
    #[arg(long, value_name = "TASK")]
    pub(crate) subtask: Option<TaskId>,
    /// Licence of the weights, as an SPDX expression [default: that of the sources, where it is one]
    #[arg(long, value_name = "SPDX")]
    pub(crate) license: Option<License>,
    /// Language of the data, as a BCP 47 tag; may be repeated [default: those of the sources]
    #[arg(long = "language", value_name = "TAG")]
    pub(crate) languages: Vec<Language>,
    /// One or two sentences for listings
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

impl MadeArgs {
    /// Nothing but what the sources state.
    pub(crate) fn plain() -> Self {
        Self {
            name: None,
            version: Version::new(0, 1, 0),
            task: None,
            subtask: None,
            license: None,
            languages: Vec::new(),
            description: None,
        }
    }
}
