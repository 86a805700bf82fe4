//! How often an adapter was pulled.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{name::AdapterId, version::Version};

/// Days of a pull history unless asked otherwise.
pub const DEFAULT_PULL_DAYS: u32 = 30;
/// Most days of a pull history.
pub const MAX_PULL_DAYS: u32 = 366;

/// Query of a pull history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PullQuery {
    /// How many days, today included, at most 366.
    #[param(minimum = 1, maximum = 366)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// How often each version was pulled on each day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PullHistory {
    /// The adapter.
    pub name: AdapterId,
    /// The newest day first; days and versions without a pull are left out.
    pub days: Vec<PullDay>,
}

/// The pulls of one version on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PullDay {
    /// The day in UTC, as `2026-11-25`.
    pub day: String,
    /// The version.
    pub version: Version,
    /// How often.
    pub pulls: u64,
}
