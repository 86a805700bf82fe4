//! From a bare word to an adapter.

pub(crate) mod run;
