//! Single versions.

pub(crate) mod publish;
pub(crate) mod yank;
