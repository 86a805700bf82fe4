//! Publishing: everything is checked first, then one transaction makes it visible.

use hub_schemas::{
    api::{Published, Visibility},
    digest::Digest,
    manifest::Manifest,
    problem::ProblemCode,
};

use super::{inspect, room};
use crate::{
    app::App,
    db::{
        adapters, blobs, listings, uploads,
        versions::{self, Inserted},
    },
    domain::{
        permissions::{Permit, Publish, Viewer},
        publish::{self, PublishError},
    },
    error::{ApiError, ApiResult},
};

/// Publishes `manifest`, whose canonical bytes are `bytes`.
pub(crate) async fn run(
    app: &App,
    permit: &Permit<Publish>,
    viewer: &Viewer,
    manifest: &Manifest,
    bytes: &str,
    visibility: Option<Visibility>,
) -> ApiResult<Published> {
    let digest = Digest::of(bytes.as_bytes());
    let answer = |created| Published {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest,
        created,
    };
    // What is published already needs no second look at its files.
    if let Some(adapter) = adapters::find_visible(&app.db, &manifest.name, viewer).await? {
        match versions::digest_of(&app.db, &adapter, &manifest.version).await? {
            Some(found) if found == digest => return Ok(answer(false)),
            Some(found) => return Err(exists(manifest, &found)),
            None => {}
        }
        if let Some(wanted) = visibility.filter(|&v| v != adapter.visibility) {
            return Err(other_visibility(manifest, adapter.visibility, wanted));
        }
    }
    publish::check_limits(manifest, &app.limits)?;
    room::for_another_adapter(app, permit).await?;
    check_dependencies(app, viewer, manifest).await?;
    let present = blobs::available_to(&app.db, &manifest.name).await?;
    publish::check_present(manifest, &present.iter().map(|(digest, blob)| (*digest, blob.size)).collect())?;
    inspect::files(&app.storage, manifest, &present).await?;

    let mut tx = app.db.write().await?;
    room::for_version(&mut tx, permit, &manifest.name, manifest.total_size()).await?;
    let adapter = adapters::ensure(&mut tx, permit, &manifest.name, visibility.unwrap_or_default()).await?;
    match versions::insert(&mut tx, permit, &adapter, manifest, bytes).await.map_err(gone)? {
        // Whoever was faster made the same version, or another one.
        Inserted::Same => return Ok(answer(false)),
        Inserted::Other(found) => return Err(exists(manifest, &found)),
        Inserted::New => {}
    }
    listings::refresh(&mut tx, &adapter).await?;
    uploads::delete_published(&mut tx, permit, &adapter).await?;
    tx.commit().await?;
    app.telemetry.published();
    Ok(answer(true))
}

async fn check_dependencies(app: &App, viewer: &Viewer, manifest: &Manifest) -> ApiResult<()> {
    for dependency in &manifest.dependencies {
        let found = match adapters::find_visible(&app.db, &dependency.name, viewer).await? {
            Some(adapter) => versions::all(&app.db, &adapter).await?,
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
fn other_visibility(manifest: &Manifest, found: Visibility, wanted: Visibility) -> ApiError {
    let (found, wanted) = (found.as_str(), wanted.as_str());
    let detail = format!("`{}` is {found}; a {wanted} version of it can't be published", manifest.name);
    ApiError::new(ProblemCode::BadRequest, detail)
        .hint("publish under another name, or change the adapter's visibility first")
}

fn exists(manifest: &Manifest, found: &Digest) -> ApiError {
    let detail = format!(
        "`{}@{}` is published with other content ({found}); a version never changes",
        manifest.name, manifest.version
    );
    ApiError::new(ProblemCode::VersionExists, detail).hint("give the new content a new version")
}
