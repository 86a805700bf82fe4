//! Uploading blobs before a version is published.

use serde::{Deserialize, Serialize};
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
}
