//! The tables of a database, as it says itself: a table that a later version adds is
//! exported too.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::{Backend, WriteTx};

/// What is made anew or belongs to one place: search words and listings, jobs and
/// reviews, uploads under way, which registry this is, and its changes.
const LEFT_OUT: [&str; 10] = [
    "_sqlx_migrations",
    "listings",
    "jobs",
    "blob_reviews",
    "uploads",
    "upload_parts",
    "identity",
    "pull_journals",
    "changes",
    "last_change",
];

/// How a column is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Real,
}

/// A table, its columns in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
}

const SQLITE_COLUMNS: &str = "SELECT m.name, c.name, c.type FROM sqlite_master m
    JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'";
const SQLITE_REFERENCES: &str = "SELECT m.name, f.\"table\" FROM sqlite_master m
    JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'";
const POSTGRES_COLUMNS: &str = "SELECT table_name::text, column_name::text, data_type::text
    FROM information_schema.columns WHERE table_schema = current_schema() AND table_name IN
        (SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE')";
const POSTGRES_REFERENCES: &str = "SELECT a.relname::text, b.relname::text FROM pg_constraint c
    JOIN pg_class a ON a.oid = c.conrelid JOIN pg_class b ON b.oid = c.confrelid
    WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace";

/// Every table to export, each after those it refers to.
pub(super) async fn tables(tx: &mut WriteTx) -> Result<Vec<Table>, sqlx::Error> {
    let (columns, references) = match tx.backend() {
        Backend::Sqlite => (SQLITE_COLUMNS, SQLITE_REFERENCES),
        Backend::Postgres => (POSTGRES_COLUMNS, POSTGRES_REFERENCES),
    };
    let rows: Vec<(String, String, String)> = sqlx::query_as(columns).fetch_all(tx.connection()).await?;
    let references: Vec<(String, String)> = sqlx::query_as(references).fetch_all(tx.connection()).await?;
    let mut found: BTreeMap<String, Vec<(String, Kind)>> = BTreeMap::new();
    for (table, column, kind) in rows {
        if LEFT_OUT.contains(&table.as_str()) || table.starts_with("listing_words") {
            continue;
        }
        let kind = match kind.to_lowercase().as_str() {
            "bigint" | "integer" => Kind::Integer,
            "double precision" => Kind::Real,
            _ => Kind::Text,
        };
        found.entry(table).or_default().push((column, kind));
    }
    for columns in found.values_mut() {
        columns.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Ok(ordered(found, &references))
}

fn ordered(mut left: BTreeMap<String, Vec<(String, Kind)>>, references: &[(String, String)]) -> Vec<Table> {
    let mut done = Vec::new();
    while !left.is_empty() {
        let waiting: BTreeSet<&str> = references
            .iter()
            .filter(|(from, to)| from != to && left.contains_key(to))
            .map(|(from, _)| from.as_str())
            .collect();
        let mut ready: Vec<String> =
            left.keys().filter(|name| !waiting.contains(name.as_str())).cloned().collect();
        if ready.is_empty() {
            // Tables that refer to each other in a circle: the database has the last word.
            ready = left.keys().cloned().collect();
        }
        for name in ready {
            if let Some(columns) = left.remove(&name) {
                done.push(Table { name, columns });
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_after_those_it_refers_to() {
        let left = ["a", "b", "c"].map(|name| (name.to_owned(), Vec::new())).into();
        let references = [("a", "c"), ("c", "b"), ("b", "b")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let names: Vec<String> = ordered(left, &references).into_iter().map(|table| table.name).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }
}
