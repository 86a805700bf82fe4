//! A folder that can be published: weights, configuration, card and manifest.

use std::{fs, path::Path};

use hub_schemas::{
    Manifest,
    layout::{self, Format, Subject},
    manifest::{MANIFEST_FILE, Semantics},
};

use super::{
    AdapterFolder, AdapterToWrite, CheckpointError, ManifestFacts, assemble_manifest, model_card,
    write_adapter,
};

/// File name of the model card.
const CARD_FILE: &str = "README.md";

/// The format to write this adapter in: the method's native one where it has words for
/// method and head, else the other. Refuses what neither has words for, with the reason
/// of the native one.
pub fn writable_format(adapter: &AdapterToWrite<'_>) -> Result<Format, CheckpointError> {
    let native = layout::native_format(adapter.method, adapter.base.architecture, &adapter.base.shape);
    let other = if native == Format::Peft { Format::Adapters } else { Format::Peft };
    let subject = Subject {
        architecture: adapter.base.architecture,
        shape: &adapter.base.shape,
        method: adapter.method,
        head: adapter.head,
        name: adapter.name,
        prefixed: true,
    };
    match layout::weights_files(native, &subject) {
        Ok(_) => Ok(native),
        Err(_) if layout::weights_files(other, &subject).is_ok() => Ok(other),
        Err(reason) => Err(reason.into()),
    }
}

/// Writes `adapter` into `dir` with a card and a manifest that states `facts`. Same input, same bytes.
/// `semantics` is what the weights mean where implementations differ.
pub fn write_publishable(
    dir: &Path,
    adapter: &AdapterToWrite<'_>,
    facts: ManifestFacts,
    semantics: &Semantics,
) -> Result<Manifest, CheckpointError> {
    write_adapter(dir, adapter)?;
    let folder = AdapterFolder::open(dir)?;
    let state = |facts: ManifestFacts| {
        let mut manifest = assemble_manifest(&folder, adapter.base, facts)?;
        // The files hold nothing that only training uses.
        manifest.method = adapter.method.clone();
        manifest.head = adapter.head.cloned();
        manifest.semantics = semantics.clone();
        Ok::<_, CheckpointError>(manifest)
    };
    // The card shows what the manifest says, and the manifest lists the card.
    let card = dir.join(CARD_FILE);
    fs::write(&card, model_card(&state(facts.clone())?, adapter.class))
        .map_err(CheckpointError::write(&card))?;
    let manifest = state(facts)?;
    let path = dir.join(MANIFEST_FILE);
    let bytes = manifest
        .validate()
        .and_then(|()| manifest.to_canonical_bytes())
        .map_err(|source| CheckpointError::Manifest { path: path.clone(), source })?;
    fs::write(&path, bytes).map_err(CheckpointError::write(&path))?;
    Ok(manifest)
}
