//! The adapters that a fusion attends to, or that a new one is trained on top of: what is trained
//! stays small because they stay as they are, and what is recorded names them by digest.

use std::{collections::HashSet, path::PathBuf};

use hub_formats::checkpoint::{AdapterFolder, CheckpointError};
use hub_schemas::{
    backbone::BackboneShape,
    manifest::{BaseModel, Dependency},
    method::{ComposedFusion, CompositionConfig, CompositionMember, FusionConfig, Method},
    version::VersionError,
};
use serde_json::Map;

use super::TrainingError;
use crate::{composition::Composition, data::Notice, model::fused_sublayers};

/// The hyper-parameter that states what an adapter was trained on top of.
pub const ON_TOP_OF: &str = "on_top_of";

/// An adapter that stays as it is while something else is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenMember {
    /// What expressions call it; the adapter's own name by default.
    pub name: Option<String>,
    /// Its folder.
    pub folder: PathBuf,
}

/// The composition `Fuse(a, b, …)` of saved adapters with a fresh attention over them.
pub fn fuse(
    members: &[FrozenMember],
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

/// What the manifest states about the adapters below, the lowest first: names, and digests of their contents.
/// `None` without any.
pub(super) fn below(members: &[(String, AdapterFolder)]) -> Result<Option<String>, CheckpointError> {
    let state = |(name, folder): &(String, AdapterFolder)| {
        let name =
            folder.manifest.as_ref().map_or_else(|| name.clone(), |m| format!("{}@{}", m.name, m.version));
        Ok(format!("{name} {}", folder.content_digest()?))
    };
    let stated = members.iter().map(state).collect::<Result<Vec<_>, CheckpointError>>()?;
    Ok((!stated.is_empty()).then(|| stated.join(", ")))
}

/// Whether an adapter of this method is trained on top of others. What changes embeddings or whole blocks acts
/// only as the lowest.
pub(super) fn stacks(method: &Method) -> bool {
    method.parts().iter().all(|part| match part {
        Method::Bottleneck(config) => config.invertible.is_none(),
        Method::Lora(_)
        | Method::AdaLora(_)
        | Method::Loha(_)
        | Method::Lokr(_)
        | Method::Vera(_)
        | Method::Oft(_)
        | Method::Boft(_)
        | Method::Beft(_)
        | Method::C3a(_)
        | Method::Delora(_)
        | Method::Gralora(_)
        | Method::Hira(_)
        | Method::Hra(_)
        | Method::Miss(_)
        | Method::RandLora(_)
        | Method::Road(_)
        | Method::Shira(_)
        | Method::VbLora(_)
        | Method::Glora(_)
        | Method::Deft(_)
        | Method::Ia3(_)
        | Method::LastLayer => true,
        _ => false,
    })
}

/// That members of a fusion stand at different sub-layers, if they do.
pub(super) fn apart(members: &[(String, AdapterFolder)]) -> Option<Notice> {
    let places = |folder: &AdapterFolder| {
        folder.method.parts().iter().find_map(|part| match part {
            Method::Bottleneck(config) => {
                Some([config.mh_adapter, config.output_adapter, config.cross_adapter])
            }
            _ => None,
        })
    };
    let ((first, folder), rest) = members.split_first()?;
    let (second, _) = rest.iter().find(|(_, other)| places(other) != places(folder))?;
    Some(Notice::Apart { first: first.clone(), second: second.clone() })
}

/// Opens the members and compares their base model with the one in use.
pub(super) fn open_members(
    members: &[FrozenMember],
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

fn open(members: &[FrozenMember]) -> Result<Vec<(String, AdapterFolder)>, TrainingError> {
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
