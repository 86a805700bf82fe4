//! Who logs in as a user by the word of an identity provider.

pub(crate) mod link;
pub(crate) mod list;
pub(crate) mod unlink;
