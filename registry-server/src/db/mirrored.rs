//! `mirrored_adapters`, `mirrored_versions`, `mirrored_transfers`: what other registries
//! have, as they said last.

use hub_schemas::{
    api::{ChangeKind, VersionEntry},
    digest::Digest,
    manifest::{Artifact, ArtifactKind, FileEntry},
    name::{AdapterId, Namespace},
    version::Version,
};

use super::{
    Db, WriteTx, adapter_id,
    adapters::{VisibleAdapter, visibility_of},
    audit::{self, Event},
    changes,
    clock::{micros, now},
    former_names, listings, namespaces, new_id, parse, tombstones, versions,
};
use crate::domain::mirror::MirrorPermit;

/// When a version list was asked for last, and what names its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its `ETag`.
    pub(crate) etag: String,
    /// In microseconds since 1970.
    pub(crate) checked_at: i64,
}

/// A version that some list names.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its adapter.
    pub(crate) id: AdapterId,
    /// The version.
    pub(crate) version: Version,
    /// The name that its manifest states.
    pub(crate) stated: AdapterId,
    /// Its manifest, once it was fetched.
    pub(crate) manifest: Option<String>,
}

/// A version as the list named it.
fn read_entry(text: &str) -> Result<VersionEntry, sqlx::Error> {
    serde_json::from_str(text).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}

/// What is known of a mirrored adapter.
pub(crate) async fn find(db: &Db, id: &AdapterId) -> Result<Option<Known>, sqlx::Error> {
    let sql = "SELECT m.etag, m.checked_at FROM mirrored_adapters m JOIN adapters a ON a.id = m.adapter_id
               WHERE a.namespace = $1 AND a.name = $2";
    let found: Option<(String, i64)> = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .fetch_optional(db.read())
        .await?;
    Ok(found.map(|(etag, checked_at)| Known { etag, checked_at }))
}

/// Whether somebody here owns `namespace`, or published in it: then it can't be mirrored.
pub(crate) async fn is_taken(db: &Db, namespace: &Namespace) -> Result<bool, sqlx::Error> {
    let sql = "SELECT (SELECT COUNT(*) FROM users WHERE name = $1)
                    + (SELECT COUNT(*) FROM adapters a WHERE a.namespace = $1
                       AND NOT EXISTS (SELECT 1 FROM mirrored_adapters m WHERE m.adapter_id = a.id))
                    + (SELECT COUNT(*) FROM members o WHERE o.namespace = $1 AND o.role = 'owner'
                       AND NOT EXISTS (SELECT 1 FROM adapters a WHERE a.namespace = $1))";
    let (found,): (i64,) = sqlx::query_as(sql).bind(namespace.as_str()).fetch_one(db.read()).await?;
    Ok(found > 0)
}

/// The adapter of this name, made if it is not there, and seen by whoever sees it upstream:
/// everybody, or else only those who are given a role in its namespace here.
pub(crate) async fn ensure(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    id: &AdapterId,
    kind: ArtifactKind,
    public: bool,
    upstream: &str,
) -> Result<VisibleAdapter, sqlx::Error> {
    debug_assert!(permit.covers(id), "the permit is for another namespace");
    namespaces::ensure(tx, &id.namespace).await?;
    // What led elsewhere there is something of its own now.
    former_names::forget(tx, id).await?;
    let visibility = if public { "public" } else { "private" };
    // What it is stays what it was said to be first.
    let sql = "INSERT INTO adapters (id, namespace, name, visibility, created_at, kind)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (namespace, name) DO UPDATE SET visibility = excluded.visibility, deleted_at = NULL,
                   deletion_reason = NULL
               RETURNING id, kind";
    let (key, found): (String, String) = sqlx::query_as(sql)
        .bind(new_id())
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(visibility)
        .bind(now())
        .bind(kind.as_str())
        .fetch_one(tx.connection())
        .await?;
    let sql = "INSERT INTO mirrored_adapters (adapter_id, upstream, etag, checked_at) VALUES ($1, $2, '', $3)
               ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql).bind(&key).bind(upstream).bind(now()).execute(tx.connection()).await?;
    if done.rows_affected() > 0 {
        let subject = id.to_string();
        let actor = permit.actor();
        audit::record(tx, Event { actor, action: "mirror", subject: &subject, detail: upstream }).await?;
    }
    let found = parse("adapters.kind", &found)?;
    Ok(VisibleAdapter::of(key, id.clone(), found, visibility_of(visibility, None)))
}

/// Notes a version of a list; `false` when it had another digest before, which it keeps.
/// A yank there is a yank here.
pub(crate) async fn list(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    adapter: &VisibleAdapter,
    entry: &VersionEntry,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the permit is for another namespace");
    let text = serde_json::to_string(entry).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    let sql = "INSERT INTO mirrored_versions (adapter_id, version, digest, entry) VALUES ($1, $2, $3, $4)
               ON CONFLICT (adapter_id, version) DO UPDATE SET entry = excluded.entry
               WHERE mirrored_versions.digest = excluded.digest";
    let done = sqlx::query(sql)
        .bind(adapter.key())
        .bind(entry.version.to_string())
        .bind(entry.digest.to_string())
        .bind(text)
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    if let Some(kind) = yank(tx, adapter, entry).await? {
        changes::note(tx, adapter, kind, Some(&entry.version));
    }
    Ok(true)
}

/// Deletes the versions here that a list does not have any more.
pub(crate) async fn keep_only(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    adapter: &VisibleAdapter,
    entries: &[VersionEntry],
    reason: &str,
) -> Result<(), sqlx::Error> {
    let sql = "SELECT version, digest FROM mirrored_versions WHERE adapter_id = $1 ORDER BY version";
    let rows: Vec<(String, String)> =
        sqlx::query_as(sql).bind(adapter.key()).fetch_all(tx.connection()).await?;
    for (version, digest) in rows {
        let version: Version = parse("mirrored_versions.version", &version)?;
        if entries.iter().any(|entry| entry.version == version) {
            continue;
        }
        tombstones::bury_mirrored(tx, permit, adapter, (&version, &digest), reason).await?;
        sqlx::query("DELETE FROM mirrored_versions WHERE adapter_id = $1 AND version = $2")
            .bind(adapter.key())
            .bind(version.to_string())
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

/// Takes an adapter away that the registry it comes from does not show any more, if it is here.
pub(crate) async fn withdraw(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    id: &AdapterId,
    reason: &str,
) -> Result<(), sqlx::Error> {
    debug_assert!(permit.covers(id), "the permit is for another namespace");
    former_names::forget(tx, id).await?;
    let Some(adapter) = find_here(tx, id).await? else { return Ok(()) };
    tombstones::withdraw_mirrored(tx, permit, &adapter, reason).await?;
    for sql in [
        "DELETE FROM mirrored_versions WHERE adapter_id = $1",
        "UPDATE mirrored_adapters SET etag = '' WHERE adapter_id = $1",
    ] {
        sqlx::query(sql).bind(adapter.key()).execute(tx.connection()).await?;
    }
    listings::refresh(tx, &adapter).await
}

/// Gives an adapter the name that it has in the registry it comes from; the old one leads to it.
pub(crate) async fn rename(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    into: &MirrorPermit,
    from: &AdapterId,
    to: &AdapterId,
) -> Result<(), sqlx::Error> {
    debug_assert!(permit.covers(from) && into.covers(to), "the permits are for other namespaces");
    let Some(adapter) = find_here(tx, from).await? else { return Ok(()) };
    namespaces::ensure(tx, &to.namespace).await?;
    let sql = "UPDATE adapters SET namespace = $1, name = $2 WHERE id = $3
               AND NOT EXISTS (SELECT 1 FROM adapters o WHERE o.namespace = $1 AND o.name = $2)";
    let done = sqlx::query(sql)
        .bind(to.namespace.as_str())
        .bind(to.name.as_str())
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    // Under the new name it may be here already, or something else that goes first.
    if done.rows_affected() == 0 {
        return withdraw(tx, permit, from, &format!("it is called `{to}` now")).await;
    }
    sqlx::query("UPDATE mirrored_adapters SET etag = '' WHERE adapter_id = $1")
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    former_names::lead(tx, &adapter, to).await?;
    let (subject, detail) = (from.to_string(), to.to_string());
    let event = Event { actor: permit.actor(), action: "mirror-move", subject: &subject, detail: &detail };
    audit::record(tx, event).await
}

/// The mirrored adapter of this name, unless it was withdrawn.
async fn find_here(tx: &mut WriteTx, id: &AdapterId) -> Result<Option<VisibleAdapter>, sqlx::Error> {
    let sql =
        "SELECT a.id, a.kind, a.visibility FROM adapters a JOIN mirrored_adapters m ON m.adapter_id = a.id
               WHERE a.namespace = $1 AND a.name = $2 AND a.deleted_at IS NULL";
    let found: Option<(String, String, String)> = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .fetch_optional(tx.connection())
        .await?;
    found
        .map(|(key, kind, visibility)| {
            let kind = parse("adapters.kind", &kind)?;
            Ok(VisibleAdapter::of(key, id.clone(), kind, visibility_of(&visibility, None)))
        })
        .transpose()
}

/// The adapters that come from the registry `upstream`, and are here.
pub(crate) async fn of_upstream(db: &Db, upstream: &str) -> Result<Vec<AdapterId>, sqlx::Error> {
    let sql = "SELECT a.namespace, a.name FROM adapters a JOIN mirrored_adapters m ON m.adapter_id = a.id
               WHERE m.upstream = $1 AND a.deleted_at IS NULL ORDER BY a.namespace, a.name";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).bind(upstream).fetch_all(db.read()).await?;
    rows.iter().map(|(namespace, name)| adapter_id(namespace, name)).collect()
}

/// The versions of a mirrored adapter that are not whole here yet.
pub(crate) async fn unfetched(db: &Db, adapter: &VisibleAdapter) -> Result<Vec<VersionEntry>, sqlx::Error> {
    let sql = "SELECT m.entry FROM mirrored_versions m WHERE m.adapter_id = $1
               AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.digest = m.digest)";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(adapter.key()).fetch_all(db.read()).await?;
    let mut entries = rows.iter().map(|(text,)| read_entry(text)).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| entry.published_at);
    Ok(entries)
}

/// Yanks the version or takes that back, as the entry says; what that changed.
async fn yank(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    entry: &VersionEntry,
) -> Result<Option<ChangeKind>, sqlx::Error> {
    let sql = "UPDATE versions SET yanked_at = $1, yank_reason = $2 WHERE adapter_id = $3 AND digest = $4
               AND (COALESCE(yanked_at, -1) <> COALESCE($1, -1) OR COALESCE(yank_reason, '') <> COALESCE($2, ''))";
    let done = sqlx::query(sql)
        .bind(entry.yanked.as_ref().map(|yank| micros(yank.at)))
        .bind(entry.yanked.as_ref().map(|yank| yank.reason.as_str()))
        .bind(adapter.key())
        .bind(entry.digest.to_string())
        .execute(tx.connection())
        .await?;
    let kind = if entry.yanked.is_some() { ChangeKind::VersionYanked } else { ChangeKind::VersionUnyanked };
    Ok((done.rows_affected() > 0).then_some(kind))
}

/// The list was asked for just now; `etag` when it had changed.
pub(crate) async fn checked(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    etag: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE mirrored_adapters SET checked_at = $1, etag = COALESCE($2, etag) WHERE adapter_id = $3",
    )
    .bind(now())
    .bind(etag)
    .bind(adapter.key())
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The version list of a mirrored adapter, newest first; `None` where it is not mirrored.
pub(crate) async fn entries(
    db: &Db,
    adapter: &VisibleAdapter,
) -> Result<Option<Vec<VersionEntry>>, sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as("SELECT entry FROM mirrored_versions WHERE adapter_id = $1")
        .bind(adapter.key())
        .fetch_all(db.read())
        .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut entries = rows.iter().map(|(text,)| read_entry(text)).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by(|a, b| b.version.cmp(&a.version));
    Ok(Some(entries))
}

/// The version whose manifest has this digest.
pub(crate) async fn listed(db: &Db, digest: &Digest) -> Result<Option<Listed>, sqlx::Error> {
    let sql = "SELECT a.namespace, a.name, v.entry, v.manifest FROM mirrored_versions v
               JOIN adapters a ON a.id = v.adapter_id WHERE v.digest = $1";
    let found: Option<(String, String, String, Option<String>)> =
        sqlx::query_as(sql).bind(digest.to_string()).fetch_optional(db.read()).await?;
    found
        .map(|(namespace, name, entry, manifest)| {
            let id = adapter_id(&namespace, &name)?;
            let entry = read_entry(&entry)?;
            let stated = entry.published_as.unwrap_or_else(|| id.clone());
            Ok(Listed { id, version: entry.version, stated, manifest })
        })
        .transpose()
}

/// Keeps the manifest of a version.
pub(crate) async fn keep_manifest(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    adapter: &VisibleAdapter,
    digest: &Digest,
    manifest: &str,
) -> Result<(), sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the permit is for another namespace");
    sqlx::query("UPDATE mirrored_versions SET manifest = $1 WHERE adapter_id = $2 AND digest = $3")
        .bind(manifest)
        .bind(adapter.key())
        .bind(digest.to_string())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The file with this digest that a kept manifest of `adapter` lists.
pub(crate) async fn file(
    db: &Db,
    adapter: &VisibleAdapter,
    digest: &Digest,
) -> Result<Option<FileEntry>, sqlx::Error> {
    let sql = "SELECT manifest FROM mirrored_versions WHERE adapter_id = $1 AND manifest LIKE $2";
    // A digest has no character that means something in a pattern.
    let rows: Vec<(String,)> =
        sqlx::query_as(sql).bind(adapter.key()).bind(format!("%{digest}%")).fetch_all(db.read()).await?;
    for (text,) in rows {
        let manifest = Artifact::parse(text.as_bytes()).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        let found = manifest.files().iter().find(|file| file.digest == *digest).cloned();
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The kept manifests of `adapter` that are no version of this registry yet.
pub(crate) async fn incomplete(db: &Db, adapter: &VisibleAdapter) -> Result<Vec<String>, sqlx::Error> {
    let sql = "SELECT m.manifest FROM mirrored_versions m WHERE m.adapter_id = $1 AND m.manifest IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.digest = m.digest)";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(adapter.key()).fetch_all(db.read()).await?;
    Ok(rows.into_iter().map(|(manifest,)| manifest).collect())
}

/// Makes a version visible whose files are all here, published when it was published upstream.
pub(crate) async fn complete(
    tx: &mut WriteTx,
    permit: &MirrorPermit,
    adapter: &VisibleAdapter,
    manifest: &Artifact,
    bytes: &str,
) -> Result<(), sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the permit is for another namespace");
    let (text,): (String,) =
        sqlx::query_as("SELECT entry FROM mirrored_versions WHERE adapter_id = $1 AND version = $2")
            .bind(adapter.key())
            .bind(manifest.version().to_string())
            .fetch_one(tx.connection())
            .await?;
    let entry = read_entry(&text)?;
    let (by, at) = (permit.actor().name(), micros(entry.published_at));
    if versions::write(tx, adapter, manifest, bytes, by, at).await? == versions::Inserted::New {
        yank(tx, adapter, &entry).await?;
        let (subject, detail) = (format!("{}@{}", adapter.id, manifest.version()), entry.digest.to_string());
        audit::record(
            tx,
            Event { actor: permit.actor(), action: "mirror", subject: &subject, detail: &detail },
        )
        .await?;
    }
    Ok(())
}

/// Notes that an object is on its way in, so that nobody takes it for a forgotten one.
pub(crate) async fn begin_transfer(tx: &mut WriteTx, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO mirrored_transfers (id, started_at) VALUES ($1, $2)")
        .bind(id)
        .bind(now())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The object is a blob by now, or was removed.
pub(crate) async fn end_transfer(tx: &mut WriteTx, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM mirrored_transfers WHERE id = $1").bind(id).execute(tx.connection()).await?;
    Ok(())
}

/// Forgets transfers that began before `before`: their process was killed.
pub(crate) async fn forget_transfers(tx: &mut WriteTx, before: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM mirrored_transfers WHERE started_at < $1")
        .bind(before)
        .execute(tx.connection())
        .await?;
    Ok(())
}
