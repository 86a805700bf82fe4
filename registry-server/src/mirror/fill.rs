//! Taking what another registry has: checked first, then stored, then visible.

use std::{collections::BTreeMap, sync::Arc};

use hub_schemas::{
    digest::Digest,
    label::License,
    manifest::{Artifact, ArtifactKind, FileEntry},
    name::AdapterId,
    problem::ProblemCode,
};

use super::{
    Landed, MirrorError, Upstream, UpstreamError,
    download::{self, Pieces, Place},
    huggingface, is_fresh,
    upstream::IndexAnswer,
};
use crate::{
    app::App,
    config::MirrorKind,
    db::{
        adapters::VisibleAdapter,
        blobs, listings,
        mirrored::{self, Known},
        new_id,
    },
    domain::{
        content::{self, HEAD_BYTES},
        mirror::MirrorPermit,
        publish,
    },
    error::ApiError,
    jobs::{DeleteObject, Job as _},
    service::inspect,
    storage::{Key, PutError, Written},
};

/// How often a file is asked for whose bytes were not the right ones.
const ATTEMPTS: usize = 2;

/// Asks for a version list, unless it is the one that is known.
pub(super) async fn ask(
    app: &App,
    upstream: &Upstream,
    id: &AdapterId,
    known: Option<&Known>,
) -> Result<IndexAnswer, UpstreamError> {
    let etag = known.map(|known| known.etag.as_str()).filter(|etag| !etag.is_empty());
    let answer = upstream.index(id, etag).await;
    app.telemetry.mirrored("list", &answer);
    answer
}

/// Brings a version list here, unless somebody else did it just now.
pub(super) async fn list(app: App, upstream: Arc<Upstream>, permit: MirrorPermit, id: AdapterId) -> Landed {
    let known = mirrored::find(&app.db, &id).await?;
    if known.as_ref().is_some_and(|known| is_fresh(&upstream, known)) {
        return Ok(());
    }
    if upstream.config.kind == MirrorKind::HuggingFace {
        return huggingface::list(&app, &upstream, &permit, &id, known.as_ref()).await;
    }
    let answer = ask(&app, &upstream, &id, known.as_ref()).await?;
    if let Some((document, _)) = &answer.changed
        && document.name != id
    {
        let found = format!("the version list of `{}`, as `{id}` may be called now", document.name);
        return Err(upstream.wrong(found).into());
    }
    take_list(&app, &upstream, &permit, &id, &answer, Missing::Kept).await.map(drop)
}

/// What becomes of versions that a list does not have any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// They stay: whoever used them here goes on.
    Kept,
    /// They go here too.
    Deleted,
}

/// Takes what a version list says.
pub(super) async fn take_list(
    app: &App,
    upstream: &Upstream,
    permit: &MirrorPermit,
    id: &AdapterId,
    answer: &IndexAnswer,
    missing: Missing,
) -> Result<VisibleAdapter, MirrorError> {
    let mut tx = app.db.write().await?;
    let kind = answer.changed.as_ref().map_or(ArtifactKind::Adapter, |(document, _)| document.kind);
    let adapter = mirrored::ensure(&mut tx, permit, id, kind, answer.public, upstream.name()).await?;
    let etag = match &answer.changed {
        Some((document, etag)) => {
            if missing == Missing::Deleted {
                let reason = format!("deleted in `{}`", upstream.name());
                mirrored::keep_only(&mut tx, permit, &adapter, &document.versions, &reason).await?;
            }
            for entry in &document.versions {
                if !mirrored::list(&mut tx, permit, &adapter, entry).await? {
                    tracing::warn!(
                        mirror.url = upstream.name(),
                        "`{id}@{}` has other content there than it had; what it was is kept",
                        entry.version
                    );
                }
            }
            listings::refresh(&mut tx, &adapter).await?;
            Some(etag.as_str())
        }
        None => None,
    };
    mirrored::checked(&mut tx, &adapter, etag).await?;
    tx.commit().await?;
    Ok(adapter)
}

/// Asks for a manifest that a version list names, unless it is here by now.
pub(super) async fn manifest(
    app: App,
    upstream: Arc<Upstream>,
    permit: MirrorPermit,
    adapter: VisibleAdapter,
    digest: Digest,
) -> Landed {
    let Some(listed) = mirrored::listed(&app.db, &digest).await? else { return Ok(()) };
    // That of a repository was made here, with its list.
    if listed.manifest.is_some() || upstream.config.kind == MirrorKind::HuggingFace {
        return Ok(());
    }
    let answer = upstream.manifest(&digest).await;
    app.telemetry.mirrored("manifest", &answer);
    let bytes = answer?;
    let id = &adapter.id;
    let version = &listed.version;
    let manifest = publish::manifest_for(&bytes, &listed.stated, version)
        .map_err(|e| upstream.wrong(format!("a manifest of `{id}@{version}` that can't be taken: {e}")))?;
    check_license(&upstream, &format!("`{id}@{version}`"), manifest.license())?;
    publish::check_limits(&manifest, &app.limits)?;
    publish::check_kind(&manifest, adapter.kind)?;
    let text = std::str::from_utf8(&bytes).map_err(|e| upstream.wrong(e))?;
    let mut tx = app.db.write().await?;
    mirrored::keep_manifest(&mut tx, &permit, &adapter, &digest, text).await?;
    tx.commit().await?;
    complete(&app, &permit, &adapter).await
}

/// Refuses what is under a licence that is not taken from there.
pub(super) fn check_license(upstream: &Upstream, what: &str, license: &License) -> Result<(), ApiError> {
    if upstream.config.licenses.admit(license) {
        return Ok(());
    }
    let detail = format!(
        "{what} is under the licence `{license}`, which this registry does not take from `{}`",
        upstream.name()
    );
    Err(ApiError::new(ProblemCode::Forbidden, detail)
        .hint("ask the registry's operator to allow it for this mirror"))
}

/// Asks for a file that a manifest lists, unless it is here by now.
pub(super) async fn file(
    app: App,
    upstream: Arc<Upstream>,
    permit: MirrorPermit,
    adapter: VisibleAdapter,
    file: FileEntry,
) -> Landed {
    let place = Place::Blob(adapter.id.clone(), file.digest);
    keep(&app, &upstream, &file, || download::bytes(Arc::clone(&upstream), place.clone(), file.size)).await?;
    complete(&app, &permit, &adapter).await
}

/// Makes a blob of what `pieces` gives, unless it is one by now.
pub(super) async fn keep(
    app: &App,
    upstream: &Upstream,
    file: &FileEntry,
    pieces: impl Fn() -> Pieces + Send + Sync,
) -> Landed {
    if blobs::find(&app.db, &file.digest).await?.is_some() {
        return Ok(());
    }
    let transfer = new_id();
    let mut tx = app.db.write().await?;
    mirrored::begin_transfer(&mut tx, &transfer).await?;
    tx.commit().await?;
    let object = Key::blob(&file.digest, &transfer);
    let fetched = fetch(app, upstream, file, &object, pieces).await;
    let mut tx = app.db.write().await?;
    if fetched.is_ok() && !blobs::insert(&mut tx, &file.digest, file.size, &object).await? {
        // Another process was faster.
        DeleteObject::new(&object).enqueue(&mut tx).await?;
    }
    mirrored::end_transfer(&mut tx, &transfer).await?;
    tx.commit().await?;
    fetched
}

/// Stores the bytes of a file under `object` if they are the right ones, and of a kind that may be published.
pub(super) async fn fetch(
    app: &App,
    upstream: &Upstream,
    file: &FileEntry,
    object: &Key,
    pieces: impl Fn() -> Pieces + Send + Sync,
) -> Landed {
    let mut fetched = Ok(());
    for _ in 0..ATTEMPTS {
        fetched = store(app, upstream, file, object, pieces()).await;
        app.telemetry.mirrored("file", &fetched);
        if !matches!(fetched, Err(MirrorError::Upstream(UpstreamError::Wrong { .. }))) {
            break;
        }
    }
    fetched
}

async fn store(app: &App, upstream: &Upstream, file: &FileEntry, object: &Key, body: Pieces) -> Landed {
    let accept = |written: &Written| {
        if written.digest == file.digest {
            return Ok(());
        }
        let found = format!(
            "`{}` of {} bytes with the digest {} instead of {}",
            file.path, written.size, written.digest, file.digest
        );
        Err(upstream.wrong(found))
    };
    match app.storage.put(object, body, accept).await {
        Ok(written) => app.telemetry.mirrored_bytes(written.size),
        Err(PutError::Body(error)) => return Err(error.into()),
        Err(PutError::Storage(error)) => return Err(error.into()),
    }
    let head = app.storage.head(object, HEAD_BYTES.min(file.size)).await?;
    if let Err(error) = content::check_head(file, &head) {
        app.storage.delete(object).await?;
        return Err(publish::PublishError::from(error).into());
    }
    Ok(())
}

/// Makes every version of `adapter` visible whose files are all here.
pub(super) async fn complete(app: &App, permit: &MirrorPermit, adapter: &VisibleAdapter) -> Landed {
    for text in mirrored::incomplete(&app.db, adapter).await? {
        let manifest = Artifact::parse(text.as_bytes()).map_err(ApiError::internal)?;
        let mut present = BTreeMap::new();
        for file in manifest.files() {
            if let Some(blob) = blobs::find(&app.db, &file.digest).await? {
                present.insert(file.digest, blob);
            }
        }
        if manifest.files().iter().any(|file| !present.contains_key(&file.digest)) {
            continue;
        }
        // What a publish would refuse is pulled as it is, but not listed as this registry's own.
        if let Err(error) = inspect::files(&app.storage, &manifest, &present).await {
            let reason = &error.problem.detail;
            tracing::warn!(reason, "`{}@{}` is not taken: {reason}", manifest.name(), manifest.version());
            continue;
        }
        let mut tx = app.db.write().await?;
        mirrored::complete(&mut tx, permit, adapter, &manifest, &text).await?;
        listings::refresh(&mut tx, adapter).await?;
        tx.commit().await?;
        app.telemetry.published();
    }
    Ok(())
}
