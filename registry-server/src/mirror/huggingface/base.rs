//! The base model of an adapter, by what its own repository on the same hub holds.
//!
//! A manifest names a base model by the digest of its tensors in the order of their canonical names
//! (`BaseFolder::weights_digest`), which is not the digest of any file. So its safetensors are fetched into the store,
//! compared with the digests that their commit's tree lists, read once in that order, and removed; the digest is kept
//! for that commit. The first adapter on a base model of 14 GB needs as many bytes and as much room for as long.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use futures_util::TryStreamExt as _;
use hub_formats::{
    architectures::View,
    checkpoint::{AdapterFolder, BaseFolder, DigestPart},
};
use hub_schemas::{
    digest::{Digest, DigestHasher},
    manifest::{BaseModel, FileEntry, MediaType},
};
use serde_json::Map;

use super::{MAX_SMALL_BYTES, refused, sketch::Sketch, unfit};
use crate::{
    app::App,
    db::{blobs, mirrored, mirrored_bases, new_id},
    domain::huggingface::{
        Content, RepositoryFile, RepositoryId,
        card::{self, Card},
        choose_base,
    },
    error::ApiError,
    jobs::{DeleteObject, Job as _},
    mirror::{
        Landed, MirrorError, Upstream, UpstreamError,
        download::{self, Place},
        fill, landed,
        upstream::{Model, Source},
    },
    storage::Key,
};

/// Weights of some thirty billion parameters in half precision: what one question may make this registry fetch.
const MAX_BASE_BYTES: u64 = 64 << 30;
/// A name of a branch, a tag or a commit.
const MAX_REVISION: usize = 100;

/// The base model that `folder` was made on: that which its configuration names, else that of the card.
pub(super) async fn of(
    app: &App,
    upstream: &Arc<Upstream>,
    adapter: &Model,
    folder: &AdapterFolder,
    config: &Card,
) -> Result<BaseModel, MirrorError> {
    let revision = config.get("revision").and_then(|value| value.as_str());
    let revision = revision.filter(|text| (1..=MAX_REVISION).contains(&text.len()));
    let hint = folder.base_hint.as_deref().map(|name| (name, revision));
    let stated = card::base_model(&adapter.card).map(|name| (name, None));
    let mut missing = None;
    for (name, revision) in hint.into_iter().chain(stated) {
        // A path on somebody's disk is no name.
        let Ok(repository) = name.parse::<RepositoryId>() else { continue };
        match upstream.model(&repository, revision).await {
            Ok(model) => {
                let base = measured(app, upstream, &model.source, folder.view()).await;
                return base.map_err(|error| needed(&adapter.source, error));
            }
            Err(error @ UpstreamError::Refused { .. }) => {
                missing.get_or_insert(format!("its base model is `{repository}`, for which {error}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let unnamed = || "neither its configuration nor its card names a base model of that hub".to_owned();
    Err(unfit(upstream, &adapter.source, &missing.unwrap_or_else(unnamed), None))
}

/// Says for which adapter a base model would have been measured.
fn needed(adapter: &Source, error: MirrorError) -> MirrorError {
    let MirrorError::Unfit(mut error) = error else { return error };
    let detail = &error.problem.detail;
    error.problem.detail =
        format!("`{}` needs the digest of its base model, and {detail}", adapter.repository);
    MirrorError::Unfit(error)
}

/// A base model whose weights were measured, now or before.
async fn measured(
    app: &App,
    upstream: &Arc<Upstream>,
    source: &Source,
    view: View,
) -> Result<BaseModel, MirrorError> {
    let find =
        || mirrored_bases::find(&app.db, upstream.name(), &source.repository, &source.commit, part(view));
    if let Some(found) = find().await? {
        return Ok(found);
    }
    let work = || {
        let (app, upstream, source) = (app.clone(), Arc::clone(upstream), source.clone());
        async move {
            let answer = measure(&app, &upstream, &source, view).await;
            app.telemetry.mirrored("base", &answer);
            answer.map_err(|error| refused(&upstream, &source, error))
        }
    };
    let key = (upstream.name().to_owned(), source.clone(), part(view));
    landed(app.mirrors.bases.join(key, work).await)?;
    let lost = || ApiError::internal(format!("`{}` was measured a moment ago", source.repository));
    Ok(find().await?.ok_or_else(lost)?)
}

/// What a view is called in the database.
const fn part(view: View) -> &'static str {
    match view {
        View::Encoder => "encoder",
        View::Whole => "whole",
    }
}

async fn measure(app: &App, upstream: &Arc<Upstream>, source: &Source, view: View) -> Landed {
    let listed = upstream.tree(source).await?;
    let chosen =
        choose_base(&listed).map_err(|error| unfit(upstream, source, &error.to_string(), error.hint()))?;
    let total: u64 = chosen.iter().map(|file| file.size).fold(0, u64::saturating_add);
    if total > MAX_BASE_BYTES {
        let reason = format!("its weights have {total} bytes; at most {MAX_BASE_BYTES} are read");
        return Err(unfit(upstream, source, &reason, None));
    }
    let transfer = new_id();
    let mut tx = app.db.write().await?;
    mirrored::begin_transfer(&mut tx, &transfer).await?;
    tx.commit().await?;
    let mut places = Places { transfer: &transfer, fetched: Vec::new(), all: BTreeMap::new() };
    let base = read(app, upstream, (source, view), chosen, &mut places).await;
    let mut tx = app.db.write().await?;
    for object in &places.fetched {
        DeleteObject::new(object).enqueue(&mut tx).await?;
    }
    mirrored::end_transfer(&mut tx, &transfer).await?;
    if let Ok(base) = &base {
        mirrored_bases::keep(&mut tx, upstream.name(), &source.repository, &source.commit, part(view), base)
            .await?;
    }
    tx.commit().await?;
    base.map(drop)
}

/// Where weights lie while they are read.
struct Places<'a> {
    transfer: &'a str,
    /// What is to be removed.
    fetched: Vec<Key>,
    /// By their names in the repository.
    all: BTreeMap<String, Key>,
}

/// Fetches what is chosen and reads it.
async fn read(
    app: &App,
    upstream: &Arc<Upstream>,
    (source, view): (&Source, View),
    chosen: Vec<&RepositoryFile>,
    places: &mut Places<'_>,
) -> Result<BaseModel, MirrorError> {
    let sketch = Sketch::new()?;
    for file in chosen {
        let name = file.path.as_str();
        if MediaType::of(&file.path) == Some(MediaType::Safetensors) {
            let object = fetch(app, upstream, source, file, places).await?;
            sketch.add(&app.storage, (name, file.size, MediaType::Safetensors), &object).await?;
            places.all.insert(name.to_owned(), object);
        } else {
            let bytes = upstream.small_file(source, file, MAX_SMALL_BYTES).await?;
            sketch.write(name, &bytes, file.size).await?;
        }
    }
    let folder = sketch.blocking(move |path| BaseFolder::open_as(path, view)).await?;
    let folder = folder.map_err(|error| unfit(upstream, source, &sketch.told(&error), None))?;
    let mut hasher = DigestHasher::default();
    for DigestPart { label, file, info } in folder.digest_parts() {
        let name = folder.files().get(file).and_then(|file| file.path().file_name()?.to_str());
        let object = name.and_then(|name| places.all.get(name));
        let object = object.ok_or_else(|| ApiError::internal(format!("no object holds {name:?}")))?;
        hasher.update(label.as_bytes());
        hash(app, object, info.start..info.end, &mut hasher).await?;
    }
    let id = source.repository.to_string();
    let revision = Some(source.commit.to_string());
    Ok(BaseModel { revision, ..folder.model_with_digest(Some(&id), hasher.finish()) })
}

/// The object with the bytes of a weights file: one that is here anyway, or one that was fetched for this.
async fn fetch(
    app: &App,
    upstream: &Arc<Upstream>,
    source: &Source,
    file: &RepositoryFile,
    places: &mut Places<'_>,
) -> Result<Key, MirrorError> {
    let Content::Large(digest) = &file.content else {
        let bytes = upstream.small_file(source, file, MAX_SMALL_BYTES).await?;
        let object = Key::blob(&Digest::of(&bytes), places.transfer);
        places.fetched.push(object.clone());
        app.storage.create(&object, bytes).await?;
        return Ok(object);
    };
    if let Some(blob) = blobs::find(&app.db, digest).await? {
        return Ok(blob.object);
    }
    let object = Key::blob(digest, places.transfer);
    places.fetched.push(object.clone());
    let entry = FileEntry {
        path: file.path.clone(),
        size: file.size,
        digest: *digest,
        media_type: MediaType::Safetensors,
        extra: Map::new(),
    };
    let place = Place::Repository(source.clone(), file.clone());
    let pieces = || download::bytes(Arc::clone(upstream), place.clone(), file.size);
    fill::fetch(app, upstream, &entry, &object, pieces).await?;
    Ok(object)
}

/// Takes some bytes of an object in.
async fn hash(app: &App, object: &Key, range: Range<u64>, hasher: &mut DigestHasher) -> Landed {
    if range.is_empty() {
        return Ok(());
    }
    let mut pieces = app.storage.get(object, Some(range)).await?;
    while let Some(piece) = pieces.try_next().await? {
        hasher.update(&piece);
    }
    Ok(())
}
