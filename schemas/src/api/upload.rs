//! Uploading blobs before a version is published.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{digest::Digest, manifest::ArtifactKind, whole};

/// Announces a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartUpload {
    /// Its content.
    pub digest: Digest,
    /// Its size in bytes.
    #[serde(deserialize_with = "whole::number")]
    pub size: u64,
    /// What it will be part of: base models may have larger files.
    #[serde(default, skip_serializing_if = "ArtifactKind::is_adapter")]
    pub kind: ArtifactKind,
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadStatus {
    /// Names the upload in later requests.
    pub id: String,
    /// What is uploaded.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How many bytes the registry has; the next one to send has this index.
    pub received: u64,
    /// The blob is complete and verified.
    pub complete: bool,
    /// Its bytes can be sent to the registry's store itself, part by part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
}

/// Asks where the next part of a direct upload goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadPart {
    /// Its first byte in the file: `received` of the upload.
    #[serde(deserialize_with = "whole::number")]
    pub start: u64,
    /// How many bytes it has: from 5 MiB to 64 MiB, or all that are left.
    #[serde(deserialize_with = "whole::number")]
    pub size: u64,
}

/// Where a part goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartAddress {
    /// For a `PUT` of these bytes, without a token. The answer's `etag` names the part.
    pub url: String,
    /// Until then.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// A part that the store has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SentPart {
    /// Its first byte in the file.
    #[serde(deserialize_with = "whole::number")]
    pub start: u64,
    /// How many bytes it has.
    #[serde(deserialize_with = "whole::number")]
    pub size: u64,
    /// What the store called it: the `etag` of its answer, as it is.
    pub etag: String,
}
