//! `LoKr`: `ΔW = alpha / r · W₁ ⊗ W₂`, each factor whole or a product of rank `r`.
//!
//! Edalati et al., "`KronA`" (2022), in the form of Yeh et al., "Navigating
//! Text-to-Image Customization" (2024). Field names and the rule that chooses the
//! factors' shapes follow PEFT's `LoKrConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LoraPattern, MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a `LoKr` adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LokrConfig {
    /// Rank of a factor that is a product.
    pub r: usize,
    /// Numerator of the scaling.
    pub alpha: f64,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// The small factor may be a product too.
    #[serde(default)]
    pub decompose_both: bool,
    /// Size of the small factor; the divisor nearest to the square root when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decompose_factor: Option<usize>,
    /// Layers with a rank or an alpha of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<LoraPattern>,
}

/// One factor of the Kronecker product, `[rows, columns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KroneckerFactor {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Its rank, where it is a product.
    pub rank: Option<usize>,
}

impl LokrConfig {
    /// Rank and factor `alpha / r` at `module`.
    pub fn rank_and_scaling(&self, module: Module) -> (usize, f64) {
        spec::rank_and_scaling(&self.patterns, module, self.r, self.alpha)
    }

    /// `W₁` and `W₂` of a layer `[outputs, inputs]` with rank `r`.
    pub fn factors(&self, inputs: usize, outputs: usize, r: usize) -> [KroneckerFactor; 2] {
        let ((m, n), (l, k)) = (self.split(inputs), self.split(outputs));
        let product = |larger: usize| (2 * r < larger).then_some(r);
        let small = if self.decompose_both { product(l.max(m)) } else { None };
        [
            KroneckerFactor { rows: l, columns: m, rank: small },
            KroneckerFactor { rows: k, columns: n, rank: product(k.max(n)) },
        ]
    }

    /// Two numbers, the smaller first, with `dimension` as their product.
    fn split(&self, dimension: usize) -> (usize, usize) {
        match self.decompose_factor {
            Some(factor) if factor > 0 && dimension.is_multiple_of(factor) => (factor, dimension / factor),
            limit => near_root(dimension, limit.unwrap_or(dimension)),
        }
    }
}

/// The divisors of `dimension` that are nearest to each other, the smaller at most `limit`.
fn near_root(dimension: usize, limit: usize) -> (usize, usize) {
    let fits = |m: usize| m <= limit && m * m <= dimension && dimension.is_multiple_of(m);
    let smaller = (1..=dimension.isqrt()).rev().find(|&m| fits(m)).unwrap_or(1);
    (smaller, dimension / smaller)
}

impl MethodSpec for LokrConfig {
    fn kind(&self) -> &'static str {
        "lokr"
    }

    fn summary(&self) -> String {
        format!("lokr r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::finite("alpha", self.alpha)?;
        spec::targets(&self.targets, shape, Module::is_linear, "LoKr updates linear layers")?;
        spec::patterns(&self.patterns, &self.targets)
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let mut slots = Vec::new();
        for module in self.targets.iter() {
            let ((inputs, outputs), (r, _)) = (shape.module_dims(module), self.rank_and_scaling(module));
            for (name, factor) in ["lokr_w1", "lokr_w2"].into_iter().zip(self.factors(inputs, outputs, r)) {
                let mut push = |part: &str, dims: [usize; 2]| {
                    slots.push(Slot::new(Place::Module(module), part, &dims));
                };
                match factor.rank {
                    None => push(name, [factor.rows, factor.columns]),
                    Some(r) => {
                        push(&format!("{name}_a"), [factor.rows, r]);
                        push(&format!("{name}_b"), [r, factor.columns]);
                    }
                }
            }
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(decompose_factor: Option<usize>) -> LokrConfig {
        LokrConfig {
            r: 2,
            alpha: 1.0,
            targets: Targets::default(),
            decompose_both: false,
            decompose_factor,
            patterns: Vec::new(),
        }
    }

    #[test]
    fn a_dimension_is_split_as_peft_documents() {
        for (dimension, factor, expected) in
            [(256, None, (16, 16)), (128, None, (8, 16)), (127, None, (1, 127)), (128, Some(4), (4, 32))]
        {
            assert_eq!(config(factor).split(dimension), expected, "{dimension} by {factor:?}");
        }
    }

    #[test]
    fn a_factor_that_does_not_divide_is_a_bound() {
        assert_eq!(config(Some(5)).split(384), (4, 96));
    }
}
