//! `hub` as a specification: the real program against a real registry.

#![allow(clippy::expect_used, reason = "a test that can't set itself up must fail")]

#[path = "cli/account.rs"]
mod account;
#[path = "cli/bases.rs"]
mod bases;
#[path = "cli/broken.rs"]
mod broken;
#[path = "cli/bundle.rs"]
mod bundle;
#[path = "cli/classes.rs"]
mod classes;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/find.rs"]
mod find;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/merging.rs"]
mod merging;
#[path = "cli/network.rs"]
mod network;
#[path = "cli/pull.rs"]
mod pull;
#[path = "cli/push.rs"]
mod push;
#[path = "cli/rename.rs"]
mod rename;
#[path = "cli/team.rs"]
mod team;
