//! Files, by their digest.

pub(crate) mod read;
