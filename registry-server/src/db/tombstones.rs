//! `tombstones` and `version_dependencies`: deleting versions, and who would miss them.

use std::time::Duration;

use hub_schemas::{
    api::{ChangeKind, Tombstone, VersionEntry},
    version::{Version, VersionReq},
};

use super::{
    Db, WriteTx, adapter_id,
    adapters::{VisibleAdapter, visible_to},
    audit::{self, Event},
    changes,
    clock::{from_micros, now},
    parse, publishers, team_collaborators,
};
use crate::domain::{
    deletion::{Dependant, Standing},
    mirror::MirrorPermit,
    permissions::{Actor, Delete, DeleteAdapter, Permit, Viewer},
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
          WHERE (d.namespace = $1 AND d.name = $2) OR EXISTS (SELECT 1 FROM former_names f
              WHERE f.adapter_id = $5 AND f.namespace = d.namespace AND f.name = d.name)
          ORDER BY a.namespace, a.name, d.requirement"
    );
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(sql)
        .bind(adapter.id.namespace.as_str())
        .bind(adapter.id.name.as_str())
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .bind(adapter.key())
        .fetch_all(db.read())
        .await?;
    rows.into_iter()
        .map(|(namespace, name, requirement, visible)| {
            let id = adapter_id(&namespace, &name)?;
            let requirement: VersionReq = parse("version_dependencies.requirement", &requirement)?;
            Ok(Dependant { name: (visible == 1).then_some(id), requirement })
        })
        .collect()
}

/// The adapters that belong to a base model which nothing else here has the weights of.
pub(crate) async fn dependants_of_base(
    db: &Db,
    adapter: &VisibleAdapter,
    entry: &VersionEntry,
    viewer: &Viewer,
) -> Result<Vec<Dependant>, sqlx::Error> {
    if adapter.kind.is_adapter() {
        return Ok(Vec::new());
    }
    let weights = entry.base.weights_digest.to_string();
    let sql = "SELECT COUNT(*) FROM versions v JOIN adapters a ON a.id = v.adapter_id
               WHERE v.base_digest = $1 AND a.kind = 'base' AND v.digest <> $2";
    let (others,): (i64,) =
        sqlx::query_as(sql).bind(&weights).bind(entry.digest.to_string()).fetch_one(db.read()).await?;
    if others > 0 {
        return Ok(Vec::new());
    }
    let sql = concat!(
        "SELECT DISTINCT a.namespace, a.name, CASE WHEN ",
        visible_to!("$2", "$3"),
        " THEN 1 ELSE 0 END FROM versions v JOIN adapters a ON a.id = v.adapter_id
          WHERE v.base_digest = $1 AND a.kind = 'adapter' ORDER BY a.namespace, a.name LIMIT 1"
    );
    let rows: Vec<(String, String, i64)> = sqlx::query_as(sql)
        .bind(&weights)
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .fetch_all(db.read())
        .await?;
    let requirement: VersionReq = parse("versions.version", &format!("={}", entry.version))?;
    rows.into_iter()
        .map(|(namespace, name, visible)| {
            let id = adapter_id(&namespace, &name)?;
            Ok(Dependant { name: (visible == 1).then_some(id), requirement: requirement.clone() })
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
    put_to_rest(tx, permit.actor(), adapter, version, (&id, &digest), reason).await?;
    Ok(true)
}

async fn put_to_rest(
    tx: &mut WriteTx,
    actor: &Actor,
    adapter: &VisibleAdapter,
    version: &Version,
    (id, digest): (&str, &str),
    reason: &str,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO tombstones (adapter_id, version, digest, reason, deleted_at, published_as)
               SELECT adapter_id, version, digest, $1, $2, published_as FROM versions WHERE id = $3
               ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(reason).bind(now()).bind(id).execute(tx.connection()).await?;
    remove(tx, id).await?;
    changes::note(tx, adapter, ChangeKind::VersionDeleted, Some(version));
    let (subject, detail) = (format!("{}@{version}", adapter.id), format!("{digest}: {reason}"));
    audit::record(tx, Event { actor, action: "delete", subject: &subject, detail: &detail }).await
}

/// Removes the rows of a version; its files are garbage now, unless other versions list them.
async fn remove(tx: &mut WriteTx, id: &str) -> Result<(), sqlx::Error> {
    for sql in [
        "DELETE FROM version_files WHERE version_id = $1",
        "DELETE FROM version_dependencies WHERE version_id = $1",
        "DELETE FROM pull_days WHERE version_id = $1",
        "DELETE FROM versions WHERE id = $1",
    ] {
        sqlx::query(sql).bind(id).execute(tx.connection()).await?;
    }
    Ok(())
}

/// Deletes a version here that was deleted in the registry that it comes from.
pub(super) async fn bury_mirrored(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    adapter: &VisibleAdapter,
    (version, digest): (&Version, &str),
    reason: &str,
) -> Result<(), sqlx::Error> {
    let found: Option<(String,)> =
        sqlx::query_as("SELECT id FROM versions WHERE adapter_id = $1 AND digest = $2")
            .bind(adapter.key())
            .bind(digest)
            .fetch_optional(tx.connection())
            .await?;
    let Some((id,)) = found else { return Ok(()) };
    put_to_rest(tx, permit.actor(), adapter, version, (&id, digest), reason).await
}

/// Takes an adapter away that the registry it comes from does not show any more. There are no
/// tombstones: it may be shown again, with the same versions.
pub(super) async fn withdraw_mirrored(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    adapter: &VisibleAdapter,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as("SELECT id FROM versions WHERE adapter_id = $1 ORDER BY id")
        .bind(adapter.key())
        .fetch_all(tx.connection())
        .await?;
    for (id,) in &rows {
        remove(tx, id).await?;
    }
    sqlx::query("UPDATE adapters SET deleted_at = $1, deletion_reason = $2 WHERE id = $3")
        .bind(now())
        .bind(reason)
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    changes::note(tx, adapter, ChangeKind::Deleted, None);
    let subject = adapter.id.to_string();
    let event = Event { actor: permit.actor(), action: "mirror-withdraw", subject: &subject, detail: reason };
    audit::record(tx, event).await
}

/// Takes an adapter that is to be deleted as a whole away from everybody: its versions, for the
/// rule that decides whether the transaction goes on to [`bury_all`]. `None` where it is gone.
pub(crate) async fn close(
    tx: &mut WriteTx,
    permit: &Permit<DeleteAdapter>,
    adapter: &VisibleAdapter,
    reason: &str,
) -> Result<Option<Vec<Standing>>, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    // First, so that whoever publishes a version is done before its versions are looked at.
    let sql =
        "UPDATE adapters SET deleted_at = $1, deletion_reason = $2 WHERE id = $3 AND deleted_at IS NULL";
    let done = sqlx::query(sql).bind(now()).bind(reason).bind(adapter.key()).execute(tx.connection()).await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let rows: Vec<(String, i64, Option<i64>)> =
        sqlx::query_as("SELECT version, published_at, yanked_at FROM versions WHERE adapter_id = $1")
            .bind(adapter.key())
            .fetch_all(tx.connection())
            .await?;
    let standing = |(version, at, yanked): (String, i64, Option<i64>)| {
        Ok(Standing {
            version: parse("versions.version", &version)?,
            age: Duration::from_micros(u64::try_from(now() - at).unwrap_or_default()),
            yanked: yanked.is_some(),
        })
    };
    let mut versions = rows.into_iter().map(standing).collect::<Result<Vec<_>, sqlx::Error>>()?;
    versions.sort_by(|a, b| b.version.cmp(&a.version));
    Ok(Some(versions))
}

/// Deletes every version of an adapter that was closed, and who had a role for it.
pub(crate) async fn bury_all(
    tx: &mut WriteTx,
    permit: &Permit<DeleteAdapter>,
    adapter: &VisibleAdapter,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT id, version, digest FROM versions WHERE adapter_id = $1 ORDER BY id")
            .bind(adapter.key())
            .fetch_all(tx.connection())
            .await?;
    for (id, version, digest) in &rows {
        let version = parse("versions.version", version)?;
        put_to_rest(tx, permit.actor(), adapter, &version, (id, digest), reason).await?;
    }
    sqlx::query("DELETE FROM collaborators WHERE adapter_id = $1")
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    team_collaborators::clear(tx, adapter).await?;
    publishers::follow(tx, &adapter.id, None).await?;
    changes::note(tx, adapter, ChangeKind::Deleted, None);
    let subject = adapter.id.to_string();
    let event = Event { actor: permit.actor(), action: "adapter-delete", subject: &subject, detail: reason };
    audit::record(tx, event).await
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

/// Whether a version was deleted, or another adapter published its number when it had this name,
/// inside the transaction that would publish it: a name with a number means one content for ever.
pub(crate) async fn is_used_up(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    version: &Version,
) -> Result<bool, sqlx::Error> {
    let found: Option<(String,)> =
        sqlx::query_as(
            "SELECT version FROM tombstones WHERE version = $2 AND (adapter_id = $1 OR published_as = $3)
             UNION ALL SELECT version FROM versions WHERE version = $2 AND adapter_id <> $1 AND published_as = $3",
        )
            .bind(adapter.key())
            .bind(version.to_string())
            .bind(adapter.id.to_string())
            .fetch_optional(tx.connection())
            .await?;
    Ok(found.is_some())
}
