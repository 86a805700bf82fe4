//! C3A: the update of a linear layer is made of circulant blocks.
//!
//! Chen et al., "Parameter-Efficient Fine-Tuning via Circular Convolution" (2024). Field names follow PEFT's
//! `C3AConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a C3A adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct C3aConfig {
    /// Rows and columns of a block; they divide the inputs and the outputs of a layer.
    pub block_size: usize,
    /// The linear layers that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Layers with blocks of another size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<BlockPattern>,
}

/// A layer with blocks of a size of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockPattern {
    /// The layer.
    #[schema(value_type = String)]
    pub module: Module,
    /// Rows and columns of its blocks.
    pub block_size: usize,
}

impl C3aConfig {
    /// Rows and columns of a block at `module`.
    pub fn block_size(&self, module: Module) -> usize {
        let own = self.patterns.iter().find(|pattern| pattern.module == module);
        own.map_or(self.block_size, |own| own.block_size)
    }
}

impl MethodSpec for C3aConfig {
    fn kind(&self) -> &'static str {
        "c3a"
    }

    fn summary(&self) -> String {
        format!("c3a {} {}", self.block_size, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::targets(&self.targets, shape, Module::is_linear, "C3A updates linear layers")?;
        let own = self.patterns.iter().map(|pattern| pattern.module);
        spec::among_targets("patterns", own, &self.targets)?;
        for module in self.targets.iter() {
            let (inputs, outputs) = shape.module_dims(module);
            let size = self.block_size(module);
            spec::divides("block_size", size, inputs, "inputs")?;
            spec::divides("block_size", size, outputs, "outputs")?;
        }
        Ok(())
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let of = |module: Module| {
            let ((inputs, outputs), size) = (shape.module_dims(module), self.block_size(module));
            Slot::new(Place::Module(module), "c3a_kernel", &[outputs / size, inputs / size, size])
        };
        self.targets.iter().map(of).collect()
    }
}
