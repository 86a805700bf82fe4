//! A composition as an artifact: an expression over other adapters, named by digest.
//!
//! The artifact holds no member's weights, so a member that many compositions use is
//! stored and fetched once. What it may hold is the attention that a `Fuse` was trained
//! with (Pfeiffer et al., "`AdapterFusion`", 2021), and a head.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FusionConfig, MethodError, MethodSpec};
use crate::{
    backbone::{BackboneShape, SubLayer},
    digest::Digest,
    layout::Slot,
};

/// Longest expression, in bytes.
const MAX_EXPRESSION: usize = 2_000;
/// Most members.
const MAX_MEMBERS: usize = 64;
/// Longest name of a member or of a fusion, in bytes.
const MAX_NAME: usize = 1_000;

/// How other adapters work together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompositionConfig {
    /// The blocks of `adapters` over the members' names: `Stack(lang, Fuse(a, b))`.
    pub expression: String,
    /// Which adapters the names mean.
    pub members: Vec<CompositionMember>,
    /// The trained attention of the expression's `Fuse`, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<ComposedFusion>,
}

/// An adapter that a composition needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CompositionMember {
    /// What the expression calls it.
    pub name: String,
    /// Digest of its weights and configuration: the same before and after it is published
    /// under a name (`Digest::of_content`).
    pub digest: Digest,
}

/// A fusion that a composition brings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComposedFusion {
    /// Its name inside tensor names: by default those of its members, with commas.
    pub name: String,
    /// The sub-layers of every block that it stands at.
    pub sublayers: Vec<SubLayer>,
    /// What it computes.
    pub config: FusionConfig,
}

impl CompositionConfig {
    /// The digest of the member with this name.
    pub fn member(&self, name: &str) -> Option<&Digest> {
        self.members.iter().find(|member| member.name == name).map(|member| &member.digest)
    }
}

impl ComposedFusion {
    /// Where it stands in a backbone of this shape.
    pub fn places(&self, shape: &BackboneShape) -> Vec<(usize, SubLayer)> {
        let own = |layer| shape.sublayers(layer).iter().filter(|s| self.sublayers.contains(s));
        (0..shape.num_layers).flat_map(|layer| own(layer).map(move |&s| (layer, s))).collect()
    }
}

impl MethodSpec for CompositionConfig {
    fn kind(&self) -> &'static str {
        "composition"
    }

    fn summary(&self) -> String {
        self.expression.clone()
    }

    fn validate(&self, _shape: &BackboneShape) -> Result<(), MethodError> {
        let refuse = |field: &'static str, found: String, expected: &str| {
            Err(MethodError::Field { field, found, expected: expected.to_owned() })
        };
        let is_text = |text: &str, max: usize| {
            !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
        };
        if !is_text(&self.expression, MAX_EXPRESSION) {
            let found = format!("{} bytes", self.expression.len());
            return refuse("expression", found, "it must be 1 to 2000 bytes on one line");
        }
        if self.members.is_empty() || self.members.len() > MAX_MEMBERS {
            return refuse("members", self.members.len().to_string(), "there must be 1 to 64");
        }
        let mut seen = HashSet::new();
        if let Some(member) =
            self.members.iter().find(|m| !is_text(&m.name, MAX_NAME) || !seen.insert(&m.name))
        {
            let found = member.name.escape_debug().to_string();
            return refuse("members", found, "every member needs a name of its own, on one line");
        }
        match &self.fusion {
            Some(fusion) if !is_text(&fusion.name, MAX_NAME) || fusion.name.contains('.') => {
                let found = fusion.name.escape_debug().to_string();
                refuse("fusion.name", found, "it must be a name without a dot")
            }
            Some(fusion) if fusion.sublayers.is_empty() || fusion.sublayers.len() > SubLayer::ALL.len() => {
                let found = format!("{} sub-layers", fusion.sublayers.len());
                refuse(
                    "fusion.sublayers",
                    found,
                    "they must be some of `attention`, `cross_attention` and `ffn`",
                )
            }
            _ => Ok(()),
        }
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let slots = |fusion: &ComposedFusion| fusion.config.slots(&fusion.places(shape), shape);
        self.fusion.as_ref().map(slots).unwrap_or_default()
    }
}
