//! Adapters as a whole.

pub(crate) mod change_visibility;
pub(crate) mod delete;
pub(crate) mod free_name;
pub(crate) mod info;
pub(crate) mod move_to;
pub(crate) mod pulls;
