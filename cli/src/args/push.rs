//! `hub push`.

use std::path::PathBuf;

use clap::Args;
use hub_schemas::{
    AdapterId, Reference, Version,
    label::{Language, License, TaskId},
    manifest::Dependency,
    version::VersionError,
};
use serde_json::Map;

/// Arguments of `hub push`.
#[derive(Debug, Args)]
#[command(after_help = "\
A folder that `hub train` wrote has a manifest.json and needs nothing else. A folder that PEFT or
`adapters` saved needs --base, --task and --license, from which a manifest is made. A backbone's folder
or a GGUF file becomes a base model: it needs --license, and `hub pull` of its adapters brings it along.

An upload that was cut off is continued by the same command; files that the registry has are skipped.")]
pub(crate) struct PushArgs {
    /// The adapter's folder, or a backbone
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Publish under this name; by default your namespace and the folder's name
    #[arg(long = "as", value_name = "NAMESPACE/NAME")]
    pub(crate) name: Option<AdapterId>,
    /// Version to publish; by default the manifest's, or 1.0.0
    #[arg(long, value_name = "VERSION", id = "publish_version")]
    pub(crate) version: Option<Version>,
    /// Visible to members of the namespace only, when the adapter is new
    #[arg(long)]
    pub(crate) private: bool,
    /// Visible to every user of the registry but not to the world, when the adapter is new
    #[arg(long, conflicts_with = "private")]
    pub(crate) internal: bool,
    /// Folder of the backbone the adapter was trained on
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// The backbone's usual name; by default what its folder says
    #[arg(long, value_name = "NAME")]
    pub(crate) base_id: Option<String>,
    /// What the adapter is for, as in `sentiment`
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<TaskId>,
    /// A narrower task, as in `movie-reviews`
    #[arg(long, value_name = "TASK")]
    pub(crate) subtask: Option<TaskId>,
    /// Licence of the weights, as an SPDX identifier
    #[arg(long, value_name = "SPDX")]
    pub(crate) license: Option<License>,
    /// Language of the data, as a BCP 47 tag; may be repeated
    #[arg(long = "language", value_name = "TAG")]
    pub(crate) languages: Vec<Language>,
    /// Name of one output, in order; may be repeated
    #[arg(long = "label", value_name = "NAME")]
    pub(crate) labels: Vec<String>,
    /// One or two sentences for listings
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// An adapter this one needs, as in `ada/english@^1`; may be repeated
    #[arg(long = "depends", value_name = "NAME@REQ", value_parser = dependency)]
    pub(crate) dependencies: Vec<Dependency>,
    /// Check everything and say what would be sent, but send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `namespace/name`, with any version, or `namespace/name@req`.
fn dependency(text: &str) -> Result<Dependency, String> {
    match text.parse::<Reference>() {
        Ok(Reference::Adapter { id: name, version }) => {
            let version = match version {
                Some(version) => version,
                None => "*".parse().map_err(|e: VersionError| e.to_string())?,
            };
            Ok(Dependency { name, version, extra: Map::new() })
        }
        Ok(_) => Err("a dependency needs its full name, as in `ada/english@^1`".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
