//! Ranks of single modules.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::backbone::Module;

/// A module with a rank of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RankPattern {
    /// The module.
    #[schema(value_type = String)]
    pub module: Module,
    /// Its rank.
    pub r: usize,
}

impl RankPattern {
    /// The rank at `module`, where patterns stand above `r`.
    pub(super) fn rank(patterns: &[Self], module: Module, r: usize) -> usize {
        patterns.iter().find(|pattern| pattern.module == module).map_or(r, |own| own.r)
    }
}
