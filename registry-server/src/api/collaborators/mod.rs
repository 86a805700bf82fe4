//! Who has a role for one adapter.

pub(crate) mod grant;
pub(crate) mod list;
pub(crate) mod revoke;
