//! `AdapterFusion`: attention over what several bottlenecks give.
//!
//! Pfeiffer et al., "AdapterFusion: Non-Destructive Task Composition for Transfer
//! Learning" (2021). The fields are those of `AdapterFusionConfig` in `adapters`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    backbone::{BackboneShape, SubLayer},
    layout::{Place, Slot},
};

/// Configuration of a fusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of `AdapterFusionConfig`")]
pub struct FusionConfig {
    /// The keys are projected.
    pub key: bool,
    /// The query is projected.
    pub query: bool,
    /// The values are projected.
    pub value: bool,
    /// The query is the sub-layer's output, before residual and norm.
    pub query_before_ln: bool,
    /// Training pulls the value projection towards the identity.
    pub regularization: bool,
    /// The residual joins every value rather than their sum.
    pub residual_before: bool,
    /// Training starts with a soft choice that hardens.
    pub temperature: bool,
    /// The values are projected before they are mixed.
    pub value_before_softmax: bool,
    /// The value projection starts as the identity.
    pub value_initialized: bool,
    /// Probability of dropping a score in training; the backbone's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout_prob: Option<f64>,
}

impl FusionConfig {
    /// The library's `static` configuration.
    pub const fn fixed() -> Self {
        Self { value: false, regularization: false, value_initialized: false, ..Self::dynamic() }
    }

    /// The library's `dynamic` configuration, its default.
    pub const fn dynamic() -> Self {
        Self {
            key: true,
            query: true,
            value: true,
            query_before_ln: false,
            regularization: true,
            residual_before: false,
            temperature: false,
            value_before_softmax: true,
            value_initialized: true,
            dropout_prob: None,
        }
    }

    /// The tensors at `places`: those of the fused bottlenecks.
    pub fn slots(&self, places: &[(usize, SubLayer)], shape: &BackboneShape) -> Vec<Slot> {
        let h = shape.hidden_size;
        let mut slots = Vec::new();
        for &(layer, sublayer) in places {
            let place = Place::SubLayer { layer, sublayer };
            let mut push = |part: &str, dims: &[usize]| slots.push(Slot::new(place, part, dims));
            for (wanted, name) in [(self.query, "query"), (self.key, "key")] {
                if wanted {
                    push(&format!("fusion.{name}.weight"), &[h, h]);
                    push(&format!("fusion.{name}.bias"), &[h]);
                }
            }
            if self.value {
                push("fusion.value.weight", &[h, h]);
            }
            if !(self.query || self.key || self.value) {
                // The library makes it then, and never uses it.
                push("fusion.dense.weight", &[1, h]);
                push("fusion.dense.bias", &[1]);
            }
        }
        slots
    }
}
