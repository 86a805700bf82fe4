//! SQLite: FTS5 with bm25; a word in the name counts eight times one in the body.

use super::{conditions, listings, popular::most_pulled_of, visible_to};

/// What the index finds and the viewer may see. `CROSS JOIN` keeps SQLite to this order.
macro_rules! found {
    () => {
        concat!(
            " FROM listing_words w CROSS JOIN listings l CROSS JOIN adapters a
             WHERE l.document = w.rowid AND a.id = l.adapter_id AND listing_words MATCH $8 AND ",
            conditions!()
        )
    };
}

/// Up to $11, and how many of them have words like $12.
pub(super) const COUNT: &str = concat!(
    "SELECT COUNT(*), COUNT(plain) FROM (SELECT CASE WHEN l.words LIKE $12 THEN 1 END AS plain",
    found!(),
    " LIMIT $11)"
);

pub(super) const RELEVANT: &str = concat!(
    "SELECT ",
    listings::listing_columns!(),
    found!(),
    " ORDER BY bm25(listing_words, 0.0, 8.0, 4.0, 1.0), a.pulls DESC, l.published_at DESC, a.namespace, a.name
     LIMIT $11 OFFSET $12"
);

/// Only those with words like $13, unless it is empty.
pub(super) const POPULAR: &str = concat!(
    "SELECT ",
    listings::listing_columns!(),
    found!(),
    " AND ($13 = '' OR l.words LIKE $13) ORDER BY a.pulls DESC, a.id DESC LIMIT $11 OFFSET $12"
);

/// Looks at $13 adapters, down to the last of them. SQLite would read all of a subquery with a limit.
pub(super) const AMONG_MOST_PULLED: &str = most_pulled_of!(
    "adapters a WHERE (a.pulls, a.id) >= (SELECT pulls, id FROM (
         SELECT pulls, id FROM adapters ORDER BY pulls DESC, id DESC LIMIT $13) ORDER BY pulls, id LIMIT 1) AND"
);

/// The words of a listing are the row that it names: by any other column FTS5 finds a row by reading all.
pub(super) const INDEX: &str = "INSERT OR REPLACE INTO listing_words (rowid, adapter_id, name, task, body)
    SELECT document, adapter_id, $2, $3, $4 FROM listings WHERE adapter_id = $1";

pub(super) const FORGET: &str =
    "DELETE FROM listing_words WHERE rowid = (SELECT document FROM listings WHERE adapter_id = $1)";

/// Every word must occur, as the beginning of a word. No word at all matches nothing.
pub(super) fn query(words: &[String]) -> String {
    if words.is_empty() {
        return "\"\"".to_owned();
    }
    words.iter().map(|word| format!("\"{word}\"*")).collect::<Vec<_>>().join(" AND ")
}

/// Matches only where `word` is one of the task.
pub(super) fn of_task(query: &str, word: &str) -> String {
    format!("{query} AND task : \"{word}\"")
}
