//! The slots of every method: names and shapes inside the project.

use std::fmt;

use super::{BackboneShape, Method, SubLayer};
use crate::backbone::Module;

/// Where in a backbone a tensor of an adapter belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At a module with weights of its own.
    Module(Module),
    /// After a sub-layer.
    SubLayer {
        /// Index of the block.
        layer: usize,
        /// Which sub-layer.
        sublayer: SubLayer,
    },
    /// At a block's keys and values.
    SelfAttention {
        /// Index of the block.
        layer: usize,
    },
    /// At the keys and values of a block's attention to an encoder.
    CrossAttention {
        /// Index of the block.
        layer: usize,
    },
    /// After a block.
    Block {
        /// Index of the block.
        layer: usize,
    },
    /// At no single place: shared by all of them, or in front of the blocks.
    Shared,
    /// In the prediction head.
    Head,
}

impl Place {
    /// The block it stands in or behind; `None` where it belongs to no block or to several.
    pub const fn layer(self) -> Option<usize> {
        match self {
            Self::Module(module) => module.layer(),
            Self::SubLayer { layer, .. }
            | Self::SelfAttention { layer }
            | Self::CrossAttention { layer }
            | Self::Block { layer } => Some(layer),
            Self::Shared | Self::Head => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(module) => module.fmt(f),
            Self::SubLayer { layer, sublayer } => write!(f, "layers.{layer}.{}", sublayer.as_str()),
            Self::SelfAttention { layer } => write!(f, "layers.{layer}.self_attention"),
            // Another name than that of the sub-layer: a union may have gates at both.
            Self::CrossAttention { layer } => write!(f, "layers.{layer}.encoder_attention"),
            Self::Block { layer } => write!(f, "layers.{layer}.block"),
            Self::Shared => f.write_str("shared"),
            Self::Head => f.write_str("head"),
        }
    }
}

/// A named tensor inside the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Place and part: `layers.3.query.lora_a`.
    pub name: String,
    /// Where it belongs.
    pub place: Place,
    /// Which tensor of that place it is.
    pub part: String,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Whether training changes it.
    pub trainable: bool,
    /// Whether its elements are positions, and so whole numbers.
    pub positions: bool,
}

impl Slot {
    /// A trainable tensor.
    pub fn new(place: Place, part: &str, shape: &[usize]) -> Self {
        Self {
            name: format!("{place}.{part}"),
            place,
            part: part.to_owned(),
            shape: shape.to_vec(),
            trainable: true,
            positions: false,
        }
    }

    /// The same, drawn once and never trained.
    #[must_use]
    pub fn frozen(self) -> Self {
        Self { trainable: false, ..self }
    }

    /// The same, frozen, for a tensor of positions.
    #[must_use]
    pub fn of_positions(self) -> Self {
        Self { positions: true, ..self.frozen() }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The tensors of `method` on a backbone of this shape, in the order of computation.
pub fn method_slots(method: &Method, shape: &BackboneShape) -> Vec<Slot> {
    method.slots(shape)
}
