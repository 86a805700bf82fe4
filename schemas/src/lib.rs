#![doc = include_str!("../README.md")]

pub mod api;
pub mod backbone;
pub mod canonical;
pub mod digest;
pub mod head;
pub mod json_schema;
pub mod label;
pub mod layout;
pub mod manifest;
pub mod method;
pub mod name;
mod nearest;
mod parsed;
pub mod path;
pub mod pattern;
pub mod problem;
pub mod reference;
pub mod token;
pub mod version;
mod whole;

pub use digest::{Digest, DigestHasher};
pub use manifest::Manifest;
pub use name::{AdapterId, AdapterName, Namespace, TeamName};
pub use nearest::nearest;
pub use path::FilePath;
pub use reference::Reference;
pub use version::{Version, VersionReq};
