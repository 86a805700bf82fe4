//! What changed, in order.

pub(crate) mod list;
