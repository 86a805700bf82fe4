//! How a repository of a Hugging Face hub becomes a version of this registry.
//!
//! - **Name.** A repository has capitals and dots in its name, an adapter has not: it is called in lower case,
//!   with dashes for dots ([`RepositoryId::adapter_name`]).
//! - **Number.** A commit has the number of its date in UTC, `2026.1126.140501` for 14:05:01 on 26 November
//!   2026 ([`version_of`]): the same in every registry, and later ones are higher. Only the branch `main` is
//!   looked at, and what a commit was taken as stays when the next one comes.
//! - **Files.** What an adapter is made of, at the top of the repository ([`choose`]): configuration, safetensors,
//!   card and licence. Checkpoints of its training, tokenizers and pickles are left there.
//! - **Licence, task, languages** are what the card states ([`card`]). A licence that is in SPDX's list has its
//!   spelling there, any other is `LicenseRef-…`, and none is `NOASSERTION`.

pub mod card;
mod choice;
mod repository;

pub use choice::{Content, RepositoryFile, Unfit, choose, choose_base};
pub use repository::{Commit, RepositoryError, RepositoryId, version_of};
