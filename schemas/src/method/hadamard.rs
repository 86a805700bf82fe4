//! The Hadamard adapter: one weight and one bias per channel of every self-attention.
//!
//! Chen et al., "Hadamard Adapter: An Extreme Parameter-Efficient Adapter Tuning Method
//! for Pre-trained Language Models" (CIKM 2023): `A′ = w ⊙ A + b`, `w = 1` and `b = 0` at
//! the start, `A` the output of self-attention, and with it the norm that follows. It is
//! trained in two stages: the head first, on the frozen backbone, then `w`, `b` and the
//! norms under the frozen head. The text leaves open whether `A` is taken before or after
//! the output projection; here that is [`HadamardPosition`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, LinearSite, Module, SubLayer},
    layout::{Place, Slot},
};

/// Configuration of a Hadamard adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HadamardConfig {
    /// What is multiplied and shifted.
    pub position: HadamardPosition,
    /// The norms of each adapted layer that are trained with it.
    #[serde(default)]
    pub norms: Vec<SubLayer>,
    /// The adapted layers; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<usize>>,
}

/// Where a Hadamard adapter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HadamardPosition {
    /// The concatenated heads, before the output projection.
    Context,
    /// The output projection's result, before residual and norm.
    AttentionOutput,
}

impl HadamardConfig {
    /// As in the paper's parameter count: vectors and one norm in every layer.
    pub fn standard() -> Self {
        Self { position: HadamardPosition::AttentionOutput, norms: vec![SubLayer::Attention], layers: None }
    }

    /// The adapted layers of a backbone of this shape.
    fn adapted(&self, shape: &BackboneShape) -> impl Iterator<Item = usize> {
        let is_at = |layer: &usize| self.layers.as_ref().is_none_or(|layers| layers.contains(layer));
        (0..shape.num_layers).filter(is_at)
    }

    /// The output projections behind or before which the vectors stand.
    pub fn modules(&self, shape: &BackboneShape) -> Vec<Module> {
        let module = |layer| Module::Linear { layer, site: LinearSite::AttentionOutput };
        self.adapted(shape).map(module).collect()
    }

    /// The norms of which there are trained copies.
    pub fn norm_modules(&self, shape: &BackboneShape) -> Vec<Module> {
        let norms = |layer| self.norms.iter().map(move |&sublayer| Module::Norm { layer, sublayer });
        self.adapted(shape).flat_map(norms).collect()
    }
}

impl MethodSpec for HadamardConfig {
    fn kind(&self) -> &'static str {
        "hadamard"
    }

    fn summary(&self) -> String {
        let norms: Vec<&str> = self.norms.iter().map(|norm| norm.as_str()).collect();
        let position = match self.position {
            HadamardPosition::Context => "context",
            HadamardPosition::AttentionOutput => "attention output",
        };
        match norms.as_slice() {
            [] => format!("hadamard {position}"),
            _ => format!("hadamard {position} + {} norm", norms.join(" and ")),
        }
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        let twice = self.norms.iter().enumerate().find(|(i, norm)| self.norms[..*i].contains(norm));
        if let Some((_, norm)) = twice {
            let expected = "each norm may stand there once".to_owned();
            let found = format!("`{}` twice", norm.as_str());
            return Err(MethodError::Field { field: "norms", found, expected });
        }
        if self.layers.as_ref().is_some_and(Vec::is_empty) {
            let expected = "it must name at least one layer".to_owned();
            return Err(MethodError::Field { field: "layers", found: "empty".to_owned(), expected });
        }
        spec::layers("layers", self.layers.iter().flatten(), shape)
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let h = [shape.hidden_size];
        let pair = |module: Module, part: &str| {
            ["weight", "bias"].map(|end| Slot::new(Place::Module(module), &format!("{part}.{end}"), &h))
        };
        let own = self.modules(shape).into_iter().flat_map(|module| pair(module, "hadamard"));
        let norms = self.norm_modules(shape).into_iter().flat_map(|module| pair(module, "replaced"));
        own.chain(norms).collect()
    }
}
