//! All SQL, one file per table.
//!
//! Every statement is one text that SQLite and PostgreSQL both execute; only
//! full-text search (`search/`) has two. Mutations run in a [`WriteTx`] and take
//! the permit that allows them.

pub(crate) mod adapters;
pub(crate) mod audit;
pub(crate) mod blobs;
pub(crate) mod changes;
pub(crate) mod clock;
pub(crate) mod collaborators;
pub(crate) mod followed;
pub(crate) mod former_names;
pub(crate) mod identities;
pub(crate) mod identity;
pub(crate) mod jobs;
pub(crate) mod listings;
pub(crate) mod members;
pub(crate) mod mirrored;
pub(crate) mod mirrored_bases;
pub(crate) mod namespaces;
pub(crate) mod passwords;
mod pool;
pub(crate) mod publishers;
pub(crate) mod pulls;
pub(crate) mod quotas;
pub(crate) mod reserved;
pub(crate) mod retention;
pub(crate) mod reviews;
pub(crate) mod roles;
pub(crate) mod search;
pub(crate) mod team_collaborators;
pub(crate) mod teams;
pub(crate) mod tokens;
pub(crate) mod tombstones;
pub(crate) mod uploads;
pub(crate) mod users;
pub(crate) mod versions;
pub(crate) mod webhooks;

use hub_schemas::name::AdapterId;

pub use pool::OpenError;
pub(crate) use pool::{Backend, Db, Schema, WriteTx, applied};

/// A new identifier: sorts by the time it was made.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Stored text that no longer parses: the database was changed by hand or is damaged.
pub(crate) fn parse<T: std::str::FromStr>(column: &str, text: &str) -> Result<T, sqlx::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .map_err(|e: T::Err| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(e) })
}

/// The name that a row of `adapters` states.
pub(crate) fn adapter_id(namespace: &str, name: &str) -> Result<AdapterId, sqlx::Error> {
    Ok(AdapterId { namespace: parse("adapters.namespace", namespace)?, name: parse("adapters.name", name)? })
}

#[cfg(test)]
mod released_tests;
