//! `hub list`: the adapters and base models in the local cache.

use std::path::PathBuf;

use hub_client::cache::Entry;
use hub_schemas::{
    AdapterId, Digest, Version,
    manifest::{Artifact, ArtifactKind, BASE_TASK},
};
use serde::Serialize;

use crate::{
    context::Context,
    failure::Exit,
    output::{Table, describe, units},
};

#[derive(Serialize)]
struct Item {
    name: AdapterId,
    version: Version,
    digest: Digest,
    kind: ArtifactKind,
    registry: Option<String>,
    task: String,
    method: String,
    base: String,
    size: u64,
    folder: PathBuf,
}

impl From<&Entry<Artifact>> for Item {
    fn from(entry: &Entry<Artifact>) -> Self {
        let manifest = &entry.manifest;
        let (task, method) = match manifest {
            Artifact::Adapter(adapter) => (adapter.task.name.to_string(), adapter.method.summary()),
            Artifact::Base(_) => (BASE_TASK.to_owned(), manifest.method().to_owned()),
        };
        Self {
            name: manifest.name().clone(),
            version: manifest.version().clone(),
            digest: entry.digest,
            kind: manifest.kind(),
            registry: entry.registry.clone(),
            task,
            method,
            base: manifest.base().id.clone(),
            size: manifest.total_size(),
            folder: entry.folder.clone(),
        }
    }
}

/// Lists.
pub(crate) fn run(context: &Context) -> anyhow::Result<Exit> {
    let cache = context.cache();
    let entries = cache.everything()?;
    if context.printer.is_json() {
        context.printer.json(&entries.iter().map(Item::from).collect::<Vec<_>>())?;
        return Ok(Exit::Success);
    }
    let root = cache.root().display();
    if entries.is_empty() {
        context.printer.status(&format!("the cache at `{root}` is empty"));
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["NAME", "VERSION", "TASK", "METHOD", "BASE", "SIZE", "PULLED"]);
    for entry in &entries {
        let item = Item::from(entry);
        let pulled = entry.pulled_at().map(|at| describe::day(at.into())).unwrap_or_default();
        table.row([
            item.name.to_string(),
            item.version.to_string(),
            item.task,
            item.method,
            item.base,
            units::bytes(item.size),
            pulled,
        ]);
    }
    context.printer.table(&table)?;
    let (count, size) = (units::count(entries.len() as u64, "version"), units::bytes(cache.size()?));
    context.printer.status(&format!("{count}, {size} in `{root}`"));
    Ok(Exit::Success)
}
