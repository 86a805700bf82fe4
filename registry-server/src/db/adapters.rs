//! `adapters`: the only door to one is [`find_visible`], which applies who may see it.

use hub_schemas::{
    api::Visibility,
    name::{AdapterId, AdapterName, Namespace},
};
use sqlx::FromRow;

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::now,
    new_id, parse,
};
use crate::domain::permissions::{ChangeVisibility, Permit, Publish, Viewer};

/// An adapter that the viewer may see. Reads of its parts demand this value.
#[derive(Debug, Clone)]
pub(crate) struct VisibleAdapter {
    key: String,
    /// Full name.
    pub(crate) id: AdapterId,
    /// Who may see it.
    pub(crate) visibility: Visibility,
}

impl VisibleAdapter {
    /// Its primary key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn of(
        key: String,
        namespace: &str,
        name: &str,
        visibility: Visibility,
    ) -> Result<Self, sqlx::Error> {
        let namespace: Namespace = parse("adapters.namespace", namespace)?;
        let name: AdapterName = parse("adapters.name", name)?;
        Ok(Self { key, id: AdapterId { namespace, name }, visibility })
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

/// Whether a viewer may see the adapter `a`. The places are those of [`Viewer::user`] and
/// [`Viewer::limited_token`]; a macro, so that statements stay literals.
macro_rules! visible_to {
    ($user:literal, $token:literal) => {
        concat!(
            "(a.visibility = 'public' OR (",
            $user,
            " <> '' AND (a.internal_since IS NOT NULL
                 OR EXISTS (SELECT 1 FROM members m WHERE m.namespace = a.namespace AND m.user_name = ",
            $user,
            ") OR EXISTS (SELECT 1 FROM collaborators c WHERE c.adapter_id = a.id AND c.user_name = ",
            $user,
            ")) AND (",
            $token,
            " = '' OR EXISTS (SELECT 1 FROM token_names n WHERE n.token_id = ",
            $token,
            " AND (a.namespace || '/' || a.name) LIKE n.pattern ESCAPE '!'))))"
        )
    };
}
pub(super) use visible_to;

#[derive(Debug, FromRow)]
struct Row {
    id: String,
    visibility: String,
    internal_since: Option<i64>,
}

impl Row {
    fn into_adapter(self, id: &AdapterId) -> VisibleAdapter {
        let visibility = visibility_of(&self.visibility, self.internal_since);
        VisibleAdapter { key: self.id, id: id.clone(), visibility }
    }
}

/// The adapter, when it exists and `viewer` may see it.
pub(crate) async fn find_visible(
    db: &Db,
    id: &AdapterId,
    viewer: &Viewer,
) -> Result<Option<VisibleAdapter>, sqlx::Error> {
    let sql = concat!(
        "SELECT a.id, a.visibility, a.internal_since FROM adapters a
         WHERE a.namespace = $1 AND a.name = $2 AND ",
        visible_to!("$3", "$4")
    );
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .fetch_optional(db.read())
        .await?;
    Ok(row.map(|row| row.into_adapter(id)))
}

/// Every adapter, for an operator who makes their listings anew.
pub(crate) async fn every(tx: &mut WriteTx) -> Result<Vec<VisibleAdapter>, sqlx::Error> {
    let rows: Vec<(String, String, String, String, Option<i64>)> =
        sqlx::query_as("SELECT id, namespace, name, visibility, internal_since FROM adapters")
            .fetch_all(tx.connection())
            .await?;
    rows.into_iter()
        .map(|(key, namespace, name, visibility, internal)| {
            VisibleAdapter::of(key, &namespace, &name, visibility_of(&visibility, internal))
        })
        .collect()
}

/// The adapter of this name, made if it is not there.
pub(crate) async fn ensure(
    tx: &mut WriteTx,
    permit: &Permit<Publish>,
    id: &AdapterId,
    visibility: Visibility,
) -> Result<VisibleAdapter, sqlx::Error> {
    debug_assert!(permit.covers(id), "the handler asked for another adapter");
    let (shown, internal_since) = columns_of(visibility);
    let sql = "INSERT INTO adapters (id, namespace, name, visibility, internal_since, created_at)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(new_id())
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(shown)
        .bind(internal_since)
        .bind(now())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() > 0 {
        let subject = id.to_string();
        let event = Event {
            actor: permit.actor(),
            action: "adapter-create",
            subject: &subject,
            detail: visibility.as_str(),
        };
        audit::record(tx, event).await?;
    }
    let sql = "SELECT id, visibility, internal_since FROM adapters WHERE namespace = $1 AND name = $2";
    let row: Row = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .fetch_one(tx.connection())
        .await?;
    Ok(row.into_adapter(id))
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
    let changed = VisibleAdapter { visibility, ..adapter };
    if done.rows_affected() == 0 {
        return Ok(changed);
    }
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
