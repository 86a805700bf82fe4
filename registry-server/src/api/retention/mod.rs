//! Which versions of a namespace are deleted by rule.

pub(crate) mod preview;
pub(crate) mod read;
pub(crate) mod set;
