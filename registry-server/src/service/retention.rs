//! What the rules of a namespace delete, and deleting it.

use hub_schemas::{
    api::{Expired, RetentionRules, VersionEntry},
    name::Namespace,
    version::Version,
};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    app::App,
    db::{
        adapters::VisibleAdapter,
        listings, retention,
        tombstones::{self, dependants, dependants_of_base},
        versions,
    },
    domain::{
        deletion::{self, Candidate},
        permissions::{Actor, Delete, Denied, Resource, Viewer, may},
        retention::{Aged, expired},
    },
    jobs::{DeleteObject, Job as _, announce},
    storage::Key,
};

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The rules act with the owners' consent, so this does not happen.
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// An expired version with its adapter.
struct Found {
    adapter: VisibleAdapter,
    entry: VersionEntry,
    expired: Expired,
}

/// What `rules` would delete in a namespace now.
pub(crate) async fn preview(
    app: &App,
    namespace: &Namespace,
    rules: &RetentionRules,
) -> Result<Vec<Expired>, sqlx::Error> {
    Ok(find(app, namespace, rules).await?.into_iter().map(|found| found.expired).collect())
}

/// Deletes what `rules` say; how many versions that were.
pub(crate) async fn apply(
    app: &App,
    namespace: &Namespace,
    rules: &RetentionRules,
) -> Result<usize, RetentionError> {
    let mut deleted = 0;
    for Found { adapter, entry, expired } in find(app, namespace, rules).await? {
        if expired.kept.is_some() {
            continue;
        }
        let resource = Resource::Adapter { id: adapter.id.clone(), role: None, exists: true };
        let permit = may(&Actor::Retention, Delete, &resource)?;
        let mut tx = app.db.write().await?;
        if tombstones::bury(&mut tx, &permit, &adapter, &entry.version, &expired.reason).await? {
            DeleteObject::new(&Key::manifest(&entry.digest)).enqueue(&mut tx).await?;
            listings::refresh(&mut tx, &adapter).await?;
            let data = json!({"name": adapter.id, "version": entry.version, "reason": expired.reason});
            let subject = format!("{}@{}", adapter.id, entry.version);
            announce(&mut tx, namespace, "version.deleted", &subject, data).await?;
            deleted += 1;
        }
        tx.commit().await?;
    }
    Ok(deleted)
}

async fn find(app: &App, namespace: &Namespace, rules: &RetentionRules) -> Result<Vec<Found>, sqlx::Error> {
    let mut found = Vec::new();
    let now = OffsetDateTime::now_utc();
    for adapter in retention::adapters_in(&app.db, namespace).await? {
        let entries = versions::all(&app.db, &adapter).await?;
        let aged: Vec<Aged> = entries
            .iter()
            .map(|entry| Aged {
                version: entry.version.clone(),
                published: (now - entry.published_at).try_into().unwrap_or_default(),
                yanked: entry.yanked.as_ref().map(|yank| (now - yank.at).try_into().unwrap_or_default()),
            })
            .collect();
        // What goes in the same run is no substitute for what stays.
        let gone = expired(rules, &aged);
        let others: Vec<Version> = aged
            .iter()
            .map(|aged| aged.version.clone())
            .filter(|version| !gone.iter().any(|(other, _)| *other == version))
            .collect();
        for (version, reason) in &gone {
            let Some(entry) = entries.iter().find(|entry| entry.version == **version) else { continue };
            let kept = needed(app, &adapter, entry, &others).await?;
            let (name, version) = (adapter.id.clone(), (*version).clone());
            let expired = Expired { name, version, reason: reason.clone(), kept };
            found.push(Found { adapter: adapter.clone(), entry: entry.clone(), expired });
        }
    }
    Ok(found)
}

/// Who needs a version, so that it stays.
async fn needed(
    app: &App,
    adapter: &VisibleAdapter,
    entry: &VersionEntry,
    others: &[Version],
) -> Result<Option<String>, sqlx::Error> {
    // Names that only some may see are not told to the owners of a namespace.
    let viewer = Viewer::anonymous();
    let mut needing = dependants(&app.db, adapter, &viewer).await?;
    needing.extend(dependants_of_base(&app.db, adapter, entry, &viewer).await?);
    let candidate =
        Candidate { version: &entry.version, others, age: std::time::Duration::ZERO, yanked: true };
    Ok(deletion::check(candidate, &needing).err().map(|kept| kept.to_string()))
}
