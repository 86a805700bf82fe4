//! Identity tokens: exchanged by programs, and by people who log in.

pub(crate) mod exchange;
pub(crate) mod issuers;
pub(crate) mod log_in;
pub(crate) mod logins;
