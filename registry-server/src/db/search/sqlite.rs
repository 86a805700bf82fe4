//! SQLite: FTS5 with bm25; a word in the name counts eight times one in the body.

use super::{conditions, listings, visible_to};

pub(super) const COUNT: &str = concat!(
    "SELECT COUNT(*) FROM listing_words w JOIN listings l ON l.adapter_id = w.adapter_id
     JOIN adapters a ON a.id = l.adapter_id WHERE listing_words MATCH $8 AND ",
    conditions!()
);

pub(super) const PAGE: &str = concat!(
    "SELECT ",
    listings::listing_columns!(),
    " FROM listing_words w JOIN listings l ON l.adapter_id = w.adapter_id
     JOIN adapters a ON a.id = l.adapter_id WHERE listing_words MATCH $8 AND ",
    conditions!(),
    " ORDER BY bm25(listing_words, 0.0, 8.0, 4.0, 1.0), a.pulls DESC, l.published_at DESC, a.namespace, a.name
     LIMIT $11 OFFSET $12"
);

pub(super) const INDEX: &str =
    "INSERT INTO listing_words (adapter_id, name, task, body) VALUES ($1, $2, $3, $4)";

/// Every word must occur, as the beginning of a word. No word at all matches nothing.
pub(super) fn query(words: &[String]) -> String {
    if words.is_empty() {
        return "\"\"".to_owned();
    }
    words.iter().map(|word| format!("\"{word}\"*")).collect::<Vec<_>>().join(" AND ")
}
