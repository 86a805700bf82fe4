//! Authorisation as values.
//!
//! A mutation demands a [`Permit`], and only [`may`] makes one: a pure rule about who
//! asks ([`Actor`], made from a valid token), what for (a [`Verb`]), and what they are
//! there (a [`Resource`], which only the database's look at roles makes).
//! `docs/permissions.md` says for every route whom it lets in.

mod action;
mod actor;
mod may;
mod resource;
#[cfg(test)]
mod tests;

pub use action::{
    Action, Administer, ChangeVisibility, CreateOrganisation, Delete, DeleteAdapter, FreeName, Leave,
    ManageAccount, ManageCollaborators, ManageMembers, ManagePublishers, Move, Publish, Receive, SeeMembers,
    Verb, Yank,
};
pub use actor::{Actor, Caller, Viewer};
pub use may::{Denied, Permit, may};
pub use resource::Resource;
