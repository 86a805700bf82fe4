//! `versions` and `version_files`: written once, yanks apart.

use hub_schemas::{
    api::{BaseSummary, BaseVersion, ChangeKind, VersionEntry, Yank},
    digest::Digest,
    manifest::Artifact,
    name::Namespace,
    version::Version,
};
use sqlx::{AssertSqlSafe, FromRow};
use time::OffsetDateTime;

use super::{
    Db, WriteTx, adapter_id,
    adapters::{self, VisibleAdapter, adapter_columns, visible_to},
    audit::{self, Event},
    changes,
    clock::{from_micros, micros, now},
    new_id, parse,
};
use crate::domain::permissions::{Administer, Permit, Publish, Viewer, Yank as YankVerb};

/// Copies of one base model that are worth naming.
const MAX_BASES: i64 = 20;

#[derive(Debug, FromRow)]
struct Row {
    version: String,
    digest: String,
    size: i64,
    base_id: String,
    base_digest: String,
    architecture: String,
    method: String,
    published_at: i64,
    published_as: Option<String>,
    yanked_at: Option<i64>,
    yank_reason: Option<String>,
}

impl Row {
    fn into_entry(self) -> Result<VersionEntry, sqlx::Error> {
        Ok(VersionEntry {
            version: parse("versions.version", &self.version)?,
            digest: parse("versions.digest", &self.digest)?,
            size: self.size as u64,
            base: BaseSummary {
                id: self.base_id,
                architecture: parse("versions.architecture", &self.architecture)?,
                weights_digest: parse("versions.base_digest", &self.base_digest)?,
            },
            method: self.method,
            published_at: from_micros(self.published_at),
            published_as: self.published_as.map(|name| parse("versions.published_as", &name)).transpose()?,
            yanked: self
                .yanked_at
                .map(|at| Yank { reason: self.yank_reason.unwrap_or_default(), at: from_micros(at) }),
        })
    }
}

/// Every version of an adapter, newest first.
pub(crate) async fn all(db: &Db, adapter: &VisibleAdapter) -> Result<Vec<VersionEntry>, sqlx::Error> {
    let sql = "SELECT version, digest, size, base_id, base_digest, architecture, method, published_at,
                      published_as, yanked_at, yank_reason FROM versions WHERE adapter_id = $1";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(adapter.key()).fetch_all(db.read()).await?;
    let mut entries = rows.into_iter().map(Row::into_entry).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by(|a, b| b.version.cmp(&a.version));
    Ok(entries)
}

/// The digest of one version.
pub(crate) async fn digest_of(
    db: &Db,
    adapter: &VisibleAdapter,
    version: &Version,
) -> Result<Option<Digest>, sqlx::Error> {
    let found: Option<(String,)> =
        sqlx::query_as("SELECT digest FROM versions WHERE adapter_id = $1 AND version = $2")
            .bind(adapter.key())
            .bind(version.to_string())
            .fetch_optional(db.read())
            .await?;
    found.map(|(digest,)| parse("versions.digest", &digest)).transpose()
}

/// The versions of base models with these weights that `viewer` may see and that are in
/// circulation, newest first.
pub(crate) async fn of_base(
    db: &Db,
    weights: &Digest,
    viewer: &Viewer,
) -> Result<Vec<BaseVersion>, sqlx::Error> {
    #[derive(FromRow)]
    struct Found {
        namespace: String,
        name: String,
        published_as: Option<String>,
        version: String,
        digest: String,
        size: i64,
        published_at: i64,
    }
    let sql = concat!(
        "SELECT a.namespace, a.name, v.published_as, v.version, v.digest, v.size, v.published_at
         FROM versions v JOIN adapters a ON a.id = v.adapter_id
         WHERE v.base_digest = $1 AND a.kind = 'base' AND v.yanked_at IS NULL AND a.quarantined_at IS NULL AND ",
        visible_to!("$2", "$3"),
        " ORDER BY v.published_at DESC, a.namespace, a.name LIMIT $4"
    );
    let rows: Vec<Found> = sqlx::query_as(sql)
        .bind(weights.to_string())
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .bind(MAX_BASES)
        .fetch_all(db.read())
        .await?;
    let version = |row: Found| {
        let published_as = row.published_as.map(|name| parse("versions.published_as", &name)).transpose()?;
        Ok(BaseVersion {
            name: adapter_id(&row.namespace, &row.name)?,
            published_as,
            version: parse("versions.version", &row.version)?,
            digest: parse("versions.digest", &row.digest)?,
            size: row.size as u64,
            published_at: from_micros(row.published_at),
        })
    };
    rows.into_iter().map(version).collect()
}

/// A manifest and the adapter it belongs to.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    /// The adapter.
    pub(crate) adapter: VisibleAdapter,
    /// The exact bytes that were published.
    pub(crate) bytes: Vec<u8>,
}

/// The manifest with this digest, when `viewer` may see its adapter.
pub(crate) async fn manifest(
    db: &Db,
    digest: &Digest,
    viewer: &Viewer,
) -> Result<Option<StoredManifest>, sqlx::Error> {
    #[derive(FromRow)]
    struct Found {
        #[sqlx(flatten)]
        adapter: adapters::Row,
        manifest: String,
    }
    let sql = concat!(
        "SELECT ",
        adapter_columns!(),
        ", v.manifest FROM versions v JOIN adapters a ON a.id = v.adapter_id WHERE v.digest = $1 AND ",
        visible_to!("$2", "$3")
    );
    let found: Option<Found> = sqlx::query_as(sql)
        .bind(digest.to_string())
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .fetch_optional(db.read())
        .await?;
    let manifest = |row: Found| {
        Ok(StoredManifest { adapter: row.adapter.into_adapter()?, bytes: row.manifest.into_bytes() })
    };
    found.map(manifest).transpose()
}

/// The bytes of the manifest with this digest, for the storage.
pub(crate) async fn text(db: &Db, digest: &Digest) -> Result<Option<String>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT manifest FROM versions WHERE digest = $1")
        .bind(digest.to_string())
        .fetch_optional(db.read())
        .await?;
    Ok(found.map(|(manifest,)| manifest))
}

/// The manifests of every version that is not another registry's.
pub(crate) async fn own_digests(tx: &mut WriteTx) -> Result<Vec<Digest>, sqlx::Error> {
    let sql = "SELECT v.digest FROM versions v WHERE NOT EXISTS (
                   SELECT 1 FROM mirrored_adapters m WHERE m.adapter_id = v.adapter_id) ORDER BY v.digest";
    let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(tx.connection()).await?;
    rows.iter().map(|(digest,)| parse("versions.digest", digest)).collect()
}

/// Brings a version back that was found in the storage.
pub(crate) async fn restore(
    tx: &mut WriteTx,
    permit: &Permit<Administer>,
    adapter: &VisibleAdapter,
    manifest: &Artifact,
    bytes: &str,
    by: &Namespace,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if write(tx, adapter, manifest, bytes, by.as_str(), micros(at)).await? == Inserted::New {
        let subject = format!("{}@{}", adapter.id, manifest.version());
        let detail = Digest::of(bytes.as_bytes()).to_string();
        let event = Event { actor: permit.actor(), action: "rebuild", subject: &subject, detail: &detail };
        audit::record(tx, event).await?;
    }
    Ok(())
}

/// What an insert found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// A new version.
    New,
    /// The same bytes, published before.
    Same,
    /// Other bytes under this version, with this digest.
    Other(Digest),
}

/// Makes a version visible.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    permit: &Permit<Publish>,
    adapter: &VisibleAdapter,
    manifest: &Artifact,
    bytes: &str,
) -> Result<Inserted, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    let inserted = write(tx, adapter, manifest, bytes, permit.user(), now()).await?;
    if inserted == Inserted::New {
        let subject = format!("{}@{}", adapter.id, manifest.version());
        let detail = Digest::of(bytes.as_bytes()).to_string();
        let event = Event { actor: permit.actor(), action: "publish", subject: &subject, detail: &detail };
        audit::record(tx, event).await?;
    }
    Ok(inserted)
}

/// Writes the rows of a version, on whose behalf and of which time it says, and notes a new one.
pub(super) async fn write(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    manifest: &Artifact,
    bytes: &str,
    by: &str,
    at: i64,
) -> Result<Inserted, sqlx::Error> {
    let (id, digest) = (new_id(), Digest::of(bytes.as_bytes()));
    let sql = "INSERT INTO versions (id, adapter_id, version, digest, manifest, size, base_id, base_digest,
                                     architecture, method, published_by, published_at, published_as)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(id.as_str())
        .bind(adapter.key())
        .bind(manifest.version().to_string())
        .bind(digest.to_string())
        .bind(bytes)
        .bind(manifest.total_size() as i64)
        .bind(manifest.base().id.as_str())
        .bind(manifest.base().weights_digest.to_string())
        .bind(manifest.base().architecture.to_string())
        .bind(manifest.method())
        .bind(by)
        .bind(at)
        .bind((*manifest.name() != adapter.id).then(|| manifest.name().to_string()))
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        let (found,): (String,) =
            sqlx::query_as("SELECT digest FROM versions WHERE adapter_id = $1 AND version = $2")
                .bind(adapter.key())
                .bind(manifest.version().to_string())
                .fetch_one(tx.connection())
                .await?;
        let found = parse("versions.digest", &found)?;
        return Ok(if found == digest { Inserted::Same } else { Inserted::Other(found) });
    }
    // All at once: a manifest has at least one, and a statement of its own for each would cost as much as the rest.
    let rows = (0..manifest.files().len()).map(|i| format!("($1, ${}, ${})", 2 * i + 2, 2 * i + 3));
    let rows = rows.collect::<Vec<_>>().join(", ");
    let sql = AssertSqlSafe(format!("INSERT INTO version_files (version_id, path, digest) VALUES {rows}"));
    let statement = manifest.files().iter().fold(sqlx::query(sql).bind(id.as_str()), |statement, file| {
        statement.bind(file.path.as_str()).bind(file.digest.to_string())
    });
    statement.execute(tx.connection()).await?;
    for dependency in manifest.dependencies() {
        let sql = "INSERT INTO version_dependencies (version_id, namespace, name, requirement)
                   VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        sqlx::query(sql)
            .bind(id.as_str())
            .bind(dependency.name.namespace.as_str())
            .bind(dependency.name.name.as_str())
            .bind(dependency.version.to_string())
            .execute(tx.connection())
            .await?;
    }
    changes::note(tx, adapter, ChangeKind::VersionPublished, Some(manifest.version()));
    Ok(Inserted::New)
}

/// Yanks a version or takes that back; `false` when there is no such version.
/// Yanking again changes the reason and keeps the time.
pub(crate) async fn set_yanked(
    tx: &mut WriteTx,
    permit: &Permit<YankVerb>,
    adapter: &VisibleAdapter,
    version: &Version,
    reason: Option<&str>,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    let sql = "UPDATE versions SET yank_reason = $1,
                   yanked_at = CASE WHEN $2 = 0 THEN NULL ELSE COALESCE(yanked_at, $3) END
               WHERE adapter_id = $4 AND version = $5";
    let done = sqlx::query(sql)
        .bind(reason)
        .bind(i64::from(reason.is_some()))
        .bind(now())
        .bind(adapter.key())
        .bind(version.to_string())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let subject = format!("{}@{version}", adapter.id);
    let action = if reason.is_some() { "yank" } else { "unyank" };
    let detail = reason.unwrap_or_default();
    audit::record(tx, Event { actor: permit.actor(), action, subject: &subject, detail }).await?;
    let kind = if reason.is_some() { ChangeKind::VersionYanked } else { ChangeKind::VersionUnyanked };
    changes::note(tx, adapter, kind, Some(version));
    Ok(true)
}
