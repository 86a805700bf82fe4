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
use crate::domain::permissions::{PublishPermit, Viewer};

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
        visibility: &str,
    ) -> Result<Self, sqlx::Error> {
        let namespace: Namespace = parse("adapters.namespace", namespace)?;
        let name: AdapterName = parse("adapters.name", name)?;
        Ok(Self { key, id: AdapterId { namespace, name }, visibility: visibility_of(visibility) })
    }
}

/// Anything but `public` is treated as private.
pub(super) fn visibility_of(text: &str) -> Visibility {
    if text == Visibility::Public.as_str() { Visibility::Public } else { Visibility::Private }
}

#[derive(Debug, FromRow)]
struct Row {
    id: String,
    visibility: String,
}

/// The adapter, when it exists and `viewer` may see it.
pub(crate) async fn find_visible(
    db: &Db,
    id: &AdapterId,
    viewer: &Viewer,
) -> Result<Option<VisibleAdapter>, sqlx::Error> {
    let sql = "SELECT a.id, a.visibility FROM adapters a
               WHERE a.namespace = $1 AND a.name = $2 AND (a.visibility = 'public' OR EXISTS (
                   SELECT 1 FROM members m WHERE m.namespace = a.namespace AND m.user_name = $3))";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(viewer.as_sql())
        .fetch_optional(db.read())
        .await?;
    Ok(row.map(|row| VisibleAdapter {
        key: row.id,
        id: id.clone(),
        visibility: visibility_of(&row.visibility),
    }))
}

/// Every adapter, for an operator who makes their listings anew.
pub(crate) async fn every(tx: &mut WriteTx) -> Result<Vec<VisibleAdapter>, sqlx::Error> {
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT id, namespace, name, visibility FROM adapters")
            .fetch_all(tx.connection())
            .await?;
    rows.into_iter()
        .map(|(key, namespace, name, visibility)| VisibleAdapter::of(key, &namespace, &name, &visibility))
        .collect()
}

/// The adapter of this name, made if it is not there.
pub(crate) async fn ensure(
    tx: &mut WriteTx,
    permit: &PublishPermit,
    id: &AdapterId,
    visibility: Visibility,
) -> Result<VisibleAdapter, sqlx::Error> {
    debug_assert!(permit.covers(id), "the handler asked for another namespace");
    let sql = "INSERT INTO adapters (id, namespace, name, visibility, created_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(new_id())
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(visibility.as_str())
        .bind(now())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() > 0 {
        let subject = id.to_string();
        let event = Event {
            actor: permit.user().as_str(),
            action: "adapter-create",
            subject: &subject,
            detail: visibility.as_str(),
        };
        audit::record(tx, event).await?;
    }
    let row: Row = sqlx::query_as("SELECT id, visibility FROM adapters WHERE namespace = $1 AND name = $2")
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .fetch_one(tx.connection())
        .await?;
    Ok(VisibleAdapter { key: row.id, id: id.clone(), visibility: visibility_of(&row.visibility) })
}

/// Shows or hides an adapter.
pub(crate) async fn set_visibility(
    tx: &mut WriteTx,
    permit: &PublishPermit,
    adapter: VisibleAdapter,
    visibility: Visibility,
) -> Result<VisibleAdapter, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another namespace");
    let done = sqlx::query("UPDATE adapters SET visibility = $1 WHERE id = $2 AND visibility <> $1")
        .bind(visibility.as_str())
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    let changed = VisibleAdapter { visibility, ..adapter };
    if done.rows_affected() == 0 {
        return Ok(changed);
    }
    let subject = changed.id.to_string();
    let event = Event {
        actor: permit.user().as_str(),
        action: "adapter-visibility",
        subject: &subject,
        detail: visibility.as_str(),
    };
    audit::record(tx, event).await?;
    Ok(changed)
}
