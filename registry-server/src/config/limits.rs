//! How large things may be.

use clap::Args;
use hub_schemas::manifest::MAX_FILE_BYTES;
use serde::{Deserialize, Serialize};

use crate::domain::publish::Limits;

/// An adapter is some megabytes; this leaves room for heads with large vocabularies.
const DEFAULT_MAX_FILE: u64 = 2 << 30;
const DEFAULT_MAX_VERSION: u64 = 4 << 30;
/// A backbone of some billion parameters in half precision.
const DEFAULT_MAX_BASE: u64 = 64 << 30;

/// The limits of one source.
#[derive(Debug, Clone, Copy, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Bytes of the largest file that is accepted [default: 2 GiB]
    #[arg(long, global = true, env = "HUB_SERVER_MAX_FILE_BYTES", value_name = "BYTES")]
    pub max_file_bytes: Option<u64>,
    /// Bytes of the largest version that is accepted, all files together [default: 4 GiB]
    #[arg(long, global = true, env = "HUB_SERVER_MAX_VERSION_BYTES", value_name = "BYTES")]
    pub max_version_bytes: Option<u64>,
    /// Bytes of the largest base model that is accepted, 0 for none [default: 64 GiB]
    #[arg(long, global = true, env = "HUB_SERVER_MAX_BASE_BYTES", value_name = "BYTES")]
    pub max_base_bytes: Option<u64>,
}

impl LimitSettings {
    /// What `self` says, and where it says nothing, what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            max_file_bytes: self.max_file_bytes.or(other.max_file_bytes),
            max_version_bytes: self.max_version_bytes.or(other.max_version_bytes),
            max_base_bytes: self.max_base_bytes.or(other.max_base_bytes),
        }
    }

    /// With the defaults filled in; the format's own limit can't be raised.
    pub fn resolve(self) -> Limits {
        Limits {
            max_file_bytes: self.max_file_bytes.unwrap_or(DEFAULT_MAX_FILE).min(MAX_FILE_BYTES),
            max_version_bytes: self.max_version_bytes.unwrap_or(DEFAULT_MAX_VERSION),
            max_base_bytes: self.max_base_bytes.unwrap_or(DEFAULT_MAX_BASE),
        }
    }
}
