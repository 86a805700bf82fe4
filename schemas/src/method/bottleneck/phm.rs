//! Parameterised hypercomplex multiplication: what Compacter puts in place of the
//! two projections.
//!
//! Mahabadi et al., "Compacter: Efficient Low-Rank Hypercomplex Adapter Layers"
//! (2021): `y = x · Σᵢ Aᵢ ⊗ Wᵢ + b`, `Aᵢ [n, n]` the rule, `Wᵢ [in / n, out / n]`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::layout::{Place, Slot};

/// How the two projections are composed. Field names are those of `BnConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of `BnConfig`, as `adapters` writes them")]
pub struct PhmConfig {
    /// `n`: number of summands, and sides of the rule.
    pub phm_dim: usize,
    /// `k`: rank of each `Wᵢ = Lᵢ Rᵢ`.
    pub phm_rank: usize,
    /// There is a bias.
    pub phm_bias: bool,
    /// `W` is a product of two factors.
    #[serde(rename = "factorized_phm_W")]
    pub factorized_w: bool,
    /// All layers share one `W`.
    #[serde(rename = "shared_W_phm")]
    pub shared_w: bool,
    /// All layers share one rule.
    pub shared_phm_rule: bool,
    /// The rule is a product of two factors.
    pub factorized_phm_rule: bool,
    /// The rule is trained.
    pub learn_phm: bool,
    /// How a fresh rule is drawn.
    pub phm_c_init: PhmInit,
    /// Width of the distribution of a fresh shared rule.
    pub phm_init_range: f64,
}

/// How a fresh rule is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhmInit {
    /// From a normal distribution.
    Normal,
    /// From a uniform one.
    Uniform,
}

impl Default for PhmConfig {
    fn default() -> Self {
        Self {
            phm_dim: 4,
            phm_rank: 1,
            phm_bias: true,
            factorized_w: true,
            shared_w: false,
            shared_phm_rule: true,
            factorized_phm_rule: false,
            learn_phm: true,
            phm_c_init: PhmInit::Normal,
            phm_init_range: 0.0001,
        }
    }
}

impl PhmConfig {
    /// The tensors that all layers share: the rule, and `W` of both projections.
    pub(super) fn shared_slots(&self, hidden: usize, bottleneck: usize) -> Vec<Slot> {
        let mut slots = Vec::new();
        if self.shared_w {
            slots.extend(self.weights(Place::Shared, "phm_down", hidden, bottleneck));
            slots.extend(self.weights(Place::Shared, "phm_up", bottleneck, hidden));
        }
        if self.shared_phm_rule {
            slots.extend(self.rule(Place::Shared, "phm"));
        }
        slots
    }

    /// The tensors of one projection, named `{part}.…`.
    pub(super) fn slots(&self, place: Place, part: &str, inputs: usize, outputs: usize) -> Vec<Slot> {
        let mut slots = Vec::new();
        if !self.shared_w {
            slots.extend(self.weights(place, part, inputs, outputs));
        }
        if !self.shared_phm_rule {
            slots.extend(self.rule(place, part));
        }
        if self.phm_bias {
            slots.push(Slot::new(place, &format!("{part}.bias"), &[outputs]));
        }
        slots
    }

    fn weights(&self, place: Place, part: &str, inputs: usize, outputs: usize) -> Vec<Slot> {
        let (n, k) = (self.phm_dim, self.phm_rank);
        if self.factorized_w {
            vec![
                Slot::new(place, &format!("{part}.w_left"), &[n, inputs / n, k]),
                Slot::new(place, &format!("{part}.w_right"), &[n, k, outputs / n]),
            ]
        } else {
            vec![Slot::new(place, &format!("{part}.w"), &[n, inputs / n, outputs / n])]
        }
    }

    fn rule(&self, place: Place, part: &str) -> Vec<Slot> {
        let n = self.phm_dim;
        let slots = if self.factorized_phm_rule {
            vec![
                Slot::new(place, &format!("{part}.rule_left"), &[n, n, 1]),
                Slot::new(place, &format!("{part}.rule_right"), &[n, 1, n]),
            ]
        } else {
            vec![Slot::new(place, &format!("{part}.rule"), &[n, n, n])]
        };
        if self.learn_phm { slots } else { slots.into_iter().map(Slot::frozen).collect() }
    }
}
