//! Results in the order of pulls, the newest adapter first among equals.
//!
//! A page is looked for among the adapters that are pulled most, which an index has in this
//! order, and among all only where it is not complete there: the order is the same.

use super::{
    Db, Place, conditions, listings,
    statement::{Matching, Question},
    visible_to,
};

/// The results at `place` and the one behind them, of which `left` are there. How many of the most pulled
/// adapters to look at first says `window`, if `listings.words` has the words as the index has them.
pub(super) async fn rows(
    db: &Db,
    question: &Question<'_>,
    place: Place,
    left: u64,
    window: Option<u64>,
) -> Result<Vec<listings::Row>, sqlx::Error> {
    let wanted = left.min(u64::from(place.limit) + 1);
    let Some(window) = window else { return question.among_all(db, place, Matching::Index).await };
    if place.offset.saturating_add(wanted) <= window {
        let rows = question.among(db, place, window).await?;
        if rows.len() as u64 >= wanted {
            return Ok(rows);
        }
    }
    question.among_all(db, place, Matching::IndexAndListing).await
}

/// Counts up to $11. Whether the adapter of a listing may be seen is looked up for one listing after the
/// other: a join of all could be what a planner prefers.
pub(super) const COUNT: &str = concat!(
    "SELECT COUNT(*), COUNT(*) FROM (SELECT 1 FROM listings l
     WHERE (SELECT COUNT(*) FROM adapters a WHERE a.id = l.adapter_id AND ",
    conditions!(),
    ") > 0 AND $8 = '' AND $12 = '' LIMIT $11) found"
);

/// A page of the adapters that `$from` gives from the most pulled one on, and no further than the page is full.
/// The listing of each is looked up for the same reason.
macro_rules! most_pulled_of {
    ($from:literal) => {
        concat!(
            "SELECT ",
            $crate::db::listings::listing_columns!(),
            " FROM (SELECT a.id FROM ",
            $from,
            " (SELECT COUNT(*) FROM listings l WHERE l.adapter_id = a.id AND ($8 = '' OR l.words LIKE $8) AND ",
            $crate::db::search::conditions!(),
            ") > 0 ORDER BY a.pulls DESC, a.id DESC LIMIT $11 OFFSET $12) found
             JOIN adapters a ON a.id = found.id JOIN listings l ON l.adapter_id = found.id
             ORDER BY a.pulls DESC, a.id DESC"
        )
    };
}
pub(super) use most_pulled_of;

/// Of any words, which $13 are: those with words are read from the full-text index.
pub(super) const ALL: &str = concat!(
    "SELECT ",
    listings::listing_columns!(),
    " FROM listings l CROSS JOIN adapters a WHERE a.id = l.adapter_id AND ",
    conditions!(),
    " AND $8 = '' AND $13 = '' ORDER BY a.pulls DESC, a.id DESC LIMIT $11 OFFSET $12"
);
