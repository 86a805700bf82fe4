//! Single versions.

pub(crate) mod delete;
pub(crate) mod publish;
pub(crate) mod yank;
