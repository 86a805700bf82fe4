//! What choosing a version needs.

pub(crate) mod read;
