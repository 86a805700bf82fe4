//! Versions in one file, for sites without a network: exported from one cache, carried, and
//! imported into another.
//!
//! A bundle is a plain tar archive (POSIX ustar with GNU's large sizes) of regular files in this
//! order, without times and owners, so that the same versions give the same bytes:
//!
//! ```text
//! bundle.json            which versions, dependencies and base models first
//! manifests/<hex>.json   their manifests, by digest
//! blobs/<hex>            their files, by digest, each once
//! ```
//!
//! Everything is named by its digest, so an import needs to trust nothing but the digests that
//! `bundle.json` lists: these are what export and import print. An archive with anything else in
//! it (links, other paths, repeated members, other sizes) is refused as a whole.

mod error;
mod format;
mod read;
mod write;

pub use error::BundleError;
pub use format::{BUNDLE_VERSION, BundleIndex, BundledVersion};
pub use read::{Imported, import_bundle};
pub use write::write_bundle;
