//! Files on their way in.

pub(crate) mod acknowledge;
pub(crate) mod address;
pub(crate) mod append;
pub(crate) mod cancel;
pub(crate) mod start;
pub(crate) mod status;
