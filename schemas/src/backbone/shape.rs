//! The dimensions of a backbone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Architecture, LinearSite, Module, SubLayer, Table, Variant};

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
    /// Rows of the token embedding table; 0 where no tokens are read.
    pub vocab_size: usize,
    /// Rows of the position table; 0 where it is not stated.
    #[serde(default)]
    pub max_positions: usize,
    /// Rows of the segment table; 0 where it is not stated.
    #[serde(default)]
    pub token_types: usize,
    /// Heads that keys and values have, where fewer than queries (Ainslie et al. 2023).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_kv_heads: Option<usize>,
    /// Width of a head, where it is not `hidden_size / num_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Width of the embedding tables, where a linear layer brings what they give to `hidden_size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_size: Option<usize>,
    /// How many of the blocks, the last ones, are a decoder's behind an encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_layers: Option<usize>,
    /// Attention heads of a decoder's blocks behind an encoder, where not as many as the encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_heads: Option<usize>,
    /// Inner width of the feed-forward network of those blocks, where not the encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_intermediate_size: Option<usize>,
    /// Whether the feed-forward network has a gate, in an architecture that has it with and without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_ffn_gate: bool,
    /// Widths of the classifier that the checkpoint brings, where it brings one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<ClassifierShape>,
}

/// The widths of a checkpoint's own classifier: no part of what the backbone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClassifierShape {
    /// Width of what it reads.
    pub inputs: usize,
    /// Width between its two layers; absent where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Number of its outputs.
    pub outputs: usize,
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
    /// The heads can't share keys and values evenly.
    #[error("`num_heads` {num_heads} is not a multiple of `num_kv_heads` {num_kv_heads}")]
    SharedHeads {
        /// The number of heads.
        num_heads: usize,
        /// The number of heads of keys and values.
        num_kv_heads: usize,
    },
}

impl BackboneShape {
    /// Nothing stated: what the shape of a real backbone is written over.
    pub const EMPTY: Self = Self {
        hidden_size: 0,
        num_layers: 0,
        num_heads: 0,
        intermediate_size: 0,
        vocab_size: 0,
        max_positions: 0,
        token_types: 0,
        num_kv_heads: None,
        head_dim: None,
        embedding_size: None,
        decoder_layers: None,
        decoder_heads: None,
        decoder_intermediate_size: None,
        has_ffn_gate: false,
        classifier: None,
    };

    /// The same without what a checkpoint's classes bring beside the backbone.
    #[must_use]
    pub const fn without_classifier(self) -> Self {
        Self { classifier: None, ..self }
    }

    /// Refuses dimensions that can't be: they come from foreign files and size our allocations.
    pub fn validate(&self) -> Result<(), ShapeError> {
        let limits = [
            ("hidden_size", self.hidden_size, 1 << 16),
            ("num_layers", self.num_layers, 1 << 10),
            ("num_heads", self.num_heads, 1 << 10),
            ("intermediate_size", self.intermediate_size, 1 << 18),
        ];
        for (field, value, max) in limits {
            if value == 0 || value > max {
                return Err(ShapeError::OutOfRange { field, value, max });
            }
        }
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("max_positions", self.max_positions),
            ("token_types", self.token_types),
        ] {
            if value > 1 << 22 {
                return Err(ShapeError::OutOfRange { field, value, max: 1 << 22 });
            }
        }
        let most = self.num_layers - 1;
        if let Some(value) = self.decoder_layers.filter(|&value| value == 0 || value > most) {
            return Err(ShapeError::OutOfRange { field: "decoder_layers", value, max: most });
        }
        let own = [
            ("num_kv_heads", self.num_kv_heads, self.num_heads),
            ("head_dim", self.head_dim, 1 << 14),
            ("embedding_size", self.embedding_size, 1 << 16),
            ("decoder_heads", self.decoder_heads, 1 << 10),
            ("decoder_intermediate_size", self.decoder_intermediate_size, 1 << 18),
            ("classifier.inputs", self.classifier.map(|own| own.inputs), 1 << 17),
            ("classifier.hidden", self.classifier.and_then(|own| own.hidden), 1 << 17),
            ("classifier.outputs", self.classifier.map(|own| own.outputs), 1 << 22),
        ];
        for (field, value, max) in own {
            if let Some(value) = value.filter(|&value| value == 0 || value > max) {
                return Err(ShapeError::OutOfRange { field, value, max });
            }
        }
        let all_heads = std::iter::once(self.num_heads).chain(self.decoder_heads);
        let splits = |&heads: &usize| self.hidden_size.is_multiple_of(heads);
        if let Some(num_heads) = all_heads.filter(|_| self.head_dim.is_none()).find(|heads| !splits(heads)) {
            return Err(ShapeError::Heads { hidden_size: self.hidden_size, num_heads });
        }
        let num_kv_heads = self.kv_heads();
        if !self.num_heads.is_multiple_of(num_kv_heads) {
            return Err(ShapeError::SharedHeads { num_heads: self.num_heads, num_kv_heads });
        }
        Ok(())
    }

    /// Width of the embedding tables.
    pub const fn table_width(&self) -> usize {
        match self.embedding_size {
            Some(width) => width,
            None => self.hidden_size,
        }
    }

    /// Heads that keys and values have.
    pub const fn kv_heads(&self) -> usize {
        match self.num_kv_heads {
            Some(heads) => heads,
            None => self.num_heads,
        }
    }

    /// Width of a head.
    pub const fn head_width(&self) -> usize {
        match self.head_dim {
            Some(width) => width,
            None => self.hidden_size / self.num_heads,
        }
    }

    /// Width of all queries of a token.
    pub const fn query_width(&self) -> usize {
        self.num_heads * self.head_width()
    }

    /// Width of all keys, or of all values, of a token.
    pub const fn kv_width(&self) -> usize {
        self.kv_heads() * self.head_width()
    }

    /// Which of the backbones of its architecture it is, as far as module paths tell.
    pub fn variant(&self) -> Variant {
        let decoder_from = self.decoder_layers.map(|layers| self.num_layers.saturating_sub(layers));
        Variant { decoder_from, has_ffn_gate: self.has_ffn_gate }
    }

    /// Blocks in front of a decoder's; all of them where there is one stack.
    pub fn encoder_layers(&self) -> usize {
        self.variant().decoder_from.unwrap_or(self.num_layers)
    }

    /// The same with the heads and the inner width that a block has.
    #[must_use]
    pub fn in_block(&self, layer: usize) -> Self {
        if !self.variant().is_decoder(layer) {
            return *self;
        }
        Self {
            num_heads: self.decoder_heads.unwrap_or(self.num_heads),
            intermediate_size: self.decoder_intermediate_size.unwrap_or(self.intermediate_size),
            ..*self
        }
    }

    /// The sub-layers of a block, in the order of computation.
    pub fn sublayers(&self, layer: usize) -> &'static [SubLayer] {
        if self.variant().is_decoder(layer) { &SubLayer::ALL } else { &SubLayer::USUAL }
    }

    /// Whether a backbone of this shape has a module; a pooler may be missing.
    pub fn has(&self, architecture: Architecture, module: Module) -> bool {
        let is_there = match module {
            Module::Embedding(Table::TokenType) => self.token_types > 0,
            Module::EmbeddingProjection => self.embedding_size.is_some(),
            module => self.may_have(module),
        };
        is_there && architecture.find(module, self.variant()).is_some()
    }

    /// Whether a module is none of a classifier that the checkpoint does not bring.
    pub fn may_have(&self, module: Module) -> bool {
        let is_single = self.classifier.map(|own| own.hidden.is_none());
        !module.is_in_classifier() || is_single == Some(module == Module::Classifier)
    }

    /// Every module of a backbone of this shape, in the order of computation; a pooler may be missing.
    pub fn modules(&self, architecture: Architecture) -> Vec<Module> {
        let modules = Module::in_layers(self.num_layers).into_iter();
        modules.filter(|&module| self.has(architecture, module)).collect()
    }

    /// `(inputs, outputs)` of a module: of a table `(rows, width)`, of a norm its width twice; of a convolution the
    /// outputs alone are right.
    pub fn module_dims(&self, module: Module) -> (usize, usize) {
        let (h, e) = (self.hidden_size, self.table_width());
        match module {
            Module::Embedding(Table::Word | Table::EncoderWord | Table::DecoderWord) => (self.vocab_size, e),
            Module::Embedding(Table::Position | Table::DecoderPosition) => (self.max_positions, e),
            Module::Embedding(Table::TokenType) => (self.token_types, e),
            Module::Linear { layer, site } => self.in_block(layer).linear_dims(site),
            Module::EmbeddingNorm | Module::DecoderEmbeddingNorm | Module::LmNorm => (e, e),
            Module::EmbeddingProjection => (e, h),
            Module::Output => (e, self.vocab_size),
            Module::QaOutputs => (h, 2),
            Module::LmTransform => (h, e),
            Module::Classifier | Module::ClassifierDense | Module::ClassifierOutput => {
                match self.classifier {
                    Some(own) => own.dims(module),
                    None => (0, 0),
                }
            }
            Module::QueryNorm { .. } | Module::KeyNorm { .. } => (self.head_width(), self.head_width()),
            Module::Norm { .. }
            | Module::OutputNorm { .. }
            | Module::Patches
            | Module::FirstConvolution
            | Module::SecondConvolution
            | Module::RelativeNorm
            | Module::FinalNorm
            | Module::DecoderFinalNorm
            | Module::Pooler => (h, h),
        }
    }

    /// `(inputs, outputs)` of the linear layer at `site` of a block with these heads and this inner width.
    pub const fn linear_dims(&self, site: LinearSite) -> (usize, usize) {
        let (h, i) = (self.hidden_size, self.intermediate_size);
        let (queries, keys) = (self.query_width(), self.kv_width());
        match site {
            LinearSite::Query | LinearSite::CrossQuery => (h, queries),
            LinearSite::Key | LinearSite::Value | LinearSite::CrossKey | LinearSite::CrossValue => (h, keys),
            LinearSite::QueryKeyValue => (h, queries + 2 * keys),
            LinearSite::AttentionOutput | LinearSite::CrossOutput => (queries, h),
            LinearSite::FfnUp | LinearSite::FfnGate => (h, i),
            LinearSite::FfnGateUp => (h, 2 * i),
            LinearSite::FfnDown => (i, h),
        }
    }
}

impl ClassifierShape {
    /// `(inputs, outputs)` of one of its layers.
    const fn dims(self, module: Module) -> (usize, usize) {
        match (module, self.hidden) {
            (Module::ClassifierDense, Some(hidden)) => (self.inputs, hidden),
            (Module::ClassifierOutput, Some(hidden)) => (hidden, self.outputs),
            _ => (self.inputs, self.outputs),
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
            ..BackboneShape::EMPTY
        };
        assert_eq!(shape.validate(), Ok(()));
        assert!(BackboneShape { num_heads: 7, ..shape }.validate().is_err());
        assert!(BackboneShape { num_layers: usize::MAX, ..shape }.validate().is_err());
        assert!(BackboneShape { hidden_size: 0, ..shape }.validate().is_err());
    }
}
