//! For whoever runs the server.

pub(crate) mod live;
pub(crate) mod metrics;
pub(crate) mod ready;
pub(crate) mod startup;
