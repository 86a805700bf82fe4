//! The rules, pure: no HTTP, no SQL, no files.

pub mod address;
pub mod content;
pub mod cursor;
pub mod deletion;
pub mod huggingface;
pub mod listing;
pub mod mirror;
pub mod names;
pub mod password;
pub mod permissions;
pub mod publish;
pub mod publisher;
pub mod quota;
pub mod range;
pub mod rate;
pub mod resolve;
pub mod retention;
pub mod secret;
pub mod steadiness;
pub mod token;
pub mod webhook;
pub mod weights;
pub mod words;
