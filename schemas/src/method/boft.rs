//! BOFT: OFT whose rotation is a product of block-diagonal factors in butterfly order.
//!
//! Liu et al., "Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization"
//! (2024): `y = s ⊙ W (x R) + b`. Field names follow PEFT's `BOFTConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, OftBlocks, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a BOFT adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoftConfig {
    /// The linear layers whose input is rotated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// How a layer's input is cut into blocks; it must divide.
    pub blocks: OftBlocks,
    /// Factors of the rotation.
    pub factors: usize,
}

impl BoftConfig {
    /// Size of a block at a layer of so many inputs.
    pub fn block_size(&self, inputs: usize) -> usize {
        match self.blocks {
            OftBlocks::Size(size) => size,
            OftBlocks::Count(count) => inputs / count,
        }
    }

    /// Refuses blocks that do not fit a layer of so many inputs: PEFT's rules.
    fn fit(&self, inputs: usize) -> Result<(), MethodError> {
        let (OftBlocks::Size(number) | OftBlocks::Count(number)) = self.blocks;
        let wrong = |expected: String| {
            Err(MethodError::Field { field: "blocks", found: number.to_string(), expected })
        };
        spec::divides("blocks", number, inputs, "inputs")?;
        let size = self.block_size(inputs);
        let count = inputs / size;
        let spread = 1 << (self.factors - 1);
        if self.factors > 1
            && !(size.is_multiple_of(2) && count.is_multiple_of(2) && count.is_multiple_of(spread))
        {
            return wrong(format!(
                "with {} factors size and number of the blocks are even and {spread} divides the number; \
                 it is {count} blocks of {size}",
                self.factors
            ));
        }
        Ok(())
    }
}

impl MethodSpec for BoftConfig {
    fn kind(&self) -> &'static str {
        "boft"
    }

    fn summary(&self) -> String {
        format!("boft {} factors {}", self.factors, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::within("factors", self.factors, 1..=16, "between 1 and 16 factors")?;
        spec::targets(&self.targets, shape, Module::is_linear, "BOFT rotates the input of linear layers")?;
        self.targets.iter().try_for_each(|module| self.fit(shape.module_dims(module).0))
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let (inputs, outputs) = shape.module_dims(module);
            let size = self.block_size(inputs);
            let place = Place::Module(module);
            [
                Slot::new(place, "boft_r", &[self.factors, inputs / size, size, size]),
                Slot::new(place, "boft_s", &[outputs, 1]),
            ]
        };
        self.targets.iter().flat_map(of).collect()
    }
}
