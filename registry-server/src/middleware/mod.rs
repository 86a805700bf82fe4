//! What happens around every request.

mod log;
mod mirrored;
mod moved;
mod problem;
mod rates;
mod read_only;
mod request_id;

pub(crate) use log::log;
pub(crate) use mirrored::mirrored;
pub(crate) use moved::moved;
pub(crate) use problem::{panicked, problem};
pub(crate) use rates::{UserRate, address, rates};
pub(crate) use read_only::read_only;
pub(crate) use request_id::{RequestId, request_id};
