//! Who is asking.

pub(crate) mod whoami;
