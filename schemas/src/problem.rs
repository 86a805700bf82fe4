//! Errors on the wire: RFC 9457 `application/problem+json` with a stable code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of a [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, for programs to match on. Codes are never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemCode {
    /// The request's path, query or body is malformed.
    BadRequest,
    /// The request is well-formed, but a value in it can't be taken.
    InvalidValue,
    /// No token, or one that is unknown, revoked or expired.
    Unauthorized,
    /// The token is valid but may not do this.
    Forbidden,
    /// An administrator took the adapter out of circulation.
    Quarantined,
    /// The adapter has another name now.
    Moved,
    /// It was deleted for good.
    Gone,
    /// The registry takes no changes at the moment.
    ReadOnly,
    /// Nothing there that the caller may see.
    NotFound,
    /// What is there does not allow this.
    Conflict,
    /// The version exists with different content.
    VersionExists,
    /// The upload's next byte is another one.
    OffsetMismatch,
    /// The bytes do not have the stated digest.
    DigestMismatch,
    /// The manifest lists a blob that was not uploaded.
    BlobMissing,
    /// The manifest is malformed or contradicts itself.
    InvalidManifest,
    /// A file does not fit the manifest.
    InvalidFile,
    /// More bytes than are accepted.
    TooLarge,
    /// The namespace holds as much as it may.
    QuotaExceeded,
    /// More requests than are accepted in this time.
    TooManyRequests,
    /// The range lies outside the blob.
    RangeNotSatisfiable,
    /// The method is not allowed on this path.
    MethodNotAllowed,
    /// The server has no room left for the bytes.
    StorageFull,
    /// The server failed; the request may be repeated.
    Internal,
    /// The server is starting, stopping or overloaded.
    Unavailable,
    /// A code of a later server.
    #[serde(other)]
    Unknown,
}

impl ProblemCode {
    /// The code as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::InvalidValue => "invalid-value",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Quarantined => "quarantined",
            Self::Moved => "moved",
            Self::Gone => "gone",
            Self::ReadOnly => "read-only",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::VersionExists => "version-exists",
            Self::OffsetMismatch => "offset-mismatch",
            Self::DigestMismatch => "digest-mismatch",
            Self::BlobMissing => "blob-missing",
            Self::InvalidManifest => "invalid-manifest",
            Self::InvalidFile => "invalid-file",
            Self::TooLarge => "too-large",
            Self::QuotaExceeded => "quota-exceeded",
            Self::TooManyRequests => "too-many-requests",
            Self::RangeNotSatisfiable => "range-not-satisfiable",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::StorageFull => "storage-full",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Moved => 307,
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::Quarantined | Self::QuotaExceeded | Self::ReadOnly => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict | Self::VersionExists => 409,
            Self::Gone => 410,
            Self::TooLarge => 413,
            Self::OffsetMismatch | Self::RangeNotSatisfiable => 416,
            Self::InvalidValue
            | Self::DigestMismatch
            | Self::BlobMissing
            | Self::InvalidManifest
            | Self::InvalidFile => 422,
            Self::TooManyRequests => 429,
            Self::Internal | Self::Unknown => 500,
            Self::Unavailable => 503,
            Self::StorageFull => 507,
        }
    }

    /// A short phrase for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request is malformed",
            Self::InvalidValue => "A value can't be taken",
            Self::Unauthorized => "A valid token is needed",
            Self::Forbidden => "The token does not allow this",
            Self::Quarantined => "The adapter is in quarantine",
            Self::Moved => "The adapter has another name now",
            Self::Gone => "Deleted for good",
            Self::ReadOnly => "The registry takes no changes",
            Self::NotFound => "Not found",
            Self::Conflict => "What is there does not allow this",
            Self::VersionExists => "The version exists with different content",
            Self::OffsetMismatch => "The upload continues at another byte",
            Self::DigestMismatch => "The bytes do not have the stated digest",
            Self::BlobMissing => "A file was not uploaded",
            Self::InvalidManifest => "The manifest is invalid",
            Self::InvalidFile => "A file does not fit the manifest",
            Self::TooLarge => "Too large",
            Self::QuotaExceeded => "The namespace is full",
            Self::TooManyRequests => "Too many requests",
            Self::RangeNotSatisfiable => "The range lies outside the file",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::StorageFull => "The registry's storage is full",
            Self::Internal => "The registry failed",
            Self::Unavailable => "The registry is not available",
            Self::Unknown => "Unknown problem",
        }
    }
}

/// An RFC 9457 problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the code says it all.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// A short phrase, the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ProblemCode,
    /// What happened this time, with the values.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Finds this request in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

impl Problem {
    /// A problem with `code` and what happened this time.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            kind: about_blank(),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            hint: None,
            request_id: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
