//! Publishing: everything is checked first, then one transaction makes it visible.

use hub_schemas::{
    api::{Published, Visibility},
    digest::Digest,
    manifest::Artifact,
    name::AdapterId,
    problem::ProblemCode,
};
use serde_json::json;

use super::{inspect, lookalikes, room};
use crate::{
    app::App,
    db::{
        adapters, blobs,
        former_names::{self, Kept, find_followed},
        listings, tombstones, uploads,
        versions::{self, Inserted},
    },
    domain::{
        permissions::{Permit, Publish, Viewer},
        publish::{self, PublishError},
    },
    error::{ApiError, ApiResult},
    jobs::{Job as _, KeepManifest, announce},
};

/// Publishes `manifest`, whose canonical bytes are `bytes`.
pub(crate) async fn run(
    app: &App,
    permit: &Permit<Publish>,
    viewer: &Viewer,
    manifest: &Artifact,
    bytes: &str,
    visibility: Option<Visibility>,
) -> ApiResult<Published> {
    let digest = Digest::of(bytes.as_bytes());
    let answer = |created| Published {
        name: manifest.name().clone(),
        version: manifest.version().clone(),
        digest,
        created,
        warnings: Vec::new(),
    };
    // Two questions that do not wait for each other.
    let (adapter, present) = tokio::try_join!(
        adapters::find_visible(&app.db, manifest.name(), viewer),
        blobs::available_to(&app.db, manifest.name(), manifest.files()),
    )?;
    // What is published already needs no second look at its files.
    if let Some(adapter) = adapter {
        match versions::digest_of(&app.db, &adapter, manifest.version()).await? {
            Some(found) if found == digest => return Ok(answer(false)),
            Some(found) => return Err(exists(manifest, &found)),
            None => {}
        }
        ApiError::unless_quarantined(&adapter)?;
        publish::check_kind(manifest, adapter.kind)?;
        if let Some(wanted) = visibility.filter(|&v| v != adapter.visibility) {
            return Err(other_visibility(manifest, adapter.visibility, wanted));
        }
    }
    refuse_kept_name(app, permit, manifest.name(), viewer).await?;
    publish::check_limits(manifest, &app.limits)?;
    room::for_another_adapter(app, permit).await?;
    check_dependencies(app, viewer, manifest).await?;
    publish::check_present(
        manifest.files(),
        &present.iter().map(|(digest, blob)| (*digest, blob.size)).collect(),
    )?;
    inspect::files(&app.storage, manifest, &present).await?;

    let mut tx = app.db.write().await?;
    room::for_version(&mut tx, permit, manifest.name(), manifest.total_size()).await?;
    let adapter = {
        let visibility = visibility.unwrap_or_default();
        adapters::ensure(&mut tx, permit, manifest.name(), manifest.kind(), visibility).await?
    };
    let adapter = adapter.ok_or_else(|| ApiError::name_is_kept(manifest.name(), &Kept::Hidden))?;
    // Whoever was faster may have made the name something else.
    publish::check_kind(manifest, adapter.kind)?;
    if tombstones::is_used_up(&mut tx, &adapter, manifest.version()).await? {
        return Err(used_up(manifest));
    }
    match versions::insert(&mut tx, permit, &adapter, manifest, bytes).await.map_err(gone)? {
        // Whoever was faster made the same version, or another one.
        Inserted::Same => return Ok(answer(false)),
        Inserted::Other(found) => return Err(exists(manifest, &found)),
        Inserted::New => {}
    }
    KeepManifest::new(digest).enqueue(&mut tx).await?;
    let warnings = if permit.is_for_a_new_adapter() {
        lookalikes::of_first_shown(&mut tx, permit.actor(), &adapter).await?
    } else {
        Vec::new()
    };
    listings::refresh_with(&mut tx, &adapter, manifest, &digest).await?;
    let subject = format!("{}@{}", manifest.name(), manifest.version());
    let data = json!({"name": manifest.name(), "version": manifest.version(), "kind": manifest.kind(), "digest": digest});
    announce(&mut tx, &adapter.id.namespace, "version.published", &subject, data).await?;
    uploads::delete_published(&mut tx, permit, &adapter).await?;
    tx.commit().await?;
    app.telemetry.published();
    Ok(Published { warnings, ..answer(true) })
}

/// Refuses the name that an adapter had before it was moved or deleted.
pub(crate) async fn refuse_kept_name(
    app: &App,
    permit: &Permit<Publish>,
    id: &AdapterId,
    viewer: &Viewer,
) -> ApiResult<()> {
    if !permit.is_for_a_new_adapter() {
        return Ok(());
    }
    match former_names::kept(&app.db, id, viewer).await? {
        Some(kept) => Err(ApiError::name_is_kept(id, &kept)),
        None => Ok(()),
    }
}

async fn check_dependencies(app: &App, viewer: &Viewer, manifest: &Artifact) -> ApiResult<()> {
    for dependency in manifest.dependencies() {
        let found = match find_followed(&app.db, &dependency.name, viewer).await? {
            Some(adapter) => {
                ApiError::unless_quarantined(&adapter)?;
                versions::all(&app.db, &adapter).await?
            }
            None => Vec::new(),
        };
        if !found.iter().any(|entry| dependency.version.matches(&entry.version)) {
            return Err(PublishError::Dependency {
                name: dependency.name.clone(),
                requirement: dependency.version.to_string(),
            }
            .into());
        }
    }
    Ok(())
}

/// A file that was there a moment ago, cancelled since and collected as garbage.
fn gone(error: sqlx::Error) -> ApiError {
    match error.as_database_error() {
        Some(found) if found.is_foreign_key_violation() => {
            ApiError::new(ProblemCode::BlobMissing, "a file was removed while its version was published")
                .hint("upload the files to this adapter again, then publish again")
        }
        _ => error.into(),
    }
}

/// Publishing privately into a public adapter would show what was meant to be hidden.
fn other_visibility(manifest: &Artifact, found: Visibility, wanted: Visibility) -> ApiError {
    let (found, wanted) = (found.as_str(), wanted.as_str());
    let detail = format!("`{}` is {found}; a {wanted} version of it can't be published", manifest.name());
    ApiError::invalid_value(detail)
        .hint("publish under another name, or change the adapter's visibility first")
}

fn exists(manifest: &Artifact, found: &Digest) -> ApiError {
    let detail = format!(
        "`{}@{}` is published with other content ({found}); a version never changes",
        manifest.name(),
        manifest.version()
    );
    ApiError::new(ProblemCode::VersionExists, detail).hint("give the new content a new version")
}

fn used_up(manifest: &Artifact) -> ApiError {
    let detail = format!(
        "`{}@{}` was deleted, or moved to another name; its number never comes back",
        manifest.name(),
        manifest.version()
    );
    ApiError::new(ProblemCode::Conflict, detail).hint("give the content a new version")
}
