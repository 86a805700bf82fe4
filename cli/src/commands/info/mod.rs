//! `hub info`: an adapter with its versions, and what the chosen version states; or what a folder does.

mod folder;

use std::path::Path;

use hub_client::{
    cache::Cache,
    exchange::{Choice, ResolveError, looks_like_path},
    registry::Purpose,
    registry::RegistryClient,
};
use hub_schemas::{
    Digest, Manifest, Reference,
    api::AdapterInfo,
    head::Head,
    manifest::{Artifact, CompositionRules, GatingMean, Semantics},
    method::Method,
    problem::ProblemCode,
};
use serde::Serialize;

use crate::{
    args::InfoArgs,
    context::Context,
    failure::Exit,
    output::{Fields, Table, describe, units},
};

#[derive(Serialize)]
struct Answer {
    /// Absent where the registry gives out no version, because the adapter is in quarantine or
    /// all are deleted or yanked.
    #[serde(flatten)]
    chosen: Option<Chosen>,
    /// Absent offline.
    adapter: Option<AdapterInfo>,
}

#[derive(Serialize)]
struct Chosen {
    /// Digest of the manifest below.
    digest: Digest,
    manifest: Artifact,
}

/// Asks and prints.
pub(crate) fn run(context: &Context, args: &InfoArgs) -> anyhow::Result<Exit> {
    let answer = if looks_like_path(&args.adapter) {
        match folder::read(context, Path::new(&args.adapter))? {
            Some(answer) => answer,
            None => return Ok(Exit::Success),
        }
    } else {
        let reference: Reference = args.adapter.parse()?;
        let (client, cache) = (context.client_unless_offline()?, context.cache());
        context.block_on(async {
            match context.choose(client.as_ref(), &cache, &reference, args.base.as_deref()).await {
                Ok(choice) => ask(client.as_ref(), &cache, &choice).await,
                Err(error) => without_version(client.as_ref(), &reference, error).await,
            }
        })?
    };
    if context.printer.is_json() {
        context.printer.json(&answer)?;
        return Ok(Exit::Success);
    }
    context.printer.fields(&fields(&answer))?;
    if let Some(chosen) = &answer.chosen {
        context.printer.raw(b"\n")?;
        context.printer.table(&files(&chosen.manifest))?;
    }
    if let Some(adapter) = &answer.adapter {
        if !adapter.versions.is_empty() {
            context.printer.raw(b"\n")?;
            context.printer.table(&versions(adapter))?;
        }
        if !adapter.deleted.is_empty() {
            context.printer.raw(b"\n")?;
            context.printer.table(&deleted(adapter))?;
        }
    }
    Ok(Exit::Success)
}

/// What the registry says of an adapter none of whose versions can be chosen; the reason why
/// not where that says nothing more.
async fn without_version(
    client: Option<&RegistryClient>,
    reference: &Reference,
    error: anyhow::Error,
) -> anyhow::Result<Answer> {
    let (Some(client), Reference::Adapter { id, version: None }) = (client, reference) else {
        return Err(error);
    };
    match error.downcast_ref::<ResolveError>() {
        Some(ResolveError::NoVersion { .. } | ResolveError::Yanked { .. }) => {}
        Some(ResolveError::Registry(refused)) if refused.code() == Some(ProblemCode::Quarantined) => {}
        _ => return Err(error),
    }
    Ok(Answer { chosen: None, adapter: Some(client.adapter(id).await?) })
}

async fn ask(client: Option<&RegistryClient>, cache: &Cache, choice: &Choice) -> anyhow::Result<Answer> {
    let cached = cache.entry_by_digest(&choice.digest).map(|entry| entry.manifest);
    let manifest = match (cached, client) {
        (Some(manifest), _) => manifest,
        (None, Some(client)) => {
            let bytes = client.manifest(&choice.digest, Purpose::Look).await?;
            Artifact::parse(&bytes)?
        }
        (None, None) => anyhow::bail!("the resolver chose `{}`, which is not in the cache", choice.title()),
    };
    let adapter = match client {
        Some(client) => {
            let name = choice.name.as_ref().map_or(manifest.name(), |(id, _)| id);
            Some(client.adapter(name).await?)
        }
        None => None,
    };
    Ok(Answer { chosen: Some(Chosen { digest: choice.digest, manifest }), adapter })
}

fn fields(answer: &Answer) -> Fields {
    let mut fields = Fields::default();
    let name = answer.adapter.as_ref().map(|adapter| &adapter.name);
    if let Some(name) = name.or(answer.chosen.as_ref().map(|chosen| chosen.manifest.name())) {
        fields.add("name", name.to_string());
    }
    if let Some(chosen) = &answer.chosen {
        if name.is_some_and(|name| name != chosen.manifest.name()) {
            fields.add("published as", chosen.manifest.name().to_string());
        }
        state(&mut fields, chosen);
    }
    if let Some(adapter) = &answer.adapter {
        fields.add("visibility", adapter.visibility.as_str());
        fields.add("pulls", adapter.pulls.to_string());
        for former in &adapter.former_names {
            fields.add("formerly", former.to_string());
        }
        if let Some(quarantine) = &adapter.quarantine {
            fields
                .add("quarantine", format!("since {}: {}", describe::day(quarantine.at), quarantine.reason));
        }
    }
    fields
}

/// What a version's manifest states.
fn state(fields: &mut Fields, Chosen { digest, manifest }: &Chosen) {
    fields.add("version", manifest.version().to_string());
    fields.add("digest", digest.to_string());
    if !manifest.description().is_empty() {
        fields.add("description", manifest.description());
    }
    match manifest {
        Artifact::Adapter(adapter) => of_task(fields, adapter),
        Artifact::Base(_) => fields.add("kind", manifest.kind().described()),
    }
    if !manifest.languages().is_empty() {
        let languages: Vec<_> = manifest.languages().iter().map(ToString::to_string).collect();
        fields.add("languages", languages.join(", "));
    }
    if let Artifact::Adapter(adapter) = manifest
        && let Some(origin) = &adapter.origin
    {
        fields.add("made by", origin.summary());
    }
    fields.add("license", manifest.license());
    if let Artifact::Adapter(adapter) = manifest {
        of_method(fields, adapter);
    }
    let base = manifest.base();
    fields.add("base", format!("{} ({})", base.id, base.architecture));
    fields.add("base weights", base.weights_digest.to_string());
    if let Artifact::Adapter(adapter) = manifest {
        for metric in &adapter.metrics {
            let (name, value) = (&metric.name, describe::number(metric.value));
            fields.add("metric", format!("{name} {value} on {} ({})", metric.dataset, metric.split));
        }
    }
    for dependency in manifest.dependencies() {
        fields.add("needs", format!("{}@{}", dependency.name, dependency.version));
    }
    fields.add("size", units::bytes(manifest.total_size()));
}

fn of_task(fields: &mut Fields, manifest: &Manifest) {
    let task = &manifest.task;
    let subtask = task.subtask.as_ref().map(|s| format!(" ({s})")).unwrap_or_default();
    fields.add("task", format!("{}{subtask}", task.name));
    if !task.labels.is_empty() {
        fields.add("labels", task.labels.join(", "));
    }
}

fn of_method(fields: &mut Fields, manifest: &Manifest) {
    fields.add("method", manifest.method.summary());
    fields.add("format", manifest.format.to_string());
    if let Some(Head::Embedding(vectors)) = &manifest.head {
        fields.add("vectors", vectors.summary());
    }
    for meaning in semantics(&manifest.semantics, &manifest.method) {
        fields.add("computes", meaning);
    }
    if let Method::Composition(config) = &manifest.method {
        for member in &config.members {
            fields.add("member", format!("{} ({})", member.name, member.digest.short()));
        }
    }
}

/// Where implementations of the method differ, what these weights mean.
fn semantics(semantics: &Semantics, method: &Method) -> Vec<&'static str> {
    let mut meanings = Vec::new();
    let is_hooked = |part: &Method| matches!(part, Method::Bottleneck(config) if config.hooked.is_some());
    if method.parts().iter().any(is_hooked) {
        meanings.push("on the sub-layers' projections, where the interface of `adapters` hangs it");
    }
    meanings.extend(semantics.gating_mean.map(|mean| match mean {
        GatingMean::AllPositions => "gates average over padding too, as in `adapters`",
        GatingMean::Tokens => "gates average over tokens only",
    }));
    meanings.extend(semantics.composition.map(|rules| match rules {
        CompositionRules::Adapters => {
            "composed by the arithmetic of `adapters`: `Average` divides twice, stacked LoRAs multiply"
        }
    }));
    if semantics.prompts_see_padding {
        meanings.push("learned tokens see padding, as in `adapters` since 1.3");
    }
    if semantics.drops_segments {
        meanings.push("segments count as none, as in PEFT's question answering");
    }
    if semantics.masks_prefixes {
        meanings
            .push("a decoder sees its prefixes as the masks of `adapters` 1.3 show them: not beside padding");
    }
    if semantics.keeps_shared_table {
        meanings.push(
            "what it holds for the table of words changes nothing, as in PEFT behind an encoder, but for trained tokens where \
             the base model ties its tables",
        );
    }
    meanings
}

fn files(manifest: &Artifact) -> Table {
    let mut table = Table::new(&["FILE", "SIZE", "DIGEST"]);
    for file in manifest.files() {
        table.row([file.path.to_string(), units::bytes(file.size), file.digest.short()]);
    }
    table
}

fn versions(adapter: &AdapterInfo) -> Table {
    let mut table = Table::new(&["VERSION", "PUBLISHED", "SIZE", "DIGEST", "YANKED"]);
    for version in &adapter.versions {
        let yanked =
            version.yanked.as_ref().map(|yank| format!("{}: {}", describe::day(yank.at), yank.reason));
        table.row([
            version.version.to_string(),
            describe::day(version.published_at),
            units::bytes(version.size),
            version.digest.short(),
            yanked.unwrap_or_default(),
        ]);
    }
    table
}

fn deleted(adapter: &AdapterInfo) -> Table {
    let mut table = Table::new(&["DELETED", "ON", "REASON"]);
    for tombstone in &adapter.deleted {
        let (version, day) = (tombstone.version.to_string(), describe::day(tombstone.at));
        table.row([version, day, tombstone.reason.clone()]);
    }
    table
}
