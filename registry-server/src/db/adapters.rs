//! `adapters`: the only door to one is [`find_visible`], which applies who may see it.

use hub_schemas::{
    api::{ChangeKind, Quarantine, Visibility},
    manifest::ArtifactKind,
    name::{AdapterId, AdapterName, Namespace},
};
use sqlx::FromRow;

use super::{
    Backend, Db, WriteTx,
    audit::{self, Event},
    changes,
    clock::{from_micros, now},
    former_names, new_id, parse,
};
use crate::domain::permissions::{Administer, ChangeVisibility, Permit, Publish, Viewer};

/// Adapters among which popular namespaces are looked for: several of each, read in a few milliseconds.
const MOST_PULLED: i64 = 5_000;

/// An adapter that the viewer may see. Reads of its parts demand this value.
#[derive(Debug, Clone)]
pub(crate) struct VisibleAdapter {
    key: String,
    /// Full name.
    pub(crate) id: AdapterId,
    /// What it is.
    pub(crate) kind: ArtifactKind,
    /// Who may see it.
    pub(crate) visibility: Visibility,
    /// Set while an administrator keeps it out of circulation.
    pub(crate) quarantine: Option<Quarantine>,
}

impl VisibleAdapter {
    /// The same under another name.
    pub(super) fn named(self, id: AdapterId) -> Self {
        Self { id, ..self }
    }

    /// One that nobody took out of circulation.
    pub(super) const fn of(key: String, id: AdapterId, kind: ArtifactKind, visibility: Visibility) -> Self {
        Self { key, id, kind, visibility, quarantine: None }
    }

    /// Its primary key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

/// Anything but `public` is treated as private, unless it is marked as internal too.
pub(super) fn visibility_of(text: &str, internal_since: Option<i64>) -> Visibility {
    match internal_since {
        _ if text == Visibility::Public.as_str() => Visibility::Public,
        Some(_) => Visibility::Internal,
        None => Visibility::Private,
    }
}

/// A visibility as the two columns keep it: a server of the first release takes what is
/// internal for private.
fn columns_of(visibility: Visibility) -> (&'static str, Option<i64>) {
    match visibility {
        Visibility::Public => ("public", None),
        Visibility::Internal => ("private", Some(now())),
        Visibility::Private => ("private", None),
    }
}

/// Whether a viewer may see the adapter `a`.
macro_rules! visible_to {
    ($user:literal, $token:literal) => {
        concat!("(a.deleted_at IS NULL AND ", $crate::db::adapters::seen_by!($user, $token), ")")
    };
}
pub(super) use visible_to;

/// The same if it was not deleted. The places are those of [`Viewer::user`] and
/// [`Viewer::limited_token`]; a macro, so that statements stay literals.
macro_rules! seen_by {
    ($user:literal, $token:literal) => {
        concat!(
            "(a.visibility = 'public' OR (",
            $user,
            " <> '' AND (a.internal_since IS NOT NULL
                 OR EXISTS (SELECT 1 FROM namespace_roles m WHERE m.namespace = a.namespace AND m.user_name = ",
            $user,
            ") OR EXISTS (SELECT 1 FROM adapter_roles c WHERE c.adapter_id = a.id AND c.user_name = ",
            $user,
            ")) AND (",
            $token,
            " = '' OR EXISTS (SELECT 1 FROM token_names n WHERE n.token_id = ",
            $token,
            " AND (a.namespace || '/' || a.name) LIKE n.pattern ESCAPE '!'))))"
        )
    };
}
pub(super) use seen_by;

/// Takes an adapter's row: until the transaction ends nobody else changes what it shows.
pub(crate) async fn lock(tx: &mut WriteTx, adapter: &VisibleAdapter) -> Result<(), sqlx::Error> {
    // In SQLite the whole transaction has the only turn at writing. Rows that refer to the adapter may be written
    // meanwhile, as they were by whoever waits for this: a stronger lock would wait for them, and they for it.
    if tx.backend() == Backend::Postgres {
        sqlx::query("SELECT 1 FROM adapters WHERE id = $1 FOR NO KEY UPDATE")
            .bind(adapter.key())
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

/// One row of every query that finds adapters.
#[derive(Debug, FromRow)]
pub(super) struct Row {
    id: String,
    namespace: String,
    name: String,
    kind: String,
    visibility: String,
    internal_since: Option<i64>,
    quarantined_at: Option<i64>,
    quarantine_reason: Option<String>,
}

/// The columns of [`Row`]; a macro, so that statements stay literals.
macro_rules! adapter_columns {
    () => {
        "a.id, a.namespace, a.name, a.kind, a.visibility, a.internal_since, a.quarantined_at, a.quarantine_reason"
    };
}
pub(super) use adapter_columns;

impl Row {
    pub(super) fn into_adapter(self) -> Result<VisibleAdapter, sqlx::Error> {
        let namespace: Namespace = parse("adapters.namespace", &self.namespace)?;
        let name: AdapterName = parse("adapters.name", &self.name)?;
        let reason = self.quarantine_reason.unwrap_or_default();
        Ok(VisibleAdapter {
            key: self.id,
            id: AdapterId { namespace, name },
            kind: parse("adapters.kind", &self.kind)?,
            visibility: visibility_of(&self.visibility, self.internal_since),
            quarantine: self.quarantined_at.map(|at| Quarantine { reason, at: from_micros(at) }),
        })
    }
}

/// The adapter, when it exists and `viewer` may see it.
pub(crate) async fn find_visible(
    db: &Db,
    id: &AdapterId,
    viewer: &Viewer,
) -> Result<Option<VisibleAdapter>, sqlx::Error> {
    let sql = concat!(
        "SELECT ",
        adapter_columns!(),
        " FROM adapters a WHERE a.namespace = $1 AND a.name = $2 AND ",
        visible_to!("$3", "$4")
    );
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .fetch_optional(db.read())
        .await?;
    row.map(Row::into_adapter).transpose()
}

const OF_NAME: &str = concat!(
    "SELECT ",
    adapter_columns!(),
    " FROM adapters a WHERE a.namespace = $1 AND a.name = $2 AND a.deleted_at IS NULL"
);

/// The adapter, whoever may see it, for those who run the registry.
pub(crate) async fn find_any(
    db: &Db,
    _permit: &Permit<Administer>,
    id: &AdapterId,
) -> Result<Option<VisibleAdapter>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(OF_NAME)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .fetch_optional(db.read())
        .await?;
    row.map(Row::into_adapter).transpose()
}

/// Every adapter, for an operator who makes their listings anew.
pub(crate) async fn every(tx: &mut WriteTx) -> Result<Vec<VisibleAdapter>, sqlx::Error> {
    let sql = concat!("SELECT ", adapter_columns!(), " FROM adapters a");
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(tx.connection()).await?;
    rows.into_iter().map(Row::into_adapter).collect()
}

/// The namespaces of others among the public adapters that are pulled most, those that are pulled most first.
/// What is pulled less than all of these is not popular, and reading every adapter would slow down publishing.
pub(crate) async fn popular_namespaces(
    tx: &mut WriteTx,
    besides: &Namespace,
    limit: i64,
) -> Result<Vec<Namespace>, sqlx::Error> {
    let sql = "SELECT namespace FROM
                   (SELECT namespace, visibility, pulls FROM adapters ORDER BY pulls DESC, id DESC LIMIT $3) a
               WHERE visibility = 'public' AND namespace <> $1
               GROUP BY namespace ORDER BY SUM(pulls) DESC, namespace LIMIT $2";
    let rows: Vec<(String,)> = sqlx::query_as(sql)
        .bind(besides.as_str())
        .bind(limit)
        .bind(MOST_PULLED)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(|(name,)| parse("adapters.namespace", name)).collect()
}

/// Whether everyone sees another adapter of the same namespace.
pub(crate) async fn shows_another(tx: &mut WriteTx, adapter: &VisibleAdapter) -> Result<bool, sqlx::Error> {
    let sql = "SELECT 1 FROM adapters
               WHERE namespace = $1 AND visibility = 'public' AND deleted_at IS NULL AND id <> $2 LIMIT 1";
    let found: Option<(i32,)> = sqlx::query_as(sql)
        .bind(adapter.id.namespace.as_str())
        .bind(adapter.key())
        .fetch_optional(tx.connection())
        .await?;
    Ok(found.is_some())
}

/// How often an adapter was pulled, all versions together.
pub(crate) async fn pulls(db: &Db, adapter: &VisibleAdapter) -> Result<u64, sqlx::Error> {
    let (pulls,): (i64,) = sqlx::query_as("SELECT pulls FROM adapters WHERE id = $1")
        .bind(adapter.key())
        .fetch_one(db.read())
        .await?;
    Ok(pulls as u64)
}

/// The adapter of this name, made if it is not there; `None` where the name is kept for another
/// one, or after one. Until the transaction ends nobody else moves or deletes it.
pub(crate) async fn ensure(
    tx: &mut WriteTx,
    permit: &Permit<Publish>,
    id: &AdapterId,
    kind: ArtifactKind,
    visibility: Visibility,
) -> Result<Option<VisibleAdapter>, sqlx::Error> {
    debug_assert!(permit.covers(id), "the handler asked for another adapter");
    let (key, (shown, internal_since)) = (new_id(), columns_of(visibility));
    // Where it is there, the update changes nothing but takes the row.
    let sql = "INSERT INTO adapters (id, namespace, name, visibility, internal_since, created_at, kind)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (namespace, name) DO UPDATE SET created_at = adapters.created_at
               RETURNING id, namespace, name, kind, visibility, internal_since, quarantined_at,
                         quarantine_reason, deleted_at";
    let found: Ensured = sqlx::query_as(sql)
        .bind(key.as_str())
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(shown)
        .bind(internal_since)
        .bind(now())
        .bind(kind.as_str())
        .fetch_one(tx.connection())
        .await?;
    if found.deleted_at.is_some() {
        return Ok(None);
    }
    if found.adapter.id == key {
        // Asked for behind the insert, which waits for whoever is moving an adapter away from here. A name that
        // an adapter has is kept for no other one.
        if former_names::is_kept(tx, id).await? {
            return Ok(None);
        }
        let subject = id.to_string();
        let event = Event {
            actor: permit.actor(),
            action: "adapter-create",
            subject: &subject,
            detail: visibility.as_str(),
        };
        audit::record(tx, event).await?;
    }
    found.adapter.into_adapter().map(Some)
}

/// What [`ensure`] finds.
#[derive(Debug, FromRow)]
struct Ensured {
    #[sqlx(flatten)]
    adapter: Row,
    deleted_at: Option<i64>,
}

/// Takes an adapter out of circulation, with a reason, or brings it back.
pub(crate) async fn set_quarantine(
    tx: &mut WriteTx,
    permit: &Permit<Administer>,
    adapter: VisibleAdapter,
    reason: Option<&str>,
) -> Result<VisibleAdapter, sqlx::Error> {
    let at = now();
    let sql = "UPDATE adapters SET quarantine_reason = $1,
                   quarantined_at = CASE WHEN $2 = 0 THEN NULL ELSE COALESCE(quarantined_at, $3) END
               WHERE id = $4";
    sqlx::query(sql)
        .bind(reason)
        .bind(i64::from(reason.is_some()))
        .bind(at)
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    let subject = adapter.id.to_string();
    let action = if reason.is_some() { "quarantine" } else { "quarantine-end" };
    let event =
        Event { actor: permit.actor(), action, subject: &subject, detail: reason.unwrap_or_default() };
    audit::record(tx, event).await?;
    let since = adapter.quarantine.as_ref().map_or_else(|| from_micros(at), |quarantine| quarantine.at);
    let kind = if reason.is_some() { ChangeKind::Quarantined } else { ChangeKind::Released };
    changes::note(tx, &adapter, kind, None);
    let quarantine = reason.map(|reason| Quarantine { reason: reason.to_owned(), at: since });
    Ok(VisibleAdapter { quarantine, ..adapter })
}

/// Shows or hides an adapter.
pub(crate) async fn set_visibility(
    tx: &mut WriteTx,
    permit: &Permit<ChangeVisibility>,
    adapter: VisibleAdapter,
    visibility: Visibility,
) -> Result<VisibleAdapter, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    let (shown, internal_since) = columns_of(visibility);
    let sql = "UPDATE adapters SET visibility = $1, internal_since = $2 WHERE id = $3
               AND (visibility <> $1 OR (internal_since IS NULL) <> ($4 = 0))";
    let done = sqlx::query(sql)
        .bind(shown)
        .bind(internal_since)
        .bind(adapter.key())
        .bind(i64::from(internal_since.is_some()))
        .execute(tx.connection())
        .await?;
    let before = adapter.visibility;
    let changed = VisibleAdapter { visibility, ..adapter };
    if done.rows_affected() == 0 {
        return Ok(changed);
    }
    changes::note_visibility(tx, &changed, before);
    let subject = changed.id.to_string();
    let event = Event {
        actor: permit.actor(),
        action: "adapter-visibility",
        subject: &subject,
        detail: visibility.as_str(),
    };
    audit::record(tx, event).await?;
    Ok(changed)
}
