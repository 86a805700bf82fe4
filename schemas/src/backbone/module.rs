//! The modules of a backbone that an adapter can change.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{BackboneShape, LinearSite, SubLayer};

/// A lookup table of the embedding block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// One row per token.
    Word,
    /// One row per position.
    Position,
    /// One row per segment.
    TokenType,
    /// One row per position of a decoder behind an encoder.
    DecoderPosition,
    /// The table of words by the name that an encoder reads it through, where it shares the table with a decoder.
    EncoderWord,
    /// The same by the name that the decoder reads it through.
    DecoderWord,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 6] = [
        Self::Word,
        Self::Position,
        Self::TokenType,
        Self::DecoderPosition,
        Self::EncoderWord,
        Self::DecoderWord,
    ];

    /// Whether it is another name of the table of words: a backbone has no tensor for it.
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::EncoderWord | Self::DecoderWord)
    }

    /// The name used in tensor slots.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Position => "position",
            Self::TokenType => "token_type",
            Self::DecoderPosition => "decoder_position",
            Self::EncoderWord => "encoder_word",
            Self::DecoderWord => "decoder_word",
        }
    }
}

/// A module with weights of its own, wherever it stands in the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Module {
    /// A lookup table.
    Embedding(Table),
    /// The norm of the embedding block.
    EmbeddingNorm,
    /// The norm of the table of relative positions.
    RelativeNorm,
    /// The layer that widens the embeddings, where their width is not the hidden size.
    EmbeddingProjection,
    /// The convolution that makes tokens of an image's patches.
    Patches,
    /// The first convolution over the frames of a recording.
    FirstConvolution,
    /// The second one, which makes tokens.
    SecondConvolution,
    /// A linear layer of a block.
    Linear {
        /// Index of the block.
        layer: usize,
        /// Which one.
        site: LinearSite,
    },
    /// The norm of a sub-layer.
    Norm {
        /// Index of the block.
        layer: usize,
        /// Which one.
        sublayer: SubLayer,
    },
    /// The norm of a sub-layer's output in front of the residual sum, where norms stand there too.
    OutputNorm {
        /// Index of the block.
        layer: usize,
        /// Which sub-layer's.
        sublayer: SubLayer,
    },
    /// The norm of every head's queries.
    QueryNorm {
        /// Index of the block.
        layer: usize,
    },
    /// The norm of every head's keys.
    KeyNorm {
        /// Index of the block.
        layer: usize,
    },
    /// The norm after the last block; in front of a decoder, after the encoder's last block.
    FinalNorm,
    /// The norm of a decoder's embedding block, behind an encoder.
    DecoderEmbeddingNorm,
    /// The norm after a decoder's last block, behind an encoder.
    DecoderFinalNorm,
    /// The pooler's linear layer.
    Pooler,
    /// The output layer of a decoder's language model: often the word embedding itself.
    Output,
    /// The layer that scores where an answer starts and ends, in the head of a model class.
    QaOutputs,
    /// The layer in front of the output table, in the head of an encoder's language model.
    LmTransform,
    /// The norm in front of the output table, in the head of an encoder's language model.
    LmNorm,
    /// The only layer of the classifier of a model class, behind what it reads.
    Classifier,
    /// The first of two layers of the classifier of a model class.
    ClassifierDense,
    /// The second of two layers of the classifier of a model class.
    ClassifierOutput,
}

/// Not a module of a backbone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a module of a backbone, such as `layers.3.query`, `layers.3.ffn.norm` or `embeddings.word`"
)]
pub struct ParseModuleError(pub String);

impl Module {
    /// The block it stands in.
    pub const fn layer(self) -> Option<usize> {
        match self {
            Self::Linear { layer, .. }
            | Self::Norm { layer, .. }
            | Self::OutputNorm { layer, .. }
            | Self::QueryNorm { layer }
            | Self::KeyNorm { layer } => Some(layer),
            Self::Embedding(_)
            | Self::EmbeddingNorm
            | Self::EmbeddingProjection
            | Self::Patches
            | Self::FirstConvolution
            | Self::SecondConvolution
            | Self::RelativeNorm
            | Self::FinalNorm
            | Self::DecoderEmbeddingNorm
            | Self::DecoderFinalNorm
            | Self::Pooler
            | Self::Output
            | Self::QaOutputs
            | Self::LmTransform
            | Self::LmNorm
            | Self::Classifier
            | Self::ClassifierDense
            | Self::ClassifierOutput => None,
        }
    }

    /// Whether it multiplies its input with a matrix.
    pub const fn is_linear(self) -> bool {
        matches!(self, Self::Linear { .. } | Self::EmbeddingProjection | Self::Pooler)
            || self.is_in_head() && !self.is_norm()
    }

    /// Whether it makes the tokens of a signal. Of these only biases are trained: what shape their kernels have, no
    /// backbone's shape tells.
    pub const fn is_convolution(self) -> bool {
        matches!(self, Self::Patches | Self::FirstConvolution | Self::SecondConvolution)
    }

    /// Whether its weight is a matrix: of a linear layer, or a table.
    pub const fn is_linear_or_table(self) -> bool {
        self.is_linear() || matches!(self, Self::Embedding(_))
    }

    /// Whether it is another name of the table of words: a backbone has no tensor for it.
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Embedding(table) if table.is_shared())
    }

    /// Whether it belongs to a prediction head and not to the backbone.
    pub const fn is_in_head(self) -> bool {
        matches!(self, Self::Output | Self::QaOutputs | Self::LmTransform | Self::LmNorm)
            || self.is_in_classifier()
    }

    /// Whether it belongs to the classifier of a model class.
    pub const fn is_in_classifier(self) -> bool {
        matches!(self, Self::Classifier | Self::ClassifierDense | Self::ClassifierOutput)
    }

    /// Whether only a decoder behind an encoder has it.
    pub const fn is_of_decoder(self) -> bool {
        match self {
            Self::Embedding(Table::DecoderPosition | Table::DecoderWord)
            | Self::DecoderEmbeddingNorm
            | Self::DecoderFinalNorm => true,
            Self::Linear { site, .. } => site.is_cross(),
            Self::Norm { sublayer, .. } | Self::OutputNorm { sublayer, .. } => {
                matches!(sublayer, SubLayer::CrossAttention)
            }
            _ => false,
        }
    }

    /// Whether it is a layer norm.
    pub const fn is_norm(self) -> bool {
        matches!(
            self,
            Self::Norm { .. }
                | Self::OutputNorm { .. }
                | Self::QueryNorm { .. }
                | Self::KeyNorm { .. }
                | Self::EmbeddingNorm
                | Self::RelativeNorm
                | Self::FinalNorm
                | Self::DecoderEmbeddingNorm
                | Self::DecoderFinalNorm
                | Self::LmNorm
        )
    }

    /// The same module of another block.
    #[must_use]
    pub const fn at_layer(self, layer: usize) -> Self {
        match self {
            Self::Linear { site, .. } => Self::Linear { layer, site },
            Self::Norm { sublayer, .. } => Self::Norm { layer, sublayer },
            Self::OutputNorm { sublayer, .. } => Self::OutputNorm { layer, sublayer },
            Self::QueryNorm { .. } => Self::QueryNorm { layer },
            Self::KeyNorm { .. } => Self::KeyNorm { layer },
            other => other,
        }
    }

    /// Canonical names of its tensors that can be trained: the weight, and the bias where modules of its kind have one.
    pub fn tensors(self) -> Vec<String> {
        match self {
            Self::Embedding(_) => vec![self.to_string()],
            module if module.is_convolution() => vec![format!("{self}.bias")],
            _ => vec![format!("{self}.weight"), format!("{self}.bias")],
        }
    }

    /// Every module that a backbone of this shape may have, in the order of computation.
    pub fn all(shape: &BackboneShape) -> Vec<Self> {
        Self::in_layers(shape.num_layers)
    }

    /// Every module that a backbone with so many blocks may have; an architecture has
    /// those of [`Architecture::modules`](super::Architecture::modules).
    pub fn in_layers(num_layers: usize) -> Vec<Self> {
        let mut modules: Vec<Self> = Table::ALL.into_iter().map(Self::Embedding).collect();
        modules.push(Self::EmbeddingNorm);
        modules.push(Self::EmbeddingProjection);
        modules.extend([Self::Patches, Self::FirstConvolution, Self::SecondConvolution]);
        modules.push(Self::RelativeNorm);
        modules.push(Self::DecoderEmbeddingNorm);
        for layer in 0..num_layers {
            modules.extend(LinearSite::ALL.map(|site| Self::Linear { layer, site }));
            modules.extend([Self::QueryNorm { layer }, Self::KeyNorm { layer }]);
            modules.extend(SubLayer::ALL.map(|sublayer| Self::Norm { layer, sublayer }));
            modules.extend(SubLayer::ALL.map(|sublayer| Self::OutputNorm { layer, sublayer }));
        }
        modules.push(Self::FinalNorm);
        modules.push(Self::DecoderFinalNorm);
        modules.push(Self::Pooler);
        modules.extend([Self::QaOutputs, Self::LmTransform, Self::LmNorm, Self::Output]);
        modules.extend([Self::Classifier, Self::ClassifierDense, Self::ClassifierOutput]);
        modules
    }

    /// The part of the name behind `layers.N.`, or the whole name.
    pub(super) fn kind(self) -> String {
        match self {
            Self::Embedding(table) => format!("embeddings.{}", table.as_str()),
            Self::EmbeddingNorm => "embeddings.norm".to_owned(),
            Self::EmbeddingProjection => "embeddings.projection".to_owned(),
            Self::Patches => "embeddings.patch".to_owned(),
            Self::FirstConvolution => "embeddings.conv1".to_owned(),
            Self::SecondConvolution => "embeddings.conv2".to_owned(),
            Self::RelativeNorm => "relative.norm".to_owned(),
            Self::FinalNorm => "final_norm".to_owned(),
            Self::DecoderEmbeddingNorm => "decoder.embeddings.norm".to_owned(),
            Self::DecoderFinalNorm => "decoder.final_norm".to_owned(),
            Self::Linear { site, .. } => site.as_str().to_owned(),
            Self::QueryNorm { .. } => "q_norm".to_owned(),
            Self::KeyNorm { .. } => "k_norm".to_owned(),
            Self::Norm { sublayer, .. } => format!("{}.norm", sublayer.as_str()),
            Self::OutputNorm { sublayer, .. } => format!("{}.output_norm", sublayer.as_str()),
            Self::Pooler => "pooler".to_owned(),
            Self::Output => "output".to_owned(),
            Self::QaOutputs => "qa_outputs".to_owned(),
            Self::LmTransform => "lm_transform".to_owned(),
            Self::LmNorm => "lm_norm".to_owned(),
            Self::Classifier => "classifier".to_owned(),
            Self::ClassifierDense => "classifier.dense".to_owned(),
            Self::ClassifierOutput => "classifier.output".to_owned(),
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer() {
            Some(layer) => write!(f, "layers.{layer}.{}", self.kind()),
            None => f.write_str(&self.kind()),
        }
    }
}

impl From<Module> for String {
    fn from(module: Module) -> Self {
        module.to_string()
    }
}

impl TryFrom<String> for Module {
    type Error = ParseModuleError;
    fn try_from(text: String) -> Result<Self, ParseModuleError> {
        text.parse()
    }
}

impl FromStr for Module {
    type Err = ParseModuleError;
    fn from_str(text: &str) -> Result<Self, ParseModuleError> {
        let wrong = || ParseModuleError(text.to_owned());
        let outside = [
            Self::EmbeddingNorm,
            Self::EmbeddingProjection,
            Self::Patches,
            Self::FirstConvolution,
            Self::SecondConvolution,
            Self::RelativeNorm,
            Self::FinalNorm,
            Self::DecoderEmbeddingNorm,
            Self::DecoderFinalNorm,
            Self::Pooler,
            Self::Output,
            Self::QaOutputs,
            Self::LmTransform,
            Self::LmNorm,
            Self::Classifier,
            Self::ClassifierDense,
            Self::ClassifierOutput,
        ];
        if let Some(module) =
            Table::ALL.map(Self::Embedding).into_iter().chain(outside).find(|m| m.kind() == text)
        {
            return Ok(module);
        }
        let (layer, kind) = text.strip_prefix("layers.").and_then(|t| t.split_once('.')).ok_or_else(wrong)?;
        let layer = layer.parse().map_err(|_| wrong())?;
        let linears = LinearSite::ALL.map(|site| Self::Linear { layer, site });
        let norms = SubLayer::ALL.map(|sublayer| Self::Norm { layer, sublayer });
        let outputs = SubLayer::ALL.map(|sublayer| Self::OutputNorm { layer, sublayer });
        let of_heads = [Self::QueryNorm { layer }, Self::KeyNorm { layer }];
        linears
            .into_iter()
            .chain(norms)
            .chain(outputs)
            .chain(of_heads)
            .find(|m| m.kind() == kind)
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_one_name() {
        let shape = BackboneShape {
            hidden_size: 8,
            num_layers: 12,
            num_heads: 2,
            intermediate_size: 16,
            vocab_size: 9,
            max_positions: 16,
            token_types: 2,
            ..BackboneShape::EMPTY
        };
        for module in Module::all(&shape) {
            assert_eq!(module.to_string().parse(), Ok(module));
        }
        assert!("layers.x.query".parse::<Module>().is_err());
        assert!("layers.1.head".parse::<Module>().is_err());
    }
}
