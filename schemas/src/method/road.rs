//! `RoAd`: pairs of a layer's outputs are rotated and scaled.
//!
//! Liao & Monz, "3-in-1: 2D Rotary Adaptation for Efficient Finetuning, Efficient Batching and Composability" (2024).
//! Field names follow PEFT's `RoadConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `RoAd` adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoadConfig {
    /// How many angles and scales a pair of outputs has.
    pub variant: RoadVariant,
    /// Outputs side by side of which the first half is paired with the second.
    pub group_size: usize,
    /// The linear layers whose output is rotated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
}

/// How many angles and scales a pair of outputs has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum RoadVariant {
    /// One of each.
    #[serde(rename = "road_1")]
    One,
    /// One for each output of the pair.
    #[serde(rename = "road_2")]
    Two,
    /// One for each element of the pair's matrix.
    #[serde(rename = "road_4")]
    Four,
}

impl RoadVariant {
    /// The name in PEFT's configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One => "road_1",
            Self::Two => "road_2",
            Self::Four => "road_4",
        }
    }

    /// Angles of a layer with so many outputs.
    const fn angles(self, outputs: usize) -> usize {
        match self {
            Self::One => outputs / 2,
            Self::Two => outputs,
            Self::Four => outputs * 2,
        }
    }
}

impl MethodSpec for RoadConfig {
    fn kind(&self) -> &'static str {
        "road"
    }

    fn summary(&self) -> String {
        format!("{} {}", self.variant.as_str(), self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        let expected = "a group has an even number of outputs";
        spec::within("group_size", self.group_size, 2.., expected)?;
        spec::within("group_size", self.group_size % 2, 0..=0, expected)?;
        spec::targets(&self.targets, shape, Module::is_linear, "RoAd rotates the output of linear layers")?;
        self.targets.iter().try_for_each(|module| {
            spec::divides("group_size", self.group_size, shape.module_dims(module).1, "outputs")
        })
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let angles = self.variant.angles(shape.module_dims(module).1);
            ["road_theta", "road_alpha"].map(|part| Slot::new(Place::Module(module), part, &[angles]))
        };
        self.targets.iter().flat_map(of).collect()
    }
}
