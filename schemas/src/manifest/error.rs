//! Why a manifest was refused.

use crate::{
    backbone::ShapeError,
    canonical::CanonicalError,
    head::HeadError,
    manifest::{ArtifactKind, MANIFEST_MAJOR},
    method::MethodError,
};

/// Why a manifest was refused. Every variant names the field and the value.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// More than a mebibyte.
    #[error("the manifest has {bytes} bytes; at most 1048576 are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not JSON, or not in canonical form.
    #[error("the manifest is {0}")]
    Canonical(#[from] CanonicalError),
    /// `manifest_version` is missing or malformed.
    #[error("the manifest has no `manifest_version` of the form \"1.0\"")]
    NoVersion,
    /// Written by a later, incompatible version.
    #[error(
        "the manifest has format version {found}; this version reads {MANIFEST_MAJOR}.x: update hub to use this adapter"
    )]
    UnknownMajor {
        /// The version it states.
        found: String,
    },
    /// The manifest of another kind of artifact than was asked for.
    #[error("it is the manifest of {}", found.described())]
    OtherKind {
        /// What it is.
        found: ArtifactKind,
    },
    /// A field is missing or malformed.
    #[error("the manifest's field `{field}` is wrong: {reason}")]
    Field {
        /// Path of the field.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// The base model's dimensions can't be.
    #[error("the manifest's base model is wrong: {0}")]
    Base(#[from] ShapeError),
    /// The method's configuration can't be.
    #[error("the manifest's method is wrong: {0}")]
    Method(#[from] MethodError),
    /// The head's configuration can't be.
    #[error("the manifest's head is wrong: {0}")]
    Head(#[from] HeadError),
    /// Two fields contradict each other.
    #[error("the manifest contradicts itself: {0}")]
    Contradiction(String),
}
