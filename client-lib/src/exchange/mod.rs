//! Between names and folders: which version a reference means, fetching it into
//! the local store, and finding the backbone an adapter belongs to.
//!
//! This room brings `registry`, `cache` and `checkpoint` together; none of them
//! knows the others.

mod bases;
mod error;
mod folder_digests;
mod pull;
mod resolve;

pub use bases::{BaseSearch, FoundBase, PulledBase, is_backbone, looks_like_path};
pub use error::{BaseError, PullError, ResolveError};
pub use folder_digests::FolderDigests;
pub use pull::{Pulled, pull};
pub(crate) use pull::{check_fit, sweep_unneeded};
pub use resolve::{Choice, How, Resolver};
