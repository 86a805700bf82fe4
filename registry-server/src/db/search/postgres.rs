//! PostgreSQL: a weighted tsvector with `ts_rank`. The `simple` configuration
//! takes words as they are; they were split before.

use super::{conditions, listings, popular::most_pulled_of, visible_to};

/// What the index finds and the viewer may see.
macro_rules! found {
    () => {
        concat!(
            " FROM listing_words w JOIN listings l ON l.adapter_id = w.adapter_id
             JOIN adapters a ON a.id = l.adapter_id WHERE w.document @@ to_tsquery('simple', $8) AND ",
            conditions!()
        )
    };
}

/// Up to $11, and how many of them have words like $12. The limit inside keeps the planner from
/// joining all listings before the first is counted.
pub(super) const COUNT: &str = concat!(
    "SELECT COUNT(*), COUNT(plain) FROM (
         SELECT CASE WHEN l.words LIKE $12 THEN 1 END AS plain FROM listing_words w CROSS JOIN LATERAL (
             SELECT l.words FROM listings l JOIN adapters a ON a.id = l.adapter_id
             WHERE l.adapter_id = w.adapter_id AND ",
    conditions!(),
    " LIMIT 1) l WHERE w.document @@ to_tsquery('simple', $8) LIMIT $11) found"
);

pub(super) const RELEVANT: &str = concat!(
    "SELECT ",
    listings::listing_columns!(),
    found!(),
    " ORDER BY ts_rank('{0, 0.125, 0.5, 1}', w.document, to_tsquery('simple', $8)) DESC, a.pulls DESC,
     l.published_at DESC, a.namespace, a.name LIMIT $11 OFFSET $12"
);

/// Only those with words like $13, unless it is empty.
pub(super) const POPULAR: &str = concat!(
    "SELECT ",
    listings::listing_columns!(),
    found!(),
    " AND ($13 = '' OR l.words LIKE $13) ORDER BY a.pulls DESC, a.id DESC LIMIT $11 OFFSET $12"
);

/// Looks at $13 adapters.
pub(super) const AMONG_MOST_PULLED: &str =
    most_pulled_of!("(SELECT * FROM adapters ORDER BY pulls DESC, id DESC LIMIT $13) a WHERE");

pub(super) const INDEX: &str = "INSERT INTO listing_words (adapter_id, document) VALUES ($1,
    setweight(to_tsvector('simple', $2), 'A') || setweight(to_tsvector('simple', $3), 'B')
    || setweight(to_tsvector('simple', $4), 'C'))
    ON CONFLICT (adapter_id) DO UPDATE SET document = excluded.document";

pub(super) const FORGET: &str = "DELETE FROM listing_words WHERE adapter_id = $1";

/// Every word must occur, as the beginning of a word. No word at all matches nothing.
pub(super) fn query(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}':*")).collect::<Vec<_>>().join(" & ")
}

/// Matches only where `word` is one of the task.
pub(super) fn of_task(query: &str, word: &str) -> String {
    format!("{query} & '{word}':B")
}
