//! A composition's folder: a manifest that names the members, and besides it what the
//! composition itself was trained with, as `adapters` saves it: `adapter_fusion_config.json`,
//! `model_adapter_fusion.safetensors`, and a head under the fusion's name.
//!
//! Where the members lie is no part of the artifact. A hidden file notes it for this
//! machine; it is never published, and what it names is compared with the members' digests.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hub_schemas::{
    Digest,
    backbone::Architecture,
    layout::{Format, HEAD_CONFIG},
    manifest::content_digest,
    method::{ComposedFusion, CompositionConfig, FusionConfig, Method},
};
use serde_json::{Value, json};

use super::{
    AdapterFolder, CheckpointError, FusionFolder,
    assemble::file_entries,
    folder::{Parsed, read_json},
    heads,
};

/// File that notes where the members of a composition lie on this machine. Hidden: it is
/// never published.
pub const MEMBERS_FILE: &str = ".members.json";

/// What a composition without a fusion is called inside tensor names.
const UNFUSED: &str = "composition";

impl AdapterFolder {
    /// Digest of weights and configuration, by which a composition names this adapter.
    pub fn content_digest(&self) -> Result<Digest, CheckpointError> {
        match &self.manifest {
            Some(manifest) => Ok(manifest.content_digest()),
            None => Ok(content_digest(&file_entries(&self.path)?)),
        }
    }

    /// The folder of a composition that has no manifest yet.
    pub fn of_composition(
        dir: &Path,
        config: &CompositionConfig,
        architecture: Architecture,
    ) -> Result<Self, CheckpointError> {
        parse(dir, architecture, config).map(|parsed| Self::parsed(dir, parsed))
    }

    /// How other adapters work together here; `None` for an adapter of its own.
    pub fn composition(&self) -> Option<&CompositionConfig> {
        match &self.method {
            Method::Composition(config) => Some(config),
            _ => None,
        }
    }

    /// Where the members of this composition were when it was made, by name.
    pub fn noted_members(&self) -> BTreeMap<String, PathBuf> {
        // Only a convenience: without it members are named or fetched.
        let noted = read_json(&self.path.join(MEMBERS_FILE)).unwrap_or_default();
        let path = |value: Value| value.as_str().map(PathBuf::from);
        noted.into_iter().filter_map(|(name, value)| Some((name, path(value)?))).collect()
    }
}

/// The content of [`MEMBERS_FILE`].
pub fn note_members(members: &[(String, PathBuf)]) -> String {
    let place = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let noted: serde_json::Map<String, Value> =
        members.iter().map(|(name, path)| (name.clone(), json!(place(path)))).collect();
    format!("{:#}\n", Value::Object(noted))
}

/// Reads the folder of a composition, whose expression and members the manifest states.
pub(super) fn parse(
    dir: &Path,
    architecture: Architecture,
    config: &CompositionConfig,
) -> Result<Parsed, CheckpointError> {
    let fusion = config.fusion.as_ref().map(|_| FusionFolder::open(dir)).transpose()?;
    let head = if dir.join(HEAD_CONFIG).is_file() { Some(heads::parse_head_only(dir)?) } else { None };
    let found = fusion.as_ref().zip(config.fusion.as_ref()).map(|(folder, stated)| ComposedFusion {
        name: folder.name.clone(),
        sublayers: stated.sublayers.clone(),
        config: folder.config.clone(),
    });
    let name = found.as_ref().map_or(UNFUSED, |fusion| fusion.name.as_str()).to_owned();
    let (head, labels) = head.map_or((None, Vec::new()), |parsed| (parsed.head, parsed.labels));
    Ok(Parsed {
        format: Format::Adapters,
        method: Method::Composition(CompositionConfig { fusion: found, ..config.clone() }),
        head,
        labels,
        name,
        head_class: None,
        library: None,
        drops_segments: false,
        is_flexible: false,
        task: None,
        prefixed: true,
        base_hint: None,
        architecture: fusion.map_or(architecture, |folder| folder.architecture),
    })
}

/// The `config` object of `adapter_fusion_config.json`.
pub(super) fn fusion_json(config: &FusionConfig) -> Value {
    json!({
        "dropout_prob": config.dropout_prob,
        "key": config.key,
        "query": config.query,
        "query_before_ln": config.query_before_ln,
        "regularization": config.regularization,
        "residual_before": config.residual_before,
        "temperature": config.temperature,
        "value": config.value,
        "value_before_softmax": config.value_before_softmax,
        "value_initialized": config.value_initialized,
    })
}
