//! The dimensions of a backbone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LinearSite, Module, Table};

/// The dimensions that decide every tensor shape of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackboneShape {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of transformer blocks.
    pub num_layers: usize,
    /// Attention heads per block.
    pub num_heads: usize,
    /// Inner width of the feed-forward network.
    pub intermediate_size: usize,
    /// Rows of the token embedding table.
    pub vocab_size: usize,
    /// Rows of the position table; 0 where it is not stated.
    #[serde(default)]
    pub max_positions: usize,
    /// Rows of the segment table; 0 where it is not stated.
    #[serde(default)]
    pub token_types: usize,
}

/// Dimensions that no real backbone has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A dimension is zero or absurdly large.
    #[error("`{field}` is {value}; it must lie between 1 and {max}")]
    OutOfRange {
        /// Which dimension.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest accepted value.
        max: usize,
    },
    /// The hidden size can't be split evenly over the heads.
    #[error("`hidden_size` {hidden_size} is not a multiple of `num_heads` {num_heads}")]
    Heads {
        /// The hidden size.
        hidden_size: usize,
        /// The number of heads.
        num_heads: usize,
    },
}

impl BackboneShape {
    /// Refuses dimensions that can't be: they come from foreign files and size our allocations.
    pub fn validate(&self) -> Result<(), ShapeError> {
        let limits = [
            ("hidden_size", self.hidden_size, 1 << 16),
            ("num_layers", self.num_layers, 1 << 10),
            ("num_heads", self.num_heads, 1 << 10),
            ("intermediate_size", self.intermediate_size, 1 << 18),
            ("vocab_size", self.vocab_size, 1 << 22),
        ];
        for (field, value, max) in limits {
            if value == 0 || value > max {
                return Err(ShapeError::OutOfRange { field, value, max });
            }
        }
        for (field, value) in [("max_positions", self.max_positions), ("token_types", self.token_types)] {
            if value > 1 << 22 {
                return Err(ShapeError::OutOfRange { field, value, max: 1 << 22 });
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_heads) {
            return Err(ShapeError::Heads { hidden_size: self.hidden_size, num_heads: self.num_heads });
        }
        Ok(())
    }

    /// `(inputs, outputs)` of a module: of a table `(rows, width)`, of a norm its width twice.
    pub const fn module_dims(&self, module: Module) -> (usize, usize) {
        let h = self.hidden_size;
        match module {
            Module::Embedding(Table::Word) => (self.vocab_size, h),
            Module::Embedding(Table::Position) => (self.max_positions, h),
            Module::Embedding(Table::TokenType) => (self.token_types, h),
            Module::Linear { site, .. } => self.linear_dims(site),
            Module::EmbeddingNorm | Module::Norm { .. } | Module::Pooler => (h, h),
        }
    }

    /// `(inputs, outputs)` of the linear layer at `site`.
    pub const fn linear_dims(&self, site: LinearSite) -> (usize, usize) {
        let (h, i) = (self.hidden_size, self.intermediate_size);
        match site {
            LinearSite::Query | LinearSite::Key | LinearSite::Value | LinearSite::AttentionOutput => (h, h),
            LinearSite::FfnUp => (h, i),
            LinearSite::FfnDown => (i, h),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_dimensions_are_bounded() {
        let shape = BackboneShape {
            hidden_size: 384,
            num_layers: 6,
            num_heads: 12,
            intermediate_size: 1536,
            vocab_size: 30522,
            max_positions: 512,
            token_types: 2,
        };
        assert_eq!(shape.validate(), Ok(()));
        assert!(BackboneShape { num_heads: 7, ..shape }.validate().is_err());
        assert!(BackboneShape { num_layers: usize::MAX, ..shape }.validate().is_err());
        assert!(BackboneShape { hidden_size: 0, ..shape }.validate().is_err());
    }
}
