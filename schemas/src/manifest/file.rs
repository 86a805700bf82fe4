//! The files of an adapter version.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{digest::Digest, path::FilePath};

/// Largest single file, in bytes: 8 GiB.
pub const MAX_FILE_BYTES: u64 = 8 << 30;
/// Most files in one version.
pub const MAX_FILES: usize = 64;

/// How much a version may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileLimits {
    /// Most files.
    pub(super) files: usize,
    /// Bytes of the largest.
    pub(super) bytes: u64,
}

/// Those of an adapter.
pub(super) const ADAPTER_LIMITS: FileLimits = FileLimits { files: MAX_FILES, bytes: MAX_FILE_BYTES };

/// One file of an adapter version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEntry {
    /// Where it lies in the adapter's folder.
    pub path: FilePath,
    /// Its size in bytes.
    pub size: u64,
    /// Its content.
    pub digest: Digest,
    /// What it is.
    pub media_type: MediaType,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The kinds of file a version may hold. There is none for pickles: they run code when loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum MediaType {
    /// Weights.
    #[serde(rename = "application/vnd.safetensors")]
    Safetensors,
    /// Configuration.
    #[serde(rename = "application/json")]
    Json,
    /// Model card.
    #[serde(rename = "text/markdown")]
    Markdown,
    /// Training report.
    #[serde(rename = "text/html")]
    Html,
    /// Licence texts, vocabularies.
    #[serde(rename = "text/plain")]
    Text,
    /// Metric tables.
    #[serde(rename = "text/csv")]
    Csv,
    /// Figures of the card.
    #[serde(rename = "image/png")]
    Png,
    /// A quantised base model with its configuration and tokenizer.
    #[serde(rename = "application/vnd.gguf")]
    Gguf,
}

impl MediaType {
    /// The type that a file's extension stands for; `None` where no such file may be published.
    pub fn of(path: &FilePath) -> Option<Self> {
        if path.as_str() == "LICENSE" {
            return Some(Self::Text);
        }
        Some(match path.extension()?.as_str() {
            "safetensors" => Self::Safetensors,
            "json" => Self::Json,
            "md" => Self::Markdown,
            "html" => Self::Html,
            "txt" => Self::Text,
            "csv" => Self::Csv,
            "png" => Self::Png,
            _ => return None,
        })
    }

    /// The IANA-style name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safetensors => "application/vnd.safetensors",
            Self::Json => "application/json",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Text => "text/plain",
            Self::Csv => "text/csv",
            Self::Png => "image/png",
            Self::Gguf => "application/vnd.gguf",
        }
    }
}
