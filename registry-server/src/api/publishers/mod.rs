//! Programs that are trusted with publishing an adapter.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod remove;
