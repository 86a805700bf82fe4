//! Full-text search: the only statements with two texts.
//!
//! Both databases see words that [`crate::domain::words`] split before, so a query
//! can't contain anything but letters and digits.
//!
//! Few results are ordered by relevance. Where there are more than [`BOUNDS`] counts, a
//! word says little about relevance, and reading all of them would cost too much: they are
//! ordered by pulls, and counted no further (`popular`). Which of the two it is depends on
//! what the viewer may see alone, so that nothing is told about the rest.

mod popular;
mod postgres;
mod sqlite;
mod statement;

use hub_schemas::api::AdapterSummary;

use super::{Backend, Db, WriteTx, adapters::visible_to, listings};
use crate::domain::{listing::Words, permissions::Viewer};
use statement::{Question, conditions};

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

/// Which of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many come before.
    pub(crate) offset: u64,
    /// How many at most.
    pub(crate) limit: u32,
}

/// One page of results, best first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) items: Vec<AdapterSummary>,
    /// How many results there are on all pages, as far as they were counted.
    pub(crate) total: u64,
    /// Whether there are more than that.
    pub(crate) more: bool,
    /// Whether another page follows.
    pub(crate) is_followed: bool,
}

/// How far a search looks before it takes a longer way.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Up to so many results are counted, and ordered by relevance.
    counted: u64,
    /// How many of the adapters that are pulled most are looked at for a page.
    window: u64,
}

/// A thousand results are read and ordered in a few milliseconds. A page of what one adapter in two hundred
/// has is among the first 5,000, which take some ten milliseconds; of what more have it is found sooner.
const BOUNDS: Bounds = Bounds { counted: 1_000, window: 5_000 };

/// The results at `place`.
pub(crate) async fn page(
    db: &Db,
    viewer: &Viewer,
    filters: &Filters,
    place: Place,
) -> Result<Found, sqlx::Error> {
    page_within(db, viewer, filters, place, BOUNDS).await
}

async fn page_within(
    db: &Db,
    viewer: &Viewer,
    filters: &Filters,
    place: Place,
    bounds: Bounds,
) -> Result<Found, sqlx::Error> {
    let question = Question::new(db.backend(), viewer, filters);
    let (count, plain) = question.count(db, bounds.counted + 1).await?;
    let total = count.min(bounds.counted);
    let more = count > total;
    let left = if more { u64::MAX } else { total.saturating_sub(place.offset) };
    let mut rows = if left == 0 {
        Vec::new()
    } else if more || filters.words.is_none() {
        let window = (plain == count).then_some(bounds.window);
        popular::rows(db, &question, place, left, window).await?
    } else {
        question.relevant(db, place).await?
    };
    let is_followed = rows.len() > place.limit as usize;
    rows.truncate(place.limit as usize);
    let items = rows.into_iter().map(listings::Row::into_summary).collect::<Result<_, _>>()?;
    Ok(Found { items, total, more, is_followed })
}

/// Makes an adapter, which has a listing, findable by these words and no others.
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

/// Makes an adapter unfindable, whose listing is still there.
pub(super) async fn forget(tx: &mut WriteTx, adapter: &str) -> Result<(), sqlx::Error> {
    let sql = match tx.backend() {
        Backend::Sqlite => sqlite::FORGET,
        Backend::Postgres => postgres::FORGET,
    };
    sqlx::query(sql).bind(adapter).execute(tx.connection()).await?;
    Ok(())
}

/// Makes an adapter findable by its name, as servers did before listings said where their words are.
#[cfg(test)]
pub(super) async fn index_as_before(tx: &mut WriteTx, adapter: &str, name: &str) {
    let sql = match tx.backend() {
        Backend::Sqlite => "INSERT INTO listing_words (adapter_id, name, task, body) VALUES ($1, $2, '', '')",
        Backend::Postgres => {
            "INSERT INTO listing_words (adapter_id, document)
             VALUES ($1, setweight(to_tsvector('simple', $2), 'A'))"
        }
    };
    sqlx::query(sql).bind(adapter).bind(name).execute(tx.connection()).await.expect("indexes");
}

#[cfg(test)]
mod tests;
