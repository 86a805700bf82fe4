//! `hub info`: an adapter with its versions, and what the chosen version states; or what a folder does.

mod folder;

use std::path::Path;

use hub_client::{
    cache::Cache,
    exchange::{Choice, looks_like_path},
    registry::Purpose,
    registry::RegistryClient,
};
use hub_schemas::{
    Digest, Manifest, Reference,
    api::AdapterInfo,
    manifest::{CompositionRules, GatingMean, Semantics},
    method::Method,
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
    /// Digest of the manifest below.
    digest: Digest,
    /// Absent offline.
    adapter: Option<AdapterInfo>,
    manifest: Manifest,
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
            let choice = context.choose(client.as_ref(), &cache, &reference, args.base.as_deref()).await?;
            ask(client.as_ref(), &cache, &choice).await
        })?
    };
    if context.printer.is_json() {
        context.printer.json(&answer)?;
        return Ok(Exit::Success);
    }
    context.printer.fields(&fields(&answer))?;
    context.printer.raw(b"\n")?;
    context.printer.table(&files(&answer.manifest))?;
    if let Some(adapter) = &answer.adapter {
        context.printer.raw(b"\n")?;
        context.printer.table(&versions(adapter))?;
    }
    Ok(Exit::Success)
}

async fn ask(client: Option<&RegistryClient>, cache: &Cache, choice: &Choice) -> anyhow::Result<Answer> {
    let cached = cache.entry_by_digest(&choice.digest).map(|entry| entry.manifest);
    let manifest = match (cached, client) {
        (Some(manifest), _) => manifest,
        (None, Some(client)) => {
            let bytes = client.manifest(&choice.digest, Purpose::Look).await?;
            Manifest::parse(&bytes)?
        }
        (None, None) => anyhow::bail!("the resolver chose `{}`, which is not in the cache", choice.title()),
    };
    let adapter = match client {
        Some(client) => Some(client.adapter(&manifest.name).await?),
        None => None,
    };
    Ok(Answer { digest: choice.digest, adapter, manifest })
}

fn fields(answer: &Answer) -> Fields {
    let manifest = &answer.manifest;
    let task = &manifest.task;
    let mut fields = Fields::default();
    fields.add("name", manifest.name.to_string());
    fields.add("version", manifest.version.to_string());
    fields.add("digest", answer.digest.to_string());
    if !manifest.description.is_empty() {
        fields.add("description", &manifest.description);
    }
    let subtask = task.subtask.as_ref().map(|s| format!(" ({s})")).unwrap_or_default();
    fields.add("task", format!("{}{subtask}", task.name));
    if !task.labels.is_empty() {
        fields.add("labels", task.labels.join(", "));
    }
    if !manifest.languages.is_empty() {
        let languages: Vec<_> = manifest.languages.iter().map(ToString::to_string).collect();
        fields.add("languages", languages.join(", "));
    }
    if let Some(origin) = &manifest.origin {
        fields.add("made by", origin.summary());
    }
    fields.add("license", &manifest.license);
    fields.add("method", manifest.method.summary());
    fields.add("format", manifest.format.to_string());
    for meaning in semantics(&manifest.semantics) {
        fields.add("computes", meaning);
    }
    if let Method::Composition(config) = &manifest.method {
        for member in &config.members {
            fields.add("member", format!("{} ({})", member.name, member.digest.short()));
        }
    }
    fields.add("base", format!("{} ({})", manifest.base.id, manifest.base.architecture));
    fields.add("base weights", manifest.base.weights_digest.to_string());
    for metric in &manifest.metrics {
        let (name, value) = (&metric.name, describe::number(metric.value));
        fields.add("metric", format!("{name} {value} on {} ({})", metric.dataset, metric.split));
    }
    for dependency in &manifest.dependencies {
        fields.add("needs", format!("{}@{}", dependency.name, dependency.version));
    }
    fields.add("size", units::bytes(manifest.total_size()));
    if let Some(adapter) = &answer.adapter {
        fields.add("visibility", adapter.visibility.as_str());
        if let Some(latest) = &adapter.latest {
            fields.add("pulls", latest.pulls.to_string());
        }
    }
    fields
}

/// Where implementations of the method differ, what these weights mean.
fn semantics(semantics: &Semantics) -> Vec<&'static str> {
    let mut meanings = Vec::new();
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
    if semantics.ignores_prefixes {
        meanings.push("its prefixes change nothing: decoders of `adapters` do not read them");
    }
    meanings
}

fn files(manifest: &Manifest) -> Table {
    let mut table = Table::new(&["FILE", "SIZE", "DIGEST"]);
    for file in &manifest.files {
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
