//! What was changed, by whom.

pub(crate) mod list;
