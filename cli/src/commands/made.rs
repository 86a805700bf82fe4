//! What the verbs share that compute an adapter from others.

use std::path::Path;

use hub_formats::checkpoint::{AdapterFolder, ManifestFacts};
use hub_schemas::{
    Manifest,
    backbone::BackboneShape,
    label::{Language, License, TaskId},
    manifest::{Origin, OriginSource},
};
use serde_json::{Map, Value};

use super::train::local_name;
use crate::{args::made::MadeArgs, failure::UserError, locate::FoundAdapter};

/// An adapter that something is made of.
pub(super) struct Source {
    pub(super) found: FoundAdapter,
    pub(super) folder: AdapterFolder,
}

impl Source {
    pub(super) fn open(found: FoundAdapter) -> anyhow::Result<Self> {
        let folder = AdapterFolder::open(&found.folder)?;
        Ok(Self { found, folder })
    }

    /// `ada/sentiment@1.2.0`, or the name of a folder that has no manifest.
    pub(super) fn name(&self) -> String {
        match &self.folder.manifest {
            Some(manifest) => format!("{}@{}", manifest.name, manifest.version),
            None => folder_name(&self.folder.path),
        }
    }

    /// As a manifest notes it.
    pub(super) fn noted(&self, weight: f64, shape: &BackboneShape) -> anyhow::Result<OriginSource> {
        let digest = self.folder.identity(shape)?;
        Ok(OriginSource { name: self.name(), digest, weight: Some(weight), extra: Map::new() })
    }
}

/// The last part of a path: where on a disk something lay says nothing to others.
pub(super) fn folder_name(folder: &Path) -> String {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "folder".to_owned())
}

/// One weight for each of `count` adapters.
pub(super) fn weights(given: &[f64], count: usize, default: f64) -> Result<Vec<f64>, UserError> {
    match given.len() {
        0 => Ok(vec![default; count]),
        n if n == count => Ok(given.to_vec()),
        n => Err(UserError::new(format!("{n} weights are given for {count} adapters"))
            .hint("pass one weight per adapter, as in `--weights 0.7,0.3`")),
    }
}

/// How an adapter was computed.
pub(super) fn origin(
    how: &str,
    options: impl IntoIterator<Item = (&'static str, Value)>,
    sources: Vec<OriginSource>,
) -> Origin {
    Origin {
        how: how.to_owned(),
        tool: "hub".to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        options: options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        sources,
        extra: Map::new(),
    }
}

/// What the manifest states: the flags, and where they say nothing what the sources state.
pub(super) fn facts(
    args: &MadeArgs,
    output: &Path,
    sources: &[&Manifest],
    labels: &[String],
    origin: Origin,
) -> anyhow::Result<ManifestFacts> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => local_name(output)?,
    };
    let same = |pick: fn(&Manifest) -> String| sources.windows(2).all(|pair| pick(pair[0]) == pick(pair[1]));
    let first = sources.first();
    let task = args.task.clone().or_else(|| first.map(|manifest| manifest.task.name.clone()));
    let subtask = first.filter(|_| args.task.is_none() && same(|m| format!("{:?}", m.task.subtask)));
    let license = first.filter(|_| same(|manifest| manifest.license.to_string()));
    let mut languages: Vec<Language> = args.languages.clone();
    if languages.is_empty() {
        for language in sources.iter().flat_map(|manifest| &manifest.languages) {
            if !languages.contains(language) {
                languages.push(language.clone());
            }
        }
    }
    Ok(ManifestFacts {
        name,
        version: args.version.clone(),
        task: task.map_or_else(|| "classification".parse::<TaskId>(), Ok)?,
        subtask: args.subtask.clone().or_else(|| subtask.and_then(|m| m.task.subtask.clone())),
        labels: labels.to_vec(),
        languages,
        license: (args.license.clone().or_else(|| license.map(|manifest| manifest.license.clone())))
            .map_or_else(|| "NOASSERTION".parse::<License>(), Ok)?,
        description: args.description.clone().unwrap_or_else(|| described(&origin)),
        metrics: Vec::new(),
        training: None,
        origin: Some(origin),
        dependencies: Vec::new(),
    })
}

/// Longest description that is made here: some adapters of many.
const MAX_DESCRIPTION: usize = 300;

fn described(origin: &Origin) -> String {
    let summary = origin.summary();
    let mut letters = summary.chars();
    let text: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .take(MAX_DESCRIPTION)
        .collect();
    if text.chars().count() < MAX_DESCRIPTION { format!("{text}.") } else { format!("{text}…") }
}
