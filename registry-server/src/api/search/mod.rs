//! Finding adapters.

pub(crate) mod run;
