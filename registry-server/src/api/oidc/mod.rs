//! Exchanging identity tokens.

pub(crate) mod exchange;
pub(crate) mod issuers;
