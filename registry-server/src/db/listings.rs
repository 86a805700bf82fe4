//! `listings`: adapters as search and resolve see them. Rewritten in the
//! transaction of whatever changes an adapter's newest version.

use hub_schemas::{
    api::{AdapterSummary, BaseSummary, MetricSummary},
    digest::Digest,
    manifest::Artifact,
    name::AdapterId,
    version::Version,
};
use sqlx::FromRow;

use super::{
    Db, WriteTx,
    adapters::{self, VisibleAdapter, visibility_of, visible_to},
    clock::{from_micros, micros},
    parse, search,
};
use crate::domain::{
    listing::{self, Words},
    permissions::Viewer,
    resolve,
};

/// Enough that ranking sees every serious candidate, few enough to hold in memory.
const MAX_MATCHES: i64 = 500;

/// One row of every query that answers with listings.
#[derive(Debug, FromRow)]
pub(super) struct Row {
    namespace: String,
    name: String,
    kind: String,
    visibility: String,
    internal_since: Option<i64>,
    pulls: i64,
    version: String,
    digest: String,
    description: String,
    task: String,
    subtask: String,
    languages: String,
    license: String,
    base_id: String,
    base_digest: String,
    architecture: String,
    method: String,
    method_summary: String,
    metric: Option<String>,
    size: i64,
    published_at: i64,
    published_as: Option<String>,
}

/// The columns of [`Row`]; a macro, so that statements stay literals.
macro_rules! listing_columns {
    () => {
        "a.namespace, a.name, a.kind, a.visibility, a.internal_since, a.pulls, l.version, l.digest, l.description, l.task, l.subtask, \
         l.languages, l.license, l.base_id, l.base_digest, l.architecture, l.method, l.method_summary, \
         l.metric, l.size, l.published_at, l.published_as"
    };
}
pub(super) use listing_columns;

impl Row {
    pub(super) fn into_summary(self) -> Result<AdapterSummary, sqlx::Error> {
        let metric: Option<MetricSummary> = match self.metric {
            None => None,
            Some(json) => Some(serde_json::from_str(&json).map_err(|e| sqlx::Error::Decode(Box::new(e)))?),
        };
        Ok(AdapterSummary {
            name: AdapterId {
                namespace: parse("namespace", &self.namespace)?,
                name: parse("name", &self.name)?,
            },
            kind: parse("kind", &self.kind)?,
            version: parse("version", &self.version)?,
            digest: parse("digest", &self.digest)?,
            description: self.description,
            task: parse("task", &self.task)?,
            subtask: Some(self.subtask.as_str())
                .filter(|s| !s.is_empty())
                .map(|s| parse("subtask", s))
                .transpose()?,
            languages: self
                .languages
                .split_whitespace()
                .map(|l| parse("languages", l))
                .collect::<Result<_, _>>()?,
            license: parse("license", &self.license)?,
            base: BaseSummary {
                id: self.base_id,
                architecture: parse("architecture", &self.architecture)?,
                weights_digest: parse("base_digest", &self.base_digest)?,
            },
            method: self.method,
            method_summary: self.method_summary,
            metric,
            size: self.size as u64,
            pulls: self.pulls as u64,
            published_at: from_micros(self.published_at),
            published_as: self.published_as.map(|name| parse("published_as", &name)).transpose()?,
            visibility: visibility_of(&self.visibility, self.internal_since),
        })
    }
}

/// The listing of one adapter; `None` when every version is yanked.
pub(crate) async fn find(db: &Db, adapter: &VisibleAdapter) -> Result<Option<AdapterSummary>, sqlx::Error> {
    let sql = concat!(
        "SELECT ",
        listing_columns!(),
        " FROM listings l JOIN adapters a ON a.id = l.adapter_id WHERE a.id = $1"
    );
    let row: Option<Row> = sqlx::query_as(sql).bind(adapter.key()).fetch_optional(db.read()).await?;
    row.map(Row::into_summary).transpose()
}

/// The listings that a bare word could mean, those for `base` first.
pub(crate) async fn matching(
    db: &Db,
    viewer: &Viewer,
    word: &str,
    base: &str,
) -> Result<Vec<AdapterSummary>, sqlx::Error> {
    let sql = concat!(
        "SELECT ",
        listing_columns!(),
        " FROM listings l JOIN adapters a ON a.id = l.adapter_id
          WHERE a.kind = 'adapter' AND (a.name = $1 OR l.task = $1 OR l.subtask = $1) AND ",
        visible_to!("$2", "$5"),
        " ORDER BY CASE WHEN l.base_digest = $3 THEN 0 ELSE 1 END,
                   CASE WHEN a.name = $1 THEN 0 WHEN l.task = $1 THEN 1 ELSE 2 END,
                   a.pulls DESC, l.published_at DESC, a.namespace, a.name
          LIMIT $4"
    );
    debug_assert!(MAX_MATCHES > resolve::MAX_CANDIDATES as i64);
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(word)
        .bind(viewer.user())
        .bind(base)
        .bind(MAX_MATCHES)
        .bind(viewer.limited_token())
        .fetch_all(db.read())
        .await?;
    rows.into_iter().map(Row::into_summary).collect()
}

/// Makes the listing show what is now the newest version that is not yanked.
pub(crate) async fn refresh(tx: &mut WriteTx, adapter: &VisibleAdapter) -> Result<(), sqlx::Error> {
    show_newest(tx, adapter, None).await
}

/// The same behind the insert of the version that `manifest` describes: mostly it is the newest.
pub(crate) async fn refresh_with(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    manifest: &Artifact,
    digest: &Digest,
) -> Result<(), sqlx::Error> {
    show_newest(tx, adapter, Some((manifest, digest))).await
}

async fn show_newest(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    at_hand: Option<(&Artifact, &Digest)>,
) -> Result<(), sqlx::Error> {
    let Some(newest) = newest(tx, adapter).await? else { return hide(tx, adapter).await };
    match at_hand {
        Some((manifest, digest)) if newest.digest == *digest => show(tx, adapter, &newest, manifest).await,
        _ => {
            let manifest = manifest_of(tx, &newest).await?;
            show(tx, adapter, &newest, &manifest).await
        }
    }
}

/// The version that a listing shows.
#[derive(Clone)]
struct Newest {
    version: Version,
    digest: Digest,
    published_at: i64,
}

/// The newest version that is not yanked; `None` where there is none, or the adapter is out of circulation and
/// not to be found.
async fn newest(tx: &mut WriteTx, adapter: &VisibleAdapter) -> Result<Option<Newest>, sqlx::Error> {
    // Two at once (publishes, or the last files of a mirrored version) would each take their own for the newest.
    adapters::lock(tx, adapter).await?;
    if adapter.quarantine.is_some() {
        return Ok(None);
    }
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT version, digest, published_at FROM versions WHERE adapter_id = $1 AND yanked_at IS NULL",
    )
    .bind(adapter.key())
    .fetch_all(tx.connection())
    .await?;
    let version = |(version, digest, published_at): &(String, String, i64)| {
        let (version, digest) = (parse("versions.version", version)?, parse("versions.digest", digest)?);
        Ok(Newest { version, digest, published_at: *published_at })
    };
    let versions = rows.iter().map(version).collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok(listing::newest(versions.iter().map(|found| (&found.version, found))).cloned())
}

async fn manifest_of(tx: &mut WriteTx, newest: &Newest) -> Result<Artifact, sqlx::Error> {
    let (manifest,): (String,) = sqlx::query_as("SELECT manifest FROM versions WHERE digest = $1")
        .bind(newest.digest.to_string())
        .fetch_one(tx.connection())
        .await?;
    Artifact::parse(manifest.as_bytes()).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}

async fn show(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    newest: &Newest,
    manifest: &Artifact,
) -> Result<(), sqlx::Error> {
    let at = from_micros(newest.published_at);
    let summary = listing::summary(&adapter.id, manifest, newest.digest, at, adapter.visibility)
        .map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    let words = Words::of(&adapter.id, manifest);
    insert(tx, adapter.key(), &summary, &words).await?;
    search::index(tx, adapter.key(), &words).await
}

async fn hide(tx: &mut WriteTx, adapter: &VisibleAdapter) -> Result<(), sqlx::Error> {
    search::forget(tx, adapter.key()).await?;
    sqlx::query("DELETE FROM listings WHERE adapter_id = $1")
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Writes a listing, or writes the one that is there anew: its words keep their place in the index.
async fn insert(
    tx: &mut WriteTx,
    adapter: &str,
    summary: &AdapterSummary,
    words: &Words,
) -> Result<(), sqlx::Error> {
    let metric = summary.metric.as_ref().map(serde_json::to_string).transpose();
    let metric = metric.map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    // A space on either side of every language lets a filter match whole tags.
    let languages =
        summary.languages.iter().fold(String::new(), |all, language| all + " " + language.as_str() + " ");
    let sql = "INSERT INTO listings (adapter_id, version, digest, description, task, subtask, languages,
                   license, base_id, base_digest, architecture, method, method_summary, metric, size,
                   published_at, published_as, words)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
               ON CONFLICT (adapter_id) DO UPDATE SET version = excluded.version, digest = excluded.digest,
                   description = excluded.description, task = excluded.task, subtask = excluded.subtask,
                   languages = excluded.languages, license = excluded.license, base_id = excluded.base_id,
                   base_digest = excluded.base_digest, architecture = excluded.architecture,
                   method = excluded.method, method_summary = excluded.method_summary,
                   metric = excluded.metric, size = excluded.size, published_at = excluded.published_at,
                   published_as = excluded.published_as, words = excluded.words";
    sqlx::query(sql)
        .bind(adapter)
        .bind(summary.version.to_string())
        .bind(summary.digest.to_string())
        .bind(summary.description.as_str())
        .bind(summary.task.as_str())
        .bind(summary.subtask.as_ref().map_or("", AsRef::as_ref))
        .bind(languages)
        .bind(summary.license.as_str())
        .bind(summary.base.id.as_str())
        .bind(summary.base.weights_digest.to_string())
        .bind(summary.base.architecture.to_string())
        .bind(summary.method.as_str())
        .bind(summary.method_summary.as_str())
        .bind(metric)
        .bind(summary.size as i64)
        .bind(micros(summary.published_at))
        .bind(summary.published_as.as_ref().map(ToString::to_string))
        .bind(words.in_order())
        .execute(tx.connection())
        .await?;
    Ok(())
}
