//! `former_names`, and the names of deleted adapters: who asks for one is led on or told, and
//! nobody else takes it.

use hub_schemas::{api::ChangeKind, name::AdapterId};
use time::OffsetDateTime;

use super::{
    Db, WriteTx, adapter_id,
    adapters::{VisibleAdapter, find_visible, seen_by},
    audit::{self, Event},
    changes,
    clock::{from_micros, now},
    parse, publishers, team_collaborators,
};
use crate::domain::permissions::{FreeName, Move, Permit, Receive, Viewer};

/// What a name is kept for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// An adapter that had it before and has this one now.
    Moved(AdapterId),
    /// The record of one that was deleted.
    Deleted {
        /// Why.
        reason: String,
        /// When.
        at: OffsetDateTime,
    },
    /// Something that the viewer may not see.
    Hidden,
}

/// What a name without an adapter is kept for; `None` where anybody who may publish there can
/// take it.
pub(crate) async fn kept(db: &Db, id: &AdapterId, viewer: &Viewer) -> Result<Option<Kept>, sqlx::Error> {
    type Row = (String, String, Option<i64>, Option<String>, i64);
    let sql = concat!(
        "SELECT a.namespace, a.name, a.deleted_at, a.deletion_reason, CASE WHEN ",
        seen_by!("$3", "$4"),
        " THEN 1 ELSE 0 END FROM adapters a
          WHERE (a.namespace = $1 AND a.name = $2 AND a.deleted_at IS NOT NULL)
             OR a.id = (SELECT f.adapter_id FROM former_names f WHERE f.namespace = $1 AND f.name = $2)"
    );
    let found: Option<Row> = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .fetch_optional(db.read())
        .await?;
    let Some((namespace, name, deleted_at, reason, seen)) = found else { return Ok(None) };
    Ok(Some(match deleted_at {
        _ if seen == 0 => Kept::Hidden,
        Some(at) => Kept::Deleted { reason: reason.unwrap_or_default(), at: from_micros(at) },
        None => Kept::Moved(adapter_id(&namespace, &name)?),
    }))
}

/// The adapter of this name, or the one that had it before.
pub(crate) async fn find_followed(
    db: &Db,
    id: &AdapterId,
    viewer: &Viewer,
) -> Result<Option<VisibleAdapter>, sqlx::Error> {
    if let Some(adapter) = find_visible(db, id, viewer).await? {
        return Ok(Some(adapter));
    }
    match kept(db, id, viewer).await? {
        Some(Kept::Moved(to)) => find_visible(db, &to, viewer).await,
        _ => Ok(None),
    }
}

/// Whether a name leads to another adapter, inside the transaction that would take it.
pub(super) async fn is_kept(tx: &mut WriteTx, id: &AdapterId) -> Result<bool, sqlx::Error> {
    let sql = "SELECT COUNT(*) FROM former_names WHERE namespace = $1 AND name = $2";
    let (found,): (i64,) = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .fetch_one(tx.connection())
        .await?;
    Ok(found > 0)
}

/// The names that an adapter had before.
pub(crate) async fn of(db: &Db, adapter: &VisibleAdapter) -> Result<Vec<AdapterId>, sqlx::Error> {
    let sql = "SELECT namespace, name FROM former_names WHERE adapter_id = $1 ORDER BY namespace, name";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).bind(adapter.key()).fetch_all(db.read()).await?;
    rows.iter()
        .map(|(namespace, name)| {
            Ok(AdapterId {
                namespace: parse("former_names.namespace", namespace)?,
                name: parse("former_names.name", name)?,
            })
        })
        .collect()
}

/// Gives an adapter the name `to`, which the old one then leads to; `None` where it is taken or
/// kept, or the adapter has just been moved by somebody else.
pub(crate) async fn move_to(
    tx: &mut WriteTx,
    permit: &Permit<Move>,
    into: &Permit<Receive>,
    adapter: VisibleAdapter,
    to: &AdapterId,
) -> Result<Option<VisibleAdapter>, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id) && into.covers(to), "the handler asked for another adapter");
    let from = adapter.id.clone();
    // Back to a name that it had before.
    sqlx::query("DELETE FROM former_names WHERE namespace = $1 AND name = $2 AND adapter_id = $3")
        .bind(to.namespace.as_str())
        .bind(to.name.as_str())
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    let sql = "UPDATE adapters SET namespace = $1, name = $2 WHERE id = $3 AND namespace = $4 AND name = $5
               AND deleted_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM adapters o WHERE o.namespace = $1 AND o.name = $2)";
    let done = sqlx::query(sql)
        .bind(to.namespace.as_str())
        .bind(to.name.as_str())
        .bind(adapter.key())
        .bind(from.namespace.as_str())
        .bind(from.name.as_str())
        .execute(tx.connection())
        .await;
    match done {
        Ok(done) if done.rows_affected() == 1 => {}
        Ok(_) => return Ok(None),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(None),
        Err(error) => return Err(error),
    }
    if is_kept(tx, to).await? || repeats_a_number(tx, &adapter, to).await? {
        return Ok(None);
    }
    lead(tx, &adapter, to).await?;
    if from.namespace != to.namespace {
        team_collaborators::clear(tx, &adapter).await?;
    }
    publishers::follow(tx, &from, Some(to)).await?;
    let (subject, detail) = (from.to_string(), to.to_string());
    let event = Event { actor: permit.actor(), action: "adapter-move", subject: &subject, detail: &detail };
    audit::record(tx, event).await?;
    Ok(Some(adapter.named(to.clone())))
}

/// Lets a name lead nowhere.
pub(super) async fn forget(tx: &mut WriteTx, id: &AdapterId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM former_names WHERE namespace = $1 AND name = $2")
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Lets the name that an adapter had lead to the one that it has now, `to`.
pub(super) async fn lead(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    to: &AdapterId,
) -> Result<(), sqlx::Error> {
    let from = &adapter.id;
    forget(tx, to).await?;
    let sql = "INSERT INTO former_names (namespace, name, adapter_id, since) VALUES ($1, $2, $3, $4)";
    sqlx::query(sql)
        .bind(from.namespace.as_str())
        .bind(from.name.as_str())
        .bind(adapter.key())
        .bind(now())
        .execute(tx.connection())
        .await?;
    // Whoever has it by the old name looks there first; by the new one whoever comes anew.
    for name in [from, to] {
        changes::note_name(tx, adapter.key(), name, ChangeKind::Moved);
    }
    // Manifests never change, so versions remember the name that theirs states.
    for (sql, name) in [
        ("UPDATE versions SET published_as = $1 WHERE adapter_id = $2 AND published_as IS NULL", from),
        ("UPDATE versions SET published_as = NULL WHERE published_as = $1 AND adapter_id = $2", to),
    ] {
        sqlx::query(sql).bind(name.to_string()).bind(adapter.key()).execute(tx.connection()).await?;
    }
    Ok(())
}

/// Whether another adapter published a number of this one's when it had the name `to`: a name
/// with a number means one content for ever, also to those who have it already.
async fn repeats_a_number(
    tx: &mut WriteTx,
    adapter: &VisibleAdapter,
    to: &AdapterId,
) -> Result<bool, sqlx::Error> {
    let sql = "SELECT (SELECT COUNT(*) FROM versions v JOIN versions o ON o.version = v.version
                       WHERE v.adapter_id = $1 AND o.adapter_id <> $1 AND o.published_as = $2)
                    + (SELECT COUNT(*) FROM versions v JOIN tombstones t ON t.version = v.version
                       WHERE v.adapter_id = $1 AND t.adapter_id <> $1 AND t.published_as = $2)";
    let (found,): (i64,) =
        sqlx::query_as(sql).bind(adapter.key()).bind(to.to_string()).fetch_one(tx.connection()).await?;
    Ok(found > 0)
}

/// Lets a name be used again: it leads nowhere any more, or a deleted adapter can go on, whose
/// version numbers stay taken. `false` where nothing keeps it.
pub(crate) async fn free(
    tx: &mut WriteTx,
    permit: &Permit<FreeName>,
    id: &AdapterId,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers(id), "the handler asked for another name");
    let sql = "SELECT a.id FROM adapters a
               WHERE (a.namespace = $1 AND a.name = $2 AND a.deleted_at IS NOT NULL)
                  OR a.id = (SELECT f.adapter_id FROM former_names f WHERE f.namespace = $1 AND f.name = $2)";
    let led: Option<(String,)> = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .fetch_optional(tx.connection())
        .await?;
    let mut freed = 0;
    for sql in [
        "DELETE FROM former_names WHERE namespace = $1 AND name = $2",
        "UPDATE adapters SET deleted_at = NULL, deletion_reason = NULL
         WHERE namespace = $1 AND name = $2 AND deleted_at IS NOT NULL",
    ] {
        let query = sqlx::query(sql).bind(id.namespace.as_str()).bind(id.name.as_str());
        freed += query.execute(tx.connection()).await?.rows_affected();
    }
    if freed == 0 {
        return Ok(false);
    }
    if let Some((key,)) = led {
        changes::note_name(tx, &key, id, ChangeKind::NameFreed);
    }
    let subject = id.to_string();
    let event = Event { actor: permit.actor(), action: "name-free", subject: &subject, detail: "" };
    audit::record(tx, event).await?;
    Ok(true)
}
