//! Full-text search: the only statements with two texts.
//!
//! Both databases see words that [`crate::domain::words`] split before, so a query
//! can't contain anything but letters and digits.

mod postgres;
mod sqlite;

use hub_schemas::api::AdapterSummary;
use sqlx::{Any, query::QueryAs};

use super::{Backend, Db, WriteTx, adapters::visible_to, listings};
use crate::domain::{listing::Words, permissions::Viewer};

/// What to find. Empty texts do not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters {
    /// Words that must all occur; `None` finds everything.
    pub(crate) words: Option<Vec<String>>,
    pub(crate) task: String,
    pub(crate) base: String,
    pub(crate) architecture: String,
    pub(crate) method: String,
    pub(crate) language: String,
    pub(crate) license: String,
    pub(crate) kind: String,
}

/// Results from `offset` on, at most `limit`, best first, and how many there are.
pub(crate) async fn page(
    db: &Db,
    viewer: &Viewer,
    filters: &Filters,
    limit: u32,
    offset: u64,
) -> Result<(Vec<AdapterSummary>, u64), sqlx::Error> {
    let (count, rows) = match (db.backend(), &filters.words) {
        (_, None) => (COUNT_ALL, PAGE_ALL),
        (Backend::Sqlite, Some(_)) => (sqlite::COUNT, sqlite::PAGE),
        (Backend::Postgres, Some(_)) => (postgres::COUNT, postgres::PAGE),
    };
    let words = match (db.backend(), &filters.words) {
        (_, None) => String::new(),
        (Backend::Sqlite, Some(words)) => sqlite::query(words),
        (Backend::Postgres, Some(words)) => postgres::query(words),
    };
    let total: (i64,) = bind(sqlx::query_as(count), viewer, filters, &words).fetch_one(db.read()).await?;
    let rows: Vec<listings::Row> = bind(sqlx::query_as(rows), viewer, filters, &words)
        .bind(i64::from(limit))
        .bind(offset as i64)
        .fetch_all(db.read())
        .await?;
    let items = rows.into_iter().map(listings::Row::into_summary).collect::<Result<_, _>>()?;
    Ok((items, total.0 as u64))
}

type Arguments = <Any as sqlx::Database>::Arguments;

/// Binds $1 to $10, which every statement here shares.
fn bind<'q, T>(
    query: QueryAs<'q, Any, T, Arguments>,
    viewer: &Viewer,
    filters: &Filters,
    words: &str,
) -> QueryAs<'q, Any, T, Arguments> {
    let language = if filters.language.is_empty() {
        String::new()
    } else {
        format!("% {} %", filters.language.to_lowercase())
    };
    query
        .bind(viewer.user().to_owned())
        .bind(filters.task.clone())
        .bind(filters.base.clone())
        .bind(filters.architecture.clone())
        .bind(filters.method.clone())
        .bind(language)
        .bind(filters.license.clone())
        .bind(words.to_owned())
        .bind(viewer.limited_token().to_owned())
        .bind(filters.kind.clone())
}

/// The conditions that search with and without words share.
macro_rules! conditions {
    () => {
        concat!(
            visible_to!("$1", "$9"),
            "
         AND ($2 = '' OR l.task = $2 OR l.subtask = $2)
         AND ($3 = '' OR LOWER(l.base_id) = LOWER($3) OR l.base_digest = $3)
         AND ($4 = '' OR l.architecture = $4)
         AND ($5 = '' OR l.method = $5)
         AND ($6 = '' OR LOWER(l.languages) LIKE $6)
         AND ($7 = '' OR LOWER(l.license) = LOWER($7))
         AND ($10 = '' OR a.kind = $10)"
        )
    };
}
use conditions;

const COUNT_ALL: &str = concat!(
    "SELECT COUNT(*) FROM listings l JOIN adapters a ON a.id = l.adapter_id WHERE ",
    conditions!(),
    " AND $8 = ''"
);
const PAGE_ALL: &str = concat!(
    "SELECT ",
    listings::listing_columns!(),
    " FROM listings l JOIN adapters a ON a.id = l.adapter_id WHERE ",
    conditions!(),
    " AND $8 = '' ORDER BY a.pulls DESC, l.published_at DESC, a.namespace, a.name LIMIT $11 OFFSET $12"
);

/// Makes an adapter findable by these words.
pub(super) async fn index(tx: &mut WriteTx, adapter: &str, words: &Words) -> Result<(), sqlx::Error> {
    let sql = match tx.backend() {
        Backend::Sqlite => sqlite::INDEX,
        Backend::Postgres => postgres::INDEX,
    };
    sqlx::query(sql)
        .bind(adapter)
        .bind(words.name.as_str())
        .bind(words.task.as_str())
        .bind(words.body.as_str())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Makes an adapter unfindable.
pub(super) async fn forget(tx: &mut WriteTx, adapter: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM listing_words WHERE adapter_id = $1")
        .bind(adapter)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Makes an adapter findable by its name, without a manifest.
#[cfg(test)]
pub(super) async fn index_plain(tx: &mut WriteTx, adapter: &str, name: &str) {
    let words = Words { name: name.to_owned(), task: String::new(), body: String::new() };
    index(tx, adapter, &words).await.expect("indexes");
}
