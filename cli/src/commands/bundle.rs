//! `hub bundle`: versions in one file, for sites without a network.

use std::{collections::HashSet, path::Path};

use hub_client::{
    bundle::{Imported, import_bundle, write_bundle},
    cache::Entry,
    registry::{Digests, PublishPlan, RegistryClient},
};
use hub_schemas::{
    AdapterId, Digest, Reference, Version,
    api::Visibility,
    manifest::{Artifact, ArtifactKind},
};
use serde::Serialize;

use crate::{
    args::{BundleArgs, BundleVerb},
    context::Context,
    failure::{Exit, UserError},
    output::{Transfers, units},
};

/// Longest chain of dependencies; a longer one is a mistake.
const MAX_DEPTH: usize = 32;

#[derive(Serialize)]
struct Item {
    name: AdapterId,
    version: Version,
    kind: ArtifactKind,
    digest: Digest,
}

#[derive(Serialize)]
struct Answer {
    versions: Vec<Item>,
    /// Bytes of the bundle, or of files that the cache did not have.
    bytes: u64,
    /// Versions that the registry did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<u64>,
}

/// Runs the verb.
pub(crate) fn run(context: &Context, args: &BundleArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        BundleVerb::Export { references, output, no_base } => export(context, references, output, !no_base),
        BundleVerb::Import { file, push, private, internal } => {
            let visibility = match (private, internal) {
                (true, _) => Some(Visibility::Private),
                (_, true) => Some(Visibility::Internal),
                _ => None,
            };
            import(context, file, *push, visibility)
        }
    }
}

fn export(
    context: &Context,
    references: &[Reference],
    output: &Path,
    with_bases: bool,
) -> anyhow::Result<Exit> {
    let mut chosen = Chosen { with_bases, ..Chosen::default() };
    for reference in references {
        chosen.add(context, reference, 0)?;
    }
    let bytes = write_bundle(output, &chosen.entries)?;
    context.printer.done("wrote", &format!("`{}` ({})", output.display(), units::bytes(bytes)));
    answer(context, &chosen.entries, bytes, None)
}

/// What goes into a bundle, what others need first.
#[derive(Default)]
struct Chosen {
    with_bases: bool,
    entries: Vec<Entry<Artifact>>,
    seen: HashSet<Digest>,
    bases: HashSet<Digest>,
}

impl Chosen {
    /// Adds a version, after its base model and what it depends on.
    fn add(&mut self, context: &Context, reference: &Reference, depth: usize) -> anyhow::Result<()> {
        if depth > MAX_DEPTH {
            let text = format!("`{reference}` stands at the end of more than {MAX_DEPTH} dependencies");
            return Err(UserError::new(text).into());
        }
        let (_, pulled) = context.fetch(reference, None, None)?;
        let entry = pulled.entry;
        if !self.seen.insert(entry.digest) {
            return Ok(());
        }
        for dependency in entry.manifest.dependencies() {
            let (id, version) = (dependency.name.clone(), Some(dependency.version.clone()));
            self.add(context, &Reference::Adapter { id, version }, depth + 1)?;
        }
        if self.with_bases && entry.manifest.kind().is_adapter() {
            self.add_base(context, &entry)?;
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The base model of an adapter: the one in the cache, else the registry's.
    fn add_base(&mut self, context: &Context, adapter: &Entry<Artifact>) -> anyhow::Result<()> {
        let wanted = adapter.manifest.base();
        let cached = context.cache().everything()?.into_iter().find(|entry| {
            !entry.manifest.kind().is_adapter()
                && entry.manifest.base().weights_digest == wanted.weights_digest
        });
        let found = match (cached, context.client_unless_offline()?) {
            (Some(entry), _) => Some(entry),
            (None, Some(client)) => {
                context.block_on(context.bring_base(&client, wanted))?.map(|pulled| pulled.entry)
            }
            (None, None) => None,
        };
        match found {
            Some(entry) if self.seen.insert(entry.digest) => self.entries.push(entry),
            None if self.bases.insert(wanted.weights_digest) => context.printer.warn(&format!(
                "the base model `{}` is not in the registry, so it is not in the bundle",
                wanted.id
            )),
            Some(_) | None => {}
        }
        Ok(())
    }
}

fn import(
    context: &Context,
    file: &Path,
    push: bool,
    visibility: Option<Visibility>,
) -> anyhow::Result<Exit> {
    let client = if push { Some(context.client()?) } else { None };
    let reporter = Transfers(context.printer.clone());
    let cache = context.cache();
    let Imported { entries, added } =
        context.block_on(async { Ok(import_bundle(&cache, file, &reporter).await?) })?;
    let count = units::count(entries.len() as u64, "version");
    context.printer.done("imported", &format!("{count} into the cache ({} were new)", units::bytes(added)));
    let published = match &client {
        Some(client) => {
            let published = context.block_on(publish(context, client, &entries, visibility))?;
            let there = entries.len() as u64 - published;
            let registry = context.registry_name();
            let count = units::count(published, "version");
            context.printer.done("published", &format!("{count} to {registry} ({there} were there)"));
            Some(published)
        }
        None => None,
    };
    answer(context, &entries, added, published)
}

/// Publishes what the registry lacks, in the order of the bundle; says how many versions that were.
async fn publish(
    context: &Context,
    client: &RegistryClient,
    entries: &[Entry<Artifact>],
    visibility: Option<Visibility>,
) -> anyhow::Result<u64> {
    let mut published = 0;
    for entry in entries {
        let manifest = &entry.manifest;
        let title = format!("{}@{}", manifest.name(), manifest.version());
        context.printer.status(&format!("pushing `{title}` to {}", context.registry_name()));
        let bytes = manifest.to_canonical_bytes()?;
        // A name that is there keeps its visibility.
        let is_new = client.adapter(manifest.name()).await.is_err();
        let visibility = visibility.filter(|_| is_new);
        // What came out of the bundle was hashed on its way.
        let digests = Digests::Computed;
        let plan = PublishPlan { folder: &entry.folder, manifest, bytes: &bytes, digests, visibility };
        let outcome = client.publish_folder(&plan).await?;
        published += u64::from(outcome.published.created);
    }
    Ok(published)
}

fn answer(
    context: &Context,
    entries: &[Entry<Artifact>],
    bytes: u64,
    published: Option<u64>,
) -> anyhow::Result<Exit> {
    if context.printer.is_json() {
        let item = |entry: &Entry<Artifact>| Item {
            name: entry.manifest.name().clone(),
            version: entry.manifest.version().clone(),
            kind: entry.manifest.kind(),
            digest: entry.digest,
        };
        let versions = entries.iter().map(item).collect();
        context.printer.json(&Answer { versions, bytes, published })?;
        return Ok(Exit::Success);
    }
    for entry in entries {
        let (name, version) = (entry.manifest.name(), entry.manifest.version());
        context.printer.line(&format!("{name}@{version} {}", entry.digest))?;
    }
    Ok(Exit::Success)
}
