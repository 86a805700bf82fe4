//! `tombstones` and `version_dependencies`: deleting a version, and who would miss it.

use hub_schemas::{
    api::Tombstone,
    name::AdapterId,
    version::{Version, VersionReq},
};

use super::{
    Db, WriteTx,
    adapters::{VisibleAdapter, visible_to},
    audit::{self, Event},
    clock::{from_micros, now},
    parse,
};
use crate::domain::{
    deletion::Dependant,
    permissions::{Delete, Permit, Viewer},
};

/// The versions of other adapters that need `adapter`; `viewer` learns the names they may see.
pub(crate) async fn dependants(
    db: &Db,
    adapter: &VisibleAdapter,
    viewer: &Viewer,
) -> Result<Vec<Dependant>, sqlx::Error> {
    let sql = concat!(
        "SELECT DISTINCT a.namespace, a.name, d.requirement, CASE WHEN ",
        visible_to!("$3", "$4"),
        " THEN 1 ELSE 0 END FROM version_dependencies d JOIN versions v ON v.id = d.version_id
          JOIN adapters a ON a.id = v.adapter_id
          WHERE d.namespace = $1 AND d.name = $2 ORDER BY a.namespace, a.name, d.requirement"
    );
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(sql)
        .bind(adapter.id.namespace.as_str())
        .bind(adapter.id.name.as_str())
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .fetch_all(db.read())
        .await?;
    rows.into_iter()
        .map(|(namespace, name, requirement, visible)| {
            let id = AdapterId {
                namespace: parse("adapters.namespace", &namespace)?,
                name: parse("adapters.name", &name)?,
            };
            let requirement: VersionReq = parse("version_dependencies.requirement", &requirement)?;
            Ok(Dependant { name: (visible == 1).then_some(id), requirement })
        })
        .collect()
}

/// Deletes a version and leaves a tombstone; `false` when there is no such version. Its files
/// go with the garbage, unless other versions list them.
pub(crate) async fn bury(
    tx: &mut WriteTx,
    permit: &Permit<Delete>,
    adapter: &VisibleAdapter,
    version: &Version,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    let found: Option<(String, String)> =
        sqlx::query_as("SELECT id, digest FROM versions WHERE adapter_id = $1 AND version = $2")
            .bind(adapter.key())
            .bind(version.to_string())
            .fetch_optional(tx.connection())
            .await?;
    let Some((id, digest)) = found else { return Ok(false) };
    let sql = "INSERT INTO tombstones (adapter_id, version, digest, reason, deleted_at)
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    sqlx::query(sql)
        .bind(adapter.key())
        .bind(version.to_string())
        .bind(digest.as_str())
        .bind(reason)
        .bind(now())
        .execute(tx.connection())
        .await?;
    for sql in [
        "DELETE FROM version_files WHERE version_id = $1",
        "DELETE FROM version_dependencies WHERE version_id = $1",
        "DELETE FROM pull_days WHERE version_id = $1",
        "DELETE FROM versions WHERE id = $1",
    ] {
        sqlx::query(sql).bind(id.as_str()).execute(tx.connection()).await?;
    }
    let (subject, detail) = (format!("{}@{version}", adapter.id), format!("{digest}: {reason}"));
    let event = Event { actor: permit.actor(), action: "delete", subject: &subject, detail: &detail };
    audit::record(tx, event).await?;
    Ok(true)
}

/// The versions of an adapter that were deleted, newest first.
pub(crate) async fn all(db: &Db, adapter: &VisibleAdapter) -> Result<Vec<Tombstone>, sqlx::Error> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT version, reason, deleted_at FROM tombstones WHERE adapter_id = $1")
            .bind(adapter.key())
            .fetch_all(db.read())
            .await?;
    let tombstone = |(version, reason, at): (String, String, i64)| {
        Ok(Tombstone { version: parse("tombstones.version", &version)?, reason, at: from_micros(at) })
    };
    let mut found = rows.into_iter().map(tombstone).collect::<Result<Vec<_>, sqlx::Error>>()?;
    found.sort_by(|a, b| b.version.cmp(&a.version));
    Ok(found)
}

/// Whether a version was deleted, inside the transaction that would publish it.
pub(crate) async fn is_buried(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    version: &Version,
) -> Result<bool, sqlx::Error> {
    let found: Option<(String,)> =
        sqlx::query_as("SELECT version FROM tombstones WHERE adapter_id = $1 AND version = $2")
            .bind(adapter.key())
            .bind(version.to_string())
            .fetch_optional(tx.connection())
            .await?;
    Ok(found.is_some())
}
