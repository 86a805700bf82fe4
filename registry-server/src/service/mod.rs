//! What takes both the database and the storage, in the order that keeps them in step.

pub(crate) mod identity;
pub(crate) mod inspect;
pub(crate) mod publish;
mod pulls;
pub(crate) mod upload;

pub(crate) use pulls::PullCounter;

#[cfg(test)]
mod tests;
