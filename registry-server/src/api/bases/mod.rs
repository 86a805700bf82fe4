//! Base models.

pub(crate) mod find;
