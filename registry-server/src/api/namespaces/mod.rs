//! Namespaces: those of users and of organisations.

pub(crate) mod create;
pub(crate) mod info;
