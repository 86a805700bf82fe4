//! Who is asking, and how they log in.

pub(crate) mod change_password;
pub(crate) mod log_in;
pub(crate) mod whoami;
