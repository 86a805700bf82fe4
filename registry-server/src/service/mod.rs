//! What takes both the database and the storage, in the order that keeps them in step.

pub(crate) mod exchange;
pub(crate) mod identity;
pub(crate) mod inspect;
pub(crate) mod login;
pub(crate) mod lookalikes;
pub(crate) mod passwords;
pub(crate) mod publish;
mod pulls;
mod rates;
pub(crate) mod retention;
pub(crate) mod room;
mod steadiness;
pub(crate) mod upload;

pub(crate) use pulls::PullCounter;
pub(crate) use rates::Limiter;
pub(crate) use steadiness::ClockWatch;

#[cfg(test)]
mod tests;
