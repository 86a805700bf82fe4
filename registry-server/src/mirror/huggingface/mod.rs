//! Repositories of a Hugging Face hub, taken as versions of this registry.
//!
//! A commit of `main` is taken whole or not at all. Its files come first, each compared with what the commit's tree
//! says of it (SHA-256 of large files, git's own digest of others) and stored; from them and the metadata of the card
//! a manifest is made as `hub push` makes one, held to every rule of a publish; only then a list names it. Its number
//! is the date of the commit, its name, licence and task what [`domain::huggingface`](crate::domain::huggingface)
//! makes of the hub's. A commit that was seen stays, whatever `main` becomes.
//!
//! An adapter names its base model by the digest of its weights, which no hub knows: it is measured once for each
//! state of the base model's own repository (see `base`), and never guessed.

mod base;
mod sketch;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use hub_formats::checkpoint::{AdapterFolder, CheckpointError, ManifestFacts, assemble_listed};
use hub_schemas::{
    api::{BaseSummary, VersionEntry},
    digest::Digest,
    label::License,
    layout::{self, ADAPTER_CONFIG},
    manifest::{Artifact, ArtifactKind, FileEntry, Manifest, MediaType},
    name::AdapterId,
    problem::ProblemCode,
};
use serde_json::Map;
use sketch::Sketch;
use time::OffsetDateTime;

use super::{
    Landed, MirrorError, Upstream, UpstreamError,
    download::{self, Place},
    fill,
    upstream::{IndexAnswer, Model, Source},
};
use crate::{
    app::App,
    db::{
        blobs::{self, Blob},
        listings,
        mirrored::{self, Known},
    },
    domain::{
        huggingface::{Content, RepositoryFile, card, choose, version_of},
        mirror::MirrorPermit,
        publish,
    },
    error::ApiError,
    service::inspect,
};

/// Files in git itself; hubs keep larger ones beside it.
const MAX_SMALL_BYTES: u64 = 16 << 20;

/// Takes what `main` of the repository is that is called `id` here, unless that is known.
pub(super) async fn list(
    app: &App,
    upstream: &Arc<Upstream>,
    permit: &MirrorPermit,
    id: &AdapterId,
    known: Option<&Known>,
) -> Landed {
    let answer = upstream.model_called(id).await;
    app.telemetry.mirrored("list", &answer);
    let model = answer?;
    let Source { repository, commit } = &model.source;
    match known.and_then(|known| known.etag.split_once(' ')) {
        Some((before, _)) if before != repository.to_string() => {
            let found = format!("the repository `{repository}` for `{id}`, which was `{before}`");
            return Err(upstream.wrong(found).into());
        }
        Some((_, before)) if before == commit.as_str() => {
            let same = IndexAnswer { changed: None, public: model.public };
            return fill::take_list(app, upstream, permit, id, &same, fill::Missing::Kept).await.map(drop);
        }
        _ => {}
    }
    let taken = take(app, upstream, id, &model).await.map_err(|error| {
        let error = refused(upstream, &model.source, error);
        if model.private { hidden(upstream, id, error) } else { error }
    })?;
    let mut tx = app.db.write().await?;
    let kind = ArtifactKind::Adapter;
    let adapter = mirrored::ensure(&mut tx, permit, id, kind, model.public, upstream.name()).await?;
    if mirrored::list(&mut tx, permit, &adapter, &taken.entry).await? {
        let digest = &taken.entry.digest;
        mirrored::keep_manifest(&mut tx, permit, &adapter, digest, &taken.manifest).await?;
    } else {
        tracing::warn!(
            mirror.url = upstream.name(),
            "`{repository}` has a second commit of the same second; `{id}@{}` is what the first was",
            taken.entry.version
        );
    }
    listings::refresh(&mut tx, &adapter).await?;
    mirrored::checked(&mut tx, &adapter, Some(&format!("{repository} {commit}"))).await?;
    tx.commit().await?;
    fill::complete(app, permit, &adapter).await
}

/// A commit whose files are all here.
struct Taken {
    entry: VersionEntry,
    manifest: String,
}

async fn take(
    app: &App,
    upstream: &Arc<Upstream>,
    id: &AdapterId,
    model: &Model,
) -> Result<Taken, MirrorError> {
    let license = card::license(&model.card).map_err(ApiError::invalid_value)?;
    fill::check_license(upstream, &format!("`{id}`"), &license)?;
    let listed = upstream.tree(&model.source).await?;
    let chosen =
        choose(&listed).map_err(|error| unfit(upstream, &model.source, &error.to_string(), error.hint()))?;
    for file in &chosen {
        publish::check_size(&format!("`{}`", file.path), file.size, app.limits.max_file_bytes)?;
    }
    let date = upstream.date(&model.source).await?;
    let mut files = Vec::new();
    for file in chosen {
        files.push(keep(app, upstream, &model.source, file).await?);
    }
    let manifest = describe(app, upstream, id, model, (license, date), files).await?;
    // Held to what a publish is held to.
    let artifact = Artifact::from(manifest.clone());
    let bytes = artifact.to_canonical_bytes().map_err(publish::PublishError::from)?;
    publish::manifest_for(&bytes, id, &manifest.version)?;
    publish::check_limits(&artifact, &app.limits)?;
    inspect::files(&app.storage, &artifact, &present(app, &manifest.files).await?).await?;
    Ok(Taken {
        entry: VersionEntry {
            version: manifest.version,
            digest: Digest::of(&bytes),
            size: artifact.total_size(),
            base: BaseSummary {
                id: manifest.base.id,
                architecture: manifest.base.architecture,
                weights_digest: manifest.base.weights_digest,
            },
            method: manifest.method.kind().to_owned(),
            published_at: date,
            published_as: None,
            yanked: None,
        },
        manifest: String::from_utf8(bytes).map_err(ApiError::internal)?,
    })
}

/// Makes a blob of a file that the tree lists.
async fn keep(
    app: &App,
    upstream: &Arc<Upstream>,
    source: &Source,
    file: &RepositoryFile,
) -> Result<FileEntry, MirrorError> {
    let path = file.path.clone();
    let media_type = MediaType::of(&path)
        .ok_or_else(|| ApiError::internal(format!("`{path}` was chosen, and has no media type")))?;
    let entry = |digest| FileEntry { path, size: file.size, digest, media_type, extra: Map::new() };
    match &file.content {
        Content::Large(digest) => {
            let entry = entry(*digest);
            let place = Place::Repository(source.clone(), file.clone());
            let pieces = || download::bytes(Arc::clone(upstream), place.clone(), file.size);
            fill::keep(app, upstream, &entry, pieces).await?;
            Ok(entry)
        }
        Content::Blob(_) => {
            let bytes = upstream.small_file(source, file, MAX_SMALL_BYTES).await?;
            let entry = entry(Digest::of(&bytes));
            let pieces = || stream::once(std::future::ready(Ok(bytes.clone()))).boxed();
            fill::keep(app, upstream, &entry, pieces).await?;
            Ok(entry)
        }
    }
}

/// Where the bytes of `files` lie.
async fn present(app: &App, files: &[FileEntry]) -> Result<BTreeMap<Digest, Blob>, MirrorError> {
    let mut present = BTreeMap::new();
    for file in files {
        let blob = blobs::find(&app.db, &file.digest).await?;
        let lost = || ApiError::internal(format!("`{}` was there a moment ago", file.path));
        present.insert(file.digest, blob.ok_or_else(lost)?);
    }
    Ok(present)
}

/// States what the files are, as `hub push` does.
async fn describe(
    app: &App,
    upstream: &Arc<Upstream>,
    id: &AdapterId,
    model: &Model,
    (license, date): (License, OffsetDateTime),
    mut files: Vec<FileEntry>,
) -> Result<Manifest, MirrorError> {
    let present = present(app, &files).await?;
    let sketch = Sketch::new()?;
    for file in &files {
        let Some(blob) = present.get(&file.digest) else { continue };
        sketch.add(&app.storage, (file.path.as_str(), file.size, file.media_type), &blob.object).await?;
    }
    let misfit = |error: CheckpointError| unfit(upstream, &model.source, &sketch.told(&error), None);
    let folder = sketch.blocking(AdapterFolder::open).await?.map_err(misfit)?;
    let config = sketch.json(ADAPTER_CONFIG).await?;
    let base = base::of(app, upstream, model, &folder, &config).await?;
    let required = layout::required_files(folder.format, &folder.method, folder.head.as_ref());
    files.retain(|file| file.media_type != MediaType::Safetensors || required.contains(&file.path.as_str()));
    let (task, subtask) =
        card::task(&model.tags, model.pipeline.as_deref(), &config).map_err(ApiError::internal)?;
    let Source { repository, commit } = &model.source;
    let facts = ManifestFacts {
        name: id.clone(),
        version: version_of(date),
        task,
        subtask,
        labels: Vec::new(),
        languages: card::languages(&model.card),
        license,
        description: format!("`{repository}` of {}, as it was at commit {commit}.", upstream.name()),
        metrics: Vec::new(),
        training: None,
        origin: None,
        dependencies: Vec::new(),
    };
    let state = move |_: &std::path::Path| {
        let folder = folder.on_base(base.architecture, &base.shape)?;
        assemble_listed(&folder, &base, facts, files)
    };
    sketch.blocking(state).await?.map_err(misfit)
}

/// A repository that can't be taken as it is.
fn unfit(upstream: &Upstream, source: &Source, reason: &str, hint: Option<&str>) -> MirrorError {
    let detail = format!("`{}` of `{}` can't be taken: {reason}", source.repository, upstream.name());
    let error = ApiError::new(ProblemCode::InvalidFile, detail);
    MirrorError::Unfit(match hint {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

/// Why a commit is not taken: what is the repository's own fault is told apart from failures.
fn refused(upstream: &Upstream, source: &Source, error: MirrorError) -> MirrorError {
    match error {
        MirrorError::Upstream(UpstreamError::Refused { code: Some(code), .. }) if code == "GatedRepo" => {
            let detail = format!(
                "`{}` is gated at `{}`: its files are for those who were given access, and this registry was not",
                source.repository,
                upstream.name()
            );
            MirrorError::Unfit(ApiError::new(ProblemCode::Forbidden, detail).hint(
                "ask the registry's operator to get access there for the account whose token is in the mirror's \
                 `token_file`",
            ))
        }
        MirrorError::Here(error) if error.problem.status < 500 => MirrorError::Unfit(error),
        error => error,
    }
}

/// What is wrong with a private repository is for the log: others are not told that there is one.
fn hidden(upstream: &Upstream, id: &AdapterId, error: MirrorError) -> MirrorError {
    let MirrorError::Unfit(reason) = error else { return error };
    tracing::warn!(mirror.url = upstream.name(), "`{id}` is not taken: {}", reason.problem.detail);
    upstream.lacks().into()
}
