//! Where the events of a namespace are sent.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod remove;
