//! The adapters that a fusion attends to: what is trained stays small because they stay as
//! they are, and what is recorded names them by digest.

use std::{collections::HashSet, path::PathBuf};

use hub_schemas::{
    backbone::BackboneShape,
    manifest::{BaseModel, Dependency},
    method::{ComposedFusion, CompositionConfig, CompositionMember, FusionConfig},
    version::VersionError,
};
use serde_json::Map;

use super::TrainingError;
use crate::{
    checkpoint::{AdapterFolder, CheckpointError},
    composition::Composition,
    model::fused_sublayers,
};

/// An adapter that is fused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FusedMember {
    /// What the expression calls it; the adapter's own name by default.
    pub name: Option<String>,
    /// Its folder.
    pub folder: PathBuf,
}

/// The composition `Fuse(a, b, …)` of saved adapters with a fresh attention over them.
pub fn fuse(
    members: &[FusedMember],
    shape: &BackboneShape,
    config: FusionConfig,
) -> Result<CompositionConfig, TrainingError> {
    let opened = open(members)?;
    if opened.len() < 2 {
        return Err(TrainingError::FewMembers(opened.len()));
    }
    let borrowed: Vec<_> = opened.iter().map(|(name, folder)| (name.clone(), folder)).collect();
    let sublayers = fused_sublayers(&borrowed, shape)?;
    let names: Vec<&str> = opened.iter().map(|(name, _)| name.as_str()).collect();
    let children = names.iter().map(|name| Composition::Single((*name).to_owned())).collect();
    Ok(CompositionConfig {
        expression: Composition::Fuse { children, name: None }.to_string(),
        members: recorded(&opened)?,
        fusion: Some(ComposedFusion { name: names.join(","), sublayers, config }),
    })
}

/// What a composition records about its members.
pub fn recorded(members: &[(String, AdapterFolder)]) -> Result<Vec<CompositionMember>, CheckpointError> {
    let record = |(name, folder): &(String, AdapterFolder)| {
        Ok(CompositionMember { name: name.clone(), digest: folder.content_digest()? })
    };
    members.iter().map(record).collect()
}

/// The published names of members, each with exactly its version. A folder without a manifest has none.
pub fn dependencies(members: &[(String, AdapterFolder)]) -> Result<Vec<Dependency>, TrainingError> {
    let mut dependencies: Vec<Dependency> = Vec::new();
    for manifest in members.iter().filter_map(|(_, folder)| folder.manifest.as_ref()) {
        let exactly = |e: VersionError| TrainingError::Version(e.to_string());
        let version = format!("={}", manifest.version).parse().map_err(exactly)?;
        if !dependencies.iter().any(|known| known.name == manifest.name) {
            dependencies.push(Dependency { name: manifest.name.clone(), version, extra: Map::new() });
        }
    }
    Ok(dependencies)
}

/// Opens the members and compares their base model with the one in use.
pub(super) fn open_members(
    members: &[FusedMember],
    base: &BaseModel,
) -> Result<Vec<(String, AdapterFolder)>, TrainingError> {
    let opened = open(members)?;
    for (name, folder) in &opened {
        let wanted = folder.manifest.as_ref().map(|manifest| manifest.base.weights_digest);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != base.weights_digest) {
            return Err(TrainingError::OtherBase { name: name.clone(), wanted, found: base.weights_digest });
        }
        folder.check_fit(&base.shape)?;
    }
    Ok(opened)
}

fn open(members: &[FusedMember]) -> Result<Vec<(String, AdapterFolder)>, TrainingError> {
    let mut seen = HashSet::new();
    let mut opened = Vec::with_capacity(members.len());
    for member in members {
        let folder = AdapterFolder::open(&member.folder)?;
        let name = member.name.clone().unwrap_or_else(|| folder.name.clone());
        if !seen.insert(name.clone()) {
            return Err(TrainingError::SameName(name));
        }
        opened.push((name, folder));
    }
    Ok(opened)
}
