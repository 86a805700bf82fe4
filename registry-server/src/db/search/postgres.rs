//! PostgreSQL: a weighted tsvector with `ts_rank`. The `simple` configuration
//! takes words as they are; they were split before.

use super::{conditions, listings, visible_to};

pub(super) const COUNT: &str = concat!(
    "SELECT COUNT(*) FROM listing_words w JOIN listings l ON l.adapter_id = w.adapter_id
     JOIN adapters a ON a.id = l.adapter_id WHERE w.document @@ to_tsquery('simple', $8) AND ",
    conditions!()
);

pub(super) const PAGE: &str = concat!(
    "SELECT ",
    listings::listing_columns!(),
    " FROM listing_words w JOIN listings l ON l.adapter_id = w.adapter_id
     JOIN adapters a ON a.id = l.adapter_id WHERE w.document @@ to_tsquery('simple', $8) AND ",
    conditions!(),
    " ORDER BY ts_rank('{0, 0.125, 0.5, 1}', w.document, to_tsquery('simple', $8)) DESC, a.pulls DESC,
     l.published_at DESC, a.namespace, a.name LIMIT $11 OFFSET $12"
);

pub(super) const INDEX: &str = "INSERT INTO listing_words (adapter_id, document) VALUES ($1,
    setweight(to_tsvector('simple', $2), 'A') || setweight(to_tsvector('simple', $3), 'B')
    || setweight(to_tsvector('simple', $4), 'C'))";

/// Every word must occur, as the beginning of a word. No word at all matches nothing.
pub(super) fn query(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}':*")).collect::<Vec<_>>().join(" & ")
}
