//! `changes`: what others may want to hear of, in the order in which it was committed.
//!
//! A number from a sequence would be handed out before its transaction ends: a reader could see 12,
//! go on from there, and miss 11, which was committed a moment later. So the last serial is a row.
//! Changes are collected in the [`WriteTx`]; its commit counts them on that row and writes them as its
//! last statements, and holds the row until they are visible. Whoever commits next waits for it, and
//! PostgreSQL shows a transaction to others before it lets go of its rows: when a serial can be read,
//! every smaller one can. One that is rolled back leaves no gap. Since the row is taken last, nobody
//! who holds it waits for anything else, and there is no deadlock.
//!
//! A change names an adapter, and who may see that decides who hears of it. Only who could see it
//! until now hears that it was hidden from them: what they have is to go.

use hub_schemas::{
    api::{Change, ChangeKind, Visibility},
    name::AdapterId,
    version::Version,
};

use super::{
    Db, WriteTx, adapter_id,
    adapters::{VisibleAdapter, seen_by},
    clock::{from_micros, now},
    parse,
};
use crate::domain::permissions::Viewer;

/// A change that its transaction will commit.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    kind: ChangeKind,
    adapter: String,
    name: AdapterId,
    version: Option<Version>,
    withdrawn_from: Option<Visibility>,
}

impl Noted {
    /// A change of the adapter `key`, which who hears of it knows as `name`.
    fn of(kind: ChangeKind, key: &str, name: &AdapterId) -> Self {
        Self { kind, adapter: key.to_owned(), name: name.clone(), version: None, withdrawn_from: None }
    }
}

/// Notes a change of an adapter, or of one of its versions.
pub(super) fn note(tx: &mut WriteTx, adapter: &VisibleAdapter, kind: ChangeKind, version: Option<&Version>) {
    tx.note(Noted { version: version.cloned(), ..Noted::of(kind, adapter.key(), &adapter.id) });
}

/// Notes what became of a name that the adapter `key` has or had.
pub(super) fn note_name(tx: &mut WriteTx, key: &str, name: &AdapterId, kind: ChangeKind) {
    tx.note(Noted::of(kind, key, name));
}

/// Notes that others see an adapter than before: those who saw it hear that, too.
pub(super) fn note_visibility(tx: &mut WriteTx, adapter: &VisibleAdapter, before: Visibility) {
    let withdrawn_from = (before != Visibility::Private).then_some(before);
    tx.note(Noted { withdrawn_from, ..Noted::of(ChangeKind::Visibility, adapter.key(), &adapter.id) });
}

/// Writes the changes of a transaction that is about to be committed.
pub(super) async fn write(tx: &mut sqlx::AnyConnection, changes: &[Noted]) -> Result<(), sqlx::Error> {
    let sql = "UPDATE last_change SET serial = serial + $1 RETURNING serial";
    let (last,): (i64,) = sqlx::query_as(sql).bind(changes.len() as i64).fetch_one(&mut *tx).await?;
    let first = last - changes.len() as i64 + 1;
    for (serial, change) in (first..).zip(changes) {
        let sql =
            "INSERT INTO changes (serial, at, kind, adapter_id, namespace, name, version, withdrawn_from)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(sql)
            .bind(serial)
            .bind(now())
            .bind(change.kind.as_str())
            .bind(change.adapter.as_str())
            .bind(change.name.namespace.as_str())
            .bind(change.name.name.as_str())
            .bind(change.version.as_ref().map(ToString::to_string))
            .bind(change.withdrawn_from.map(Visibility::as_str))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Gives every version that is there a place in the order, in a registry whose rows were read from elsewhere.
pub(crate) async fn begin(tx: &mut WriteTx) -> Result<(), sqlx::Error> {
    for sql in [
        "INSERT INTO changes (serial, at, kind, adapter_id, namespace, name, version)
         SELECT ROW_NUMBER() OVER (ORDER BY v.published_at, v.id), v.published_at, 'version.published', a.id,
                a.namespace, a.name, v.version
         FROM versions v JOIN adapters a ON a.id = v.adapter_id",
        "UPDATE last_change SET serial = (SELECT COALESCE(MAX(serial), 0) FROM changes)",
    ] {
        sqlx::query(sql).execute(tx.connection()).await?;
    }
    Ok(())
}

/// Goes on with serials that no earlier database of this registry had given: the time in microseconds
/// is larger than any of them.
pub(crate) async fn leap(tx: &mut WriteTx) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE last_change SET serial = $1 WHERE serial < $1")
        .bind(now())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The last serial that is committed.
pub(crate) async fn last(db: &Db) -> Result<u64, sqlx::Error> {
    let (serial,): (i64,) = sqlx::query_as("SELECT serial FROM last_change").fetch_one(db.read()).await?;
    Ok(serial as u64)
}

/// The changes after `since` up to `until` that `viewer` may hear of, at most `limit`.
pub(crate) async fn page(
    db: &Db,
    viewer: &Viewer,
    since: u64,
    until: u64,
    limit: u32,
) -> Result<Vec<Change>, sqlx::Error> {
    type Row = (i64, i64, String, String, String, Option<String>);
    let sql = concat!(
        "SELECT c.serial, c.at, c.kind, c.namespace, c.name, c.version
         FROM changes c JOIN adapters a ON a.id = c.adapter_id
         WHERE c.serial > $3 AND c.serial <= $4 AND (c.withdrawn_from = 'public'
             OR (c.withdrawn_from = 'internal' AND $1 <> '') OR ",
        seen_by!("$1", "$2"),
        ") ORDER BY c.serial LIMIT $5"
    );
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(viewer.user())
        .bind(viewer.limited_token())
        .bind(i64::try_from(since).unwrap_or(i64::MAX))
        .bind(until as i64)
        .bind(i64::from(limit))
        .fetch_all(db.read())
        .await?;
    let change = |(serial, at, kind, namespace, name, version): Row| {
        Ok(Change {
            serial: serial as u64,
            at: from_micros(at),
            kind: ChangeKind::named(&kind),
            name: adapter_id(&namespace, &name)?,
            version: version.map(|text| parse("changes.version", &text)).transpose()?,
        })
    };
    rows.into_iter().map(change).collect()
}
