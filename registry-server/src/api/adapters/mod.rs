//! Adapters as a whole.

pub(crate) mod change_visibility;
pub(crate) mod info;
pub(crate) mod pulls;
