//! OFT: the input of a linear layer is rotated, block by block: `y = W (x R) + b`.
//!
//! Qiu et al., "Controlling Text-to-Image Diffusion by Orthogonal Finetuning" (2023);
//! on the input's side with a truncated series for the inverse as in Qiu et al.,
//! "Orthogonal Finetuning Made Scalable" (2025). A block is the Cayley transform
//! `R = (I − Q)(I + Q)⁻¹` of a skew-symmetric `Q`, whose upper triangle is stored. Field
//! names follow PEFT's `OFTConfig` of 0.16 and later.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of an OFT adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OftConfig {
    /// The linear layers whose input is rotated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// How the input is cut into blocks.
    pub blocks: OftBlocks,
    /// One block is used for all of a layer's.
    #[serde(default)]
    pub block_share: bool,
    /// Terms of the series in place of the inverse; exact when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neumann_terms: Option<usize>,
    /// Largest Frobenius norm of a layer's `Q`, over √blocks (constrained OFT).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
}

/// How a layer's input is cut into blocks. What does not divide it is taken to the nearest number that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OftBlocks {
    /// Blocks of this size.
    Size(usize),
    /// So many blocks.
    Count(usize),
}

impl OftConfig {
    /// Size of a block at a layer of so many inputs.
    pub fn block_size(&self, inputs: usize) -> usize {
        match self.blocks {
            OftBlocks::Size(size) => nearest_divisor(inputs, size),
            OftBlocks::Count(count) => inputs / nearest_divisor(inputs, count),
        }
    }

    /// Blocks with parameters of their own at a layer of so many inputs.
    pub fn stored_blocks(&self, inputs: usize) -> usize {
        if self.block_share { 1 } else { inputs / self.block_size(inputs) }
    }
}

/// The divisor of `whole` nearest to `wanted`, the smaller of two.
fn nearest_divisor(whole: usize, wanted: usize) -> usize {
    if wanted >= whole {
        return whole;
    }
    let divides = |n: &usize| whole.is_multiple_of(*n);
    let below = (1..=wanted).rev().find(divides).unwrap_or(1);
    let above = (wanted..=whole).find(divides).unwrap_or(whole);
    if wanted - below <= above - wanted { below } else { above }
}

impl MethodSpec for OftConfig {
    fn kind(&self) -> &'static str {
        "oft"
    }

    fn summary(&self) -> String {
        let blocks = match self.blocks {
            OftBlocks::Size(size) => format!("blocks of {size}"),
            OftBlocks::Count(count) => format!("{count} blocks"),
        };
        format!("oft {blocks} {}", self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        let (OftBlocks::Size(number) | OftBlocks::Count(number)) = self.blocks;
        spec::within("blocks", number, 1..=1 << 16, "it must lie between 1 and 65536")?;
        spec::within("neumann_terms", self.neumann_terms.unwrap_or(1), 1..=64, "at most 64 terms")?;
        let eps = self.eps.unwrap_or(1.0);
        spec::within("eps", eps, f64::MIN_POSITIVE..=f64::MAX, "it must be a positive number")?;
        spec::targets(&self.targets, shape, Module::is_linear, "OFT rotates the input of linear layers")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let (inputs, _) = shape.module_dims(module);
            let size = self.block_size(inputs);
            let dims = [self.stored_blocks(inputs), size * (size - 1) / 2];
            Slot::new(Place::Module(module), "oft_r", &dims)
        };
        self.targets.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::nearest_divisor;

    #[test]
    fn what_does_not_divide_is_taken_to_the_nearest_divisor() {
        for (whole, wanted, expected) in
            [(24, 4, 4), (24, 5, 4), (24, 7, 6), (40, 32, 40), (40, 7, 8), (24, 99, 24)]
        {
            assert_eq!(nearest_divisor(whole, wanted), expected, "{wanted} in {whole}");
        }
    }
}
